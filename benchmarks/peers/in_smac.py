"""SMAC3: ParEGO over its facade for hyperparameters, a random forest."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from typing import Any

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Problem

TRIALS = 100
"""Those of the scenario: its start is of a quarter of them at most."""


class Smac:
    """Its default start, forest, acquisition and share of random points."""

    def __init__(self, problem: Problem, seed: int) -> None:
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace
        from ConfigSpace import UniformIntegerHyperparameter as IntegerHyperparameter
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.multi_objective.parego import ParEGO

        self._axes = [axis for axis in problem.axes if axis.count > 1]
        self._problem = problem
        self._worst: tuple[float, ...] = ()
        self._failed: list[Any] = []
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._space = ConfigurationSpace(seed=seed)
        for axis in self._axes:
            self._space.add(
                IntegerHyperparameter(axis.name, 0, axis.count - 1)
                if axis.ordinal
                else CategoricalHyperparameter(axis.name, list(range(axis.count)))
            )
        scenario = Scenario(
            self._space,
            objectives=["error", "cost"],
            deterministic=True,
            n_trials=TRIALS,
            seed=seed,
            output_directory=folder,
        )
        self._smac = HyperparameterOptimizationFacade(
            scenario,
            _never_called,
            multi_objective_algorithm=ParEGO(scenario),
            overwrite=True,
            logging_level=logging.ERROR,
        )

    def ask(self) -> tuple[Any, Point] | None:
        """Return a trial of SMAC and its point; None at the end of the space."""
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            info = self._smac.ask()
        except (ConfigurationSpaceExhaustedException, StopIteration):
            return None
        values = dict(info.config)
        return info, tuple(int(values.get(axis.name, 0)) for axis in self._problem.axes)

    def named(self, point: Point) -> Any:
        """Return a trial of SMAC with a point of ours."""
        from ConfigSpace import Configuration
        from smac.runhistory import TrialInfo

        levels = {a.name: n for a, n in zip(self._problem.axes, point, strict=True) if a.count > 1}
        return TrialInfo(Configuration(self._space, values=levels), seed=0)

    def tell(self, suggested: Any, values: tuple[float, float]) -> None:
        """Take the values of a trial."""
        from smac.runhistory import TrialValue

        self._worst = tuple(map(max, self._worst, values)) if self._worst else values
        self._smac.tell(suggested, TrialValue(cost=list(values)), save=False)
        for failed in self._failed:
            self.tell_failed(failed)
        self._failed.clear()

    def tell_failed(self, suggested: Any) -> None:
        """Take a trial for crashed, as bad as the worst so far: infinity it cannot scale."""
        from smac.runhistory import StatusType, TrialValue

        if not self._worst:
            self._failed.append(suggested)
            return
        value = TrialValue(cost=list(self._worst), status=StatusType.CRASHED)
        self._smac.tell(suggested, value, save=False)


def _never_called(config: Any, seed: int = 0) -> dict[str, float]:
    raise NotImplementedError(config, seed)  # it is asked and told
