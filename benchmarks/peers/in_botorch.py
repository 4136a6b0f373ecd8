"""BoTorch as a sampler: its default model, qLogNEHVI, and the exact cost as a known objective."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

from hrnet_search.pareto import non_dominated
from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.samplers.history import History, Observation

START = 20
"""Most random points before there is a model: as many as `pareto` spreads over the space."""

CANDIDATES = 1024
"""Random points that it chooses from, beside the neighbours of what is best so far."""

ITERATIONS = 60
"""Of a fit, where the library would take 2,000: from 80 trainings of the HRNet-shaped problem and
NAS-Bench-201 it ranks the others as well (tau .84 and .55, not .79 and .55), in 2 s, not 24."""

PART = 128
"""Candidates whose gains are worked out at once."""


class BoTorch:
    """qLogNEHVI of a model of accuracy and the exact cost, over points that are valid and new.

    The model is the library's default, `SingleTaskGP`, on levels scaled to 0..1, those of a nominal
    axis a column each (`MixedSingleTaskGP` needs 10 s for 20 points of nine axes). The start is
    of 2 (d + 1) random points, as in its tutorials, START at most. Its own optimiser over
    discrete choices knows nothing of what is valid, so it chooses from a list.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        del seed  # each proposal is seeded anew
        self._problem = problem

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Offer a list of points, the one that promises the greatest gain first."""
        known = history.seen()
        if len(known) < min(2 * (len(self._problem.axes) + 1), START):
            return
        listed = self._listed(history, known, rng)
        if not len(listed):
            return
        torch.manual_seed(int(rng.integers(1 << 31)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield listed[np.argsort(-self._gains(listed, known), kind="stable")]

    def _listed(
        self, history: History, known: list[Observation], rng: np.random.Generator
    ) -> Points:
        points = np.array([o.point for o in known], dtype=np.int64)
        accuracies = [o.accuracy for o in known]
        seen = np.column_stack([accuracies, self._log_costs(points)])
        near = self._problem.neighbours(points[non_dominated(seen, ("max", "min"))])
        listed = (*history.draw(rng, CANDIDATES), *history.fresh(near))
        return np.array(list(dict.fromkeys(listed)), dtype=np.int64)

    def _gains(self, listed: Points, known: list[Observation]) -> Floats:
        from botorch import fit_gpytorch_mll
        from botorch.acquisition.multi_objective.logei import (
            qLogNoisyExpectedHypervolumeImprovement,
        )
        from botorch.models import SingleTaskGP
        from botorch.models.deterministic import GenericDeterministicModel
        from botorch.models.model import ModelList
        from botorch.models.transforms.input import FilterFeatures
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = self._columns(np.array([o.point for o in known], dtype=np.int64))
        y = torch.tensor([[o.accuracy] for o in known], dtype=torch.float64)
        without_cost = FilterFeatures(torch.arange(x.shape[1] - 1))
        model = SingleTaskGP(x, y, input_transform=without_cost)
        fit_gpytorch_mll(
            ExactMarginalLogLikelihood(model.likelihood, model),
            optimizer_kwargs={"options": {"maxiter": ITERATIONS}},
        )
        values = torch.cat([y, x[:, -1:]], dim=1)
        low, high = values.amin(0), values.amax(0)
        gain = qLogNoisyExpectedHypervolumeImprovement(
            ModelList(model, GenericDeterministicModel(lambda x: x[..., -1:])),
            ref_point=low - 0.1 * (high - low),
            X_baseline=x,
            prune_baseline=True,
        )
        with torch.no_grad():
            gains = [gain(part) for part in torch.split(self._columns(listed)[:, None], PART)]
        return np.asarray(torch.cat(gains).numpy(), dtype=np.float64)

    def _columns(self, points: Points) -> torch.Tensor:
        """Return what tells points apart, [n, k + 1]; the last column is minus the log cost."""
        columns = []
        for k, axis in enumerate(self._problem.axes):
            levels = points[:, k, None]
            if axis.ordinal or axis.count < 3:
                columns.append(levels / max(axis.count - 1, 1))
            else:
                columns.append((levels == np.arange(axis.count)).astype(np.float64))
        columns.append(-self._log_costs(points)[:, None])
        return torch.from_numpy(np.hstack(columns))

    def _log_costs(self, points: Points) -> Floats:
        costs = np.asarray(self._problem.cost(points), dtype=np.float64)
        return np.asarray(np.log(costs[:, 0]))
