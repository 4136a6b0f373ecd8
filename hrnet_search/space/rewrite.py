"""A space file's text with other values in some places, everything else as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

import yaml

from hrnet_search.arch.yaml_nodes import compose, entries
from hrnet_search.redaction import redacted, redacted_address, secrets_of

COMMENT = re.compile(r"(?<!\S)#[^\n]*")

Keys = tuple[str, ...]
NewValue = Callable[[Keys, str], str | None]


def rewritten(text: str, value_of: NewValue) -> str:
    """Return the text of a YAML file with some of its scalars replaced.

    `value_of` is asked for each scalar, by its keys (an entry of a list has its number for a
    key) and its text; None leaves it. Comments and order stay.
    """
    root, _ = compose(text, "")
    changes = []
    for keys, node in _scalars(root, ()) if root else ():
        new = value_of(keys, node.value)
        if new is not None and new != node.value:
            changes.append((node.start_mark.index, node.end_mark.index, new))
    for start, end, new in sorted(changes, reverse=True):
        # What a block scalar ends with belongs to the line after it, too.
        rest = "\n" if text[start:end].endswith("\n") else ""
        text = f"{text[:start]}{json.dumps(new, ensure_ascii=False)}{rest}{text[end:]}"
    return text


def with_entry(text: str, section: str, key: str, value: object) -> str:
    """Return the text of a space file with one key of a section set; all else stays as written."""
    root, _ = compose(text, "")
    spelt = json.dumps(value, ensure_ascii=False)
    if not isinstance(root, yaml.MappingNode):
        return text
    found = entries(root).get(section)
    if found is None:
        return _inserted(text, root, f'"{section}": {{"{key}": {spelt}}}')
    inside = found[1]
    if not isinstance(inside, yaml.MappingNode):  # nothing was written behind the key
        end = inside.start_mark.index
        return f'{text[:end]} {{"{key}": {spelt}}}{text[inside.end_mark.index :]}'
    if (old := entries(inside).get(key)) is not None:
        # From the end of the key on: a list may begin in the next line, no deeper than its key.
        start, begin, end = old[0].end_mark.index, old[1].start_mark.index, _end(text, old[1])
        kept = "".join(f"  {comment}" for comment in COMMENT.findall(text[start:begin]))
        return f"{text[:start]}: {spelt}{kept}{text[end:]}"
    return _inserted(text, inside, f'"{key}": {spelt}')


def _end(text: str, node: yaml.Node) -> int:
    """Return where what a node says ends: a block's own mark is at what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip())


def _inserted(text: str, node: yaml.MappingNode, entry: str) -> str:
    """Return a text with an entry before the first one of a mapping."""
    start = node.start_mark.index
    if node.flow_style:
        comma = ", " if node.value else ""
        return f"{text[: start + 1]}{entry}{comma}{text[start + 1 :]}"
    return f"{text[:start]}{entry}\n{' ' * node.start_mark.column}{text[start:]}"


@lru_cache(maxsize=16)
def without_secrets(text: str) -> str:
    """Return a space file's text without the passwords of its mirrors, also in its comments.

    It reads as before, but for `tracking`.
    """
    known: set[str] = set()

    def value_of(keys: Keys, written: str) -> str | None:
        if keys[:1] != ("tracking",):
            return None
        known.update(secrets_of(written))
        return redacted_address(written)

    changed = rewritten(text, value_of)
    # A word of a comment that is a password is taken out, one that the file means is not.
    everywhere = redacted(changed, known)
    return everywhere if _said(everywhere) == _said(changed) else redacted(changed)


def _said(text: str) -> list[tuple[Keys, str]] | None:
    """Return what a file says beside `tracking`; None for what is not YAML."""
    root, _ = compose(text, "")
    if root is None:
        return None
    scalars = _scalars(root, ())
    return [(keys, node.value) for keys, node in scalars if keys[:1] != ("tracking",)]


def _scalars(node: yaml.Node, keys: Keys) -> Iterator[tuple[Keys, yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode):
        yield keys, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # A colour is a list for a key: its nodes are equal by what they say alone.
            yield from _scalars(value, (*keys, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _scalars(value, (*keys, str(number)))
