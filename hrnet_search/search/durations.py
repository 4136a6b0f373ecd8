"""How long trainings take: what is learned of it from those that have ended.

Seconds of a step are taken for a sum of what costs nothing, of MACs and of activations, each with a
rate that is not negative: a larger network is never expected to take less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hrnet_search.arch.cost import Cost

FITTED_FROM = 3
"""Trainings from which rates are fitted."""

UNSURE = 0.25
"""Share by which a prediction may be wrong where nothing is fitted."""

LEAST_SPREAD = 0.05
"""A training's own share of chance, however well others were fitted."""

DEVIATIONS = 2.5


@dataclass(frozen=True, slots=True)
class Took:
    """A training that has ended: its network's exact cost, its steps, and its seconds in all."""

    cost: Cost
    steps: int
    seconds: float


class Durations:
    """Predicts the seconds of a training from its network's exact cost and its steps.

    `spread` is how far one is off, as a share of what is predicted of it.
    """

    def __init__(self, took: Sequence[Took]) -> None:
        """Of none, nothing is known: every prediction is 0."""
        self._took = [one for one in took if one.steps > 0 and one.seconds > 0]
        self.spread = UNSURE
        if len(self._took) < FITTED_FROM:
            return
        seconds = np.array([one.seconds / one.steps for one in self._took])
        columns = np.array([_columns(one.cost) for one in self._took]) / seconds[:, None]
        self._rates = nnls(columns, np.ones(len(seconds)))[0]
        off = columns @ self._rates - 1
        free = max(1, len(seconds) - int((self._rates > 0).sum()))
        self.spread = max(LEAST_SPREAD, float(np.sqrt(off @ off / free)))

    @property
    def known(self) -> int:
        """How many trainings it was learned from."""
        return len(self._took)

    def expected(self, cost: Cost, steps: int) -> float:
        """Return the seconds that a training should take.

        Of a few that have ended the most: in proportion for a larger network, as it is for a
        smaller one.
        """
        if len(self._took) >= FITTED_FROM:
            return float(_columns(cost) @ self._rates) * steps
        times = [t.seconds / t.steps * max(1.0, cost.macs / t.cost.macs) for t in self._took]
        return steps * max(times, default=0.0)

    def at_most(self, cost: Cost, steps: int) -> float:
        """Return the seconds that a training will hardly exceed."""
        return self.expected(cost, steps) * (1 + DEVIATIONS * self.spread)


def _columns(cost: Cost) -> NDArray[np.float64]:
    return np.array([1.0, cost.macs / 1e9, cost.activations / 1e6])
