"""Axis and Problem: what a sampler searches, knowing nothing of HRNet.

A point is a tuple of level indices; arrays of points are int64 [n, d], one column an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.records.point import Point

Points = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CHUNK = 1 << 16
"""Most points that are handed to `cost`, `valid` or `canonical` at once."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One choice: its name, its levels (the values, or how many), and whether they are ordered."""

    name: str
    levels: Sequence[Any] | int
    ordinal: bool

    @property
    def count(self) -> int:
        """How many levels there are."""
        if isinstance(self.levels, int | np.integer):
            return int(self.levels)
        return len(self.levels)


@dataclass(frozen=True, slots=True)
class Problem:
    """What may be tried, what it costs and when two points are one.

    `cost(points[n, d]) -> float[n, m]` is exact, positive and minimised, m may be 0;
    `valid(points) -> bool[n]` holds the limits too; `canonical(points) -> points` maps
    equivalent points to one of them, None where every point is its own. The functions are
    never handed an empty array, and `cost` only what was found valid or told.

    `estimated` says that a cost is an estimate that improves (latency): what `cost` says may
    then change whenever something was told, and nothing of it may be kept from one ask to the
    next. `likely(points) -> bool[n]` says which valid points are worth asking for by such
    estimates; it changes with them, and is never held against what was told.
    `exact(points) -> float[n, k]` are costs that never change, objectives or not, which models
    may keep and learn from; None where `cost` itself is exact.
    `features(points) -> float[n, k]` says of what kind points are, in numbers that bear on accuracy
    and never change: what levels of several axes amount to together. None: nothing is known.
    Each of `earlier` is what an earlier study makes one expect of points, [n], in any scale; it may
    mean nothing here, and never changes.
    """

    axes: Sequence[Axis]
    cost: Callable[[Points], Floats]
    valid: Callable[[Points], Bools]
    canonical: Callable[[Points], Points] | None = None
    likely: Callable[[Points], Bools] | None = None
    estimated: bool = False
    exact: Callable[[Points], Floats] | None = None
    features: Callable[[Points], Floats] | None = None
    earlier: Sequence[Callable[[Points], Floats]] = ()

    def __post_init__(self) -> None:
        faults = [
            Fault(axis.name, axis.levels, "there is no level", "1 or more")
            for axis in self.axes
            if axis.count < 1
        ]
        names = [axis.name for axis in self.axes]
        twice = sorted({name for name in names if names.count(name) > 1})
        faults += [Fault(name, name, "two axes have this name") for name in twice]
        if self.estimated and self.exact is None:
            wrong = "estimates change, and there is no exact cost that a model may keep"
            faults.append(Fault("exact", None, wrong, "a function of points"))
        if faults:
            raise InputError(faults)

    @property
    def counts(self) -> tuple[int, ...]:
        """Levels of each axis."""
        return tuple(axis.count for axis in self.axes)

    @property
    def size(self) -> int:
        """How many points there are, valid or not, distinct or not."""
        return prod(self.counts)

    def point(self, levels: Sequence[int] | Points) -> Point:
        """Return one point as a tuple of ints; raise InputError if it is not on the axes."""
        try:
            point = tuple(index(level) for level in levels)
        except TypeError:
            point = ()
        on_axes = all(0 <= level < n for level, n in zip(point, self.counts, strict=False))
        if len(point) != len(self.axes) or not on_axes:
            allowed = f"{len(self.axes)} level indices, below {self.counts}"
            raise InputError(Fault("point", levels, f"{shown(levels)} is not a point", allowed))
        return point

    def at(self, indices: Sequence[int]) -> Points:
        """Return the points with these numbers, 0 to size - 1; the last axis turns fastest."""
        # Beyond int64 the same arithmetic runs on Python's integers.
        rest = np.array(indices, dtype=np.int64 if self.size < 1 << 63 else object)
        points = np.empty((len(rest), len(self.axes)), dtype=np.int64)
        for column in reversed(range(len(self.axes))):
            points[:, column] = rest % self.counts[column]
            rest = rest // self.counts[column]
        return points

    def uniform(self, rng: np.random.Generator, count: int) -> Points:
        """Draw points, [count, d], valid or not."""
        return rng.integers(0, self.counts, size=(count, len(self.axes)), dtype=np.int64)

    def representatives(self, points: Points) -> Bools:
        """Say which points are valid and in canonical form, [n]."""
        kept = self._valid(points)
        if self.canonical is not None:
            kept[kept] = (self._canonical(points[kept]) == points[kept]).all(axis=1)
        return kept

    def distinct(self, points: Points) -> Points:
        """Return the valid ones in canonical form, each once, in the order they came."""
        points = self._canonical(points[self._valid(points)])
        return points[np.sort(np.unique(points, axis=0, return_index=True)[1])]

    def promising(self, points: Points) -> Bools:
        """Say which of these valid points estimates do not rule out, [n]."""
        if self.likely is None or not len(points):
            return np.ones(len(points), dtype=np.bool_)
        return np.array(self.likely(points), dtype=np.bool_)

    def exact_costs(self, points: Points) -> Floats:
        """Return costs that never change, [n, k]."""
        exact = self.cost if self.exact is None else self.exact
        return np.asarray(exact(points), dtype=np.float64)

    def enumerate(self) -> Points:
        """Return every distinct valid point, [n, d], by rising number; for small spaces."""
        chunks = [self.at(range(*part)) for part in _parts(self.size)]
        return np.concatenate([chunk[self.representatives(chunk)] for chunk in chunks])

    def neighbours(self, points: Points) -> Points:
        """Return every point one step away: the next level up or down, or any nominal one."""
        found = []
        for column, axis in enumerate(self.axes):
            steps = (-1, 1) if axis.ordinal else range(1, axis.count)
            for step in steps:
                moved = points.copy()
                moved[:, column] += step
                if not axis.ordinal:
                    moved[:, column] %= axis.count
                inside = (moved[:, column] >= 0) & (moved[:, column] < axis.count)
                found.append(moved[inside])
        return np.concatenate(found) if found else points[:0]

    def _valid(self, points: Points) -> Bools:
        if not len(points):
            return np.zeros(0, dtype=np.bool_)
        return np.array(self.valid(points), dtype=np.bool_)

    def _canonical(self, points: Points) -> Points:
        if self.canonical is None or not len(points):
            return points
        return np.asarray(self.canonical(points), dtype=np.int64)


def _parts(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, CHUNK):
        yield start, min(start + CHUNK, size)
