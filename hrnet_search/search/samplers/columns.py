"""What is known of points before any is trained: costs, what they are made of, expectations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hrnet_search.search.problem import Floats, Points, Problem


def log_costs(problem: Problem, points: Points) -> Floats:
    """Return the logarithms of the predicted costs of points [n, d], [n, m]."""
    if not len(points):
        return np.zeros((0, 0))
    return np.log(np.asarray(problem.cost(points), dtype=np.float64))


def log_exact(problem: Problem, points: Points) -> Floats:
    """Return the logarithms of the exact costs of points [n, d], [n, k]."""
    if not len(points):
        return np.zeros((0, 0))
    return np.log(problem.exact_costs(points))


def made_of(problem: Problem, points: Points) -> Floats:
    """Return what the problem says of points [n, d], else counts of like levels, [n, k]."""
    if not len(points):
        return np.zeros((0, 0))
    found = _alike(problem, points) if problem.features is None else problem.features(points)
    return np.asarray(found, dtype=np.float64)


def _alike(problem: Problem, points: Points) -> Floats:
    """Return how often points have each level of axes that are alike, [n, k].

    Nominal axes with the same named levels choose between the same things in several places, and
    how many there are of each often matters more than where.
    """
    columns: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for column, axis in enumerate(problem.axes):
        if not axis.ordinal and isinstance(axis.levels, Sequence) and axis.count > 1:
            columns[tuple(map(repr, axis.levels))].append(column)
    counts = [
        (points[:, alike, None] == np.arange(len(levels))).sum(axis=1)
        for levels, alike in columns.items()
        if len(alike) > 1
    ]
    return np.concatenate([np.zeros((len(points), 0)), *counts], axis=1)


def expected(problem: Problem, points: Points) -> Floats:
    """Return what earlier studies make one expect of points [n, d], [n, studies]."""
    if not problem.earlier or not len(points):
        return np.zeros((len(points), 0))
    return np.stack([study(points) for study in problem.earlier], axis=1).astype(np.float64)


class Unit:
    """Scales columns so that those it is made of [n, k] are between -0.5 and 0.5."""

    def __init__(self, columns: Floats) -> None:
        self.width = columns.shape[1] if len(columns) else 0
        if self.width:
            least, most = columns.min(axis=0), columns.max(axis=0)
            # A column that is the same all over stays next to 0 wherever it is not.
            self._middle, self._range = (least + most) / 2, np.where(most > least, most - least, 1)

    def __call__(self, columns: Floats) -> Floats:
        """Return columns [n, k], scaled."""
        return np.asarray((columns - self._middle) / self._range)
