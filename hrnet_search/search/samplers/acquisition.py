"""Expected gain of dominated volume where cost is certain and accuracy is believed.

Loka et al. (2022) for one exact objective among two; here in closed form for none, one or two
costs: over the costs that a point dominates, what has to be beaten is a step function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hrnet_search.pareto import non_dominated
from hrnet_search.search.problem import Floats

MOST_MEMBERS = 40
"""Members of a front that points are compared with where there are two costs."""


def expected_improvement(mean: Floats, deviation: Floats, best: Floats) -> Floats:
    """Return E[max(accuracy - best, 0)] of normal beliefs [n] against each best [k], [n, k]."""
    deviation = np.maximum(deviation, 1e-12)[:, None]
    z = (mean[:, None] - best) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (z * ndtr(z) + density), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Front:
    """What is to be gained over: accuracies [k] at log costs [k, m], and the reference.

    `floor` is the least accuracy that counts, `most` [m] the largest log costs.
    """

    accuracy: Floats
    log_costs: Floats
    floor: float
    most: Floats

    @classmethod
    def of(cls, accuracy: Floats, log_costs: Floats, floor: float, most: Floats) -> Front:
        """Return the front among candidates for it."""
        counts = (accuracy > floor) & (log_costs < most).all(axis=1)
        accuracy, log_costs = accuracy[counts], log_costs[counts]
        directions = ("max", *["min"] * log_costs.shape[1])
        kept = non_dominated(np.column_stack([accuracy, log_costs]), directions)
        if log_costs.shape[1] > 1 and kept.sum() > MOST_MEMBERS:
            ranked = np.flatnonzero(kept)[np.argsort(log_costs[kept, 0], kind="stable")]
            kept = ranked[np.linspace(0, len(ranked) - 1, MOST_MEMBERS).round().astype(int)]
        return cls(accuracy[kept], log_costs[kept], floor, most)

    def expected_gain(self, mean: Floats, deviation: Floats, log_costs: Floats) -> Floats:
        """Return the expected gain of volume of points [n] with log costs [n, m], [n]."""
        levels = np.unique([self.floor, *self.accuracy])
        gain = expected_improvement(mean, deviation, levels)
        dominated = self._dominated(levels, log_costs)
        return np.asarray((gain * dominated).sum(axis=1), dtype=np.float64)

    def _dominated(self, levels: Floats, log_costs: Floats) -> Floats:
        """Return what part of the costs that each point dominates has each level to beat, [n, k].

        The costs are cut into cells at the members' own, so that a level holds in all of one.
        """
        costs = log_costs.shape[1]
        edges = [np.unique([*self.log_costs[:, m], self.most[m]]) for m in range(costs)]
        starts = [np.concatenate([[-np.inf], e[:-1]]) for e in edges]
        widths = [
            np.maximum(edges[m] - np.maximum(starts[m], log_costs[:, m, None]), 0.0)
            for m in range(costs)
        ]
        level = np.searchsorted(levels, self._to_beat(starts))
        chosen = level[None] == np.arange(len(levels)).reshape(-1, *[1] * costs)
        if costs == 0:
            return np.broadcast_to(chosen.astype(np.float64), (len(log_costs), len(levels)))
        if costs == 1:
            return np.asarray(widths[0] @ chosen.T.astype(np.float64))
        across = np.tensordot(widths[1], chosen.astype(np.float64), axes=(1, 2))  # [n, k, cells]
        return np.asarray((across * widths[0][:, None]).sum(axis=2))

    def _to_beat(self, starts: list[Floats]) -> Floats:
        """Return the best accuracy at or below each cell's start, [cells of each cost]."""
        best = np.full([len(s) for s in starts], self.floor)
        for accuracy, costs in zip(self.accuracy, self.log_costs, strict=True):
            reached = np.ones((), dtype=np.bool_)
            for start, cost in zip(starts, costs, strict=True):
                reached = np.logical_and.outer(reached, start >= cost)
            best = np.where(reached, np.maximum(best, accuracy), best)
        return best
