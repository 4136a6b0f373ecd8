"""The driver of a training that many workers do together, by Ray Train."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from hrnet_search.arch.memory import training_memory
from hrnet_search.errors import ClusterLostError, Fault, InputError, one_line, shown
from hrnet_search.evaluate.machine.devices import gpu_count
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.cluster import Cluster, Resources
from hrnet_search.search.ray_tune.nodes import LEAST_MEMORY, PROCESS, Asked, settle_together
from hrnet_search.search.ray_tune.open_driver import opened, stated
from hrnet_search.store.trainings import TrainingResults, read_results
from hrnet_search.trainings.desk import Desk
from hrnet_search.trainings.plan import Plan
from hrnet_search.trainings.view import Watch
from hrnet_search.trainings.worker import JOB, Job, work

LOOK_S = 0.25
"""Seconds between two looks at what the workers have said."""

NEVER_S = 10**7
"""Workers wait for each other however long one decodes, judges or writes; of one that died Ray
knows, and starts all anew."""

MOST_STARTS_LOST = 3
"""Starts that Ray may fail at in a row, for want of room or of time."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How many train together, and in which cluster; without an address in one of their own."""

    count: int = 1
    address: str = ""

    def check(self, plan: Plan) -> None:
        """Raise InputError where they could not train, or some would have no image of a part."""
        if type(self.count) is not int or self.count < 1:
            wrong = f"{shown(self.count)} is not a count"
            raise InputError(Fault("--workers", self.count, wrong, "from 1"))
        if plan.device.startswith("cuda:") and plan.device[5:].isdigit():
            wrong = f"{plan.device} is a GPU of one machine, and Ray hands out GPUs"
            raise InputError(Fault("--device", plan.device, wrong, "auto, cpu, cuda"))
        schedule = plan.record.schedule.schedule
        least = least_part(schedule.batch, schedule.accumulate)
        if self.count > least:
            parts = f" in {schedule.accumulate} parts" if schedule.accumulate > 1 else ""
            wrong = (
                f"a batch of {schedule.batch}{parts} has no image for some of {self.count} workers"
            )
            raise InputError(Fault("--workers", self.count, wrong, f"at most {least}"))


def least_part(batch: int, parts: int) -> int:
    """Return how many images the smallest part of a batch has."""
    length = -(-batch // parts)
    return batch % length or length


def train_together(
    plan: Plan,
    folder: Path,
    workers: Workers,
    watch: Watch,
    interrupt: Interrupt,
    say: Callable[[str], None],
    checkpoint_s: float,
) -> TrainingResults:
    """Train what a plan says in `folder`, by workers that do together what one would.

    Raise InputError for what is not there, ClusterLostError, what a worker could not go on with,
    and KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    asked = Asked(workers.count, address=workers.address, memory=_memory(plan, workers.count))
    less = "fewer --workers, or --accumulate N"
    with opened(asked, folder, say, less) as cluster:
        resources = settle_together(cluster, asked, folder, plan.device)
        say(stated(asked, resources))
        schedule = plan.record.schedule.schedule
        parts = schedule.accumulate
        room = least_part(schedule.batch, 2 * parts) if 2 * parts <= schedule.batch else 0
        most = 2 * parts if room >= workers.count else parts
        desk = ray.remote(Desk).options(num_cpus=0).remote(parts, most)
        job = Job(plan, folder, checkpoint_s, desk)
        _Run(cluster, workers, resources, job).follow(watch, interrupt)
    return read_results(folder)


def _memory(plan: Plan, workers: int) -> int:
    """Estimate the bytes of this machine's memory that a worker uses at most."""
    if plan.device not in ("cpu", "auto") or (plan.device == "auto" and gpu_count()):
        return LEAST_MEMORY
    schedule = plan.record.schedule.schedule
    images = -(-schedule.batch // (schedule.accumulate * workers))
    need = training_memory(plan.record.architecture, schedule.crop, schedule.data.classes, images)
    return max(LEAST_MEMORY, PROCESS + need)


class _Run:
    """A run of Ray Train, in a thread beside the one that signals interrupt."""

    def __init__(self, cluster: Cluster, workers: Workers, resources: Resources, job: Job) -> None:
        self._cluster, self._desk = cluster, job.desk
        self._error: Exception | None = None
        self._trainer = TorchTrainer(
            work,
            train_loop_config={JOB: job},
            torch_config=TorchConfig(
                backend="cpu:gloo,cuda:nccl" if resources.gpus else "gloo", timeout_s=NEVER_S
            ),
            scaling_config=ScalingConfig(
                num_workers=workers.count,
                use_gpu=resources.gpus > 0,
                resources_per_worker=resources.bundle,
            ),
            run_config=RunConfig(
                name="train",
                storage_path=str(cluster.temporary / "train"),
                # Our own count of starts that came no further says when it is enough.
                failure_config=FailureConfig(
                    max_failures=-1, controller_failure_limit=MOST_STARTS_LOST
                ),
            ),
        )
        self._thread = threading.Thread(target=self._fit, daemon=True)

    def follow(self, watch: Watch, interrupt: Interrupt) -> None:
        """Show how far it is until it ends; raise what ended it before its end."""
        self._thread.start()
        asked = False
        while self._thread.is_alive():
            self._thread.join(LOOK_S)
            self._cluster.check()
            if interrupt.asked and not asked:
                asked = True
                self._tell("leave")
            for progress in self._tell("heard"):
                watch.took(progress)
        for progress in self._tell("heard"):
            watch.took(progress)
        error, left = self._tell("ending")
        if error:
            raise error
        if self._error:
            why = one_line(self._error)[:300]
            raise ClusterLostError(f"Ray Train has ended ({why}); run the same command again")
        if left:
            raise KeyboardInterrupt

    def _tell(self, what: str) -> Any:
        try:
            return ray.get(getattr(self._desk, what).remote())
        except ray.exceptions.RayError as error:
            self._cluster.check()
            why = one_line(error)[:300]
            raise ClusterLostError(f"Ray has ended ({why}); run the same command again") from None

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:  # of many kinds; told where it is known what to do about it
            self._error = error
