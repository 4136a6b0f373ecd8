"""The default sampler: exact cost, believed accuracy, largest expected gain of the front.

Everything it decides is a function of the problem, the seed and what was told: a new one that
is told the same goes on in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.candidates import candidates, new
from hrnet_search.search.samplers.columns import log_costs
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.fits import Fits
from hrnet_search.search.samplers.history import History
from hrnet_search.search.samplers.model import Model
from hrnet_search.search.samplers.one_thread import one_thread
from hrnet_search.search.samplers.start_sample import Start, start_sample
from hrnet_search.search.samplers.surrogate import Belief, shares
from hrnet_search.search.samplers.training_rows import accuracies, observations, successes

START = 20
"""Points in the start sample, at most a third of the trials if their number is known."""

KNOWING_START = 14
"""The same where earlier studies are learned from."""

MOST_ROWS, MOST_FITTED = 300, 150
"""Results that are modelled, and those that hyperparameters are fitted to."""

CLIMBS, CLIMBERS = 3, 5
"""Rounds in which the best candidates' neighbours are looked at, and how many are the best."""

OFFERED = 8


class Pareto:
    """Offers the candidates with the largest expected gain, after a start sample.

    `anchors` are known good designs.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int | None = None,
        anchors: Sequence[Point] = (),
    ) -> None:
        self._problem = problem
        self._seed = seed
        most = KNOWING_START if problem.earlier else START
        self._count = most if trials is None else max(1, min(most, trials // 3))
        self._anchors = [problem.point(a) for a in anchors]

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Offer what is left of the start sample, then the best candidates."""
        if len(history) < self._count:
            yield self._start.points
            return
        with one_thread():
            model = self._model(history)
            offered = None if model is None else _best(model, history, rng)
        if offered is not None:
            yield offered

    def _model(self, history: History) -> Model | None:
        rows = observations(history, MOST_ROWS)
        data, theta = accuracies(self._features, rows), self._accuracy_fits.latest(history)
        if data is None or theta is None:
            return None
        success = self._success(history)
        most = log_costs(self._problem, self._start.costliest).max(axis=0)
        return Model(history, self._features, rows, data, theta, success, most)

    def weights(self, history: History) -> tuple[float, ...]:
        """Return how much each earlier study weighs in the model of accuracy, as a share of all.

        Nothing is known before the first results, and then it is 0.
        """
        earlier = list(self._features.earlier) if self._problem.earlier else []
        data, theta = None, None
        if earlier:
            with one_thread():
                data = accuracies(self._features, observations(history, MOST_ROWS))
                theta = self._accuracy_fits.latest(history)
        if data is None or theta is None:
            return (0.0,) * len(earlier)
        return tuple(shares(data, theta)[earlier].tolist())

    def _success(self, history: History) -> Belief | None:
        data, theta = successes(self._features, history, MOST_ROWS), None
        if data is not None:
            theta = self._success_fits.latest(history)
        return None if data is None or theta is None else Belief(data, theta)

    @cached_property
    def _start(self) -> Start:
        return start_sample(self._problem, self._count, self._anchors, self._seed)

    @cached_property
    def _features(self) -> Features:
        return Features(self._problem, self._start.pool)

    @cached_property
    def _accuracy_fits(self) -> Fits:
        return Fits(lambda h: accuracies(self._features, observations(h, MOST_FITTED)))

    @cached_property
    def _success_fits(self) -> Fits:
        return Fits(lambda h: successes(self._features, h, MOST_FITTED))


def _best(model: Model, history: History, rng: np.random.Generator) -> Points:
    """Return the candidates with the largest expected gain, best first."""
    points = candidates(history, model.front, rng)
    gain = model.gain(points)
    for _ in range(CLIMBS):
        best = np.argsort(-gain, kind="stable")[:CLIMBERS]
        near = new(history, history.problem.neighbours(points[best]))
        points = np.concatenate([points, near])
        gain = np.concatenate([gain, model.gain(near)])
    return points[np.argsort(-gain, kind="stable")[:OFFERED]]
