"""What a search picks by is, number by number, what a report does before long trainings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from search.made_up_trials import run_made_up
from search.tabulated import plan

from hrnet_search.records.accuracy import SIGNAL, SOFT_IOU
from hrnet_search.records.trial import TrialResult, TrialTask
from hrnet_search.report.trust.believed import expected_of
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.search.scores import scores_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

COLLAPSED = 3
"""The trial of a network that predicts one class everywhere."""


def run(folder: Path, planned: Plan, without: int = -1) -> dict[str, float]:
    """Run a study whose networks have a soft IoU, all but one trial; return its scores."""

    def made_up(task: TrialTask, report: Report) -> TrialResult:
        result = run_made_up(task, report)
        if result.miou is None or task.number == without:
            return result
        soft = result.miou / 2 + 0.01 * (task.number % 3)
        rungs = tuple(replace(r, soft_iou=soft) for r in result.rungs)
        if task.number == COLLAPSED:
            one = 0.1, 0.0, 0.0, 0.0
            rungs = tuple(replace(r, soft_iou=0.01, miou=0.025, iou=one) for r in rungs)
        return replace(result, rungs=rungs, miou=rungs[-1].miou)

    schedule = NotedSchedule.of(planned.schedule)
    noted = Notes(
        name="s", objectives=("miou", "macs"), schedule=schedule, identity={SIGNAL: SOFT_IOU}
    )
    StudyStore.create(folder, noted)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        run_inline(brain, made_up)
        return scores_of(planned, brain._book)


@pytest.mark.parametrize("without", [-1, 5])
@pytest.mark.parametrize("confirm", [0.0, 0.4])
def test_they_are_those_of_a_report(tmp_path: Path, confirm: float, without: int) -> None:
    planned = replace(plan("random", 30), confirm=confirm, signal=SOFT_IOU)
    scores = run(tmp_path / "s", planned, without)
    study = open_study(tmp_path / "s")
    found = expected_of(study.trials(), study.notes)
    assert found is not None
    assert found.signal == ("miou" if without >= 0 else SOFT_IOU)
    assert scores == pytest.approx(found.scores())
    by_number = {ask.number: ask.key.architecture for ask, _ in study.trials()}
    assert scores[by_number[COLLAPSED]] < 2 * sorted(scores.values())[1], "it sets no scale"


def test_what_inherits_the_weights_of_a_base_has_none(tmp_path: Path) -> None:
    planned = plan("random", 8)
    planned = replace(planned, schedule=replace(planned.schedule, init="base"), confirm=0.0)
    assert run(tmp_path / "s", planned) == {}
    study = open_study(tmp_path / "s")
    assert expected_of(study.trials(), study.notes) is None
