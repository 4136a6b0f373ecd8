"""A process that the kernel ended for want of memory: its trial is tried once more, no more."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from forked import Forked
from search.made_up_trials import run_made_up
from search.tabulated import create, plan, with_latency

from hrnet_search.records.trial import INFEASIBLE, TrialResult, TrialTask
from hrnet_search.search import ended
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

TESTS = Path(__file__).parents[1]


def drive(folder: Path, proc: Path, run: Callable[[TrialTask, Report], TrialResult]) -> None:
    """Drive a study where the kernel's counts stand in `proc`."""
    from hrnet_search.evaluate.machine import control_groups, oom_kills

    oom_kills.PROC = control_groups.PROC = control_groups.CGROUP = proc
    create(folder)
    with StudyStore(folder) as store:
        brain = Brain(replace(plan(trials=3), folder=str(folder)), store, None)
        run_inline(brain, run)


def killed(folder: Path, proc: Path, why: str) -> int:
    """Return the exit code of a driver that ends in its trial 1, which the kernel may count."""
    vmstat = proc / "vmstat"

    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number == 1:
            if why == "memory":
                vmstat.write_text(f"oom_kill {int(vmstat.read_text().split()[1]) + 1}")
            os.kill(os.getpid(), signal.SIGKILL)
        return run_made_up(task, report)

    return Forked(lambda: drive(folder, proc, run)).wait()


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from hrnet_search.evaluate.machine import control_groups, oom_kills

    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "vmstat").write_text("oom_kill 3")
    monkeypatch.setattr(oom_kills, "PROC", folder)
    monkeypatch.setattr(control_groups, "PROC", folder)
    monkeypatch.setattr(control_groups, "CGROUP", folder)
    return folder


def test_a_trial_that_takes_all_memory_twice_is_infeasible(proc: Path, tmp_path: Path) -> None:
    """Fault 15 of the matrix, inline."""
    folder = tmp_path / "study"
    for _ in range(2):
        assert killed(folder, proc, "memory") == -signal.SIGKILL
    drive(folder, proc, run_made_up)
    table = open_study(folder).results().set_index("number")
    assert table["status"][1] == INFEASIBLE
    assert table["error"][1] == "out of memory: the kernel ended its process (2 times)"
    assert (table["status"] != INFEASIBLE).sum() == 3, "infeasible trials are not counted"
    assert not (folder / ended.NAME).exists()


def test_a_trial_that_takes_all_memory_once_may_complete(proc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    assert killed(folder, proc, "memory") == -signal.SIGKILL
    drive(folder, proc, run_made_up)
    assert INFEASIBLE not in set(open_study(folder).results()["status"])


def test_a_driver_that_somebody_killed_charges_nothing(proc: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    for _ in range(3):
        assert killed(folder, proc, "somebody") == -signal.SIGKILL
    drive(folder, proc, run_made_up)
    assert INFEASIBLE not in set(open_study(folder).results()["status"])


def test_a_damaged_mark_is_as_if_there_were_none(proc: Path, tmp_path: Path) -> None:
    create(tmp_path)
    for damage in ("", "{", "[]", '{"key": 1}', '{"key": "a", "times": "b"}'):
        (tmp_path / ended.NAME).write_text(damage)
        drive(tmp_path, proc, run_made_up)


def test_networks_that_do_not_fit_end_a_study_as_such(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        made = run_made_up(task, report)
        return TrialResult(task.key, INFEASIBLE, made.cost, made.latency, error="out of memory")

    create(tmp_path)
    with StudyStore(tmp_path) as store:
        brain = Brain(with_latency(plan(trials=4), 1e9), store, None)
        run_inline(brain, run)
    assert brain.why_ended.startswith("10 networks did not fit into memory: a smaller")
    assert brain.fell_short
    assert len(open_study(tmp_path).results()) == 10
