"""Points as the surrogate sees them: levels, logarithms of exact costs, and the fidelity."""

from __future__ import annotations

import numpy as np

from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers.start_sample import log_exact

OPPOSITE = 0.5**0.5
"""Distance of each of two nominal levels from the origin: their own distance is then 1."""


class Features:
    """Turns points [n, d] into features [n, k], each about -0.5 to 0.5.

    An ordered axis is one feature, a nominal one a feature for each level; costs are scaled to
    their range, `least` to `most` [k] in logarithms. The last feature is the logarithm of the
    fidelity, 0 for a whole schedule. `groups` says which choice each feature belongs to.
    """

    def __init__(self, problem: Problem, least: Floats, most: Floats) -> None:
        self._problem = problem
        self._axes = [(i, axis) for i, axis in enumerate(problem.axes) if axis.count > 1]
        self._middle, self._range = (least + most) / 2, np.maximum(most - least, 1e-9)
        widths = [1 if a.ordinal else a.count for _, a in self._axes] + [1] * (len(least) + 1)
        self.groups = tuple(g for g, width in enumerate(widths) for _ in range(width))

    def __call__(
        self, points: Points, costs: Floats | None = None, fidelity: Floats | None = None
    ) -> Floats:
        """Return the features of points whose exact log costs are `costs` [n, k], if known.

        At a fidelity [n] in (0, 1], or at that of a whole schedule.
        """
        columns = [_levels(axis, points[:, i]) for i, axis in self._axes]
        if len(self._range):
            costs = log_exact(self._problem, points) if costs is None else costs
            columns.append((costs - self._middle) / self._range)
        whole = np.ones(len(points)) if fidelity is None else fidelity
        columns.append(np.log(whole)[:, None])
        return np.concatenate(columns, axis=1)


def _levels(axis: Axis, levels: Points) -> Floats:
    if axis.ordinal:
        return np.asarray(levels[:, None] / (axis.count - 1) - 0.5)
    return np.asarray(OPPOSITE * (levels[:, None] == np.arange(axis.count)))
