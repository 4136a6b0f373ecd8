"""Typed reading of YAML nodes: every fault is collected with its place, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml

from hrnet_search.arch.yaml_nodes import MAX_NUMBER, Trap, entries, place, read_scalar
from hrnet_search.errors import Fault, nearest, shown
from hrnet_search.paths import absolute, is_file

T = TypeVar("T")
PIXELS = 1 << 14
"""Most pixels along one side of an image."""

SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
MAX_AMOUNT = 10**15
LARGE = re.compile(r"[1-9][0-9]{12,}")
"""What is no number elsewhere: more than anybody counts there."""

SUFFIXED = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kMGT])")
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def integers(least: int, most: int) -> str:
    """Return in words which integers are allowed."""
    return (
        f"an integer {f'from {least} to {most}' if most < MAX_NUMBER else f'of at least {least}'}"
    )


def numbers(least: float, most: float, open_: bool) -> str:
    """Return in words which numbers are allowed, from `least`, or above it if `open_`."""
    span = f"above {least:g}" if open_ else f"from {least:g}"
    return f"a number {span}{f' to {most:g}' if most < MAX_NUMBER else ''}"


class Reader:
    """Reads nodes of one file; `faults` grows, a value that cannot be read is None."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []

    def fault(
        self, node: yaml.Node | None, path: str, wrong: str, allowed: str = "", within: int = 0
    ) -> None:
        """Add a fault at a node, or `within` a text of one line, or at the top of the file."""
        line, column = place(node) if node is not None else (1, 1)
        if (
            within
            and isinstance(node, yaml.ScalarNode)
            and node.start_mark.line == node.end_mark.line
        ):
            column += within + bool(node.style)  # behind its quote
        self.faults.append(Fault(path, None, wrong, allowed, self.file, line, column))

    def scalar(self, node: yaml.Node, path: str) -> Any:
        """Return a scalar as it is written, or a Trap, or None with a fault."""
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, path, "is not a single value", "one value")
            return None
        value = read_scalar(node)
        if isinstance(value, Trap):
            self.fault(node, path, f"{value.text}: {value.why}", value.allowed)
            return None
        if value is None:
            self.fault(node, path, "is empty", "a value")
        return value

    def integer(self, node: yaml.Node, path: str, least: int, most: int = MAX_NUMBER) -> int | None:
        value = self.scalar(node, path)
        if value is None or (type(value) is int and least <= value <= most):
            return value
        wrong = "is not allowed" if type(value) is int else "is not an integer"
        self.fault(node, path, f"{_spelt(value)} {wrong}", integers(least, most))
        return None

    def number(
        self,
        node: yaml.Node,
        path: str,
        least: float,
        most: float = MAX_NUMBER,
        open_: bool = False,
    ) -> float | None:
        """Return a number from `least` (beyond it, if `open_`) to `most`."""
        value = self.scalar(node, path)
        fits = type(value) in (int, float) and least <= value <= most
        if value is None or (fits and not (open_ and value == least)):
            return None if value is None else float(value)
        wrong = "is not allowed" if type(value) in (int, float) else "is not a number"
        self.fault(node, path, f"{_spelt(value)} {wrong}", numbers(least, most, open_))
        return None

    def amount(self, node: yaml.Node, path: str) -> float | None:
        """Return a positive number, which may end in k, M, G or T (powers of 1000)."""
        large = isinstance(node, yaml.ScalarNode) and not node.style and LARGE.fullmatch(node.value)
        value = float(node.value) if large else self.scalar(node, path)
        if isinstance(value, str) and (match := SUFFIXED.fullmatch(value)):
            value = float(match[1]) * SUFFIXES[match[2]]
        if value is None:
            return None
        if type(value) in (int, float) and 0 < value <= MAX_AMOUNT:
            return float(value)
        written = node.value if isinstance(node, yaml.ScalarNode) else _spelt(value)
        allowed = f"a positive number up to {MAX_AMOUNT // SUFFIXES['T']}T, like 25 or 40G"
        self.fault(node, path, f"{shown(written)} is not an amount", allowed)
        return None

    def boolean(self, node: yaml.Node, path: str) -> bool | None:
        value = self.scalar(node, path)
        if value is None or isinstance(value, bool):
            return value
        self.fault(node, path, f"{shown(value)} is not allowed", "true, false")
        return None

    def one_of(self, node: yaml.Node, path: str, names: Sequence[str]) -> str | None:
        value = self.scalar(node, path)
        if value is None or (isinstance(value, str) and value in names):
            return value
        near = nearest(str(value), names) if isinstance(value, str) else ""
        self.fault(node, path, f"{shown(value)} is not known{near}", ", ".join(names))
        return None

    def beside(self, named: str) -> tuple[Path, bool]:
        """Return the absolute path that a file names, and whether a file is there."""
        path = absolute(named, Path(self.file).parent)
        return path, is_file(path)

    def text(self, node: yaml.Node, path: str) -> str | None:
        """Return a string; a number or truth value is not a string unless it is quoted."""
        value = self.scalar(node, path)
        if value is None or (isinstance(value, str) and value and value.isprintable()):
            return value
        allowed = "text, in quotes if it looks like something else"
        self.fault(node, path, f"{shown(value)} is not text", allowed)
        return None

    def name(self, node: yaml.Node, path: str) -> str | None:
        value = self.scalar(node, path)
        if value is None or (isinstance(value, str) and NAME.fullmatch(value)):
            return value
        allowed = "1 to 64 of A-Z a-z 0-9 . _ -, no dot in front, quotes if it looks like a number"
        self.fault(node, path, f"{shown(value)} is not a name", allowed)
        return None

    def listed(
        self,
        node: yaml.Node,
        path: str,
        item: Callable[[yaml.Node, str], T | None],
        length: int | None = None,
        allowed: str = "",
    ) -> tuple[T, ...] | None:
        """Return a list of what `item` reads; None if any entry has a fault."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            many = "one entry or more" if length is None else f"{length} entries"
            empty = isinstance(node, yaml.SequenceNode)
            wrong = "is an empty list" if empty else "is not a list"
            self.fault(node, path, wrong, allowed or f"a list of {many}")
            return None
        if length is not None and len(node.value) != length:
            wrong = f"{len(node.value)} entries"
            self.fault(node, path, wrong, allowed or f"{length} entries")
            return None
        found = [item(entry, path) for entry in node.value]
        kept = tuple(value for value in found if value is not None)
        return kept if len(kept) == len(found) else None

    def size(self, node: yaml.Node, path: str, least: int) -> tuple[int, int] | None:
        """Return (height, width) in pixels."""

        def side(item: yaml.Node, path: str) -> int | None:
            return self.integer(item, path, least, PIXELS)

        read = self.listed(node, path, side, 2, "[height, width], like [64, 64]")
        return (read[0], read[1]) if read else None

    def distinct(self, node: yaml.Node, path: str, values: Sequence[object]) -> None:
        """Add a fault for each repeated entry of a list."""
        assert isinstance(node, yaml.SequenceNode)
        seen: set[object] = set()
        for entry, value in zip(node.value, values, strict=True):
            if value in seen:
                self.fault(entry, path, f"{shown(value)} is repeated", "each once")
            seen.add(value)

    def section(
        self,
        node: yaml.Node | None,
        path: str,
        known: Sequence[str],
        like: Sequence[str] = (),
    ) -> Section:
        """Return a mapping's entries, with a fault for each unknown key.

        Keys that fit one of the patterns `like` are known too.
        """
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        if isinstance(node, yaml.MappingNode):
            found = entries(node)
        elif node is not None:
            keys = "keys with values" if path else f"keys with values: {', '.join(known)}"
            self.fault(node, path, "is not a mapping", keys)
        allowed = frozenset(known)  # all keys of `vary` are, at first
        for key, (key_node, _) in found.items():
            if key not in allowed and not any(re.fullmatch(one, key) for one in like):
                where = f"{path}.{shown(key)}" if path else shown(key)
                wrong = f"is not a known key{nearest(key, known, len(self.faults))}"
                self.fault(key_node, where, wrong, ", ".join(known))
        return Section(self, path, node, found)


class Readable(Protocol):
    """A kind of values: see kinds.py."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> Any:
        """Return the value of a node, or None with faults in `reader`."""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of the file: its entries by key, and where it stands."""

    reader: Reader
    path: str
    node: yaml.Node | None
    found: dict[str, tuple[yaml.Node, yaml.Node]]

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def key_node(self, key: str) -> yaml.Node:
        return self.found[key][0]

    def node_of(self, key: str) -> yaml.Node:
        return self.found[key][1]

    def where(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def read(self, key: str, read: Callable[[yaml.Node, str], T | None], default: T) -> T:
        """Return what `read` makes of a key; the default if it is missing or has a fault."""
        if key not in self.found:
            return default
        value = read(self.found[key][1], self.where(key))
        return default if value is None else value

    def take(self, key: str, kind: Readable, default: T) -> T:
        """Return what a key holds, by its kind; the default if it is missing or has a fault."""
        value: T = self.read(key, lambda node, path: kind.read(self.reader, node, path), default)
        return value

    def require(self, key: str) -> yaml.Node | None:
        """Return a key's value, or None with a fault at the parent.

        Of what is no mapping that is said, and no key is missing.
        """
        if key in self.found:
            return self.found[key][1]
        if isinstance(self.node, yaml.MappingNode):
            self.reader.fault(self.parent(), self.where(key), "is missing")
        return None

    def parent(self) -> yaml.Node | None:
        return self.node if self.path else None


def _spelt(value: object) -> str:
    """Return a value as a file spells it: truth values are lower case there."""
    return str(value).lower() if isinstance(value, bool) else shown(value)
