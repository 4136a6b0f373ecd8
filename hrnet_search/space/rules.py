"""Whether a space's rules, its target and what it requires, leave anything to search."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import CHUNK, Bools, Points, SearchSpace

ENUMERATED = 1 << 17
"""Points up to which all of a space are held against its rules, and as many of a larger one."""


def check_rules(reader: Reader, space: SearchSpace, top: Section) -> bool:
    """Return whether the rules leave points of the space, with a fault where they do not.

    A rule that divides by zero somewhere is a fault too.
    """
    if not space.has_rules:
        return True
    leaves: dict[str, bool] = {}
    looked, some = 0, False
    for points in rows_of(space):
        points = points[space.batch(points).valid()]
        looked += len(points)
        if len(points) and _divides_by_zero(reader, space, points, top):
            return False
        some = some or bool(space.valid(points).any())
        if some:
            continue
        for rule, broken in _by_rule(space, points).items():
            leaves[rule] = leaves.get(rule, False) or not bool(broken.all())
    if some:
        return True
    if looked:
        _leaves_nothing(reader, leaves, looked, prod(space.shape) <= ENUMERATED, top)
    return not looked


def rows_of(space: SearchSpace) -> Iterator[Points]:
    """Yield points, valid or not: all of a small space, some drawn at random of a large one."""
    if prod(space.shape) <= ENUMERATED:
        yield from space.index_chunks()
        return
    rng = np.random.default_rng(0)
    for _ in range(ENUMERATED // CHUNK):
        yield space.drawn(rng, CHUNK)


def _by_rule(space: SearchSpace, points: Points) -> dict[str, Bools]:
    """Return which points break each rule; a target's reasons together are one."""
    found: dict[str, Bools] = {}
    for rule, broken in space.broken(points).items():
        name = rule.partition(":")[0] if rule.startswith("target ") else rule
        found[name] = found.get(name, np.zeros(len(points), dtype=np.bool_)) | broken
    return found


def _divides_by_zero(reader: Reader, space: SearchSpace, points: Points, top: Section) -> bool:
    found = False
    for number, (rule, zero) in enumerate(space.divides_by_zero(points).items()):
        if zero.any():
            levels = zip(space.choices, points[zero][0].tolist(), strict=True)
            where = ", ".join(f"{c.path} {c.values[level]}" for c, level in levels)
            node = top.node_of("require").value[number]
            does = "is no number, or divides by zero," if "**" in rule else "divides by zero"
            wrong = f"{rule} {does} where {where}"
            reader.fault(node, "require", wrong, "a rule that does not")
            found = True
    return found


def _leaves_nothing(
    reader: Reader, leaves: dict[str, bool], looked: int, all_of_them: bool, top: Section
) -> None:
    alone = [rule for rule, some in leaves.items() if not some]
    which = alone[0] if alone else "all rules together"
    of = "of the space" if all_of_them else f"of {looked:,} drawn at random"
    key = "target" if which.startswith("target") else "require"
    key = key if key in top else "target"
    wrong = f"no network {of} is left by {which}"
    if not all_of_them:
        wrong += ": so few that nothing could be searched among them"
    reader.fault(top.node_of(key), key, wrong, "rules that leave some")
