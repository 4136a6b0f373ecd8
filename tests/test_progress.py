"""The line of a trial says how it ended, and what its latency was."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import TINY, result
from rich.console import Console

from hrnet_search.evaluate.latency.kept import REUSED
from hrnet_search.goals import Goals
from hrnet_search.progress import LOG, Standing, describe, watching
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import FAILED, TrialTask


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "2.50 ms, "),
        ({"noisy": True}, "2.50 ms (noisy), "),
        ({"noisy": True, "busy": True}, "2.50 ms (noisy and busy), "),
        ({"machine": ((REUSED, "measured 2026"),)}, "2.50 ms (kept), "),
    ],
)
def test_a_latency_is_marked(changes: dict[str, object], said: str) -> None:
    found = result(1)
    assert found.latency is not None
    latency = replace(found.latency, **changes)  # type: ignore[arg-type]
    assert said in describe(replace(found, latency=latency))
    assert " ms" not in describe(replace(found, latency=None))


def test_what_a_study_starts_from_is_said_on_the_console_and_in_its_log(tmp_path: Path) -> None:
    """Also where somebody has removed the folder of logs."""
    console = Console(file=io.StringIO(), width=40)
    line = "schedule.init: w.pth: the base: 260 of 268 tensors match [a, b]"
    with watching(tmp_path, 1, Goals.of(["miou"]), (), console, live=False, first=[line]):
        assert (tmp_path / LOG).read_text() == f"{line}\n"
    assert console.file.getvalue() == f"{line}\n"  # type: ignore[attr-defined]


def test_a_trial_that_was_taken_over_says_where_it_is_from_in_the_place_of_its_time() -> None:
    found = result(1, miou=0.5, notes=("trained in fp32", "taken over from first, trial 3"))
    assert describe(found).endswith(", taken over from first, trial 3")
    assert "1.5 s" not in describe(found)
    assert describe(result(1, miou=0.5)).endswith(", 1.5 s")


def test_what_comes_before_the_trials_is_none_of_their_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are shared take as long as twenty trainings, and are trained once."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    schedule = Schedule(DataSpec("shapes", 3), steps=4)
    first = TrialTask(0, result(0).key, TINY, schedule, (4,), beside=True)
    judged = replace(first, number=1, schedule=replace(schedule, steps=0), beside=False)
    trained = replace(first, number=2, beside=False)
    with watching(tmp_path, 40, Goals.of(["miou"]), [], console, live=True) as (view, *_):
        for task, seconds in ((first, 600.0), (judged, 100.0), (trained, 30.0)):
            view.started(task)
            now[0] += seconds
            view.ended(task, replace(result(task.number, miou=0.5), wall_s=seconds))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "39 trainings and about 20 min left" in said


def test_judgements_by_slices_are_counted_beside_the_trials(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    judged = result(1, miou=0.9)
    judged = replace(judged, rungs=(replace(judged.rungs[-1], step=0),))
    task = TrialTask(60, judged.key, TINY, Schedule(DataSpec("shapes", 3), steps=0), (0,))
    before = [(number, judged) for number in range(20)]
    with watching(tmp_path, 9, Goals.of(["miou"]), before, console, live=False) as views:
        for _ in range(7):
            for view in views:
                view.ended(task, judged)
        broken = replace(judged, status=FAILED, rungs=(), miou=None, error="the loss is nan")
        for view in views:
            view.ended(replace(task, number=99), broken)
        trained = result(61, miou=0.4)
        schedule = replace(task.schedule, steps=4)
        for view in views:
            view.ended(replace(task, number=61, schedule=schedule), trained)
    said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert said[0] == "25 networks judged by slices, the last is trial 60"
    assert said[1].startswith("trial 99 failed, ")
    assert said[1].endswith(", the loss is nan")
    assert said[2].startswith("[1/9] trial 61 completed, mIoU 40.0%")
    standing = Standing(Goals.of(["miou"]))
    for one in (judged, trained):
        standing.take(one)
    assert (standing.done, standing.best, standing.judged) == (1, 0.4, 1)
    assert describe(judged).startswith("judged by slices, mIoU 90.0%")


@pytest.mark.parametrize("error", ["no mask for [/data/a.png]", "[enforce fail] err == 0"])
def test_an_error_is_shown_as_it_is_in_the_live_table(tmp_path: Path, error: str) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    task = TrialTask(0, result(0).key, TINY, Schedule(DataSpec("shapes", 3), steps=4), (4,))
    with watching(tmp_path, 4, Goals.of(["miou"]), [], console, live=True) as (view, *_):
        view.started(task)
        view.ended(task, replace(result(0, miou=None, cost=None), status=FAILED, error=error))
    assert error in console.file.getvalue()  # type: ignore[attr-defined]
