"""Training of the weights that a whole space shares, and judging of networks by their slices."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from hrnet_search.arch.architecture import Architecture
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.evaluate.training.steps import Judgement, Steps, TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.shared import Places, SharedNetwork, places_of, unweighted
from hrnet_search.records.schedule import Schedule

DRAWS = 2
"""The stream of random numbers that draws which networks learn; the first two draw batches."""


class Strata:
    """Draws networks by cost: at each step one of each stratum, all of them as likely.

    `architectures` and their `macs` are in any order; strata hold as many each, from the
    cheapest to the most expensive. With a `teacher` the most expensive of all is a stratum of its
    own, drawn at each step. A draw is a pure function of the seed and the step.
    """

    def __init__(
        self,
        architectures: Sequence[Architecture],
        macs: Sequence[int],
        count: int,
        seed: int,
        teacher: bool = False,
    ) -> None:
        assert architectures, "there is something to draw"
        assert count > 1 or not teacher, "there are others to teach"
        order = np.array(sorted(range(len(macs)), key=lambda i: (macs[i], architectures[i].id)))
        count = min(count, len(order))
        if teacher and count > 1:
            parts = [*np.array_split(order[:-1], count - 1), order[-1:]]
        else:
            parts = np.array_split(order, count)
        self.strata: list[list[Architecture]] = [
            [architectures[i] for i in part.tolist()] for part in parts
        ]
        self._seed = seed

    def draw(self, step: int) -> list[Architecture]:
        """Return one network of each stratum, the cheapest first."""
        rng = np.random.default_rng([self._seed, DRAWS, step])
        return [stratum[int(rng.integers(len(stratum)))] for stratum in self.strata]


class SharedTrainer(Steps):
    """Shared weights on their way through a schedule: a step teaches one network a stratum.

    All networks of a step see the same batch, and their losses count alike. One is in memory at
    a time. With a `teacher_weight` the most expensive of them learns from the labels alone, and
    the others so much from what it says (in-place distillation, Yu and Huang 2019,
    arXiv:1903.05134). `judge` is of the slices of `judged`.
    """

    partial = True

    def __init__(
        self,
        shared: SharedNetwork,
        strata: Strata,
        judged: Architecture,
        data: TrainingData,
        schedule: Schedule,
        parts: int | None = None,
    ) -> None:
        super().__init__(shared, data, replace(schedule, compile=False), parts)
        self.shared, self.strata, self.judged = shared, strata, judged
        self._forms = _Forms(shared.classes)
        self._drops = any(network.has_ocr for part in strata.strata for network in part)

    def judge(self) -> Judgement:
        with self._descent.averaged():
            judged = judged_by_slices(self.shared, self.judged, self.data, self.schedule)
            own = dict(self.shared.named_parameters()) if self.schedule.ema else {}
            averages = {name: weight.detach().clone() for name, weight in own.items()}
        rung = replace(judged.rung, step=self.step, training_loss=self._training_loss())
        return replace(judged, rung=rung, judged=averages)

    def _gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        drawn = self.strata.draw(self.step)
        share, weight = 1 / len(drawn), self.schedule.teacher_weight
        if weight:
            *others, teacher = drawn
            said: list[Tensor] = []
            last = self._taught(teacher, images, labels, share, said=said)
            shares = [
                self._taught(other, images, labels, share, _of_parts(said, weight))
                for other in others
            ]
            found = torch.stack([*shares, last])
        else:
            found = torch.stack([self._taught(one, images, labels, share) for one in drawn])
        self.strata_losses = tuple((found / share).tolist())
        return found.sum()

    def _taught(
        self,
        architecture: Architecture,
        images: Tensor,
        labels: Tensor,
        weight: float,
        distillation: Distillation | None = None,
        said: list[Tensor] | None = None,
    ) -> Tensor:
        """Add a network's share of the gradients of a step, and return that of its loss.

        `said` takes its logits of each part.
        """
        network, places = self._forms.of(architecture)

        def forward(part: Tensor) -> Tensor | tuple[Tensor, ...]:
            found: Tensor | tuple[Tensor, ...]
            found = functional_call(network, self.shared.at(places), part)
            if said is not None:
                said.append((found[-1] if isinstance(found, tuple) else found).detach())
            return found

        aligned = architecture.align_corners
        return self._descend(forward, aligned, images, labels, weight, distillation)


def _of_parts(said: Sequence[Tensor], weight: float) -> Distillation:
    """Return what teaches by what was said of each part of a batch, in the order of the parts."""
    parts = iter(said)
    return Distillation(lambda _: next(parts), 1.0, weight)


class _Forms:
    """Networks without weights, to be called with slices, and the places of these slices.

    Such a network still takes megabytes. What it computes depends on the names of its weights and
    not on their channels, so one serves all networks that differ in channels alone.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._known: dict[Architecture, tuple[HighResolutionNet, Places]] = {}
        self._networks: dict[Hashable, HighResolutionNet] = {}

    def of(self, architecture: Architecture) -> tuple[HighResolutionNet, Places]:
        if architecture not in self._known:
            network = unweighted(architecture, self._classes)
            places = places_of(network)
            key = (*places, architecture.final_kernel, architecture.align_corners)
            self._known[architecture] = self._networks.setdefault(key, network), places
        return self._known[architecture]


def with_slices(shared: SharedNetwork, architecture: Architecture) -> HighResolutionNet:
    """Return a network that starts from copies of its slices, on the CPU or where they are.

    Its batch-norm statistics are those of a new network: they have seen nothing.
    """
    device = next(shared.parameters()).device
    with torch.random.fork_rng(devices=[]):
        network = build(architecture, shared.classes).to(device)
    shared.start(network)
    return network


def judged_by_slices(
    shared: SharedNetwork, architecture: Architecture, data: TrainingData, schedule: Schedule
) -> Judgement:
    """Judge a network by its slices, without any training of its own.

    Its batch-norm statistics are those of 64 training images, as in every judgement.
    """
    alone = replace(schedule, ema=0.0, compile=False)
    return Trainer(with_slices(shared, architecture), data, alone).judge()
