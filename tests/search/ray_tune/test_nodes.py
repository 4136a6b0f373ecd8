"""Two nodes on this machine: what each says of itself, and one that is lost in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from search.ray_tune.simulated import create, drive_on
from search.tabulated import drive, plan, run_made_up

from hrnet_search.errors import InputError
from hrnet_search.records import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ray_tune import keeper
from hrnet_search.search.ray_tune.cluster import MARK, Cluster, Resources
from hrnet_search.search.ray_tune.room import GIB, Asked, settle
from hrnet_search.search.ray_tune.worker import Report, Run
from hrnet_search.store.study import open_study


def test_what_does_not_fit_is_bad_input_with_what_would(ray: Cluster, tmp_path: Path) -> None:
    create(tmp_path, plan())
    said: list[str] = []
    fits = settle(ray, Asked(workers=2, memory=GIB // 8), tmp_path, "cpu", None, said.append)
    assert fits == Resources(cpus=2.0, gpus=0.0, memory=GIB // 8)
    assert said == []
    with pytest.raises(InputError, match=r"9 workers of 1 CPU.*allowed: at most 4"):
        settle(ray, Asked(workers=9, memory=GIB // 8), tmp_path, "cpu", None, said.append)
    with pytest.raises(InputError, match="no node has a GPU, allowed: 0"):
        settle(ray, Asked(gpus=2.0), tmp_path, "cpu", None, said.append)
    with pytest.raises(InputError, match=r"does not see .*nowhere"):
        settle(ray, Asked(), tmp_path / "nowhere", "cpu", None, said.append)
    with pytest.raises(InputError, match="latency is compared on, a Cray"):
        settle(ray, Asked(), tmp_path, "cpu", "a Cray", said.append)
    assert settle(ray, Asked(storage="x"), tmp_path / "nowhere", "cpu", None, said.append)


def test_what_a_node_is_asked_raises_here(ray: Cluster) -> None:
    assert ray.call(Resources(0.5, nodes=(ray.nodes()[0]["NodeID"],)), os.getpid) != os.getpid()
    with pytest.raises(InputError, match="no such thing"):
        ray.call(Resources(0.5), _fail)


def _fail() -> None:
    raise InputError("no such thing")


@contextmanager
def second_node(cpus: int) -> Iterator[list[int]]:
    """Add a node to the private Ray; yield its processes."""
    from ray import get_runtime_context

    before = set(keeper.processes(MARK, os.environ[MARK]))
    address = get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"]
    subprocess.run(
        [*command, f"--num-cpus={cpus}", "--object-store-memory=80000000"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    pids = sorted(set(keeper.processes(MARK, os.environ[MARK])) - before)
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def journaled(path: str) -> Callable[[], Run]:
    """Return what makes workers that note the node of each trial that they begin."""

    def make() -> Run:
        def run(task: TrialTask, report: Report) -> TrialResult:
            from ray import get_runtime_context

            with Path(path).open("a") as file:
                file.write(f"{task.number} {get_runtime_context().get_node_id()}\n")
            for step in range(20):
                time.sleep(0.1)
                report(TrialProgress("train", step, 20, 1.0))
            return run_made_up(task, report)

        return run

    return make


def lose_a_node(ray: Cluster, folder: Path, trials: int) -> None:
    journal = folder.with_name("journal")
    with second_node(cpus=2) as pids:
        head = min(ray.nodes(), key=lambda node: "head" not in str(node["Resources"]))["NodeID"]
        lost = threading.Event()

        def kill_when_used() -> None:
            while not lost.is_set():
                time.sleep(0.2)
                lines = journal.read_text().splitlines() if journal.exists() else []
                if any(line.split()[1] != head for line in lines):
                    time.sleep(0.5)
                    for pid in pids:
                        os.kill(pid, signal.SIGKILL)
                    lost.set()

        killer = threading.Thread(target=kill_when_used, daemon=True)
        killer.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("search.ray_tune.simulated.Resources", lambda cpus: Resources(1.0))
            drive_on(ray, folder, plan("random", trials), 5, journaled(str(journal)))
        assert lost.is_set(), "the second node was used"
        lost.set()
    begun = [int(line.split()[0]) for line in journal.read_text().splitlines()]
    again = sorted(n for n in set(begun) if begun.count(n) > 1)
    assert again, "what ran there ran again"
    assert all(begun.count(n) <= 3 for n in again)
    assert len(open_study(folder).ended()) == trials


@pytest.mark.slow
def test_trials_of_a_lost_node_run_on_the_other(ray: Cluster, tmp_path: Path) -> None:
    lose_a_node(ray, tmp_path / "ray", trials=16)
    table = open_study(tmp_path / "ray").results()
    drive(tmp_path / "inline", plan("random", 16))
    expected = open_study(tmp_path / "inline").results()
    columns = ["number", "architecture", "status"]
    assert table[columns].values.tolist() == expected[columns].values.tolist()
