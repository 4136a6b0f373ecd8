"""A worker that cannot write ends the study, and its trial has not failed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up import result
from search.ray_tune.test_storage import TASK

from hrnet_search.errors import StorageLostError
from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.deaths import Death
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.conductor import BrainSearcher, Conductor
from hrnet_search.search.ray_tune.watch import Watch
from hrnet_search.search.ray_tune.worker import LEAVE, LOST, Report, RunningTrial


class TwoTrials:
    """Has two trials to run, and would be told of what came of them."""

    def __init__(self) -> None:
        self.why_ended = ""
        self.told: list[int] = []
        self._left = [replace(TASK, number=number) for number in (0, 1)]

    def ask(self) -> TrialTask | None:
        return self._left.pop(0) if self._left else None

    def report(self, number: int, progress: TrialProgress) -> bool:
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        self.told.append(number)
        return True

    def give_back(self, number: int, death: Death) -> TrialResult | None:
        self.told.append(number)
        return None


def test_a_worker_says_that_it_cannot_write_instead_of_dying() -> None:
    def full(_: TrialTask, report: Report) -> TrialResult:
        raise StorageLostError("/s/weights/a: cannot be written: No space left on device")

    said = RunningTrial(full, TASK).next()
    assert said == {LOST: "/s/weights/a: cannot be written: No space left on device", "done": True}


def test_the_driver_stops_the_study_and_lets_the_others_save() -> None:
    brain = TwoTrials()
    conductor = Conductor(brain, 2, (), Interrupt(), None, Watch(None))  # type: ignore[arg-type]
    searcher = BrainSearcher(conductor)
    for name in ("a", "b"):
        assert isinstance(conductor.suggest(name), dict)
    searcher.on_trial_complete("a", {LOST: "/s: cannot be written", "done": True})
    assert isinstance(conductor.error, StorageLostError)
    assert str(conductor.error) == "/s: cannot be written"
    assert conductor.leaving
    assert not conductor.over  # the other one may still save where it is
    assert conductor.verdict("b", TrialProgress("train", 1, 10)) == LEAVE
    searcher.on_trial_complete("b", {"left": True, "done": True})
    assert conductor.over
    assert brain.told == []


class Away:
    """A courier whose storage does not answer."""

    def send(self, task: TrialTask) -> None: ...

    def committed(self, task: TrialTask) -> None:
        raise AssertionError(task)

    def fetch(self, task: TrialTask) -> None:
        raise StorageLostError("weights: cannot be stored or fetched: timed out")


def test_a_trial_whose_files_could_not_be_fetched_has_not_ended() -> None:
    """It ends once they are here: nobody would fetch them for a trial that has ended."""
    brain = TwoTrials()
    conductor = Conductor(brain, 2, (), Interrupt(), Away(), Watch(None))  # type: ignore[arg-type]
    assert isinstance(conductor.suggest("a"), dict)
    conductor.ended("a", replace(result(0), key=TASK.key), error=False)
    assert isinstance(conductor.error, StorageLostError)
    assert brain.told == []


def test_that_no_worker_begins_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    brain, said = TwoTrials(), list[str]()
    watch = Watch(None)  # type: ignore[arg-type]
    monkeypatch.setattr(watch, "look", lambda: None)
    conductor = Conductor(brain, 2, (), Interrupt(), None, watch, said.append)
    assert isinstance(conductor.suggest("a"), dict)
    conductor.look()
    assert said == []
    monkeypatch.setattr("hrnet_search.search.ray_tune.conductor.PLACED_S", 0.0)
    conductor.look()
    conductor.look()
    (line,) = said
    assert line.startswith("no worker has begun for 0 s")
