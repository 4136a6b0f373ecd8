"""The `vary` section: choices, each checked against what the network reads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import yaml

from hrnet_search.arch.architecture import (
    EXPANSION,
    FINAL_KERNELS,
    FUSE_METHODS,
    MAX_BRANCHES,
    MAX_COUNT,
    Architecture,
)
from hrnet_search.errors import nearest, shown
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import Choice, SearchSpace

MOST_LEVELS = 1000
STAGE1_KEYS = ("NUM_BLOCKS", "NUM_CHANNELS", "BLOCK")
KEYS = (*STAGE1_KEYS, "NUM_MODULES", "NUM_BRANCHES", "FUSE_METHOD")
LISTS = ("NUM_BLOCKS", "NUM_CHANNELS")
KNOWN = (
    "width",
    "FINAL_CONV_KERNEL",
    *(f"STAGE1.{key}" for key in STAGE1_KEYS),
    *(f"STAGE{s}.{key}" for s in (2, 3, 4, "*") for key in KEYS),
)
SAID = (
    "width, FINAL_CONV_KERNEL, NUM_BLOCKS, NUM_CHANNELS, BLOCK of STAGE1 to STAGE4 or STAGE*, "
    "NUM_MODULES, NUM_BRANCHES, FUSE_METHOD of STAGE2 to STAGE4 or STAGE*"
)
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
    if key in KNOWN:
        return True
    if key in NEVER_READ:
        wrong, allowed = "the network never reads it", ", ".join(k for k in KNOWN if "STAGE1" in k)
    else:
        wrong, allowed = f"cannot be varied{nearest(key, KNOWN, len(reader.faults))}", SAID
    reader.fault(section.key_node(key), f"vary.{shown(key)}", wrong, allowed)
    return False


def _most_branches(
    reader: Reader, section: Section, paths: list[str], base: Architecture | None
) -> list[int]:
    """Return the most branches that each stage can have."""
    most = [s.branches for s in base.stages] if base else [1, *[MAX_BRANCHES] * 3]
    quiet = Reader(reader.file)  # the same faults come when the choice itself is read
    for path in paths:
        if path.endswith("NUM_BRANCHES"):
            values = _levels(quiet, section.node_of(path), path, _scalar_level("NUM_BRANCHES"))
            for stage in Choice(path, values or (1,)).stages:
                most[stage] = max(values, default=most[stage])
    return most


def _choices(reader: Reader, section: Section, path: str, most: list[int]) -> list[Choice]:
    node, where = section.node_of(path), f"vary.{path}"
    choice = Choice(path, ())
    key = choice.key
    branches = max(most[s] for s in choice.stages) if choice.stages else 1
    if path == "width":
        key = "width"
    if key in LISTS:
        return _list_choices(reader, node, path, branches)
    values = _levels(reader, node, where, _scalar_level(key))
    return [Choice(path, values)] if values else []


def _list_choices(reader: Reader, node: yaml.Node, path: str, branches: int) -> list[Choice]:
    where = f"vary.{path}"
    if isinstance(node, yaml.MappingNode) and any(k.value == "each_branch" for k, _ in node.value):
        inner = reader.section(node, where, ("each_branch",))
        values = _levels(reader, inner.node_of("each_branch"), where, _scalar_level("count"))
        return [Choice(f"{path}[{b}]", values) for b in range(branches)] if values else []

    def whole(reader: Reader, entry: yaml.Node, where: str) -> tuple[int, ...] | None:
        if isinstance(entry, yaml.ScalarNode):
            allowed = "whole lists, like [[4, 4], [2, 2]], or {each_branch: [...]}"
            reader.fault(entry, where, f"{shown(entry.value)} is no list", allowed)
            return None
        read = reader.listed(entry, where, lambda n, p: reader.integer(n, p, 1, MAX_COUNT))
        if read is not None and not branches <= len(read) <= MAX_BRANCHES:
            wrong = f"{len(read)} entries where the stage can have {branches} branches"
            reader.fault(entry, where, wrong, f"{branches} to {MAX_BRANCHES} entries")
            return None
        return read

    values = _levels(reader, node, where, whole)
    return [Choice(path, values)] if values else []


Level = Callable[[Reader, yaml.Node, str], Any]


def _levels(reader: Reader, node: yaml.Node, where: str, level: Level) -> tuple[Any, ...]:
    if isinstance(node, yaml.MappingNode):
        return _range(reader, node, where, level)
    if isinstance(node, yaml.SequenceNode) and len(node.value) > MOST_LEVELS:
        reader.fault(node, where, f"{len(node.value)} levels", f"at most {MOST_LEVELS}")
        return ()
    values = reader.listed(node, where, lambda n, p: level(reader, n, p))
    if values is None:
        return ()
    reader.distinct(node, where, values)
    return values if len(set(values)) == len(values) else ()


def _range(reader: Reader, node: yaml.Node, where: str, level: Level) -> tuple[int, ...]:
    section = reader.section(node, where, ("from", "to", "step"))
    nodes = [section.require(key) for key in ("from", "to")]
    ends = [level(reader, n, f"{where}.{k}") if n is not None else None
            for n, k in zip(nodes, ("from", "to"), strict=True)]  # fmt: skip
    step = section.read("step", lambda n, p: reader.integer(n, p, 1, MAX_COUNT), 1)
    first, last = ends
    if type(first) is not int or type(last) is not int:
        for n, end in zip(nodes, ends, strict=True):
            if end is not None and n is not None and type(end) is not int:
                reader.fault(n, where, f"{shown(end)} is no number", "a list of levels")
        return ()
    values = tuple(range(first, last + 1, step))
    if not values:
        reader.fault(node, where, f"from {first} to {last} is empty", "from below to")
    if len(values) > MOST_LEVELS:
        reader.fault(node, where, f"{len(values)} levels", f"at most {MOST_LEVELS}")
        return ()
    return values


def _scalar_level(key: str) -> Level:
    if key == "BLOCK":
        return lambda reader, node, where: reader.one_of(node, where, tuple(EXPANSION))
    if key == "FUSE_METHOD":
        return lambda reader, node, where: reader.one_of(node, where, FUSE_METHODS)
    if key == "FINAL_CONV_KERNEL":
        return _kernel
    most = MAX_BRANCHES if key == "NUM_BRANCHES" else MAX_COUNT
    return lambda reader, node, where: reader.integer(node, where, 1, most)


def _kernel(reader: Reader, node: yaml.Node, where: str) -> int | None:
    value = reader.integer(node, where, 1, 3)
    if value is None or value in FINAL_KERNELS:
        return value
    reader.fault(node, where, f"{value} is not allowed", "1, 3")
    return None


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
    for choice in choices:
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
