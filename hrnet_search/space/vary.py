"""The `vary` section: choices, each checked against what the network reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import yaml

from hrnet_search.arch.architecture import (
    EXPANSION,
    FINAL_KERNELS,
    FUSE_METHODS,
    HEAD_WORDS,
    MAX_BRANCHES,
    MAX_COUNT,
    Architecture,
)
from hrnet_search.errors import nearest, shown
from hrnet_search.space.choice import OF_TRAINING, Choice
from hrnet_search.space.kinds import Integer, Keys, Kind, ListOf, Number, OneOf, Schema
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.training_choices import TRAINING_KINDS, TRAINING_PATHS, VARIED

MOST_LEVELS = 1000
STAGE1_KEYS = ("NUM_BLOCKS", "NUM_CHANNELS", "BLOCK")
KEYS = (*STAGE1_KEYS, "NUM_MODULES", "NUM_BRANCHES", "FUSE_METHOD")
LISTS = ("NUM_BLOCKS", "NUM_CHANNELS")
OF_OCR = ("OCR.MID_CHANNELS", "OCR.KEY_CHANNELS")
KNOWN = (
    "width",
    "FINAL_CONV_KERNEL",
    "HEAD",
    *OF_OCR,
    *(f"STAGE1.{key}" for key in STAGE1_KEYS),
    *(f"STAGE{s}.{key}" for s in (2, 3, 4, "*") for key in KEYS),
)
SAID = (
    "width, FINAL_CONV_KERNEL, HEAD, OCR.MID_CHANNELS, OCR.KEY_CHANNELS, "
    "NUM_BLOCKS, NUM_CHANNELS, BLOCK of STAGE1 to STAGE4 or STAGE*, "
    "NUM_MODULES, NUM_BRANCHES, FUSE_METHOD of STAGE2 to STAGE4 or STAGE*, "
    "schedule.lr and the like"
)
SAID_OF_TRAINING = f"{', '.join(VARIED)} of schedule"
PATHS = (*KNOWN, *TRAINING_PATHS)
"""What may be varied: of networks, and of how they are trained."""

EACH = "each_branch"
ENDS = ("from", "to")
COUNT = Integer(1, MAX_COUNT)


@dataclass(frozen=True)
class Kernel(Integer):
    """The size of the last convolution."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> int | None:
        value = super().read(reader, node, path)
        if value is None or value in FINAL_KERNELS:
            return value
        reader.fault(node, path, f"{value} is not allowed", ", ".join(map(str, FINAL_KERNELS)))
        return None

    @property
    def schema(self) -> Schema:
        return {"enum": list(FINAL_KERNELS)}


@dataclass(frozen=True)
class Whole(Kind[tuple[int, ...]]):
    """A list with an entry for every branch that its stage can have."""

    branches: int

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[int, ...] | None:
        if isinstance(node, yaml.ScalarNode):
            allowed = "whole lists, like [[4, 4], [2, 2]], or {each_branch: [...]}"
            reader.fault(node, path, f"{shown(node.value)} is not a list", allowed)
            return None
        read = ListOf(COUNT).read(reader, node, path)
        if read is not None and not self.branches <= len(read) <= MAX_BRANCHES:
            wrong = f"{len(read)} entries where the stage can have {self.branches} branches"
            reader.fault(node, path, wrong, f"{self.branches} to {MAX_BRANCHES} entries")
            return None
        return read

    @property
    def schema(self) -> Schema:
        counts = {"minItems": self.branches, "maxItems": MAX_BRANCHES}
        return {**ListOf(COUNT).schema, **counts}


@dataclass(frozen=True)
class Levels(Kind[tuple[Any, ...]]):
    """A list of levels, or a range of numbers."""

    level: Kind[Any]

    @property
    def _listed(self) -> ListOf[Any]:
        return ListOf(self.level, distinct=True)

    @property
    def _range(self) -> Keys:
        return Keys({**dict.fromkeys(ENDS, self.level), "step": COUNT}, ENDS)

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[Any, ...] | None:
        if isinstance(node, yaml.MappingNode):
            if isinstance(self.level, Number):
                reader.fault(
                    node, path, "is a range, which is of whole numbers", "a list of levels"
                )
                return None
            return self._read_range(reader, node, path)
        if isinstance(node, yaml.SequenceNode) and len(node.value) > MOST_LEVELS:
            reader.fault(node, path, f"{len(node.value)} levels", f"at most {MOST_LEVELS}")
            return None
        values = self._listed.read(reader, node, path)
        return values if values and len(set(values)) == len(values) else None

    def _read_range(self, reader: Reader, node: yaml.Node, path: str) -> tuple[int, ...] | None:
        section = self._range.read(reader, node, path)
        nodes = [section.require(key) for key in ENDS]
        ends: list[Any] = [section.take(key, self.level, None) for key in ENDS]
        step = section.take("step", COUNT, 1)
        first, last = ends
        if type(first) is not int or type(last) is not int:
            for n, end in zip(nodes, ends, strict=True):
                if end is not None and n is not None and type(end) is not int:
                    reader.fault(n, path, f"{shown(end)} is not a number", "a list of levels")
            return None
        values = range(first, last + 1, step)
        if isinstance(self.level, Kernel) and not set(values) <= set(FINAL_KERNELS):
            wrong = f"the range {first} to {last} holds other numbers too"
            reader.fault(node, path, wrong, ", ".join(map(str, FINAL_KERNELS)))
            return None
        if not values:
            reader.fault(node, path, f"the range {first} to {last} is reversed", "from below to")
        if len(values) > MOST_LEVELS:
            reader.fault(node, path, f"{len(values)} levels", f"at most {MOST_LEVELS}")
            return None
        return tuple(values)

    @property
    def schema(self) -> Schema:
        levels = {**self._listed.schema, "maxItems": MOST_LEVELS}
        ranges = [self._range.schema] if isinstance(self.level, Integer) else []
        return {"anyOf": [levels, *ranges]}


