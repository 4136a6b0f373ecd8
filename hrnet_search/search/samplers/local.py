"""Pareto local search: the neighbours of what nothing seen so far beats.

Paquete, Chiarandini and Stuetzle, "Pareto Local Optimum Sets" (2004), with one neighbour a
proposal: as new members come to the front, the search is at once around them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hrnet_search.pareto import non_dominated
from hrnet_search.search.problem import Floats, Points
from hrnet_search.search.samplers.history import History

DRAWN_FIRST = 20
"""Points drawn at random before the search, unless fewer trials are planned."""


class Local:
    """Offers neighbours of the front, member by member in random order."""

    def __init__(self, trials: int | None = None) -> None:
        self._first = DRAWN_FIRST if trials is None else min(DRAWN_FIRST, trials // 3)

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Offer nothing at first; a front without new neighbours leaves a uniform draw."""
        finished = [o for o in history.seen() if o.fidelity == 1]
        if len(history) < self._first or not finished:
            return
        points = np.array([o.point for o in finished], dtype=np.int64)
        accuracy: Floats = np.array([o.accuracy for o in finished])
        values = np.column_stack([accuracy, history.costs(finished)])
        front = points[non_dominated(values, ("max", *["min"] * (values.shape[1] - 1)))]
        for member in rng.permutation(front):
            yield rng.permutation(history.problem.neighbours(member[None]))
