"""What is known of a problem: the points told and pending, and what is left of it.

This is the one removal of duplicates that all samplers share: a point is known, by its
canonical form, from when it was proposed or told of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd, isfinite

import numpy as np

from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.records.point import Point
from hrnet_search.search.problem import CHUNK, Bools, Floats, Points, Problem

ENUMERABLE = 100_000
"""Largest space that is listed point by point."""

VAIN_DRAWS = 1 << 18
"""Draws without a new point after which a large space is walked through instead."""

LONGEST_WALK = 1 << 24
"""Points walked through without a new one after which the space counts as exhausted."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one point, at the highest fidelity so far; nothing if it failed.

    `accuracies` has one entry a repeat; `costs` are measured ones, None where only the
    predicted are known.
    """

    point: Point
    accuracies: tuple[float, ...] = ()
    fidelity: float = 0.0
    costs: tuple[float, ...] | None = None

    @property
    def accuracy(self) -> float:
        """The mean of the accuracies, of which there is one at least."""
        return sum(self.accuracies) / len(self.accuracies)

    def and_seen(
        self, accuracy: float | None, fidelity: float, costs: tuple[float, ...] | None
    ) -> Observation:
        """Return this with one more result: a failure or a lower fidelity adds no accuracy."""
        costs = self.costs if costs is None else costs
        if accuracy is None or not isfinite(accuracy) or fidelity < self.fidelity:
            return Observation(self.point, self.accuracies, self.fidelity, costs)
        before = self.accuracies if fidelity == self.fidelity else ()
        return Observation(self.point, (*before, float(accuracy)), fidelity, costs)


class History:
    """The points of a problem that were proposed or told of, and the draw from all others.

    `told` and `pending` are by canonical point, in the order they became so; `tells` counts
    the results, repeats too.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.told: dict[Point, Observation] = {}
        self.pending: dict[Point, None] = {}
        self._results: list[_Result] = []
        self._canonicals: dict[Point, Point] = {}
        self._valid: dict[Point, bool] = {}
        self._pool: _Pool | None = None
        self._cost_count: int | None = None

    def __len__(self) -> int:
        return len(self.told) + len(self.pending)

    @property
    def tells(self) -> int:
        """How many results have been told."""
        return len(self._results)

    def __contains__(self, point: Point) -> bool:
        return point in self.told or point in self.pending

    def pend(self, point: Sequence[int]) -> None:
        """Count a point as proposed, its result still to come."""
        canonical = self._canonical(point)
        if canonical not in self.told:
            self.pending[canonical] = None
            self._take(canonical)

    def tell(
        self,
        point: Sequence[int],
        accuracy: float | None,
        fidelity: float = 1.0,
        costs: Sequence[float] | None = None,
    ) -> None:
        """Add what became of a point, proposed or not; raise InputError for what it cannot be."""
        canonical = self._canonical(point)
        measured = None if costs is None else self._checked_costs(canonical, costs)
        if not 0 < fidelity <= 1:
            allowed = "above 0, up to 1"
            raise InputError(
                Fault("fidelity", fidelity, f"{shown(fidelity)} is not a share", allowed)
            )
        self._results.append((canonical, accuracy, float(fidelity), measured))
        _add(self.told, self._results[-1])
        self.pending.pop(canonical, None)
        self._take(canonical)

    def after(self, tells: int) -> History:
        """Return the history as it was after `tells` results, with nothing pending."""
        before = History(self.problem)
        before._valid = self._valid  # of a point that never changes
        for result in self._results[:tells]:
            before._results.append(result)
            _add(before.told, result)
        return before

    def seen(self) -> list[Observation]:
        """Return what has an accuracy, of the points that are valid, in the order told."""
        some = [o for o in self.told.values() if o.accuracies]
        if new := [o.point for o in some if o.point not in self._valid]:
            valid = self.problem.valid(np.array(new, dtype=np.int64))
            self._valid.update(zip(new, valid.tolist(), strict=True))
        return [o for o in some if self._valid[o.point]]

    def failed(self) -> list[Point]:
        """Return the points that were told and have no accuracy, in the order told."""
        return [point for point, o in self.told.items() if not o.accuracies]

    def costs(self, observations: Sequence[Observation]) -> Floats:
        """Return the costs of what was seen, [n, m]: measured where they are, else predicted."""
        guessed = [row for row, o in enumerate(observations) if o.costs is None]
        rows: list[Sequence[float]] = [o.costs or () for o in observations]
        if guessed:  # counting thousands of networks at every ask would be most of it
            points = np.array([observations[row].point for row in guessed], dtype=np.int64)
            for row, costs in zip(guessed, self.problem.cost(points).tolist(), strict=True):
                rows[row] = costs
        return np.array(rows, dtype=np.float64).reshape(len(observations), -1)

    def fresh(self, points: Points) -> list[Point]:
        """Return the distinct valid points among these that may be asked for, in their order.

        Those are neither known nor ruled out by the estimates of the moment.
        """
        distinct = self.problem.distinct(points)
        distinct = distinct[self.problem.promising(distinct)]
        found: list[Point] = [tuple(row) for row in distinct.tolist()]
        return [point for point in found if point not in self]

    def pool(self) -> tuple[Points, Bools] | None:
        """Return every distinct valid point, [n, d], and which may be asked for; None if too many.

        The points stay the same, which of them may be asked for changes with what is told.
        """
        if self.problem.size > ENUMERABLE:
            return None
        if self._pool is None:
            self._pool = _Pool(self.problem)
            for point in (*self.told, *self.pending):
                self._pool.take(point)
        free = self._pool.free
        if self.problem.likely is not None:
            free = free & self.problem.promising(self._pool.points)
        return self._pool.points, free

    def draw(
        self, rng: np.random.Generator, count: int = 1, enough: int | None = None
    ) -> list[Point]:
        """Draw uniformly from the distinct valid points that may be asked for.

        Fewer than `count` come back only where fewer are left. In spaces too large to list,
        what is too rare to be drawn is looked for along a walk, which gives up (and so calls
        the space exhausted) after LONGEST_WALK points: until there are `enough`, all if None.
        """
        if (pool := self.pool()) is not None:
            left = np.flatnonzero(pool[1])
            rows = rng.choice(left, size=min(count, len(left)), replace=False)
            return [tuple(row) for row in pool[0][rows].tolist()]
        found: dict[Point, None] = {}
        wanted = count if enough is None else min(enough, count)
        for way, most in ((self._draws(rng, count), count), (self._walk(rng), wanted)):
            while len(found) < most and (points := next(way, None)) is not None:
                kept = points[self.problem.representatives(points)]
                kept = kept[self.problem.promising(kept)]
                found.update((p, None) for p in map(tuple, kept.tolist()) if p not in self)
        return list(found)[:count]

    def _draws(self, rng: np.random.Generator, count: int) -> Iterator[Points]:
        size, drawn = min(max(64, 2 * count), CHUNK), 0
        while drawn < VAIN_DRAWS:
            yield self.problem.uniform(rng, size)
            size, drawn = min(2 * size, CHUNK), drawn + size

    def _walk(self, rng: np.random.Generator) -> Iterator[Points]:
        start = int.from_bytes(rng.bytes(16)) % self.problem.size
        for numbers in walk(self.problem.size, start):
            yield self.problem.at(numbers)

    def meet(self, points: Sequence[Sequence[int]]) -> None:
        """Work out at once what many points are equivalent to; one by one is far slower."""
        new = sorted({self.problem.point(point) for point in points} - self._canonicals.keys())
        if not new:
            return
        levels = np.array(new, dtype=np.int64)
        if self.problem.canonical is not None:
            levels = np.asarray(self.problem.canonical(levels))
        self._canonicals.update(zip(new, map(tuple, levels.tolist()), strict=True))

    def _canonical(self, point: Sequence[int]) -> Point:
        known = self._canonicals.get(tuple(point))
        if known is None:
            self.meet([point])
            known = self._canonicals[self.problem.point(point)]
        return known

    def _checked_costs(self, point: Point, costs: Sequence[float]) -> tuple[float, ...]:
        measured = tuple(float(c) for c in costs)
        if self._cost_count is None:
            self._cost_count = np.shape(self.problem.cost(np.array([point], dtype=np.int64)))[1]
        expected = self._cost_count
        if len(measured) == expected and all(c > 0 and isfinite(c) for c in measured):
            return measured
        wrong = f"{shown(measured)} are not the costs of a point"
        raise InputError(Fault("costs", costs, wrong, f"{expected} positive numbers"))

    def _take(self, point: Point) -> None:
        if self._pool is not None:
            self._pool.take(point)


