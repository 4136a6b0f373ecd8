"""Drivers on Ray whose trials train nothing.

Run as a script it is a driver to be killed or interrupted:
`python simulated.py STUDY WORKERS TRIALS SECONDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from search.ray_tune.jobs import Simulated
from search.tabulated import plan

from hrnet_search.records.search_options import HANG_S
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Listener
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.plan import Plan
from hrnet_search.search.ray_tune.cluster import Cluster, Resources, private_cluster
from hrnet_search.search.ray_tune.driver import run_on_ray
from hrnet_search.search.ray_tune.worker import Run
from hrnet_search.search.run import budget_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore


def create(folder: Path, planned: Plan) -> None:
    if not (folder / "study.db").exists():
        schedule = NotedSchedule.of(planned.schedule)
        notes = Notes(name="simulated", objectives=("miou", "macs"), schedule=schedule)
        StudyStore.create(folder, notes)


def drive_on(
    cluster: Cluster,
    folder: Path,
    planned: Plan,
    workers: int,
    run: Callable[[], Run],
    listeners: Sequence[Listener] = (),
    interrupt: Interrupt | None = None,
    hang_s: float = HANG_S,
) -> Brain:
    create(folder, planned)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None, time=budget_of(planned, store))
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
