"""Distinct valid variants within the limits, uniformly over what is distinct."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.records.point import Point
from hrnet_search.space.space import Points, SearchSpace

SMALL = 200_000
"""Points up to which a space is enumerated, so that its end is known."""

DRAW = 4096
FRUITLESS = 200
"""Draws of `DRAW` points without a new variant after which a large space counts as exhausted."""


def generate(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    """Return up to `count` distinct valid architectures within the exact limits.

    Every distinct computation is equally likely. Fewer come back only where the space has no
    more, or where less than one point in 800,000 is within the limits. The same seed gives the
    same list, and a longer list begins with the shorter one. Raise InputError for a count or a
    seed that is not one.
    """
    for name, number in (("count", count), ("seed", seed)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            wrong = f"{shown(number)} is not allowed"
            raise InputError(Fault(name, number, wrong, "an integer of at least 0"))
    return [architecture for architecture, _ in generate_points(space.networks, count, seed)]


def generate_points(
    space: SearchSpace, count: int, seed: int = 0
) -> list[tuple[Architecture, Point]]:
    """Return up to `count` distinct variants, each as its architecture and its point.

    As `generate` does, but the same architecture trained in another way is another variant.
    """
    found: dict[tuple[str, Point], tuple[Architecture, Point]] = {}
    training = [column for column, choice in enumerate(space.choices) if choice.training]
    for points in _candidates(space, seed):
        for architecture, point in _kept(space, points):
            if len(found) >= count:
                return list(found.values())
            # A computation with two spellings that both stand for themselves is rare; its id
            # decides, and the first one drawn is kept.
            variant = architecture.id, tuple(point[column] for column in training)
            found.setdefault(variant, (architecture, point))
    return list(found.values())


def _candidates(space: SearchSpace, seed: int) -> Iterator[Points]:
    """Yield points in random order: all of a small space once, draws of a large one."""
    rng = np.random.default_rng(seed)
    if prod(space.shape) <= SMALL:
        points = np.concatenate(list(space.index_chunks()))
        rng.shuffle(points)
        yield from (points[i : i + DRAW] for i in range(0, len(points), DRAW))
        return
    seen: set[bytes] = set()
    fruitless = 0
    while fruitless < FRUITLESS:
        points = space.drawn(rng, DRAW)
        kept = points[_stands_for_itself(space, points)]
        fresh = [row for row in kept if row.tobytes() not in seen]
        fruitless = 0 if fresh else fruitless + 1
        seen.update(row.tobytes() for row in fresh)
        yield np.array(fresh, dtype=np.int64).reshape(len(fresh), len(space.choices))


def _kept(space: SearchSpace, points: Points) -> Iterator[tuple[Architecture, Point]]:
    points = points[_stands_for_itself(space, points)]
    batch = space.batch(points)
    for row in range(len(points)):
        yield batch.architecture(row), tuple(points[row].tolist())


def _stands_for_itself(
    space: SearchSpace, points: Points
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    kept = space.valid(points)
    kept[kept] = space.within_limits(points[kept])
    kept[kept] = (space.canonical(points[kept]) == points[kept]).all(axis=1)
    return kept
