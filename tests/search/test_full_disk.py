"""A disk that fills up at any moment costs no trial: once there is room the study goes on.

What a full disk is comes from the system: its limit on the size of files refuses every write.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def run_out_of_room(folder: Path, moments: int, seeds: int) -> list[str]:
    """Run a study whose disk fills up `moments` times; return what it said."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    script = [sys.executable, str(TESTS / "search" / "full_disk.py"), str(folder)]
    done = subprocess.run(
        [*script, str(moments), str(seeds)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "all completed"
    return said


def check_said(said: list[str], folder: Path) -> None:
    for line in said:
        assert line.startswith(str(folder))
        assert "cannot be written: " in line
        assert "B free" in line or "disk I/O error" in line or "full" in line


@pytest.mark.slow
def test_a_disk_that_fills_up_costs_no_trial(tmp_path: Path) -> None:
    said = run_out_of_room(tmp_path / "study", moments=2, seeds=1)
    assert said, "the disk was never full"
    check_said(said, tmp_path / "study")


SPACE = """\
name: full-disk
base: {root}/configs/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary: {{width: [2, 4, 6], STAGE4.NUM_BRANCHES: [3, 4]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [32, 32], train: 8, val: 4}}
schedule: {{steps: 2, batch: 4, crop: [32, 32]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 5}}
tracking: {{mlflow: off}}
"""


@pytest.mark.bench
def test_a_disk_without_room_for_any_one_kind_of_file_costs_no_trial(tmp_path: Path) -> None:
    """The command, its report and its export: of each kind of file the first is refused."""
    (tmp_path / "space.yaml").write_text(SPACE.format(root=TESTS.parent))
    script = [sys.executable, str(TESTS / "search" / "full_disk_of_a_run.py")]
    done = subprocess.run(
        [*script, str(tmp_path / "space.yaml"), str(tmp_path / "study")],
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "all completed"
    assert len(said) > 10
    check_said([line.partition(": ")[2] for line in said], tmp_path / "study")


@pytest.mark.bench
def test_a_disk_that_fills_up_at_twenty_moments_costs_no_trial(tmp_path: Path) -> None:
    said = run_out_of_room(tmp_path / "study", moments=20, seeds=12)
    assert len(said) > 10
    check_said(said, tmp_path / "study")
