"""YAML as nodes that know where they stand, read as it was written.

PyYAML turns `no` into False, `010` into 8, `1:30` into 90 and `1e-3` into text, takes the last of
repeated keys in silence and expands aliases without bound. Here each of these is a fault with its
line and column, so that a file never means something else than what its author reads in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader, ReaderError

from hrnet_search.errors import Fault, shown

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Keys and values of one file: a file of more is data, and reading it would take seconds."""

MAX_NUMBER = 10**12

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: the same nodes, ten times as fast."""

Scalar = int | float | bool | str | None

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)?\.[0-9]*([eE][-+][0-9]+)?")
_TRAPS = (
    (re.compile(r"[-+]?[0-9][0-9.]*[eE][-+]?[0-9]+|[-+]?\.[0-9]+[eE][0-9]+"),
     "YAML readers differ on this power of ten", "the number written out, like 0.001"),
    (re.compile(r"[-+]?0[0-9_]+"), "YAML reads a leading zero as octal", "no leading zero"),
    (re.compile(r"[-+]?0[xXbBoO][0-9a-fA-F_]+"), "not a decimal number", "decimal digits"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_.]*"), "underscores in a number", "digits alone"),
    (re.compile(r"[-+]?[0-9]+(:[0-9]+)+(\.[0-9]*)?"),
     "YAML reads this as a number in base 60", "a plain number, or quotes"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"),
     "YAML reads this as a date", "quotes around it"),
    (re.compile(r"(yes|no|on|off|y|n)", re.IGNORECASE),
     "YAML readers take this for a truth value", "true, false, or quotes"),
    (re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE), "not a finite number", "a number"),
    (re.compile(r"=|<<"), "YAML gives this sign a meaning of its own", "quotes around it"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that YAML readers take for something else than what is written."""

    text: str
    why: str
    allowed: str

    def __repr__(self) -> str:
        return self.text


def read_text(path: str | Path) -> tuple[str, list[Fault]]:
    """Return a file's text, or faults that say why it is not readable as YAML."""
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return "", [Fault("", name, f"cannot be read: {why}", file=name)]
    if len(content) > MAX_BYTES:
        return "", [Fault("", name, "larger than 1 MB", "at most 1 MB", name)]
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        return "", [Fault("", "\0", "holds a NUL byte", "text", name, line, 1)]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return "", [Fault("", None, "is not UTF-8", "UTF-8 text", name, line, 1)]


def compose(text: str, file: str) -> tuple[yaml.Node | None, list[Fault]]:
    """Return the root node of one YAML document, and its faults of form.

    The node is None where the text cannot be read at all. Faults: syntax, anchors and aliases,
    tags, keys that are repeated or no strings, nesting beyond 32, more values than 20,000.
    """
    faults, is_tree = _form_faults(text, file)
    if not is_tree:
        return None, faults
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        return None, [*faults, _syntax_fault(error, text, file)]
    return root, [*faults, *([] if root is None else _key_faults(root, file, ""))]


def place(thing: yaml.Node | yaml.Event) -> tuple[int, int]:
    """Return line and column of a node or event, from 1."""
    mark = thing.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def entries(node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """Return key node and value node by key, the first of repeated ones."""
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            found.setdefault(key.value, (key, value))
    return found


def read_scalar(node: yaml.ScalarNode) -> Scalar | Trap:
    """Return what a scalar says as it is written, or the Trap that it is."""
    text: str = node.value
    if node.style:  # quoted or a block; plain is None or "" by the parser
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        number = int(text) if len(text) < 20 else MAX_NUMBER + 1
        return number if abs(number) <= MAX_NUMBER else _too_large(text)
    if _FLOAT.fullmatch(text) and any(c.isdigit() for c in text):
        value = float(text)
        return value if abs(value) <= MAX_NUMBER else _too_large(text)
    for pattern, why, allowed in _TRAPS:
        if pattern.fullmatch(text):
            return Trap(shown(text), why, allowed)
    return text


def _too_large(text: str) -> Trap:
    return Trap(shown(text), "beyond 10^12", "a smaller number")


def _form_faults(text: str, file: str) -> tuple[list[Fault], bool]:
    """Scan tokens before anything is built from them: what follows may then trust the text.

    Return the faults, and whether the text is a tree of bounded depth all the same: an anchor
    that nothing refers to, or a tag, does not stand in the way of the other faults.
    """
    faults: list[Fault] = []
    is_tree = True
    depth = documents = values = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            values += isinstance(event, yaml.NodeEvent)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            if isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            wrong = _event_wrong(event, depth, documents)
            if values > MAX_VALUES:
                wrong = f"more than {MAX_VALUES:,} keys and values", "fewer"
            if wrong:
                faults.append(Fault("", None, *wrong, file, *place(event)))
            is_tree &= not isinstance(event, yaml.AliasEvent)
            if depth > MAX_DEPTH or documents > 1 or values > MAX_VALUES:
                is_tree = False
                break
    except (yaml.YAMLError, RecursionError) as error:
        faults.append(_syntax_fault(error, text, file))
        is_tree = False
    return faults, is_tree


def _event_wrong(event: yaml.Event, depth: int, documents: int) -> tuple[str, str] | None:
    if depth > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels"
    if documents > 1:
        return "a second document", "one document a file"
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if anchor:
        sign = "the alias *" if isinstance(event, yaml.AliasEvent) else "the anchor &"
        return f"{sign}{shown(anchor)} is not supported", "values written out"
    if tag:
        return f"the tag {shown(tag)} is not supported", "values without tags"
    return None


def _syntax_fault(error: Exception, text: str, file: str) -> Fault:
    if isinstance(error, ReaderError) and (found := Reader.NON_PRINTABLE.search(text)):
        # It knows no line, for it stops before there are any.
        before = text[: found.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        wrong = f"holds {found.group()!r}, a control character"
        return Fault("", None, wrong, "text", file, line, column)
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Fault("", None, f"not YAML: {' '.join(str(what).split())}", "", file, line, column)


def _key_faults(node: yaml.Node, file: str, path: str) -> Iterator[Fault]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _key_faults(item, file, path)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line, column = place(key)
        if not isinstance(key, yaml.ScalarNode) or not isinstance(read_scalar(key), str):
            shown_key = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a collection"
            wrong = f"the key {shown_key} is not a string"
            yield Fault(path, shown_key, wrong, "names as keys", file, line, column)
            continue
        here = f"{path}.{key.value}" if path else key.value
        if key.value in seen:
            wrong = f"repeated, first in line {seen[key.value]}"
            yield Fault(here, key.value, wrong, "each key once", file, line, column)
        seen.setdefault(key.value, line)
        yield from _key_faults(value, file, here)


def decoded(value: Any) -> Any:
    """Return a string as the literal it reads as, as yacs does with every value."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return value
