"""A worker of Ray Train: its share of a training, and word of it to the driver."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.train.torch import get_device

from hrnet_search.errors import HrnetSearchError
from hrnet_search.evaluate.training.ranks import Ranks
from hrnet_search.records.trial import TrialProgress
from hrnet_search.trainings.plan import Plan
from hrnet_search.trainings.process import OutOfMemoryError, train_share
from hrnet_search.trainings.run import WRITER, held

JOB = "job"
EVERY_S = 0.5
"""Seconds between two steps of which the driver hears."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker does; `desk` is the handle of the actor that the driver listens to."""

    plan: Plan
    folder: Path
    checkpoint_s: float
    desk: Any


def work(config: dict[str, Job]) -> None:
    """Train this worker's share. What ends the training for good is left at the desk."""
    job, ranks = config[JOB], Ranks.here()
    with suppress(OSError):  # it leads a group already
        os.setpgid(0, 0)  # Ctrl-C in a terminal is the driver's
    parts = ranks.of_first(ray.get(job.desk.begin.remote()) if ranks.rank == 0 else None)
    if parts is None:
        return
    try:
        if ranks.rank == 0:
            with held(job.folder / WRITER, wait=True):  # one that was left behind may still write
                _train(job, ranks, parts)
        else:
            _train(job, ranks, parts)
    except KeyboardInterrupt:
        ray.get(job.desk.left.remote())
    except HrnetSearchError as error:
        ray.get(job.desk.failed.remote(error))
        raise
    except OutOfMemoryError as error:
        ray.get(job.desk.out_of_memory.remote(str(error)))
        raise


def _train(job: Job, ranks: Ranks, parts: int) -> None:
    first_here = ray.train.get_context().get_local_rank() == 0
    train_share(
        job.plan,
        str(get_device()),
        job.folder,
        Messenger(job.desk, ranks),
        ranks,
        first_here,
        parts,
        job.checkpoint_s,
    )


class Messenger:
    """Tells the driver how far the training is, and has all workers leave after the same step."""

    def __init__(self, desk: Any, ranks: Ranks) -> None:
        self._desk, self._ranks = desk, ranks
        self._said, self._leaving = 0.0, False
        self._answers: list[Any] = []

    def __call__(self, progress: TrialProgress) -> None:
        """Raise KeyboardInterrupt in all workers if the driver asks the first to leave."""
        if self._ranks.rank == 0:
            self._hear()
            self._say(progress)
        if self._ranks.any(self._leaving):
            raise KeyboardInterrupt

    def _say(self, progress: TrialProgress) -> None:
        now = time.monotonic()
        last = progress.step == progress.steps
        if progress.rung is None and now - self._said < EVERY_S and not last:
            return
        self._said = now
        self._answers.append(self._desk.say.remote(progress))

    def _hear(self) -> None:
        if not self._answers:
            return
        there, self._answers = ray.wait(self._answers, num_returns=len(self._answers), timeout=0)
        self._leaving = self._leaving or any(ray.get(there))