SCALARS: dict[str, Kind[Any]] = {
    "BLOCK": OneOf(tuple(EXPANSION)),
    "FUSE_METHOD": OneOf(FUSE_METHODS),
    "FINAL_CONV_KERNEL": Kernel(1, 3),
    "NUM_BRANCHES": Integer(1, MAX_BRANCHES),
    "HEAD": OneOf(tuple(HEAD_WORDS)),
}
"""Kinds of levels by key; all others are counts."""

NEVER_READ = ("STAGE1.NUM_MODULES", "STAGE1.NUM_BRANCHES", "STAGE1.FUSE_METHOD")


def read_choices(
    reader: Reader, section: Section, base: Architecture | None
) -> tuple[tuple[Choice, ...], dict[str, yaml.Node]]:
    """Return the choices that could be read, and where each stands.

    Without a base, what depends on it is not checked.
    """
    nodes: dict[str, yaml.Node] = {}
    choices: list[Choice] = []
    paths = [key for key in section.found if _known(reader, section, key)]
    most = _most_branches(reader, section, paths, base)
    for path in paths:
        for choice in _choices(reader, section, path, most):
            choices.append(choice)
            nodes[choice.path] = section.key_node(path)
    _conflicts(reader, choices, nodes)
    if base is not None:
        _never_read(reader, choices, nodes, base, most)
    return tuple(choices), nodes


def check_levels(reader: Reader, space: SearchSpace, nodes: dict[str, yaml.Node]) -> None:
    """Add a fault for each level that no valid point can use.

    What a level needs is branch counts that suit it, all of which are tried; channels of other
    choices never stand in its way.
    """
    counting = [i for i, c in enumerate(space.choices) if c.key == "NUM_BRANCHES"]
    channels = [i for i, c in enumerate(space.choices) if c.key == "NUM_CHANNELS"]
    grid = list(product(*(range(space.shape[i]) for i in counting)))
    points = np.zeros((len(grid), len(space.choices)), dtype=np.int64)
    points[:, counting] = grid
    points = points[space.branches_rise(points)]
    for column in counting:
        used = {int(v) for v in points[:, column]}
        _unused(reader, space.choices[column], used, nodes)
    for column in channels:
        choice = space.choices[column]
        used = set()
        for level in range(len(choice.values)):
            tried = points.copy()
            tried[:, column] = level
            if space.channels_fit(tried, [choice]).any():
                used.add(level)
        _unused(reader, choice, used, nodes)


def _unused(reader: Reader, choice: Choice, used: set[int], nodes: dict[str, yaml.Node]) -> None:
    for level, value in enumerate(choice.values):
        if level not in used:
            wrong = f"no valid variant can use the level {shown(value)}"
            allowed = "branches that never decrease from stage to stage, channels up to 4096"
            reader.fault(nodes[choice.path], f"vary.{choice.path}", wrong, allowed)


def _known(reader: Reader, section: Section, key: str) -> bool:
    if key in PATHS:
        return True
    if key in NEVER_READ:
        wrong, allowed = "the network never reads it", ", ".join(k for k in KNOWN if "STAGE1" in k)
    else:
        wrong = f"cannot be varied{nearest(key, PATHS, len(reader.faults))}"
        allowed = SAID_OF_TRAINING if key.startswith(OF_TRAINING) else SAID
    reader.fault(section.key_node(key), f"vary.{shown(key)}", wrong, allowed)
    return False


def _most_branches(
    reader: Reader, section: Section, paths: list[str], base: Architecture | None
) -> list[int]:
    """Return the most branches of each stage; without a base, those that `vary` names."""
    most = [s.branches for s in base.stages] if base else [1, 1, 1, 1]
    quiet = Reader(reader.file)  # the same faults come when the choice itself is read
    for path in paths:
        if path.endswith("NUM_BRANCHES"):
            values = _levels(quiet, section.node_of(path), path, SCALARS["NUM_BRANCHES"])
            for stage in Choice(path, values or (1,)).stages:
                most[stage] = max(values, default=most[stage])
    return most


