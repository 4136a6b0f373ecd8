"""Points as the surrogate sees them: levels, and what is known of them, in columns of one scale."""

from __future__ import annotations

import numpy as np

from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers.columns import Unit, expected, log_exact, made_of

OPPOSITE = 0.5**0.5
"""Distance of each of two nominal levels from the origin: their own distance is then 1."""


class Features:
    """Turns points [n, d] into features [n, k], each about -0.5 to 0.5.

    An ordered axis is one feature, a nominal one a feature for each level; logarithms of costs and
    the problem's own features (or, where it has none, how often each level is taken that several
    axes share) are scaled to their range over `pool` [n, d], as is what earlier studies make one
    expect. The last feature is the logarithm of the fidelity, 0 for a whole schedule. `groups` says
    which choice each feature belongs to, `families` which are of a kind: the problem's own, and
    each of `earlier`.
    """

    def __init__(self, problem: Problem, pool: Points) -> None:
        self._problem = problem
        self._axes = [(i, axis) for i, axis in enumerate(problem.axes) if axis.count > 1]
        self._costs, self._own = Unit(log_exact(problem, pool)), Unit(made_of(problem, pool))
        self._expected = Unit(expected(problem, pool))
        widths = [1 if a.ordinal else a.count for _, a in self._axes]
        own = len(widths) + self._costs.width
        earlier = own + self._own.width
        fidelity = earlier + self._expected.width
        widths += [1] * (fidelity + 1 - len(widths))
        self.groups = tuple(g for g, width in enumerate(widths) for _ in range(width))
        self.earlier = tuple(range(earlier, fidelity))
        families = [tuple(range(own, earlier)), *((group,) for group in self.earlier)]
        self.families = tuple(filter(None, families))

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
            columns.append(self._own(made_of(self._problem, points)))
        if self._expected.width:
            columns.append(self._expected(expected(self._problem, points)))
        whole = np.ones(len(points)) if fidelity is None else fidelity
        columns.append(np.log(whole)[:, None])
        return np.concatenate(columns, axis=1)


def _levels(axis: Axis, levels: Points) -> Floats:
    if axis.ordinal:
        return np.asarray(levels[:, None] / (axis.count - 1) - 0.5)
    return np.asarray(OPPOSITE * (levels[:, None] == np.arange(axis.count)))
