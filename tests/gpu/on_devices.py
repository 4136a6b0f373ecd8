"""Small trials and trainings on a device: what the tests of this folder run.

Most tests take a device, so that all but the GPU itself is tested wherever they run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up import TINY
from torch import Tensor, nn

from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialResult, TrialTask

ON_GPU = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = ["cpu", ON_GPU]
SLOW_DEVICES = [pytest.param("cpu", marks=pytest.mark.bench), ON_GPU]
"""For what takes long on a CPU, where other tests show the same of it."""

SPEC = DataSpec("shapes", classes=3, train_images=8, val_images=4, size=(32, 32))
SCHEDULE = Schedule(SPEC, steps=6, batch=4, crop=(32, 32))
LATENCY = LatencySpec(size=(32, 32), seconds=0.2, threads=1)


def always(_: TrialProgress) -> bool:
    return True


def task(device: str, folder: Path | str = "", **changed: Any) -> TrialTask:
    """Return a trial of a tiny network, judged in the middle and at its end."""
    schedule = changed.pop("schedule", SCHEDULE)
    architecture = changed.pop("architecture", TINY)
    key = TrialKey(architecture.id, schedule.id, changed.pop("seed", 0))
    rungs = (schedule.steps // 2, schedule.steps)
    one = TrialTask(0, key, architecture, schedule, rungs, device=device, folder=str(folder))
    return replace(one, **changed)


def result_of(given: TrialTask) -> TrialResult:
    """Run a trial in this process; for a process of its own, too."""
    return Worker().run(given, always)


def network(device: str, seed: int = 0) -> HighResolutionNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(TINY, 3).to(device)


def quadrants(seed: int, device: str) -> tuple[Tensor, Tensor]:
    """Return 4 images [4, 3, 32, 32] whose quadrants have a class each, by colour, and labels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (4, 2, 2), generator=generator)
    labels = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2)
    images = nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * 2.0
    images = images + 0.1 * torch.randn(images.shape, generator=generator)
    return images.to(device), labels.to(device)


def trainer(device: str, **changed: Any) -> Trainer:
    """Return a training of the tiny network on quadrants."""

    def batch(step: int) -> tuple[Tensor, Tensor]:
        return quadrants(step, device)

    data = TrainingData(batch, lambda: [(*quadrants(999, device), range(4))], images=4)
    return Trainer(network(device), data, replace(SCHEDULE, **{"lr": 0.02, **changed}))
