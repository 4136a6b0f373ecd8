"""What earlier studies hold to be the front of a problem, before anything of it was trained."""

from __future__ import annotations

import numpy as np

from hrnet_search.pareto import non_dominated
from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.samplers.columns import expected, log_exact

ROUNDS, MOST = 6, 40
"""How often the neighbours of the front are looked at, and of how many of its members."""


def believed_front(problem: Problem, pool: Points, count: int) -> Points:
    """Return up to `count` points of the front by exact cost and what is expected, spread over it.

    It is looked for among `pool` [n, d] and then around what was found. Expectations of several
    studies are averaged, each by its spread over the pool.
    """
    beliefs = expected(problem, pool)
    centre, spread = beliefs.mean(axis=0), beliefs.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def front(points: Points) -> Points:
        mean = ((expected(problem, points) - centre) / spread).mean(axis=1)
        return points[_front(mean, log_exact(problem, points))]

    found = front(pool)
    for _ in range(ROUNDS):
        near = problem.neighbours(found[evenly(len(found), MOST)])
        found = front(problem.distinct(np.concatenate([found, near])))
    return found[evenly(len(found), count)]


def _front(mean: Floats, costs: Floats) -> Points:
    """Return the rows that nothing beats, cheapest first."""
    directions = ("max", *["min"] * costs.shape[1])
    kept = np.flatnonzero(non_dominated(np.column_stack([mean, costs]), directions))
    return kept[np.argsort(costs[kept].sum(axis=1), kind="stable")]


def evenly(size: int, count: int) -> Points:
    """Return up to `count` of the numbers below `size`, evenly over all of them."""
    return np.unique(np.linspace(0, size - 1, min(size, count)).round().astype(np.int64))
