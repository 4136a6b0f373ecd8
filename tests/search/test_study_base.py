"""A study whose variants inherit from a base trains it first, once, and nothing without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from search import tabulated
from search.made_up_trials import KilledError, killed_after, run_made_up
from search.tabulated import drive

from hrnet_search.records.trial import FAILED, TrialResult, TrialTask
from hrnet_search.report.standing import standing
from hrnet_search.report.summary import summary
from hrnet_search.search.brain import Brain
from hrnet_search.search.initial_weights import base_schedule
from hrnet_search.search.plan import Plan
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


def plan(trials: int = 12) -> Plan:
    planned = tabulated.plan(trials=trials, seeds=(4,))
    schedule = replace(planned.schedule, init="base", init_steps=30, init_fingerprint="0f")
    return replace(planned, schedule=schedule, base=base_schedule(schedule))


def test_the_base_is_trial_number_0_and_not_one_of_the_trials(tmp_path: Path) -> None:
    brain = drive(tmp_path, plan())
    study = open_study(tmp_path)
    table = study.results()
    assert brain.ended == 12
    assert len(table) == 13
    said = "12 trials: 11 completed, 1 failed; beside them the base trained first"
    assert standing(study).line == said
    assert said in summary(study)
    assert table["architecture"][0] == tabulated.SPACE.base.id
    assert table["schedule"].tolist() == [plan().base.id, *[plan().schedule.id] * 12]  # type: ignore[union-attr]
    assert table["seed"].unique().tolist() == [4]
    assert 0 not in set(study.front()["number"])
    assert [ask.purpose for ask, _ in study.trials()] == ["base", *["search"] * 12]


def test_the_base_is_trained_by_its_own_schedule_and_measured_by_none(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes())
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(), store, 7.0)
        task = brain.ask()
        assert task is not None
        assert (task.schedule, task.rungs, task.latency) == (plan().base, (30,), None)
        assert brain.ask() is None
        assert brain.why_ended == ""
        brain.tell(task.number, run_made_up(task, lambda _: True))
        variant = brain.ask()
        assert variant is not None
        assert variant.schedule == plan().schedule
        assert variant.latency is not None


def test_the_proposals_are_those_of_a_study_without_a_base(tmp_path: Path) -> None:
    drive(tmp_path / "with", plan())
    drive(tmp_path / "without", tabulated.plan(trials=12, seeds=(4,)))
    with_base = open_study(tmp_path / "with").results()["architecture"].tolist()
    assert with_base[1:] == open_study(tmp_path / "without").results()["architecture"].tolist()


@pytest.mark.parametrize("resumed", [False, True])
def test_a_base_that_fails_ends_the_study_with_its_reason(tmp_path: Path, resumed: bool) -> None:
    def fail(task: TrialTask, _: object) -> TrialResult:
        return TrialResult(task.key, FAILED, error="the loss is nan at step 3")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulated, "run_made_up", fail)
        brain = drive(tmp_path, plan())
    if resumed:
        brain = drive(tmp_path, plan())
    assert brain.why_ended.startswith("the base, from which all variants inherit, ended as failed")
    assert "the loss is nan at step 3" in brain.why_ended
    assert len(open_study(tmp_path).results()) == 1


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_study_cut_off_goes_on_from_its_base(tmp_path: Path, after: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulated, "run_made_up", killed_after(after))
        with pytest.raises(KilledError):
            drive(tmp_path / "cut", plan())
    drive(tmp_path / "cut", plan())
    drive(tmp_path / "whole", plan())
    columns = ["number", "architecture", "schedule", "status", "miou"]
    cut, whole = (open_study(tmp_path / name).results()[columns] for name in ("cut", "whole"))
    assert cut.equals(whole)
