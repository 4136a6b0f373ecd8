"""A training that is killed goes on to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def run_killed(config: Path, space: Path, folder: Path, kills: int) -> str:
    """Train with kills in a process of its own, with one thread, and return what it said."""
    words = [str(config), str(space), str(folder), str(kills)]
    done = subprocess.run(
        [sys.executable, str(TESTS / "trainings" / "killed.py"), *words],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_killed_at_random_and_resumed_the_weights_are_the_same(
    config: Path, space: Path, tmp_path: Path
) -> None:
    said = run_killed(config, space, tmp_path, kills=3)
    assert said.splitlines()[-1] == "all the same"
    assert said.count("attempt") == 3


@pytest.mark.bench
def test_killed_twenty_times_and_resumed_the_weights_are_the_same(
    config: Path, space: Path, tmp_path: Path
) -> None:
    said = run_killed(config, space, tmp_path, kills=20)
    assert said.splitlines()[-1] == "all the same"
    assert said.count("attempt") == 20
