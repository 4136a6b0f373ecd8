"""A study on a device that is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gpu.on_devices import SLOW_DEVICES

from hrnet_search.store.study import open_study

ROOT = Path(__file__).parents[2]
BASE = ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
SPACE = """\
name: killed
base: {base}
vary: {{width: [2, 4], STAGE3.NUM_MODULES: [1, 2]}}
objectives: {{miou: max, latency_ms: min}}
data: {{kind: shapes, size: [32, 32], train: 16, val: 4}}
schedule: {{steps: 12, batch: 4, crop: [32, 32], rungs: [4, 12], optimiser: adamw}}
latency: {{size: [32, 32], device: {device}, seconds: 0.1}}
search: {{sampler: random, trials: 4}}
tracking: {{mlflow: "off"}}
"""
STUDY = """
import sys
from pathlib import Path
from hrnet_search.search.begin import open_store
from hrnet_search.search.run import search
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file

class Telling:
    def started(self, task): print("started", task.number, flush=True)
    def progressed(self, task, now): print(task.number, now.phase, now.step, flush=True)
    def returned(self, task, reason): print("returned", task.number, flush=True)
    def ended(self, task, result): print("ended", task.number, flush=True)

folder = Path(sys.argv[2])
file = load_space_file(sys.argv[1])
plan = plan_of(file, folder)
with open_store(file, plan, folder) as store:
    search(plan, store, [Telling()], print)
"""


def begin(space: Path, folder: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", STUDY, str(space), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


@pytest.mark.parametrize("device", SLOW_DEVICES)
def test_a_study_that_is_killed_twice_goes_on_to_its_end(device: str, tmp_path: Path) -> None:
    space, folder = tmp_path / "space.yaml", tmp_path / "study"
    space.write_text(SPACE.format(base=BASE, device=device))
    for last in ("0 train 6\n", "2 train 6\n"):  # at a step between two rungs
        with begin(space, folder) as process:
            assert process.stdout
            assert any(line == last for line in process.stdout), "it ended before it was killed"
            process.send_signal(signal.SIGKILL)
    with begin(space, folder) as process:
        said, _ = process.communicate()
    assert process.returncode == 0
    assert "started 0" not in said
    trials = open_study(folder).trials()
    assert [(ask.number, result.status) for ask, result in trials if result] == [
        (number, "completed") for number in range(4)
    ]
    assert len({ask.key for ask, _ in trials}) == 4
    for ask, result in trials:
        assert result is not None
        assert [rung.step for rung in result.rungs] == [4, 12]
        assert result.latency is not None
        assert (folder / "weights" / f"{ask.key}.safetensors").exists()
