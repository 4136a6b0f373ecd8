"""Inline, a trial that hangs is left and asked for once more; then it has failed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from search.made_up_trials import run_made_up
from search.tabulated import create, plan

from hrnet_search import heartbeat
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import HANG_S
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.hangs import MOST_A_LOOK_S, TIMES, Silence, Steps
from hrnet_search.search.watchdog import Watchdog
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

TESTS = Path(__file__).parents[1]


def hanging(times: int, attempts: list[int]) -> Callable[[TrialTask, Report], TrialResult]:
    """Return what runs trials; trial 1 waits for ever in its first attempts."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        attempts.append(task.number)
        report(TrialProgress("train", 7, 10, 1.0))
        if task.number == 1 and attempts.count(1) <= times:
            threading.Event().wait(60)  # as for a data loader that died
        for _ in range(6):  # longer than may be silent, but never silent
            time.sleep(0.1)
            heartbeat.beat()
        return run_made_up(task, report)

    return run


def drive(folder: Path, times: int) -> tuple[list[int], list[str]]:
    attempts: list[int] = []
    said: list[str] = []
    planned = replace(plan(trials=3), folder=str(folder))
    create(folder)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        run_inline(brain, hanging(times, attempts), watchdog=Watchdog(0.4, said.append))
    return attempts, said


def test_a_trial_that_hangs_is_asked_for_once_more(tmp_path: Path) -> None:
    attempts, said = drive(tmp_path, 1)
    assert attempts == [0, 1, 1, 2]
    assert "failed" not in open_study(tmp_path).results()["error"].str.cat()
    assert "trial 1 gives no sign of life" in said[0]
    assert "in train, at step 7" in said[0]
    log = next((tmp_path / "logs").glob("*.log"))
    assert str(log) in said[0]
    assert "wait" in log.read_text(), "where it hung"


def test_a_trial_that_hangs_twice_has_failed_for_its_timeout(tmp_path: Path) -> None:
    attempts, _ = drive(tmp_path, 9)
    assert attempts == [0, 1, 1, 2]
    table = open_study(tmp_path).results().set_index("number")
    assert table["status"][1] == "failed"
    assert table["error"][1].startswith("timeout: no sign of life for ")
    assert "(2 times)" in table["error"][1]


UNINTERRUPTIBLE = """
import ctypes, sys
from pathlib import Path
from search.tabulated import create, plan
from hrnet_search.search.driver import run_inline
from hrnet_search.search.brain import Brain
from hrnet_search.search.watchdog import Watchdog
from hrnet_search.store.writer import StudyStore
folder = Path(sys.argv[1])
create(folder)
with StudyStore(folder) as store:
    def run(task, report):
        mutex = (ctypes.c_char * 64)()
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
    run_inline(Brain(plan(trials=2), store, None), run, watchdog=Watchdog(0.05, leaving_s=0.4))
"""


@pytest.mark.slow
def test_a_process_that_cannot_be_woken_ends_and_the_study_goes_on(tmp_path: Path) -> None:
    """A mutex that is held already is never had: pthread_mutex_lock(3)."""
    words = [sys.executable, "-c", UNINTERRUPTIBLE, str(tmp_path)]
    ended = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 4, ended.stderr
    assert "cannot be left: the process ends" in ended.stderr.splitlines()[-1]
    attempts, _ = drive(tmp_path, 0)
    assert attempts == [0, 1, 2]


def task_of(schedule: Schedule) -> TrialTask:
    found = plan()
    from hrnet_search.records.trial import TrialKey

    base = found.space.base
    return TrialTask(0, TrialKey(base.id, schedule.id, 0), base, schedule, (10,))


class Waiting:
    """A silence under a clock that is set."""

    def __init__(self, task: TrialTask) -> None:
        self.now = 0.0
        self.silence = Silence(task, Steps(), lambda: self.now)

    def wait(self, seconds: float) -> bool:
        for _ in range(int(seconds)):
            self.now += 1
            self.silence.look()
        return self.silence.look()


def test_the_limit_is_ten_times_the_longest_step_and_two_minutes_at_least() -> None:
    assert HANG_S == 120
    waiting = Waiting(task_of(plan().schedule))
    waiting.silence.heard(TrialProgress("train", 1))
    assert waiting.silence.limit_s == 120
    assert not waiting.wait(119)
    assert waiting.wait(1)
    waiting.silence.heard()
    assert waiting.silence.limit_s == TIMES * 120
    assert not waiting.wait(1199)


def test_before_the_first_step_the_limit_is_ten_times_as_long() -> None:
    """The first step of a big network on a slow CPU, warm-up, or opening a large data set."""
    waiting = Waiting(task_of(plan().schedule))
    for phase in ("build", "latency"):
        waiting.silence.heard(TrialProgress(phase))
        assert not waiting.wait(1199), phase
    assert waiting.wait(1)
    waiting.silence.heard(TrialProgress("train", 1))
    assert waiting.silence.limit_s == HANG_S, (
        "and it is not a step that later ones are held against"
    )


def test_at_a_rung_the_limit_is_longer_until_the_next_step() -> None:
    """The first image that is judged may be larger than all that was trained on."""
    (rung,) = task_of(plan().schedule).rungs
    waiting = Waiting(replace(task_of(plan().schedule), rungs=(rung, 2 * rung)))
    for progress in (TrialProgress("train", rung), TrialProgress("evaluate", rung)):
        waiting.silence.heard(progress)
        assert waiting.silence.limit_s == 10 * HANG_S
    waiting.silence.heard(TrialProgress("train", rung + 1))
    assert waiting.silence.limit_s == HANG_S


def test_another_trial_has_its_own_first_step() -> None:
    steps = Steps()
    first, second = (Silence(task_of(plan().schedule), steps, lambda: 0.0) for _ in range(2))
    first.heard(TrialProgress("train", 1))
    assert (first.limit_s, second.limit_s) == (HANG_S, 10 * HANG_S)


def test_time_in_which_nobody_looked_is_nobodys_silence() -> None:
    """A laptop that slept, a driver that was stopped: CLOCK_MONOTONIC may go on."""
    now = [0.0]
    silence = Silence(task_of(plan().schedule), Steps(), lambda: now[0])
    now[0] = 10_000
    assert not silence.look()
    assert silence.seconds == MOST_A_LOOK_S


def test_compiled_networks_have_longer() -> None:
    silence = Silence(task_of(replace(plan().schedule, compile=True)), Steps())
    silence.heard(TrialProgress("train", 1))
    assert silence.limit_s == 1200


def test_who_waits_for_another_process_is_alive() -> None:
    before = heartbeat.beats()
    assert heartbeat.beats() == before
    with heartbeat.waiting():
        assert heartbeat.beats() != heartbeat.beats()
