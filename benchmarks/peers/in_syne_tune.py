"""Syne Tune: its evolution with several objectives (MO-REA), a population of 100."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Problem


class SyneTune:
    """The searcher by itself; a failed trial tells it nothing, as its schedulers have it."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from syne_tune.config_space import choice, randint
        from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (  # noqa: E501
            MultiObjectiveRegularizedEvolution,
        )

        self._problem, self._trials = problem, 0
        np.random.seed(seed)
        space = {
            axis.name: randint(0, axis.count - 1)
            if axis.ordinal
            else choice(list(range(axis.count)))
            for axis in problem.axes
            if axis.count > 1
        }
        self._searcher = MultiObjectiveRegularizedEvolution(space, random_seed=seed)

    def ask(self) -> tuple[Any, Point]:
        """Return a configuration of Syne Tune, and its point."""
        config = self._searcher.suggest()
        return config, tuple(int(config.get(axis.name, 0)) for axis in self._problem.axes)

    def named(self, point: Point) -> Any:
        """Return the configuration of a point."""
        return {a.name: n for a, n in zip(self._problem.axes, point, strict=True) if a.count > 1}

    def tell(self, suggested: Any, values: tuple[float, float]) -> None:
        """Take the values of a trial."""
        self._trials += 1
        self._searcher.on_trial_complete(self._trials, suggested, list(values))

    def tell_failed(self, suggested: Any) -> None:
        """Pass over a trial that failed."""
