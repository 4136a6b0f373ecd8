"""What masks store, to classes: numbers by `data.mapping`, colours by `data.colors`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import yaml

from hrnet_search.arch.yaml_nodes import read_text
from hrnet_search.errors import shown
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.space.kinds import Integer, Kind, ListOf, Schema, Text
from hrnet_search.space.reader import Reader

Color = tuple[int, ...]
OTHER: Color = ()
"""The colour that stands for all without a class of their own."""

Colors = tuple[tuple[Color, int], ...]
T = TypeVar("T", int, Color)
_LINE = re.compile(r"(?:(\d+)[\s,]+(\d+)[\s,]+(\d+)|(other))[\s,]+(\S.*)")
COLOR = ListOf(Integer(0, 255), 3, allowed="[red, green, blue], like [128, 0, 0], or other")
IGNORE = "ignore"
BYTE = "^(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"
FORMAT = "`R G B class`, `other class` or `# comment`"


@dataclass(frozen=True)
class Mapping(Kind[tuple[tuple[int, int], ...]]):
    """`{stored id: class id}`; the ids are numbers, so keys are read here."""

    classes: int = IGNORED

    def read(
        self, reader: Reader, node: yaml.Node, path: str
    ) -> tuple[tuple[int, int], ...] | None:
        def stored(key: yaml.Node) -> int | None:
            return reader.integer(key, path, 0, 255)

        return _table(reader, node, path, stored, self.classes, (), "stored id: class id")

    @property
    def schema(self) -> Schema:
        label = {"anyOf": [Integer(0, self.classes - 1).schema, {"const": IGNORE}]}
        return {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {BYTE: label},
            "additionalProperties": False,
        }


@dataclass(frozen=True)
class ColorTable(Kind[Colors]):
    """`{[R, G, B]: class}`, or the file of lines `R G B class` that a text names.

    A class is an id, one of `names` or `ignore`; `other` stands for all other colours.
    """

    classes: int = IGNORED
    names: Sequence[str] = ()

    def read(self, reader: Reader, node: yaml.Node, path: str) -> Colors | None:
        def color(key: yaml.Node) -> Color | None:
            if isinstance(key, yaml.ScalarNode) and key.value == "other":
                return OTHER
            return COLOR.read(reader, key, path)

        known = self.classes, self.names
        if isinstance(node, yaml.ScalarNode):
            read = _colors_of_file(reader, node, path, *known)
        else:
            read = _table(reader, node, path, color, *known, "[R, G, B]: class, or a file")
        if read and not any(one for one, _ in read):
            allowed = "one colour or more; other stands for all the rest"
            reader.fault(node, path, "holds no colour", allowed)
        return read

    @property
    def schema(self) -> Schema:
        """Without the keys: those of JSON are texts, and each editor writes a list its own way."""
        label = {"anyOf": [Integer(0, self.classes - 1).schema, {"type": "string"}]}
        table = {"type": "object", "minProperties": 1, "additionalProperties": label}
        return {"anyOf": [table, Text().schema]}


def _table(
    reader: Reader,
    node: yaml.Node,
    path: str,
    read_key: Callable[[yaml.Node], T | None],
    classes: int,
    names: Sequence[str],
    allowed: str,
) -> tuple[tuple[T, int], ...] | None:
    """Read a mapping to classes, whose keys are not names; each key once."""
    if not isinstance(node, yaml.MappingNode) or not node.value:
        reader.fault(node, path, "is not a mapping", allowed)
        return None
    found: dict[T, int] = {}
    for key, value in node.value:
        stored = read_key(key)
        if stored is None:
            continue
        word = str(list(stored)) if isinstance(stored, tuple) else str(stored)
        label = _label(
            reader, value, f"{path}.{'other' if stored == OTHER else word}", classes, names
        )
        if stored in found:
            reader.fault(key, path, f"{word} is repeated", "each once")
        if label is not None:
            found.setdefault(stored, label)
    return tuple(sorted(found.items()))


def _label(
    reader: Reader, node: yaml.Node, path: str, classes: int, names: Sequence[str]
) -> int | None:
    """Read a class id, a name, or `ignore` for what counts nowhere."""
    label = _class_of(node.value, names) if isinstance(node, yaml.ScalarNode) else None
    return reader.integer(node, path, 0, classes - 1) if label is None else label


def _class_of(word: str, names: Sequence[str]) -> int | None:
    if word == IGNORE:
        return IGNORED
    return names.index(word) if word in names else None


def _colors_of_file(
    reader: Reader, node: yaml.Node, path: str, classes: int, names: Sequence[str]
) -> Colors | None:
    named = reader.text(node, path)
    if named is None:
        return None
    file, there = reader.beside(named)
    if not there:
        wrong = f"{shown(named, 300)} is not a file"
        reader.fault(node, path, wrong, f"[R, G, B]: class, or a file of lines {FORMAT}")
        return None
    text, faults = read_text(file)
    found, bad = _lines(text, classes, names)
    bad = [fault.wrong for fault in faults] + bad
    if not (found or bad):
        bad = ["holds no colour"]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        wrong = f"{shown(str(file), 300)} {bad[0]}{more}"
        reader.fault(node, path, wrong, f"lines of {FORMAT}")
        return None
    return tuple(sorted(found.items()))


def _lines(text: str, classes: int, names: Sequence[str]) -> tuple[dict[Color, int], list[str]]:
    """Return the class of each colour in a file, and what is wrong with which line."""
    found: dict[Color, int] = {}
    bad = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        read = _line(line, classes, names)
        if isinstance(read, str):
            bad.append(f"line {number}: {read}")
        elif read[0] in found:
            bad.append(f"line {number}: {shown(line)!r} repeats a colour")
        else:
            found[read[0]] = read[1]
    return found, bad


def _line(line: str, classes: int, names: Sequence[str]) -> tuple[Color, int] | str:
    """Return the colour and the class of a line, or what is wrong with it."""
    match = _LINE.fullmatch(line)
    color = tuple(int(part) for part in match.groups()[:3] if part) if match else ()
    if match is None or max(color, default=0) > 255:
        return f"{shown(line)!r} is not a colour with a class"
    word = match[5]
    label = _class_of(word, names)
    if label is None and word.isdecimal() and int(word) < classes:
        label = int(word)
    if label is None:
        known = f" or one of {shown(', '.join(names), 200)}" if names else ""
        return f"{shown(word)!r} is not a class: 0 to {classes - 1}, ignore{known}"
    return color, label
