"""A trial that is killed at a random moment and goes on; `python killed_trial.py FOLDER`.

Each attempt is a process of its own, forked so that none has to load torch again. Prints how often
three reported: one that nobody disturbed, one that was killed, and one that went on with that.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch._dynamo
from evaluate.training.test_trial import SCHEDULE, task

from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.trial import TrialProgress

FORK = multiprocessing.get_context("fork")
STEPS = 12


def main(folder: Path) -> None:
    straight = train(folder / "straight")
    killed = train(folder / "killed", after=1 + random.randint(2, 6))
    went_on = train(folder / "killed")
    assert matrices(folder / "killed") == matrices(folder / "straight")
    print(straight, killed, went_on)


def train(folder: Path, after: int = 0) -> int:
    """Train in a process, killed somewhere in the step behind so many reports, or while what it
    left is written; return how often it reported."""
    folder.mkdir(exist_ok=True)  # the study's: whoever trains in it does not make it
    reports = multiprocessing.RawValue("i", 0)  # a lock would stay with who is killed

    def report(_: TrialProgress) -> bool:
        reports.value += 1
        return True

    def run() -> None:
        torch.set_num_threads(1)
        schedule = replace(SCHEDULE, steps=STEPS)
        one = task(folder, schedule=schedule, rungs=(STEPS // 2, STEPS))
        os._exit(Worker(checkpoint_s=0).run(one, report).status != "completed")

    process = FORK.Process(target=run)
    process.start()
    while after and reports.value < after and process.is_alive():
        time.sleep(0.001)
    if after:
        time.sleep(random.uniform(0, 0.05))
        process.kill()
    process.join()
    assert bool(process.exitcode) == bool(after)
    return int(reports.value)


def matrices(folder: Path) -> list[Any]:
    (file,) = (folder / "evaluation").glob("*.npz")
    with np.load(file) as kept:
        return [kept[name].tolist() for name in ("confusions", "preview_predicted")]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
