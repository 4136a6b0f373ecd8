"""A study on a disk that fills up at random moments; run as `python full_disk.py FOLDER MOMENTS`.

The system's limit on the size of files stands for the full disk: from one moment to the next no
write of the driver succeeds, be it of a trial, of study.db or of a log. Prints what stopped it each
time; the next driver finds room.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch._dynamo  # noqa: F401 - training loads it: once here, not in each driver
from made_up import TINY
from rich.console import Console

from hrnet_search.errors import StorageLostError
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.goals import Goals
from hrnet_search.progress import watching
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.deaths import Death
from hrnet_search.search.driver import Listener, run_inline
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

SPEC = DataSpec("shapes", classes=3, train_images=4, val_images=2, size=(32, 32))
SCHEDULE = Schedule(SPEC, steps=3, batch=2, crop=(32, 32))
TASK = TrialTask(
    0, TrialKey(TINY.id, SCHEDULE.id, 0), TINY, SCHEDULE, rungs=(1, 3), device="cpu", folder=""
)


TICKS = 9
"""Calls that a trial makes of its brain, about."""


class Disk:
    """Fills up at a call of `tick`; 0 for never."""

    def __init__(self, ticks: int) -> None:
        self._left = ticks

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


class Seeds:
    """One network with many seeds, in their order."""

    def __init__(self, store: StudyStore, seeds: int, disk: Disk) -> None:
        self.why_ended = ""
        self._store, self._seeds, self._disk = store, seeds, disk
        self._waiting = list(store.running())

    def ask(self) -> TrialTask | None:
        self._disk.tick()
        if not self._waiting:
            number = len(self._store.asks())
            if number == self._seeds:
                return None
            ask = Ask(number, replace(TASK.key, seed=number), (), TINY)
            self._store.ask(ask)
            self._waiting.append(ask)
        ask = self._waiting.pop(0)
        return replace(TASK, number=ask.number, key=ask.key, folder=str(self._store.folder))

    def report(self, number: int, progress: TrialProgress) -> bool:
        self._disk.tick()
        if progress.rung is not None:
            self._store.rung(number, progress.rung)
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        self._disk.tick()
        return self._store.finish(number, result)

    def give_back(self, number: int, death: Death) -> TrialResult | None:
        raise AssertionError(death.reason)


def main(folder: Path, moments: int, seeds: int) -> None:
    """Fill the disk `moments` times while `seeds` trials run; all of them have to complete."""
    StudyStore.create(folder, Notes(objectives=("miou", "macs")))
    rng, processes = random.Random(moments), multiprocessing.get_context("fork")
    for left in range(moments, -1, -1):
        ticks = rng.randint(1, 2 * TICKS * seeds // moments) if left else 0
        driver = processes.Process(target=_drive, args=(folder, seeds, Disk(ticks)))
        driver.start()
        driver.join()
        assert driver.exitcode in (0, StorageLostError.exit_code), driver.exitcode
    with StudyStore(folder) as store:
        results = dict(store.finished())
    for number in range(seeds):
        alone = Worker().run(replace(TASK, key=replace(TASK.key, seed=number)), lambda _: True)
        assert results[number].status == "completed", results[number]
        assert results[number].rungs == alone.rungs
        for name in ("weights", "evaluation"):
            assert list((folder / name).glob(f"{alone.key}.*")), name
    assert not list((folder / "checkpoints").iterdir())
    assert not list(folder.rglob("*.tmp"))
    print("all completed")


def _drive(folder: Path, seeds: int, disk: Disk) -> None:
    with Path(os.devnull).open("w") as nowhere:
        try:
            _run(folder, seeds, disk, Console(file=nowhere))
        except StorageLostError as error:
            print(error, flush=True)
            sys.exit(error.exit_code)


def _run(folder: Path, seeds: int, disk: Disk, console: Console) -> None:
    with StudyStore(folder) as store:
        already: Sequence[tuple[int, TrialResult]] = store.finished()
        with watching(
            folder, seeds, Goals.of(["miou", "macs"]), already, console, live=False
        ) as views:
            listeners: list[Listener] = [*views]
            run_inline(Seeds(store, seeds, disk), Worker(checkpoint_s=0).run, listeners)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
