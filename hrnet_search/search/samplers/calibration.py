"""Measured costs from predicted ones, which may be in another unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_search.search.problem import Floats
from hrnet_search.search.samplers.history import Observation

STIFFNESS = 0.1
"""How strongly measured costs are held to be proportional to predicted ones."""


class Calibration:
    """Costs as they would be measured, from predicted ones: a line in logarithms for each."""

    def __init__(self, rows: Sequence[Observation], predicted: Floats) -> None:
        measured = [i for i, o in enumerate(rows) if o.costs is not None]
        self._line: tuple[Floats, Floats, Floats] | None = None
        if measured:
            x = predicted[measured]
            y = np.log(np.array([rows[i].costs for i in measured], dtype=np.float64))
            centre, height = x.mean(axis=0), y.mean(axis=0)
            together = ((x - centre) * (y - height)).sum(axis=0)
            slope = (together + STIFFNESS) / (((x - centre) ** 2).sum(axis=0) + STIFFNESS)
            self._line = centre, height, np.maximum(slope, 0.0)

    def __call__(self, predicted: Floats) -> Floats:
        """Return the logarithms of costs from those of predicted ones, [n, m]."""
        if self._line is None:
            return predicted.copy()
        centre, height, slope = self._line
        return np.asarray(height + slope * (predicted - centre))

    def known(self, rows: Sequence[Observation], predicted: Floats) -> Floats:
        """Return them for observations, [n, m]: as measured, where they were."""
        costs = self(predicted)
        for row, observation in enumerate(rows):
            if observation.costs is not None:
                costs[row] = np.log(observation.costs)
        return costs
