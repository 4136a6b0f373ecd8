"""What results of an earlier study make one expect of points that it may not have had."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from hrnet_search.search.problem import Floats, Points
from hrnet_search.search.samplers.fits import COLD
from hrnet_search.search.samplers.one_thread import one_thread
from hrnet_search.search.samplers.surrogate import Belief, Data, fitted


class Expectation:
    """The posterior mean of a Gaussian process over an earlier study's results.

    `features(points)` are columns like those of `data`. It is fitted when it is first asked.
    """

    def __init__(self, data: Data, features: Callable[[Points], Floats]) -> None:
        self._data, self._features = data, features

    def __call__(self, points: Points) -> Floats:
        """Return the accuracy that is to be expected of points [n, d], [n]."""
        features = self._features(points)
        with one_thread():
            return self._belief.mean(features)

    @cached_property
    def _belief(self) -> Belief:
        with one_thread():
            return Belief(self._data, fitted(self._data, None, COLD))
