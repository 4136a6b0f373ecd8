"""Kinds of values in a space file: each reads a node, and says in JSON Schema what it reads.

One place for both, so that editors know what the loader accepts. What depends on other keys (a
warm-up of fewer steps than there are) is a field of the kind: the table of a section has the
widest, and the reader of the section narrows it. Options of commands, and values of configs, that
mean the same are held against the same kinds (`Bounds`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import yaml

from hrnet_search.arch.yaml_nodes import MAX_NUMBER
from hrnet_search.errors import Fault, shown
from hrnet_search.space.reader import (
    MAX_AMOUNT,
    NAME,
    PIXELS,
    SUFFIXED,
    Reader,
    Section,
    integers,
    numbers,
)

T_co = TypeVar("T_co", covariant=True)
Schema = dict[str, Any]
PRINTED = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]+$"
"""Texts without control characters; other signs that do not print are the loader's to find."""


@dataclass(frozen=True)
class Kind(ABC, Generic[T_co]):
    """What a key may hold."""

    @abstractmethod
    def read(self, reader: Reader, node: yaml.Node, path: str) -> T_co | None:
        """Return the value of a node, or None with faults in `reader`."""

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """What is read, as JSON Schema 2020-12."""


class Bounds(Protocol):
    """What a value may be that stands elsewhere than in a space file: an option, a config."""

    def holds(self, value: object) -> bool:
        """Return whether a value is allowed."""
        ...

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        ...


def beyond(name: str, value: object, bounds: Bounds) -> Iterator[Fault]:
    """Yield a fault for a value that is not within its bounds; None is no value."""
    if value is not None and not bounds.holds(value):
        yield Fault(name, value, f"{shown(value)} is not allowed", bounds.allowed)


@dataclass(frozen=True)
class Integer(Kind[int]):
    """An integer from `least` to `most`."""

    least: int
    most: int = MAX_NUMBER

    def read(self, reader: Reader, node: yaml.Node, path: str) -> int | None:
        return reader.integer(node, path, self.least, self.most)

    def holds(self, value: object) -> bool:
        return type(value) is int and self.least <= value <= self.most

    @property
    def allowed(self) -> str:
        return integers(self.least, self.most)

    @property
    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Number(Kind[float]):
    """A number from `least` (beyond it, if `open_`) to `most`."""

    least: float
    most: float
    open_: bool = False

    def read(self, reader: Reader, node: yaml.Node, path: str) -> float | None:
        return reader.number(node, path, self.least, self.most, self.open_)

    def holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.least <= value <= self.most and not (self.open_ and value == self.least)

    @property
    def allowed(self) -> str:
        return numbers(self.least, self.most, self.open_)

    @property
    def schema(self) -> Schema:
        least = "exclusiveMinimum" if self.open_ else "minimum"
        return {"type": "number", least: self.least, "maximum": self.most}


@dataclass(frozen=True)
class Amount(Kind[float]):
    """A positive number, which may end in k, M, G or T."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> float | None:
        return reader.amount(node, path)

    @property
    def schema(self) -> Schema:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_AMOUNT}
        return {"anyOf": [number, {"type": "string", "pattern": f"^{SUFFIXED.pattern}$"}]}


@dataclass(frozen=True)
class Boolean(Kind[bool]):
    """A truth value."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> bool | None:
        return reader.boolean(node, path)

    @property
    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class OneOf(Kind[str]):
    """One of some words."""

    names: Sequence[str]

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        return reader.one_of(node, path, self.names)

    @property
    def schema(self) -> Schema:
        return {"enum": list(self.names)}


@dataclass(frozen=True)
class Text(Kind[str]):
    """A text that prints, not empty."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        return reader.text(node, path)

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": PRINTED}


@dataclass(frozen=True)
class Name(Kind[str]):
    """A name that files may have."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        return reader.name(node, path)

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{NAME.pattern}$"}


@dataclass(frozen=True)
class ListOf(Kind[tuple[T_co, ...]]):
    """A list of one kind of entries: `length` of them, or any number but none."""

    item: Kind[T_co]
    length: int | None = None
    distinct: bool = False
    allowed: str = ""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[T_co, ...] | None:
        def item(entry: yaml.Node, path: str) -> T_co | None:
            return self.item.read(reader, entry, path)

        found = reader.listed(node, path, item, self.length, self.allowed)
        if found is not None and self.distinct:
            reader.distinct(node, path, found)
        return found

    @property
    def schema(self) -> Schema:
        counts = {"minItems": self.length or 1}
        if self.length is not None:
            counts["maxItems"] = self.length
        unique = {"uniqueItems": True} if self.distinct else {}
        return {"type": "array", "items": self.item.schema, **counts, **unique}


@dataclass(frozen=True)
class Size(Kind[tuple[int, int]]):
    """[height, width] in pixels, each of at least `least`."""

    least: int

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[int, int] | None:
        return reader.size(node, path, self.least)

    def holds(self, value: object) -> bool:
        side = Integer(self.least, PIXELS)
        return isinstance(value, list | tuple) and len(value) == 2 and all(map(side.holds, value))

    @property
    def allowed(self) -> str:
        return f"two integers from {self.least} to {PIXELS}"

    @property
    def schema(self) -> Schema:
        return ListOf(Integer(self.least, PIXELS), 2).schema


@dataclass(frozen=True)
class Keys(Kind[Section]):
    """A mapping whose keys have a kind each; `like` has kinds of all keys that fit a pattern."""

    known: Mapping[str, Kind[Any]] = field(hash=False)
    required: Sequence[str] = ()
    like: Mapping[str, Kind[Any]] = field(default_factory=dict, hash=False)

    def read(self, reader: Reader, node: yaml.Node | None, path: str) -> Section:
        return reader.section(node, path, tuple(self.known), tuple(self.like))

    def kind_of(self, key: str) -> Kind[Any] | None:
        """Return what a key holds, None for one that may not be there."""
        fitting = (kind for like, kind in self.like.items() if re.fullmatch(like, key))
        return self.known.get(key) or next(fitting, None)

    @property
    def schema(self) -> Schema:
        properties = {key: kind.schema for key, kind in self.known.items()}
        like = {f"^{pattern}$": kind.schema for pattern, kind in self.like.items()}
        required = {"required": list(self.required)} if self.required else {}
        return {
            "type": "object",
            "properties": properties,
            **({"patternProperties": like} if like else {}),
            "additionalProperties": False,
            **required,
        }
