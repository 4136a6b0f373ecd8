"""What the drivers cost: overhead of Ray, the driver's own time, large studies, many workers.

    python benchmarks/driver.py overhead [--trials 200] [--workers 2] [--seconds 1]
    python benchmarks/driver.py own [--trials 1000]
    python benchmarks/driver.py scale [--trials 10000] [--workers 64]

`overhead`: trials that sleep on a private Ray, against trials x seconds / workers, after Ray is up.
`own`: tell, store and mirrors (MLflow in a SQLite file) for each trial, without the asks.
`scale`: a study of many finished trials is opened, and simulated workers finish more in turn.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

# In place of this folder, whose search.py would hide the tests' folder of that name.
sys.path[0] = str(Path(__file__).parents[1] / "tests")

from made_up import network, result
from search.made_up_trials import run_made_up
from search.tabulated import plan

from hrnet_search.records.trial import COMPLETED, TrialKey, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.mirrors.outbox import Outbox
from hrnet_search.search.ray_tune.cluster import Resources, private_cluster
from hrnet_search.search.ray_tune.driver import run_on_ray
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

LARGE = SearchSpace(
    network(8),
    (
        Choice("width", tuple(range(4, 68, 2))),
        Choice("STAGE2.NUM_MODULES", (1, 2, 3, 4)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3, 4, 5, 6)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3, 4, 5, 6)),
        Choice("STAGE4.FUSE_METHOD", ("SUM", "CAT")),
        Choice("FINAL_CONV_KERNEL", (1, 3)),
    ),
    input_size=(64, 64),
    classes=8,
)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Makes what runs trials of some seconds."""

    seconds: float

    def __call__(self) -> Callable[[TrialTask, Callable[[TrialProgress], bool]], TrialResult]:
        return self.run

    def run(self, task: TrialTask, report: Callable[[TrialProgress], bool]) -> TrialResult:
        time.sleep(self.seconds)
        return run_made_up(task, report)


def create(folder: Path, tracking: dict[str, str]) -> None:
    notes = Notes(
        name=folder.name,
        study_id="b",
        objectives=("miou", "macs"),
        choices=tuple(c.path for c in LARGE.choices),
        levels=tuple(c.values for c in LARGE.choices),
        tracking=tracking,
    )
    StudyStore.create(folder, notes)


def overhead(folder: Path, trials: int, workers: int, seconds: float) -> None:
    create(folder / "study", {})
    planned = replace(plan("random", trials), space=LARGE)
    with StudyStore(folder / "study") as store, private_cluster(workers, 0, folder) as ray:
        brain = Brain(planned, store, None)
        start = time.monotonic()
        run_on_ray(brain, Sleep(seconds), ray, workers, Resources())
        taken = time.monotonic() - start
    completed = int((open_study(folder / "study").results().status == COMPLETED).sum())
    if completed < 0.8 * trials:  # one in sixteen is made to fail
        raise SystemExit(f"{completed} of {trials} trials completed: workers die")
    ideal = trials * seconds / workers
    print(f"{trials} trials of {seconds} s on {workers} workers: {taken:.1f} s", end="")
    print(f", {taken / ideal - 1:.1%} over {ideal:.0f} s")


def own(folder: Path, trials: int) -> None:
    create(folder / "study", {"mlflow": "auto"})
    planned = replace(plan("random", trials), space=LARGE)
    times = []
    with StudyStore(folder / "study") as store, Outbox(folder / "study", print) as box:
        brain = Brain(planned, store, None)
        while (task := brain.ask()) is not None:
            found = run_made_up(task, lambda _: True)
            start = time.perf_counter()
            for rung in found.rungs:
                brain.report(task.number, TrialProgress("evaluate", rung.step, 10, rung=rung))
            brain.tell(task.number, found)
            box.ended(task, found)
            times.append(time.perf_counter() - start)
        start = time.monotonic()
    print(f"the driver's own time a trial, asks aside, {_quantiles(times)}")
    print(f"  at the last 100 of {len(times)} trials: {_quantiles(times[-100:])}")
    print(f"  mirrors were whole {time.monotonic() - start:.1f} s after the last trial")


def scale(folder: Path, trials: int, workers: int) -> None:
    create(folder / "study", {})
    planned = replace(plan("random", trials + 40 * workers), space=LARGE)
    _fill(folder / "study", trials, planned.schedule.id)
    gc.collect()
    start = time.perf_counter()
    with ExitStack() as stack:
        store = stack.enter_context(StudyStore(folder / "study"))
        brain = Brain(planned, store, None)
        opened = time.perf_counter() - start
        start = time.perf_counter()
        rows = len(open_study(folder / "study").results())
        read = time.perf_counter() - start
        stored = _simulate(brain, workers, 20 * workers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{trials} finished trials: the driver opens in {opened:.2f} s", end="")
    print(f", results() of {rows} rows in {read:.2f} s")
    print(f"{workers} simulated workers: a result is stored in {_quantiles(stored)}")
    print(f"largest resident size {peak:.2f} GB")


def _simulate(brain: Brain, workers: int, count: int) -> list[float]:
    """Have workers finish trials in turn, each asking for its next; return the times of tells."""
    running = [task for _ in range(workers) if (task := brain.ask())]
    times = []
    for _ in range(count):
        task = running.pop(0)
        found = run_made_up(task, lambda _: True)
        start = time.perf_counter()
        brain.tell(task.number, found)
        times.append(time.perf_counter() - start)
        if (following := brain.ask()) is not None:
            running.append(following)
    return times


def _fill(folder: Path, trials: int, schedule: str) -> None:
    """Write finished trials without waiting for the disk; what is timed comes later."""
    rng = np.random.default_rng(0)
    seen: set[str] = set()
    with StudyStore(folder) as store:
        store._connection.execute("PRAGMA synchronous = OFF")
        while len(seen) < trials:
            point = tuple(int(rng.integers(len(c.values))) for c in LARGE.choices)
            architecture = LARGE.decode(point)
            if architecture.id in seen:
                continue
            number = len(seen)
            seen.add(architecture.id)
            key = TrialKey(architecture.id, schedule, 0)
            store.ask(Ask(number, key, point, architecture))
            store.finish(number, replace(result(number % 90), key=key, status=COMPLETED))


def _quantiles(seconds: list[float]) -> str:
    median, high = (1000 * float(np.quantile(seconds, q)) for q in (0.5, 0.99))
    return f"median {median:.1f} ms, p99 {high:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("overhead", "own", "scale"))
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    tests = str(Path(__file__).parents[1] / "tests")
    paths = (tests, os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # for workers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "overhead":
            overhead(folder, options.trials or 200, options.workers or 2, options.seconds)
        elif options.what == "own":
            own(folder, options.trials or 1000)
        else:
            scale(folder, options.trials or 10_000, options.workers or 64)


if __name__ == "__main__":
    main()
