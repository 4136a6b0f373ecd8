"""Trials on Ray that train nothing: tabulated accuracies, with time, deaths and rungs on demand.

Run as a script it is a driver to be killed or interrupted:
`python simulated.py STUDY WORKERS TRIALS SECONDS`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.tabulated import plan, run_made_up

from hrnet_search.records import HANG_S, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.inline import Listener
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.plan import Plan
from hrnet_search.search.ray_tune.cluster import Cluster, Resources, private_cluster
from hrnet_search.search.ray_tune.driver import run_on_ray
from hrnet_search.search.study import Brain
from hrnet_search.store.writer import StudyStore

Report = Callable[[TrialProgress], bool]


@dataclass(frozen=True, slots=True)
class Simulated:
    """Makes what runs trials of some seconds, noting each start and end in `journal`."""

    journal: str
    seconds: float = 0.0

    def __call__(self) -> Callable[[TrialTask, Report], TrialResult]:
        return self.run

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        self.note("start", task)
        for step in range(1, 11):
            time.sleep(self.seconds / 10)
            report(TrialProgress("train", step, 10, 1.0))
        result = run_made_up(task, report)
        self.note("end", task)
        return result

    def note(self, what: str, task: TrialTask) -> None:
        with Path(self.journal).open("a") as file:
            file.write(f"{what} {task.number} {os.getpid()}\n")


def create(folder: Path, planned: Plan) -> None:
    if not (folder / "study.db").exists():
        schedule = json.dumps({"id": planned.schedule.id})
        meta = {"name": "simulated", "objectives": '["miou", "macs"]', "schedule": schedule}
        StudyStore.create(folder, meta)


def drive_on(
    cluster: Cluster,
    folder: Path,
    planned: Plan,
    workers: int,
    run: Callable[[], Callable[[TrialTask, Report], TrialResult]],
    listeners: Sequence[Listener] = (),
    interrupt: Interrupt | None = None,
    hang_s: float = HANG_S,
) -> Brain:
    create(folder, planned)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        resources = Resources(cpus=0.5)
        run_on_ray(brain, run, cluster, workers, resources, listeners, interrupt, None, hang_s)
    return brain


def main(folder: Path, workers: int, trials: int, seconds: float) -> int:
    job = Simulated(str(folder / "journal"), seconds)
    (folder / "logs").mkdir(parents=True, exist_ok=True)  # a driver has its study before its Ray
    try:
        with Interrupt() as interrupt, private_cluster(workers, 0, folder / "logs" / "ray") as ray:
            print("ready", file=sys.__stdout__, flush=True)
            planned = replace(plan("random", trials), folder=str(folder))
            drive_on(ray, folder, planned, workers, job, (), interrupt)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