_Result = tuple[Point, float | None, float, tuple[float, ...] | None]
"""One result as it was told, at a canonical point."""


def _add(told: dict[Point, Observation], result: _Result) -> None:
    point, accuracy, fidelity, costs = result
    told[point] = told.get(point, Observation(point)).and_seen(accuracy, fidelity, costs)


class _Pool:
    """Every distinct valid point of a small space, and which of them are free."""

    def __init__(self, problem: Problem) -> None:
        self.points = problem.enumerate()
        self.free = np.ones(len(self.points), dtype=np.bool_)
        self._rows = {tuple(point): row for row, point in enumerate(self.points.tolist())}

    def take(self, point: Point) -> None:
        row = self._rows.get(point)
        if row is not None:
            self.free[row] = False


def walk(size: int, start: int, skip: int = 0) -> Iterator[list[int]]:
    """Go through the numbers 0 to size - 1 in growing parts, each number once.

    The step is the golden section of `size`, so that every part spreads over the whole.
    `skip` leaves out the first numbers of the walk. It ends after LONGEST_WALK numbers.
    """
    step = round(size * 0.618033988749895)
    while gcd(step, size) > 1:
        step += 1
    end, part = min(size, skip + LONGEST_WALK), 16
    while skip < end:
        stop = min(skip + part, end)
        yield [(start + step * i) % size for i in range(skip, stop)]
        skip, part = stop, min(2 * part, CHUNK)
