"""Points as the surrogate sees them: levels, logarithms of exact costs, structure, the fidelity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers.start_sample import log_exact

OPPOSITE = 0.5**0.5
"""Distance of each of two nominal levels from the origin: their own distance is then 1."""


class Features:
    """Turns points [n, d] into features [n, k], each about -0.5 to 0.5.

    An ordered axis is one feature, a nominal one a feature for each level; logarithms of costs and
    the problem's own features (or, where it has none, how often each level is taken that several
    axes share) are scaled to their range over `pool` [n, d]. The last feature is the logarithm of
    the fidelity, 0 for a whole schedule. `groups` says which choice each feature belongs to,
    `family` which choices are the problem's own.
    """

    def __init__(self, problem: Problem, pool: Points) -> None:
        self._problem = problem
        self._axes = [(i, axis) for i, axis in enumerate(problem.axes) if axis.count > 1]
        self._costs, self._own = Unit(log_exact(problem, pool)), Unit(_own(problem, pool))
        widths = [1 if a.ordinal else a.count for _, a in self._axes]
        first = len(widths) + self._costs.width
        widths += [1] * (self._costs.width + self._own.width + 1)
        self.groups = tuple(g for g, width in enumerate(widths) for _ in range(width))
        self.family = tuple(range(first, first + self._own.width))

    def __call__(
        self, points: Points, costs: Floats | None = None, fidelity: Floats | None = None
    ) -> Floats:
        """Return the features of points whose exact log costs are `costs` [n, k], if known.

        At a fidelity [n] in (0, 1], or at that of a whole schedule.
        """
        columns = [_levels(axis, points[:, i]) for i, axis in self._axes]
        if self._costs.width:
            columns.append(
                self._costs(log_exact(self._problem, points) if costs is None else costs)
            )
        if self._own.width:
            columns.append(self._own(_own(self._problem, points)))
        whole = np.ones(len(points)) if fidelity is None else fidelity
        columns.append(np.log(whole)[:, None])
        return np.concatenate(columns, axis=1)


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


def _own(problem: Problem, points: Points) -> Floats:
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


def _levels(axis: Axis, levels: Points) -> Floats:
    if axis.ordinal:
        return np.asarray(levels[:, None] / (axis.count - 1) - 0.5)
    return np.asarray(OPPOSITE * (levels[:, None] == np.arange(axis.count)))
