"""A training that is killed at random moments; `python killed.py CONFIG SPACE FOLDER KILLS`.

Each attempt is a process of its own, forked so that none has to load torch again. It ends itself at
a random moment after a random step, so that every one is hit while it trains. Every third is
asked to leave by Ctrl-C instead. Prints how each attempt ended, and last that all is as in a
training that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 -- torch loads it with the first step, in each fork
from safetensors.numpy import load_file

from hrnet_search.cli import main as command
from hrnet_search.commands import terminal  # noqa: F401 -- all is loaded before processes are forked
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.trainings import run  # noqa: F401

INTERRUPTED = 130
STEPS_AN_EPOCH = 3
FEW = 2
"""Checkpoints, one a step, that an attempt makes at most before the step in which it ends."""

EARLY_S = 0.3
"""Of this time one that ends before its first checkpoint ends within."""

FORK = multiprocessing.get_context("fork")


def main(config: Path, space: Path, folder: Path, kills: int) -> None:
    """Train twice, once with kills, and compare every file that a person would use."""
    epochs = -(-kills * (FEW + 4) // STEPS_AN_EPOCH)  # more steps than the attempts take together
    words = [
        "train", str(config), "--data", str(space), "--epochs", str(epochs), "--batch", "4",
        "--crop", "64", "64", "--base-size", "0", "--ema", "0.9", "--checkpoint-every", "0",
        "--judged", "3", "--seed", "3", "--plain", "--mlflow", "off",
    ]  # fmt: skip
    moments = random.Random(1)
    whole, killed = folder / "whole", folder / "killed"
    assert _ended([*words, "-o", str(whole)], None) == 0
    for done in range(kills):
        number = signal.SIGINT if done % 3 == 2 else signal.SIGKILL
        end = End(number, moments.randint(0, FEW), moments.random())
        code = _ended([*words, "-o", str(killed)], end)
        print(f"attempt {done}: {code}", flush=True)
        # Ctrl-C before the command begins is Python's own business.
        assert code in ((-number, INTERRUPTED, 1) if number == signal.SIGINT else (-number,)), code
    assert _ended([*words, "-o", str(killed)], None) == 0
    _compare(whole, killed)
    print("all the same")


@dataclass
class End:
    """How a process ends: by which signal, after how many checkpoints, and at which part of the
    time that a step takes."""

    number: int
    after: int
    part: float

    def arm(self) -> None:
        """Have this process end so."""
        self._times = [time.monotonic()]
        if self.after == 0:
            threading.Timer(EARLY_S * self.part, self._now).start()
            return
        save = Checkpoints.save

        def counted(checkpoints: Checkpoints, content: dict[str, Any]) -> None:
            save(checkpoints, content)
            self._times.append(time.monotonic())
            if len(self._times) == self.after + 2:  # the first takes longer than a step
                step = self._times[-1] - self._times[-2]
                threading.Timer(2 * step * self.part, self._now).start()

        setattr(Checkpoints, "save", counted)  # noqa: B010 -- no assignment to a method

    def _now(self) -> None:
        os.kill(os.getpid(), self.number)


def _run(words: list[str], end: End | None) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if end:
        end.arm()
    sys.exit(command(words))


def _ended(words: list[str], end: End | None) -> int:
    process = FORK.Process(target=_run, args=(words, end))
    process.start()
    process.join()
    return process.exitcode or 0


def _compare(whole: Path, killed: Path) -> None:
    for name in ("weights/best.safetensors", "weights/last.safetensors"):
        one, other = load_file(whole / name), load_file(killed / name)
        assert one.keys() == other.keys()
        assert all((one[key] == other[key]).all() for key in one), name
    for path in ("curve.csv", "classes_best.csv", "confusion_last.csv", "training.json"):
        assert (whole / path).read_bytes() == (killed / path).read_bytes(), path
    left = [str(p) for p in killed.rglob("*") if p.name.endswith(".tmp")]
    assert left == [], left


if __name__ == "__main__":
    started = time.monotonic()
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)
