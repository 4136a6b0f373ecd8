"""Workers that hang, run out of memory or lose their Ray: seen, named, and the study goes on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from search.ray_tune.jobs import Stopping
from search.ray_tune.simulated import drive_on
from search.tabulated import drive, plan

from hrnet_search.errors import DeviceLostError
from hrnet_search.evaluate.machine.oom_kills import OomKills
from hrnet_search.records.trial import TrialKey, TrialTask
from hrnet_search.search.deaths import Death
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.cluster import Cluster
from hrnet_search.search.ray_tune.conductor import Conductor
from hrnet_search.search.ray_tune.watch import Watch
from hrnet_search.search.ray_tune.worker import GPU, TASK, Place
from hrnet_search.store.host import Host, process_start
from hrnet_search.store.study import open_study

TESTS = Path(__file__).parents[2]
ELSEWHERE = Host("elsewhere", "machine", "boot", "")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "waiting"])
def test_a_worker_that_hangs_is_ended_and_its_trial_asked_for_once_more(
    how: str, ray: Cluster, tmp_path: Path
) -> None:
    """Fault 17 of the matrix; trial 0 shows that who makes progress is left alone."""
    planned = plan("random", 4)
    drive(tmp_path / "inline", planned)
    drive_on(ray, tmp_path / "ray", planned, 2, Stopping(str(tmp_path), 1, how), hang_s=3)
    columns = ["number", "architecture", "status"]
    found, expected = (
        open_study(tmp_path / name).results()[columns].values.tolist() for name in ("ray", "inline")
    )
    assert sorted(found) == sorted(expected)
    processes = [int(line) for line in (tmp_path / "attempts").read_text().splitlines()]
    assert len(processes) == 2
    children = [int(path.name.removeprefix("child-")) for path in tmp_path.glob("child-*")]
    assert not any(process_start(pid) for pid in (processes[0], *children)), "the whole group"


@pytest.mark.slow
def test_a_trial_that_hangs_twice_has_failed_for_its_timeout(ray: Cluster, tmp_path: Path) -> None:
    drive_on(ray, tmp_path / "ray", plan("random", 2), 2, Stopping(str(tmp_path), 9, "stopped"),
             hang_s=3)  # fmt: skip
    table = open_study(tmp_path / "ray").results().set_index("number")
    assert table["status"][1] == "failed"
    assert table["error"][1].startswith("timeout: no sign of life for ")
    assert "in train, at step 7 (2 times)" in table["error"][1]
    assert len((tmp_path / "attempts").read_text().splitlines()) == 2


@dataclass(frozen=True, slots=True)
class Counting:
    """Stands for a cluster whose nodes' kernels have counted so much, or that has lost a node."""

    kills: OomKills | None

    def on_node(self, *_: object, **__: object) -> OomKills:
        if self.kills is None:
            raise RuntimeError("the node is lost")
        return self.kills


@pytest.mark.parametrize(
    ("counted", "reason", "returns"), [(5, "out of memory", 1), (4, "died", 2), (None, "died", 2)]
)
def test_a_worker_that_died_for_want_of_memory_is_known_by_the_kernels_count(
    counted: int | None, reason: str, returns: int
) -> None:
    """Fault 15 of the matrix."""
    before = OomKills("boot", "group", 4, 9)
    now = None if counted is None else OomKills("boot", "group", counted, 9)
    seen = Watch(Counting(now))  # type: ignore[arg-type]
    task = task_of_trial(0)
    seen.heard("a", task, Place("node", ELSEWHERE, 1, "2", before), None)
    death = seen.death("a", "its worker died: signal 9")
    assert reason in death.reason
    assert death.returns == returns
    assert death.status == ("infeasible" if returns == 1 else "failed")


class Two:
    """Stands for a brain with two trials, and keeps what is given back."""

    why_ended = ""

    def __init__(self) -> None:
        self.waiting = [0, 1]
        self.charged: list[bool] = []

    def ask(self) -> TrialTask | None:
        return task_of_trial(self.waiting.pop(0)) if self.waiting else None

    def give_back(self, number: int, death: Death) -> None:
        self.waiting.append(number)
        self.charged.append(death.charged)


def task_of_trial(number: int) -> TrialTask:
    found = plan()
    base = found.space.base
    key = TrialKey(base.id, found.schedule.id, number)
    return TrialTask(number, key, base, found.schedule, (10,))


def test_a_lost_gpu_is_not_used_again_and_its_trial_goes_elsewhere() -> None:
    """Fault 18 of the matrix: n - 1 workers go on; without any the study stops with a line."""
    brain, seen = Two(), Watch(Counting(None))  # type: ignore[arg-type]
    conductor = Conductor(brain, 2, (), Interrupt(), None, seen)  # type: ignore[arg-type]
    for name in ("a", "b"):
        assert isinstance(conductor.suggest(name), dict)
    lose(conductor, "a", "GPU-1")
    assert brain.charged == [False]
    assert conductor.suggest("c") is None, "one worker is left, and busy"
    lose(conductor, "b", "GPU-2")
    assert isinstance(conductor.error, DeviceLostError)
    assert conductor.error.exit_code == 4


def test_workers_know_the_gpus_that_are_lost_and_ray_may_not_hand_them_out_for_ever() -> None:
    brain, seen = Two(), Watch(Counting(None))  # type: ignore[arg-type]
    conductor = Conductor(brain, 2, (), Interrupt(), None, seen)  # type: ignore[arg-type]
    conductor.suggest("a")
    lose(conductor, "a", "GPU-1")
    again = conductor.suggest("b")
    assert isinstance(again, dict)
    assert again[GPU] == ("GPU-1",)
    assert TASK in again
    for n in range(100):
        if conductor.error is not None:
            break
        conductor.died("b" if n == 0 else str(n), "DeviceLostError: GPU-1 answers no more (before)")
        conductor.ended("b" if n == 0 else str(n), None, error=True)
        conductor.suggest(str(n + 1))
    assert isinstance(conductor.error, DeviceLostError)
    assert brain.charged.count(True) == 0


def lose(conductor: Conductor, trial_id: str, gpu: str) -> None:
    conductor.lost_gpu(trial_id, DeviceLostError(gpu, "CUDA error"))
    conductor.died(trial_id, "its worker failed: DeviceLostError")
    conductor.ended(trial_id, None, error=True)


RAYLET = """
import os, signal, sys, threading, time
from pathlib import Path
from search.ray_tune import simulated
import ray
def kill():
    while not Path(sys.argv[1], "journal").exists():
        time.sleep(0.05)
    node = ray._private.worker._global_node
    os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
try:
    simulated.main(Path(sys.argv[1]), 2, 50, 3.0)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.bench
def test_a_killed_raylet_is_one_line_of_ours(tmp_path: Path) -> None:
    """Fault 19 of the matrix, in the part that kills Ray itself on the driver's machine."""
    words = [sys.executable, "-c", RAYLET, str(tmp_path)]
    ended = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, timeout=120)
    line = (
        "ClusterLostError Ray's raylet on this machine has ended, and no worker can go on without"
    )
    assert ended.stdout.splitlines()[1:] == [f"{line} it; run the same command again"]
    assert ended.stderr == ""