def _choices(reader: Reader, section: Section, path: str, most: list[int]) -> list[Choice]:
    node, where = section.node_of(path), f"vary.{path}"
    choice = Choice(path, ())
    branches = max(most[s] for s in choice.stages) if choice.stages else 1
    if isinstance(level_of(path), Whole):
        return _list_choices(reader, node, path, branches)
    values = _levels(reader, node, where, level_of(path))
    return [Choice(path, values)] if values else []


def _list_choices(reader: Reader, node: yaml.Node, path: str, branches: int) -> list[Choice]:
    where = f"vary.{path}"
    if isinstance(node, yaml.MappingNode) and any(k.value == EACH for k, _ in node.value):
        inner = reader.section(node, where, (EACH,))
        values = _levels(reader, inner.node_of(EACH), where, COUNT)
        return [Choice(f"{path}[{b}]", values) for b in range(branches)] if values else []
    values = _levels(reader, node, where, Whole(branches))
    return [Choice(path, values)] if values else []


def _levels(reader: Reader, node: yaml.Node, where: str, level: Kind[Any]) -> tuple[Any, ...]:
    return Levels(level).read(reader, node, where) or ()


def choice_schema(path: str) -> Schema:
    """Return what a path of `vary` may hold, as JSON Schema."""
    level = level_of(path)
    if isinstance(level, Whole):
        return {"anyOf": [Levels(level).schema, Keys({EACH: Levels(COUNT)}, (EACH,)).schema]}
    return Levels(level).schema


def level_of(path: str) -> Kind[Any]:
    """Return the kind of one level of a path of `vary`."""
    if path in TRAINING_KINDS:
        return TRAINING_KINDS[path]
    key = path.rpartition(".")[2]
    return Whole(1) if key in LISTS else SCALARS.get(key, COUNT)


def _conflicts(reader: Reader, choices: list[Choice], nodes: dict[str, yaml.Node]) -> None:
    """Two choices that set the same key of the same stage: which one would count?"""
    owner: dict[tuple[object, ...], str] = {}
    said: set[tuple[str, str]] = set()
    for choice in choices:
        branches = range(MAX_BRANCHES) if choice.branch is None else (choice.branch,)
        for stage in choice.stages or (None,):
            for branch in branches:
                first = owner.setdefault((choice.key, stage, branch), choice.path)
                pair = (path_in_file(first), path_in_file(choice.path))
                if first != choice.path and pair not in said:
                    said.add(pair)
                    wrong = f"sets what vary.{pair[0]} sets too"
                    node = nodes[choice.path]
                    reader.fault(node, f"vary.{pair[1]}", wrong, "one choice for each key")


def path_in_file(path: str) -> str:
    """Return a choice's path as the file has it, without the branch."""
    return path.partition("[")[0]


def _never_read(
    reader: Reader,
    choices: list[Choice],
    nodes: dict[str, yaml.Node],
    base: Architecture,
    most: list[int],
) -> None:
    modules = {s for c in choices if c.key == "NUM_MODULES" for s in c.stages}
    heads = _heads(choices, base)
    for choice in choices:
        if why := _unread_head(choice, heads):
            wrong = f"the network never reads it: {why}"
            allowed = "HEAD among the choices, or keys that are read"
            reader.fault(nodes[choice.path], f"vary.{choice.path}", wrong, allowed)
        if not choice.stages or choice.path == "width" or choice.key == "NUM_CHANNELS":
            continue
        stages = choice.stages
        why = ""
        if choice.key == "FUSE_METHOD" and all(most[s] == 1 for s in stages):
            why = "a stage of one branch fuses nothing"
        empty = all(base.stages[s].modules == 0 and s not in modules for s in stages)
        if choice.key in ("NUM_BLOCKS", "FUSE_METHOD") and empty:
            why = "a stage without modules has no blocks"
        if why and not choice.branch:
            path = path_in_file(choice.path)
            wrong = f"the network never reads it: {why}"
            reader.fault(nodes[choice.path], f"vary.{path}", wrong, "keys that are read")


def _heads(choices: list[Choice], base: Architecture) -> set[str]:
    """Return the heads that variants can have, as a space file calls them."""
    varied = [c.values for c in choices if c.key == "HEAD"]
    return set(varied[0]) if varied else {"ocr" if base.has_ocr else "plain"}


def _unread_head(choice: Choice, heads: set[str]) -> str:
    """Return why a key of heads is never read, empty if it is."""
    if choice.key in OF_OCR and heads == {"plain"}:
        return "a plain head has no OCR"
    if choice.key == "FINAL_CONV_KERNEL" and heads == {"ocr"}:
        return "an OCR head classifies with 1x1 convolutions"
    return ""
