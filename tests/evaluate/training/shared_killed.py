"""Training of shared weights, killed at random moments; `python shared_killed.py FOLDER KILLS`.

Each attempt is a process of its own, forked so that none has to load torch again. Prints at which
step each was killed, and last that weights and rungs are those of a training that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch._dynamo
from evaluate.training.test_shared_trial import together
from safetensors.numpy import load_file

from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialTask

FORK = multiprocessing.get_context("fork")
STEPS = 120


def main(folder: Path, kills: int) -> None:
    """Train twice, once with kills, and compare all that is left."""
    whole, killed = task(folder / "whole"), task(folder / "killed")
    _run(whole, None, 0.0)
    moments = random.Random(1)
    for number in range(kills):
        code, step = _run(killed, moments.randrange(9), moments.uniform(0, 0.03))
        print(f"kill {number}: {code} at step {step}", flush=True)
        assert code in (0, -signal.SIGKILL), code
    assert _run(killed, None, 0.0)[0] == 0
    one, other = (load_file(path(t)) for t in (whole, killed))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    print("all the same")


def task(folder: Path) -> TrialTask:
    folder.mkdir(parents=True, exist_ok=True)
    found = together(folder)
    schedule = replace(found.schedule, steps=STEPS, ema=0.9)
    key = TrialKey(found.key.architecture, schedule.id, 0)
    return replace(found, schedule=schedule, key=key, rungs=(STEPS // 2, STEPS))


def path(one: TrialTask) -> Path:
    return Path(one.folder, "weights", f"{one.key}.safetensors")


def _run(one: TrialTask, most: int | None, later_s: float) -> tuple[int, int]:
    """Train in a process, killed `later_s` after up to `most` steps; return its exit and step."""
    seen = FORK.Value("i", 0)
    enough = FORK.Event()

    def report(progress: TrialProgress) -> bool:
        seen.value = progress.step
        if most is not None and progress.phase == "train":
            left[0] -= 1
            if left[0] <= 0:
                enough.set()
        return True

    def train() -> None:
        torch.set_num_threads(1)
        result = Worker(checkpoint_s=0).run(one, report)
        os._exit(0 if result.status == "completed" else 1)

    left = [most or 0]
    process = FORK.Process(target=train)
    process.start()
    if most is not None:
        while process.is_alive() and not enough.wait(0.01):
            pass
        process.join(later_s)
        if process.is_alive() and process.pid:
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode or 0, seen.value


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
