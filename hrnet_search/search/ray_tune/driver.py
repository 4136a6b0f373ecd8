"""Run a brain's trials as Ray Tune trials: a driver beside the inline one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ray import tune

from hrnet_search.errors import warn_on_stderr
from hrnet_search.records.search_options import HANG_S
from hrnet_search.search.driver import Asking, Listener
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.cluster import Cluster, Resources
from hrnet_search.search.ray_tune.conductor import (
    BrainScheduler,
    BrainSearcher,
    Conductor,
    LeaveInTime,
)
from hrnet_search.search.ray_tune.job import Courier, Job
from hrnet_search.search.ray_tune.storage import Storage
from hrnet_search.search.ray_tune.watch import Watch
from hrnet_search.search.ray_tune.worker import Run, TrialActor

TUNE = "tune"

T = TypeVar("T")


class RayDriver:
    """Runs a study's trials on a cluster, up to `workers` at once, each with `resources`."""

    def __init__(
        self,
        cluster: Cluster,
        workers: int,
        resources: Resources,
        job: Job,
        interrupt: Interrupt,
        folder: Path,
        hang_s: float = HANG_S,
        say: Callable[[str], None] = warn_on_stderr,
    ) -> None:
        self._hang_s, self._say = hang_s, say
        self._cluster, self._workers, self._resources = cluster, workers, resources
        self._job, self._interrupt, self._folder = job, interrupt, folder

    def call(self, measure: Callable[[], T]) -> T:
        """Measure where a trial could run."""
        return self._cluster.call(self._resources, measure)

    def run(self, brain: Asking, listeners: Sequence[Listener] = ()) -> None:
        """Run trials until the brain has no more."""
        courier = None
        if self._job.storage:
            courier = Courier(Storage(self._job.storage), self._job.study, self._folder)
        run_on_ray(
            brain,
            self._job,
            self._cluster,
            self._workers,
            self._resources,
            listeners,
            self._interrupt,
            courier,
            self._hang_s,
            self._say,
        )


def run_on_ray(
    brain: Asking,
    make_run: Callable[[], Run],
    cluster: Cluster,
    workers: int,
    resources: Resources,
    listeners: Sequence[Listener] = (),
    interrupt: Interrupt | None = None,
    courier: Courier | None = None,
    hang_s: float = HANG_S,
    say: Callable[[str], None] = warn_on_stderr,
) -> None:
    """Run trials, at most `workers` at a time, until the brain has no more.

    `make_run` is called once in each worker process. What the brain or a listener raises ends
    the study where it is; so does an interruption, with KeyboardInterrupt once the running
    trials have saved where they are. Without a `courier` workers see the study folder. A worker
    without a sign of life for `hang_s` seconds, or ten times the longest step, is ended.
    """
    interrupt = interrupt or Interrupt()
    watch = Watch(cluster, hang_s)
    conductor = Conductor(brain, workers, listeners, interrupt, courier, watch, say)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(workers)
    trainable = tune.with_parameters(TrialActor, make_run=make_run)
    tuner = tune.Tuner(
        tune.with_resources(trainable, _placement(resources)),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=BrainSearcher(conductor),
            scheduler=BrainScheduler(conductor),
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            storage_path=str(cluster.temporary / TUNE),
            name=TUNE,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            stop=LeaveInTime(conductor),
        ),
    )
    try:
        tuner.fit()
    except BaseException:  # Ray's own, for a part of it that died, may even be SystemExit
        if conductor.error is None:
            cluster.check()
            raise
    if conductor.error is not None:
        raise conductor.error
    interrupt.check()


def _placement(resources: Resources) -> tune.PlacementGroupFactory:
    labels = {"bundle_label_selector": [resources.selector]} if resources.selector else {}
    return tune.PlacementGroupFactory([resources.bundle], **labels)
