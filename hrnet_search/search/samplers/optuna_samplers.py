"""Optuna's samplers behind our removal of duplicates.

Accuracy is maximised, the logarithm of each cost minimised. The study is made anew for every
proposal, from what is known alone: nothing hidden in it could be lost with a killed driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History, Observation

KINDS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPESampler,
    "nsga2": NSGAIISampler,
    "gp": GPSampler,
}

SUGGESTIONS = {"tpe": 8, "nsga2": 16, "gp": 2}
"""How often each is asked before what lies around its last answer is taken instead."""

POPULATION = 50
"""That of NSGA-II, Optuna's default."""

MOST_AROUND = 64
"""Neighbours of the last answer whose own neighbours are looked at."""


@dataclass(frozen=True, slots=True)
class OptunaProposals:
    """Offers what one of Optuna's samplers suggests, then the points around its last answer."""

    kind: str

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Offer suggestions one by one; nothing before there is a finished trial."""
        problem = history.problem
        finished = [o for o in history.seen() if o.fidelity == 1]
        if not finished:
            return
        with _quiet():
            study = _study(history, finished, KINDS[self.kind](seed=int(rng.integers(1 << 32))))
        for _ in range(SUGGESTIONS[self.kind]):
            # A suggestion that was refused stays running in the study: the next keeps away.
            with _quiet():
                params = study.ask(_distributions(problem)).params
            suggested = np.array([[params[a.name] for a in problem.axes]], dtype=np.int64)
            yield suggested
        yield from _around(problem, suggested, rng)


def _study(history: History, finished: list[Observation], sampler: BaseSampler) -> optuna.Study:
    distributions = _distributions(history.problem)

    def trial(point: Point, state: TrialState, **more: Any) -> FrozenTrial:
        params = dict(zip(distributions, point, strict=True))
        return create_trial(params=params, distributions=distributions, state=state, **more)

    costs = np.log(history.costs(finished))
    directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * costs.shape[1]
    study = optuna.create_study(directions=directions, sampler=sampler)
    for row, observation in enumerate(finished):
        values = [float(np.mean(observation.accuracies)), *costs[row].tolist()]
        # Else NSGA-II takes them all for its first, random, generation.
        generation = {"NSGAIISampler:generation": row // POPULATION}
        study.add_trial(
            trial(observation.point, TrialState.COMPLETE, values=values, system_attrs=generation)
        )
    stopped = (o.point for o in history.told.values() if 0 < o.fidelity < 1)
    study.add_trials(trial(point, TrialState.PRUNED) for point in stopped)
    study.add_trials(trial(point, TrialState.RUNNING) for point in history.pending)
    return study


def _distributions(problem: Problem) -> dict[str, BaseDistribution]:
    return {
        axis.name: IntDistribution(0, axis.count - 1)
        if axis.ordinal
        else CategoricalDistribution(range(axis.count))
        for axis in problem.axes
    }


def _around(problem: Problem, point: Points, rng: np.random.Generator) -> Iterator[Points]:
    near = rng.permutation(problem.neighbours(point))
    yield near
    yield rng.permutation(problem.neighbours(near[:MOST_AROUND]))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's messages about studies and trials to itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
