"""Events are lines of JSON, in order, alone on standard output; a death is a line for people."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import TINY, result
from rich.console import Console

from hrnet_search.commands.terminal import Events
from hrnet_search.errors import StudyDamagedError
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.events import event_line
from hrnet_search.goals import Goals
from hrnet_search.progress import LOG, watching
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import STOPPED, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.deaths import Death
from hrnet_search.search.driver import run_inline
from hrnet_search.search.hangs import Silence, Steps
from hrnet_search.search.watchdog import TrialHungError

TASK = TrialTask(7, result(1).key, TINY, Schedule(DataSpec("shapes", 3), steps=10), (5, 10))


class Twice:
    """A brain with one trial, which is asked for again once."""

    why_ended = "done"

    def __init__(self) -> None:
        self.left = [TASK, TASK]

    def ask(self) -> TrialTask | None:
        return self.left.pop() if self.left else None

    def report(self, number: int, progress: TrialProgress) -> bool:
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        return True

    def give_back(self, number: int, death: Death) -> None:
        return None


def test_events_are_told_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal, brain = Events(), Twice()

    def run(task: TrialTask, report: object) -> TrialResult:
        if brain.left:
            raise TrialHungError(Silence(task, Steps(1.0)))
        assert callable(report)
        report(TrialProgress("evaluate", rung=result(1).rungs[-1]))
        return result(1, miou=0.5)

    terminal.began(tmp_path, 1, 0, ["a [line]"])
    run_inline(brain, run, terminal.listeners())
    terminal.finished(tmp_path, "done", "two\nlines", 0)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in told] == [
        "study_began", "message", "trial_began", "trial_returned",
        "trial_began", "rung", "trial_ended", "study_ended",
    ]  # fmt: skip
    assert told[1]["text"] == "a [line]"
    assert told[3]["reason"].startswith("timeout: no sign of life")
    assert {one["trial"] for one in told[2:7]} == {7}
    ended = told[6]
    assert (ended["status"], ended["miou"], ended["error"]) == ("completed", 0.5, None)
    assert ended["params"] == result(1).cost.params  # type: ignore[union-attr]
    assert (told[7]["exit_code"], told[7]["summary"]) == (0, "two\nlines")
    assert all(one["time"].endswith("+00:00") for one in told)


@pytest.mark.parametrize("live", [False, True])
def test_a_death_is_a_line_on_the_terminal_and_in_the_log(tmp_path: Path, live: bool) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=live)
    with watching(tmp_path, 1, Goals.of(["miou"]), (), console, live) as views:
        for view in views:
            view.started(TASK)
            view.returned(TASK, "its worker died")
    said = "trial 7 was cut off (its worker died); it is tried again"
    assert said in console.file.getvalue()  # type: ignore[attr-defined]
    assert (tmp_path / LOG).read_text() == f"{said}\n"


def test_what_is_not_finite_is_null() -> None:
    told = json.loads(event_line("rung", miou=float("nan"), step=5))
    assert (told["miou"], told["step"]) == (None, 5)


def test_every_event_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "events.md").read_text()
    for name in ("study_began", "trial_began", "rung", "trial_returned", "trial_ended"):
        assert f"| `{name}` |" in text


def test_events_stay_on_the_output_they_began_with(capsys: pytest.CaptureFixture[str]) -> None:
    """Where Ray is, its own lines are turned away from standard output."""
    terminal = Events()
    with redirect_stdout(io.StringIO()) as elsewhere:
        terminal.emit("message", text="here")
    assert elsewhere.getvalue() == ""
    assert json.loads(capsys.readouterr().out)["text"] == "here"


def test_a_trial_that_pauses_has_not_ended(capsys: pytest.CaptureFixture[str]) -> None:
    (listener,) = Events().listeners()
    paused = replace(result(1, miou=0.5), status=STOPPED, wall_s=2.0)
    listener.ended(replace(TASK, beside=True), paused)
    whole = replace(result(1, miou=0.6), wall_s=3.0)
    listener.ended(replace(TASK, before=paused), whole)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["event"], first["wall_s"]) == ("trial_paused", 2.0)
    assert (second["event"], second["wall_s"]) == ("trial_ended", 5.0)


@pytest.mark.parametrize("who", ["a listener", "the study"])
def test_what_fails_beside_a_trial_is_not_its_failure(who: str, tmp_path: Path) -> None:
    """A program that reads events and leaves; a study that is damaged. The trial waits."""

    class Broken(Twice):
        def report(self, number: int, progress: TrialProgress) -> bool:
            if who == "the study" and progress.phase == "train":
                raise StudyDamagedError("study.db is damaged")
            return True

        def tell(self, number: int, result: TrialResult) -> bool:
            raise AssertionError(result)

    class Reader:
        def started(self, task: TrialTask) -> None: ...
        def returned(self, task: TrialTask, reason: str) -> None: ...
        def ended(self, task: TrialTask, result: TrialResult) -> None: ...
        def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
            if who == "a listener" and progress.phase == "train" and progress.step == 2:
                raise BrokenPipeError

    data = DataSpec("shapes", 3, size=(32, 32), train_images=8, val_images=4)
    schedule = Schedule(data, steps=3, batch=2, crop=(32, 32))
    for name in ("checkpoints", "logs", "weights", "evaluation"):
        (tmp_path / name).mkdir()
    task = replace(TASK, schedule=schedule, rungs=(3,), folder=str(tmp_path))
    brain = Broken()
    brain.left = [task]
    with pytest.raises(BrokenPipeError if who == "a listener" else StudyDamagedError):
        run_inline(brain, Worker().run, [Reader()])
    assert len(list((tmp_path / "checkpoints").rglob("*.pt"))) == 1
