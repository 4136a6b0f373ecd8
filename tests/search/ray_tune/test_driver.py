"""The cluster driver: the same study as inline, whatever becomes of workers and of the driver."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from search.ray_tune.jobs import Dying, Rungs, Saving, Simulated
from search.ray_tune.simulated import drive_on
from search.tabulated import drive, plan
from search.test_study_slices import NETWORKS
from search.test_study_slices import plan as by_slices

from hrnet_search.errors import StudyInUseError
from hrnet_search.pareto import hypervolume
from hrnet_search.records.trial import RungResult, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.fidelity.stopping import StopAtRungs
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune import reaper as keeper
from hrnet_search.search.ray_tune.cluster import MARK, Cluster
from hrnet_search.search.ray_tune.watch import reason_of
from hrnet_search.store import lock
from hrnet_search.store.database import connect
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import BASE, CONFIRM, SEARCH, SLICES, Ask
from hrnet_search.store.writer import StudyStore

TESTS = Path(__file__).parents[2]
SIMULATED = TESTS / "search" / "ray_tune" / "simulated.py"


def rows(folder: Path) -> list[tuple[object, ...]]:
    """Return what a study found, without the order in which it did."""
    table = open_study(folder).results().fillna({"miou": -1})
    columns = ["number", "architecture", "seed", "status", "miou", "macs"]
    return [tuple(row) for row in table[columns].values]


def area(folder: Path) -> float:
    front = open_study(folder).front()
    return hypervolume(front["miou"], front["macs"], (0.0, 1e9))


def test_one_worker_proposes_what_inline_does(ray: Cluster, tmp_path: Path) -> None:
    planned = plan("optuna:tpe", 16)
    drive(tmp_path / "inline", planned)
    brain = drive_on(ray, tmp_path / "ray", planned, 1, Simulated(str(tmp_path / "journal")))
    assert rows(tmp_path / "ray") == rows(tmp_path / "inline")
    assert area(tmp_path / "ray") == area(tmp_path / "inline")
    assert "16 trials of 16" in brain.why_ended


@pytest.mark.slow
def test_four_workers_find_as_good_a_front_and_run_each_trial_once(
    ray: Cluster, tmp_path: Path
) -> None:
    planned = plan("random", 24)
    drive(tmp_path / "inline", planned)
    journal = tmp_path / "journal"
    drive_on(ray, tmp_path / "ray", planned, 4, Simulated(str(journal), 0.05))
    assert area(tmp_path / "ray") >= 0.98 * area(tmp_path / "inline")
    starts = [line.split()[1] for line in journal.read_text().splitlines() if "start" in line]
    assert sorted(map(int, starts)) == list(range(24))
    workers = {line.split()[2] for line in journal.read_text().splitlines()}
    assert len(workers) <= 4, "workers are used again"


@pytest.mark.slow
def test_four_workers_judge_all_by_slices_before_they_train_any(
    ray: Cluster, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    drive_on(ray, tmp_path / "ray", by_slices(), 4, Simulated(str(journal), 0.01))
    asks = [ask for ask, _ in open_study(tmp_path / "ray").trials()]
    assert [ask.purpose for ask in asks[: NETWORKS + 1]] == [BASE, *[SLICES] * NETWORKS]
    assert {ask.purpose for ask in asks[NETWORKS + 1 :]} == {SEARCH, CONFIRM}
    told = {number for ask in asks[: NETWORKS + 2] for number in ask.told}
    assert told == set(range(NETWORKS + 1)), "what is trained is chosen from all that was judged"
    starts = [line.split()[1] for line in journal.read_text().splitlines() if "start" in line]
    assert sorted(map(int, starts)) == list(range(len(asks)))


@pytest.mark.slow
def test_a_worker_that_dies_gives_its_trial_back(ray: Cluster, tmp_path: Path) -> None:
    planned = plan("random", 7)
    drive(tmp_path / "inline", planned)
    drive_on(ray, tmp_path / "ray", planned, 2, Dying(str(tmp_path), times=1))
    assert sorted(rows(tmp_path / "ray")) == sorted(rows(tmp_path / "inline"))
    sizes = [(tmp_path / f"attempts-{n}").stat().st_size for n in range(7)]
    assert sizes == [2, 1, 1, 2, 1, 1, 2]


@pytest.mark.slow
def test_a_trial_whose_workers_die_three_times_has_failed(ray: Cluster, tmp_path: Path) -> None:
    drive_on(ray, tmp_path / "ray", plan("random", 3), 2, Dying(str(tmp_path), 99))
    table = open_study(tmp_path / "ray").results()
    assert table["status"].tolist()[0] == "failed"
    assert "its worker died" in table["error"][0]
    assert "3 times" in table["error"][0]
    assert "\n" not in table["error"][0]
    assert (tmp_path / "attempts-0").stat().st_size == 3
    assert len(table) == 3


@pytest.mark.slow
def test_a_worker_hears_that_its_trial_is_stopped(
    ray: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_on(self: StopAtRungs, ask: Ask, rung: RungResult, costs: object) -> bool:
        return ask.number % 2 == 0 or rung.step != 5

    monkeypatch.setattr(StopAtRungs, "goes_on", goes_on)
    drive_on(ray, tmp_path, plan("random", 6), 2, Rungs())
    study = open_study(tmp_path)
    stopped = {a.number: r for a, r in study.ended() if r.status == "stopped"}
    assert stopped
    assert all(number % 2 == 1 for number in stopped)
    for result in stopped.values():
        assert (len(result.rungs), result.wall_s) == (1, 7.0), "as the worker itself says"
    assert all(r.status != "completed" for a, r in study.ended() if a.number % 2 == 1)


class TakenOver:
    """A listener that lets another driver take the study over after some trials."""

    def __init__(self, folder: Path, after: int) -> None:
        self.folder, self.left = folder, after

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        self.left -= 1
        if self.left == 0:
            with closing(connect(self.folder / "study.db")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                lock.take(connection, lock.this_process())
                connection.execute("COMMIT")


@pytest.mark.slow
def test_a_driver_that_was_taken_over_ends_in_its_next_write(ray: Cluster, tmp_path: Path) -> None:
    run = Simulated(str(tmp_path / "journal"))
    with pytest.raises(StudyInUseError, match="may not write"):
        drive_on(ray, tmp_path, plan("random", 20), 2, run, [TakenOver(tmp_path, 3)])
    assert len(open_study(tmp_path).ended()) == 3


class Pressed:
    """A listener that interrupts after some trials, as Ctrl-C would."""

    def __init__(self, interrupt: Interrupt, after: int) -> None:
        self.interrupt, self.left, self.at = interrupt, after, 0.0

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        self.left -= 1
        if self.left == 0:
            self.interrupt.asked, self.at = True, time.monotonic()


@pytest.mark.slow
def test_an_interrupted_run_saves_its_trials_and_goes_on(ray: Cluster, tmp_path: Path) -> None:
    interrupt = Interrupt()
    pressed = Pressed(interrupt, 2)
    folder, planned = tmp_path / "ray", plan("random", 12)
    with pytest.raises(KeyboardInterrupt):
        drive_on(ray, folder, planned, 2, Saving(str(tmp_path)), [pressed], interrupt)
    assert time.monotonic() - pressed.at < 15
    running = [row for row in rows(folder) if row[3] == "running"]
    assert running
    assert {f"saved-{row[0]}" for row in running} >= {p.name for p in tmp_path.glob("saved-*")}
    assert list(tmp_path.glob("saved-*"))
    drive_on(ray, folder, planned, 2, Simulated(str(tmp_path / "journal")))
    drive(tmp_path / "inline", planned)
    assert [r[1] for r in rows(folder)] == [r[1] for r in rows(tmp_path / "inline")]


def test_a_reason_is_one_line() -> None:
    died = (
        "The actor died unexpectedly.\n\tpid: 7\nThe actor is dead because its worker process has "
        "died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with "
        "a connection error code 2. End of file. Some common causes include: (1) the process"
    )
    said = reason_of(died)
    assert said.startswith("its worker died: Worker unexpectedly exits")
    assert "common causes" not in said
    assert reason_of("Traceback\n  File x\nKeyError: 'a'") == "its worker failed: KeyError: 'a'"


def start(folder: Path, workers: int, trials: int, seconds: float) -> subprocess.Popen[str]:
    words = [folder, workers, trials, seconds]
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, str(SIMULATED), *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def mark_of(pid: int) -> str:
    """Return the mark of the private Ray that a driver started."""
    for child in Path("/proc").glob("[0-9]*"):
        try:
            words = (child / "cmdline").read_bytes().split(b"\0")
            parent = (child / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if MARK.encode() in words and int(parent) == pid:
            return words[words.index(MARK.encode()) + 1].decode()
    raise AssertionError("no keeper")


def listening() -> set[int]:
    """Return the TCP ports that anybody on this machine listens on."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def ports_of(mark: str) -> set[int]:
    """Return the TCP ports that processes with a mark listen on."""
    inodes = set()
    for pid in keeper.processes(MARK, mark):
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(descriptor.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def kill_drivers(folder: Path, kills: int, trials: int, seed: int, seconds: float) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        before = [row for row in rows(folder) if row[3] != "running"] if folder.exists() else []
        with start(folder, 2, trials, seconds) as process:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            mark = mark_of(process.pid)
            ports = ports_of(mark)
            time.sleep(rng.uniform(0.5, 4))
            process.send_signal(signal.SIGKILL)
        assert ports, "a private Ray listens while it runs"
        deadline = time.monotonic() + 60
        while keeper.processes(MARK, mark) or ports & listening():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        after = [row for row in rows(folder) if row[3] != "running"]
        assert set(before) <= set(after), "no completed trial was lost"
        with StudyStore(folder):  # no lock was left
            pass
    with start(folder, 2, trials, 0.0) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    journal = (folder / "journal").read_text().splitlines()
    ended = [line.split()[1] for line in journal if line.startswith("end")]
    # A trial that ended but was not committed yet when the driver was killed runs again.
    assert len(set(ended)) == trials
    assert len(ended) - trials <= 2 * kills


@pytest.mark.slow
def test_a_driver_killed_at_random_moments_leaves_nothing_and_loses_nothing(tmp_path: Path) -> None:
    kill_drivers(tmp_path / "ray", kills=1, trials=16, seed=1, seconds=0.2)
    drive(tmp_path / "inline", plan("random", 16))
    assert rows(tmp_path / "ray") == rows(tmp_path / "inline")
    assert list((tmp_path / "ray" / "logs" / "ray").iterdir()), "Ray's logs are in the study"


@pytest.mark.bench
def test_a_driver_killed_twenty_times_loses_nothing(tmp_path: Path) -> None:
    kill_drivers(tmp_path / "ray", kills=20, trials=120, seed=2, seconds=0.5)
    drive(tmp_path / "inline", plan("random", 120))
    assert rows(tmp_path / "ray") == rows(tmp_path / "inline")


def kill_workers(ray: Cluster, folder: Path, kills: int, trials: int, seed: int) -> None:
    """Kill a worker in the middle of a trial, again and again, while a study runs."""
    journal = folder.with_name("journal")
    rng, killed, over = random.Random(seed), Counter[int](), threading.Event()

    def kill() -> None:
        while sum(killed.values()) < kills and not over.is_set():
            time.sleep(rng.uniform(0.05, 0.5))
            number, pid = in_flight(journal, rng)
            if number is None or killed[number] == 2:  # a third time would end it as failed
                continue
            os.kill(pid, signal.SIGKILL)
            killed[number] += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        drive_on(ray, folder, plan("random", trials), 3, Simulated(str(journal), 0.5))
    finally:
        over.set()
        killer.join()
    assert sum(killed.values()) == kills, "there was time for all of them"
    lines = [line.split()[:2] for line in journal.read_text().splitlines()]
    begun, ended = (Counter(int(n) for what, n in lines if what == w) for w in ("start", "end"))
    for number in range(trials):
        assert begun[number] <= 1 + killed[number], "only what was killed ran again"
        # One that was killed between its last line and its result has ended twice.
        assert ended[number] == 1 or 1 < ended[number] <= 1 + killed[number]


def in_flight(journal: Path, rng: random.Random) -> tuple[int | None, int]:
    """Return a trial that runs, and its worker's process id."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    last = {words[2]: words for words in map(str.split, lines)}
    running = [(int(n), int(pid)) for what, n, pid in last.values() if what == "start"]
    alive = [(n, pid) for n, pid in running if Path(f"/proc/{pid}").exists()]
    return rng.choice(alive) if alive else (None, 0)


@pytest.mark.slow
def test_workers_killed_at_random_moments_change_nothing(ray: Cluster, tmp_path: Path) -> None:
    kill_workers(ray, tmp_path / "ray", kills=2, trials=12, seed=1)
    drive(tmp_path / "inline", plan("random", 12))
    assert rows(tmp_path / "ray") == rows(tmp_path / "inline")


@pytest.mark.bench
def test_workers_killed_twenty_times_change_nothing(ray: Cluster, tmp_path: Path) -> None:
    kill_workers(ray, tmp_path / "ray", kills=20, trials=120, seed=2)
    drive(tmp_path / "inline", plan("random", 120))
    assert rows(tmp_path / "ray") == rows(tmp_path / "inline")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sign", "times"),
    [pytest.param(signal.SIGTERM, 1, marks=pytest.mark.bench), (signal.SIGINT, 2)],
)
def test_a_signal_is_exit_130_within_fifteen_seconds(
    tmp_path: Path, sign: signal.Signals, times: int
) -> None:
    folder = tmp_path / "study"
    with start(folder, 2, 500, 0.5) as process:
        assert process.stdout
        process.stdout.readline()
        deadline = time.monotonic() + 60
        while not (folder / "journal").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        mark = mark_of(process.pid)
        begun = time.monotonic()
        for _ in range(times):
            process.send_signal(sign)
            time.sleep(0.2)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < 15
    assert (process.returncode, err) == (130, "")
    assert keeper.processes(MARK, mark) == []
    with StudyStore(folder):  # no lock was left
        pass
