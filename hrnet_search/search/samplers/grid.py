"""Every point in turn, in an order that spreads over the space from the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.samplers.history import History, walk


class Grid:
    """Goes through a space by golden-section steps, which leave no gap wherever one stops.

    A space small enough to list is stepped through by cost, from cheap to expensive; a larger one,
    and one whose costs are estimates that change, by number. The seed says where to start.
    """

    def __init__(self, seed: int) -> None:
        self._start = int.from_bytes(np.random.default_rng(seed).bytes(16))
        self._listed: Points | None = None
        self._done = 0

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Offer the points from where nothing is known, part by part."""
        del rng
        size = self._list(history)
        for numbers in walk(size, self._start % size, skip=self._done):
            yield history.problem.at(numbers) if self._listed is None else self._listed[numbers]
            # Nothing new was in it, and nothing ever will be, unless estimates change their mind.
            self._done += 0 if history.problem.estimated else len(numbers)

    def _list(self, history: History) -> int:
        if self._listed is None and (pool := history.pool()) is not None:
            steady = not history.problem.estimated
            self._listed = pool[0][_by_cost(history.problem, pool[0])] if steady else pool[0]
        return history.problem.size if self._listed is None else len(self._listed)


def _by_cost(problem: Problem, points: Points) -> Points:
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    costs: Floats = np.asarray(problem.cost(points), dtype=np.float64)
    return np.argsort(np.log(costs).sum(axis=1), kind="stable")
