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
from search.ray_tune.jobs import held
from search.ray_tune.simulated import create, drive_on
from search.tabulated import drive, plan

from hrnet_search.arch.cost import cost
from hrnet_search.arch.memory import training_memory
from hrnet_search.errors import InputError
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune import reaper as keeper
from hrnet_search.search.ray_tune.cluster import MARK, Cluster, Resources
from hrnet_search.search.ray_tune.nodes import GIB, LEAST_MEMORY, Asked, memory_of_a_worker, settle
from hrnet_search.store.study import open_study


@pytest.mark.slow
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
    every = [small.space.decode(point) for point in small.space.points()]
    inside = [a for a in every if cost(a, (64, 64), 8).params <= 1.5e6]
    needs = [training_memory(a, (512, 512), 8, 32) for a in inside]
    assert min(needs) < 0.9 * max(needs)
    assert large == pytest.approx(GIB + max(needs), rel=0.02)
    halves = replace(crop, accumulate=2)
    assert LEAST_MEMORY <= memory_of_a_worker(small.space, halves, "cpu") < 0.7 * large
    assert memory_of_a_worker(small.space, crop, "cuda") == LEAST_MEMORY


@pytest.mark.slow
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

    before = {*raylets(), *log_monitors()}
    address = get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"]
    subprocess.run(
        [*command, f"--num-cpus={cpus}", "--object-store-memory=80000000"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (node,) = set(raylets()) - before
    others = set(log_monitors()) - before  # not the raylet's: it would look for it for ever

    def kill() -> None:
        for pid in (*children(node), node, *others):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    yield kill
    kill()


def raylets() -> list[int]:
    """Return the process of each node of the private Ray."""
    return [p for p in keeper.processes(MARK, os.environ[MARK]) if name_of(p) == "raylet"]


def log_monitors() -> list[int]:
    """Return the process of each node that reads its logs."""
    marked = keeper.processes(MARK, os.environ[MARK])
    return [p for p in marked if "log_monitor.py" in command_of(p)]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


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


def free() -> None:
    """Give up what studies that ended early still hold: the first node has to be whole."""
    from ray import available_resources
    from ray._raylet import PlacementGroupID
    from ray.util import placement_group_table, remove_placement_group
    from ray.util.placement_group import PlacementGroup

    for held_id, group in placement_group_table().items():
        if group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(held_id))))
    deadline = time.monotonic() + 60
    while available_resources().get("CPU", 0) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def lose_nodes(ray: Cluster, folder: Path, losses: int, trials: int, seed: int) -> None:
    """Add a node and kill it while it runs a trial, again and again, while a study runs."""
    from ray import nodes as ray_nodes

    journal, done = folder.with_name("journal"), folder.with_name("done")
    rng, lost, over = random.Random(seed), Counter[int](), threading.Event()

    def begun(without: set[str]) -> list[int]:
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [int(n) for n, node in map(str.split, lines) if node not in without]

    def lose() -> None:
        known = {str(node["NodeID"]) for node in ray_nodes()}  # those that are lost too
        with second_node(cpus=4) as kill:
            while not over.is_set():
                time.sleep(0.1)
                numbers = begun(known)
                if numbers and lost[numbers[-1]] < 2:  # a third time would be a failure
                    time.sleep(rng.uniform(0, 1))
                    kill()
                    lost[numbers[-1]] += 1
                    return

    def lose_all() -> None:
        try:
            while lost.total() < losses and not over.is_set():
                lose()
        finally:
            done.touch()

    free()
    interrupt = Interrupt()  # rather than a test that never ends
    watch = threading.Timer(300 * losses, setattr, (interrupt, "asked", True))
    killer = threading.Thread(target=lose_all)
    watch.start()
    killer.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("search.ray_tune.simulated.Resources", lambda cpus: Resources(4.0))
            run = held(str(journal), str(done))
            drive_on(ray, folder, plan("random", trials), 2, run, (), interrupt)
    except KeyboardInterrupt:
        pytest.fail("the study did not end in time")  # not the whole run of tests
    finally:
        watch.cancel()
        over.set()
        killer.join()
    assert lost.total() == losses
    assert Counter(begun(set())) == Counter(range(trials)) + lost, "what was lost ran again"
    drive(folder.with_name("inline"), plan("random", trials))
    columns = ["number", "architecture", "status"]
    found, expected = (
        open_study(path).results()[columns] for path in (folder, folder.with_name("inline"))
    )
    assert found.values.tolist() == expected.values.tolist()


@pytest.mark.slow
def test_trials_of_lost_nodes_run_on_the_other(ray: Cluster, tmp_path: Path) -> None:
    lose_nodes(ray, tmp_path / "ray", losses=1, trials=6, seed=1)


@pytest.mark.bench
def test_twenty_lost_nodes_change_nothing(ray: Cluster, tmp_path: Path) -> None:
    lose_nodes(ray, tmp_path / "ray", losses=20, trials=30, seed=2)
