"""A budget of device time with several workers: their seconds add up, and what runs is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from search.ray_tune.jobs import Simulated
from search.ray_tune.simulated import drive_on
from search.ray_tune.test_lost_storage import TwoTrials
from search.tabulated import plan

from hrnet_search.records.trial import TrialProgress, TrialTask
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.ray_tune.cluster import Cluster
from hrnet_search.search.ray_tune.conductor import BrainSearcher, Conductor
from hrnet_search.search.ray_tune.watch import Watch
from hrnet_search.search.ray_tune.worker import LEAVE, LEFT
from hrnet_search.search.time_budget import TimeSpentError
from hrnet_search.store.study import open_study


class Spent(TwoTrials):
    """Its time is spent once both of its trials run."""

    def report(self, number: int, progress: TrialProgress) -> bool:
        raise TimeSpentError

    def ask(self) -> TrialTask | None:
        task = super().ask()
        self.why_ended = "" if task else "all spent"
        return task


def test_trials_that_run_when_time_is_spent_are_left_and_the_study_has_ended() -> None:
    brain = Spent()
    conductor = Conductor(brain, 2, (), Interrupt(), None, Watch(None))  # type: ignore[arg-type]
    searcher = BrainSearcher(conductor)
    for name in ("a", "b"):
        assert isinstance(conductor.suggest(name), dict)
    for name in ("a", "b"):
        assert conductor.verdict(name, TrialProgress("train", 1, 10)) == LEAVE
        assert conductor.suggest("c") is None
        searcher.on_trial_complete(name, {LEFT: True, "done": True})
    assert conductor.suggest("c") == BrainSearcher.FINISHED
    assert conductor.error is None
    assert not conductor.leaving
    assert brain.told == []


@pytest.mark.bench
def test_the_seconds_of_two_workers_end_a_study_between_two_steps(
    ray: Cluster, tmp_path: Path
) -> None:
    """Trials that take longer than they say are left where they are, and go on with more time."""
    job = Simulated(str(tmp_path / "journal"), 30.0)
    planned = replace(plan("random", 40), hours=50 / 3600)
    brain = drive_on(ray, tmp_path / "study", planned, 2, job)
    study = open_study(tmp_path / "study")
    assert study.notes.spent_s is not None
    assert 50 <= study.notes.spent_s < 50 + 2 * 6  # a step of each worker takes 3 s
    assert "device-hours, all spent" in brain.why_ended
    assert "wait for more: search.hours, or --hours" in brain.why_ended
    left = [ask for ask, result in study.trials() if not result]
    assert 1 <= len(left) <= 2
    again = replace(planned, hours=90 / 3600)
    more = drive_on(ray, tmp_path / "study", again, 2, Simulated(str(tmp_path / "journal"), 0.5))
    study = open_study(tmp_path / "study")
    ended = [ask.number for ask, result in study.trials() if result]
    assert {ask.number for ask in left} <= set(ended)
    assert more.ended > brain.ended
