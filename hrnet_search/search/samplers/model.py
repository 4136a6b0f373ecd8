"""The state of a search as the default sampler sees it: believed accuracies, front, gains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_search.pareto import non_dominated
from hrnet_search.search.problem import Floats, Points
from hrnet_search.search.samplers.acquisition import Front
from hrnet_search.search.samplers.calibration import Calibration
from hrnet_search.search.samplers.columns import log_costs
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.history import History, Observation
from hrnet_search.search.samplers.surrogate import Belief, Data
from hrnet_search.search.samplers.training_rows import array

LEAST_SUCCESS = 1e-6
"""A point is never held to be more hopeless: failures far and wide still leave an order."""


class Model:
    """Beliefs about all points, after what a history holds.

    `rows` are what was seen and `data` the same for the surrogate, under hyperparameters
    `theta`; `success` is the belief in whether a training succeeds, None if all have; `most`
    [m] are the largest predicted log costs.
    """

    def __init__(
        self,
        history: History,
        features: Features,
        rows: Sequence[Observation],
        data: Data,
        theta: Floats,
        success: Belief | None,
        most: Floats,
    ) -> None:
        self._problem, self._features = history.problem, features
        self._success = success
        points = array(self._problem, [*(o.point for o in rows), *history.pending])
        predicted = log_costs(self._problem, points)
        known = self._features_of(points, predicted)
        self._belief = Belief(data, theta, known[len(rows) :])
        self._calibrated = Calibration(rows, predicted[: len(rows)])
        costs = self._calibrated.known(rows, predicted)
        accuracy = self._belief(known)[0]
        directions = ("max", *["min"] * costs.shape[1])
        kept = non_dominated(np.column_stack([accuracy, costs]), directions)
        self.front = points[kept]
        most = np.maximum(self._calibrated(most[None])[0], costs.max(axis=0))
        # What was raised to the floor is not a gain, however cheap it is.
        floor = float(data.accuracy.min())
        self._front = Front.of(accuracy[kept], costs[kept], floor, most + 1e-9)

    def gain(self, points: Points) -> Floats:
        """Return what is to be expected of points [n, d], [n]: the more the better."""
        if not len(points):
            return np.zeros(0)
        predicted = log_costs(self._problem, points)
        features = self._features_of(points, predicted)
        mean, deviation = self._belief(features)
        gain = self._front.expected_gain(mean, deviation, self._calibrated(predicted))
        if self._success is not None:
            gain = gain * np.maximum(self._success.chance_above(0.5, features), LEAST_SUCCESS)
        return gain

    def _features_of(self, points: Points, predicted: Floats) -> Floats:
        """Return features; predicted costs that are exact need not be counted again."""
        return self._features(points, predicted if self._problem.exact is None else None)
