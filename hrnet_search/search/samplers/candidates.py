"""Candidates for a proposal: what is near the front, what lies between, and what is far."""

from __future__ import annotations

import numpy as np

from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History

DRAWN, MUTANTS, CROSSED = 500, 500, 300
PARENTS = 24
"""Members of the front of which all neighbours are looked at."""

CHANGES = 2.5
"""Axes that a mutant differs in, on average."""


def candidates(history: History, front: Points, rng: np.random.Generator) -> Points:
    """Return new points, [n, d]: around the front [k, d], between its members, and drawn."""
    problem = history.problem
    # Around the front there are more: what is too rare to be drawn is looked for elsewhere.
    points = history.draw(rng, DRAWN, enough=0 if len(front) else 1)
    drawn = np.array(points, dtype=np.int64).reshape(-1, len(problem.axes))
    if not len(front):
        return drawn
    parents = rng.permutation(front)[:PARENTS]
    made = [
        problem.neighbours(parents),
        _mutants(problem, front[rng.integers(len(front), size=MUTANTS)], rng),
        _crossed(front, rng),
    ]
    return np.concatenate([drawn, new(history, np.concatenate(made))])


def new(history: History, points: Points) -> Points:
    """Return the distinct valid points among these that are not known, [n, d]."""
    fresh = history.fresh(points)
    return np.array(fresh, dtype=np.int64).reshape(-1, len(history.problem.axes))


def _mutants(problem: Problem, parents: Points, rng: np.random.Generator) -> Points:
    """Return parents with a few axes changed: to any nominal level, to ordinal ones nearby."""
    counts = np.array(problem.counts)
    ordinal = np.array([axis.ordinal for axis in problem.axes], dtype=np.bool_)
    changed = rng.random(parents.shape) < min(0.5, CHANGES / max(1, (counts > 1).sum()))
    reach = np.maximum(1, np.ceil(counts / 4)).astype(np.int64)
    step = rng.integers(1, reach + 1, size=parents.shape) * rng.choice([-1, 1], size=parents.shape)
    near = np.clip(parents + step, 0, counts - 1)
    return np.where(changed, np.where(ordinal, near, problem.uniform(rng, len(parents))), parents)


def _crossed(front: Points, rng: np.random.Generator) -> Points:
    """Return points that have each axis from one of two members."""
    first, second = (front[rng.integers(len(front), size=CROSSED)] for _ in range(2))
    return np.where(rng.random(first.shape) < 0.5, first, second)
