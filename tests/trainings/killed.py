"""A training that is killed at random moments; `python killed.py CONFIG SPACE FOLDER KILLS`.

Each attempt is a process of its own, forked so that none has to load torch again. Every third is
asked to leave by Ctrl-C instead. Prints how each attempt ended, and last that all is as in a
training that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

from hrnet_search.cli import main as command
from hrnet_search.commands import terminal  # noqa: F401 -- all is loaded before processes are forked
from hrnet_search.trainings import run  # noqa: F401

INTERRUPTED = 130
LATEST_S = 1.0
FORK = multiprocessing.get_context("fork")


def main(config: Path, space: Path, folder: Path, kills: int) -> None:
    """Train twice, once with kills, and compare every file that a person would use."""
    words = [
        "train", str(config), "--data", str(space), "--epochs", "5", "--batch", "4",
        "--crop", "64", "64", "--base-size", "0", "--ema", "0.9", "--checkpoint-every", "0",
        "--judged", "2", "--seed", "3", "--plain", "--mlflow", "off",
    ]  # fmt: skip
    moments = random.Random(1)
    whole, killed = folder / "whole", folder / "killed"
    assert _ended(FORK.Process(target=_run, args=([*words, "-o", str(whole)],)), None) == 0
    done = 0
    while done < kills:
        process = FORK.Process(target=_run, args=([*words, "-o", str(killed)],))
        number = signal.SIGINT if done % 3 == 2 else signal.SIGKILL
        code = _ended(process, (moments.uniform(0, LATEST_S), number))
        print(f"attempt {done}: {code}", flush=True)
        # Ctrl-C before the command begins is Python's own business.
        assert code in (0, -number, INTERRUPTED if number == signal.SIGINT else -number, 1), code
        done += 1
    assert _ended(FORK.Process(target=_run, args=([*words, "-o", str(killed)],)), None) == 0
    _compare(whole, killed)
    print("all the same")


def _run(words: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(command(words))


def _ended(process: multiprocessing.process.BaseProcess, stop: tuple[float, int] | None) -> int:
    process.start()
    if stop is not None:
        process.join(stop[0])
        if process.is_alive() and process.pid:
            os.kill(process.pid, stop[1])
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
