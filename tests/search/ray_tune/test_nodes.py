"""Two nodes on this machine: what each says of itself, and one that is lost in mid-run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from search.ray_tune.simulated import create, drive_on
from search.tabulated import drive, plan, run_made_up

from hrnet_search.errors import InputError
from hrnet_search.records import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ray_tune import keeper
from hrnet_search.search.ray_tune.cluster import MARK, Cluster, Resources
from hrnet_search.search.ray_tune.room import GIB, LEAST_MEMORY, Asked, memory_of_a_worker, settle
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


def test_memory_follows_the_dearest_training_on_a_cpu_alone() -> None:
    small = plan()
    assert memory_of_a_worker(small.space, small.schedule, "cpu") == LEAST_MEMORY
    crop = replace(small.schedule, crop=(512, 512), batch=32)
    large = memory_of_a_worker(small.space, crop, "cpu")
    assert large > 1.5 * LEAST_MEMORY
    halves = replace(crop, accumulate=2)
    assert LEAST_MEMORY <= memory_of_a_worker(small.space, halves, "cpu") < 0.7 * large
    assert memory_of_a_worker(small.space, crop, "cuda") == LEAST_MEMORY


def test_what_a_node_is_asked_raises_here(ray: Cluster) -> None:
    assert ray.call(Resources(0.5, nodes=(ray.nodes()[0]["NodeID"],)), os.getpid) != os.getpid()
    with pytest.raises(InputError, match="no such thing"):
        ray.call(Resources(0.5), _fail)


def _fail() -> None:
    raise InputError("no such thing")


@contextmanager
def second_node(cpus: int) -> Iterator[Callable[[], None]]:
    """Add a node to the private Ray; yield what kills it, workers and all."""
    from ray import get_runtime_context

    before = set(raylets())
    address = get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"]
    subprocess.run(
        [*command, f"--num-cpus={cpus}", "--object-store-memory=80000000"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (node,) = set(raylets()) - before

    def kill() -> None:
        for pid in (*children(node), node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    yield kill
    kill()


def raylets() -> list[int]:
    """Return the process of each node of the private Ray."""
    return [p for p in keeper.processes(MARK, os.environ[MARK]) if name_of(p) == "raylet"]


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Return a process's children, and theirs."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in listed.read_text().split()]
    return [pid for child in found for pid in (child, *children(child))]


def journaled(path: str) -> Callable[[], Run]:
    """Return what makes workers that note the node of each trial that they begin.

    A trial takes longer than a worker takes to start: else the first worker that is free gets
    what a new one was started for, and the second node is never used.
    """

    def make() -> Run:
        def run(task: TrialTask, report: Report) -> TrialResult:
            from ray import get_runtime_context

            with Path(path).open("a") as file:
                file.write(f"{task.number} {get_runtime_context().get_node_id()}\n")
            for step in range(20):
                time.sleep(0.2)
                report(TrialProgress("train", step, 20, 1.0))
            return run_made_up(task, report)

        return run

    return make


def lose_nodes(ray: Cluster, folder: Path, losses: int, trials: int, seed: int) -> None:
    """Add a node and kill it while it runs trials, again and again, while a study runs."""
    journal = folder.with_name("journal")
    rng, lost, over = random.Random(seed), Counter[int](), threading.Event()

    def begun() -> list[list[str]]:
        return [line.split() for line in journal.read_text().splitlines()]

    def lose(known: set[str]) -> set[str]:
        with second_node(cpus=4) as kill:
            while not over.is_set():
                time.sleep(0.1)
                lines = begun() if journal.exists() else []
                there = {int(n) for n, node in lines if node not in known}
                if there and all(lost[n] < 2 for n in there):  # a third time would be a failure
                    time.sleep(rng.uniform(0, 1))
                    kill()
                    now = begun()
                    lost.update({int(n) for n, node in now if node not in known})
                    return known | {node for _, node in now}
        return known

    def lose_all() -> None:
        head = min(ray.nodes(), key=lambda node: "head" not in str(node["Resources"]))["NodeID"]
        known = {str(head)}
        while len(known) <= losses and not over.is_set():
            known = lose(known)
        kills.append(len(known) - 1)

    kills: list[int] = []
    killer = threading.Thread(target=lose_all)
    killer.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("search.ray_tune.simulated.Resources", lambda cpus: Resources(4.0))
            drive_on(ray, folder, plan("random", trials), 2, journaled(str(journal)))
    finally:
        over.set()
        killer.join()
    assert kills == [losses], "every second node was used, and there was time to lose it"
    times = Counter(int(number) for number, _ in begun())
    assert any(count > 1 for count in times.values()), "what ran there ran again"
    assert all(times[number] <= 1 + lost[number] for number in range(trials)), "and nothing else"
    drive(folder.with_name("inline"), plan("random", trials))
    columns = ["number", "architecture", "status"]
    found, expected = (
        open_study(path).results()[columns] for path in (folder, folder.with_name("inline"))
    )
    assert found.values.tolist() == expected.values.tolist()


@pytest.mark.slow
def test_trials_of_lost_nodes_run_on_the_other(ray: Cluster, tmp_path: Path) -> None:
    lose_nodes(ray, tmp_path / "ray", losses=3, trials=10, seed=1)


@pytest.mark.bench
def test_twenty_lost_nodes_change_nothing(ray: Cluster, tmp_path: Path) -> None:
    lose_nodes(ray, tmp_path / "ray", losses=20, trials=80, seed=2)
