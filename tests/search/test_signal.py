"""What a search does with trials whose signal is not finite, though their mIoU is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from search.made_up_trials import run_made_up
from search.tabulated import create, plan

from hrnet_search.records.accuracy import MIOU, SOFT_IOU
from hrnet_search.records.trial import COMPLETED, RungResult, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.rungs import Curve, chance, curve_of
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

Run = Callable[[TrialTask, Report], TrialResult]


def softly(value: float | None) -> Run:
    """Return what runs trials of which one in two has a soft IoU of `value`, others their mIoU."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        def softer(rung: RungResult) -> RungResult:
            odd = int(task.architecture.id[-1], 16) % 2
            return replace(rung, soft_iou=value if odd else rung.miou)

        def told(progress: TrialProgress) -> bool:
            rung = progress.rung and softer(progress.rung)
            return report(replace(progress, rung=rung))

        done = run_made_up(task, told)
        return replace(done, rungs=tuple(map(softer, done.rungs)))

    return run


def searched(folder: Path, sampler: str, run: Run) -> Brain:
    create(folder)
    with StudyStore(folder) as store:
        planned = replace(plan(sampler, 14), signal=SOFT_IOU, stop=0.05)
        brain = Brain(planned, store, None)
        run_inline(brain, run)
    return brain


@pytest.mark.parametrize("sampler", ["pareto", "optuna:tpe"])
def test_a_signal_that_is_not_finite_is_one_that_is_not_known(sampler: str, tmp_path: Path) -> None:
    """The search goes the way that it goes where those trials have no soft IoU at all."""
    asked = {}
    for name, value in (("nan", math.nan), ("none", None)):
        brain = searched(tmp_path / name, sampler, softly(value))
        table = open_study(tmp_path / name).results()
        asked[name] = table["architecture"].tolist()
        done = table[table["status"] == COMPLETED]
        assert brain.ended == 14
        assert done["miou"].between(0, 1).all()
        assert 0 < done["soft_iou"].isna().sum() < len(done)
        # What is not known to the sampler stands on the front by its mIoU as any other does.
        assert set(open_study(tmp_path / name).front()["number"]) <= set(done["number"])
    assert asked["nan"] == asked["none"]
    assert len(asked["nan"]) == 14


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_none(value: float) -> None:
    rung = RungResult(5, 0.4, (), 1.0, 0.4, soft_iou=value)
    assert (rung.score(SOFT_IOU), rung.score(MIOU)) == (None, 0.4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_rule_of_the_rungs_says_nothing_of_such_a_trial_and_learns_nothing_from_it(
    value: float,
) -> None:
    sound = [
        Curve((150.0 + 7 * n % 12,), ((5, 0.3 + n / 100), (10, 0.5 + n / 100)), 0.5 + n / 100)
        for n in range(12)
    ]
    rungs = tuple(RungResult(s, 0.4, (), 1.0, 0.4, soft_iou=value) for s in (5, 10))
    done = TrialResult(None, COMPLETED, miou=0.4, rungs=rungs)  # type: ignore[arg-type]
    odd = curve_of(done, (200.0,), SOFT_IOU)
    assert (odd.rungs, odd.final) == ((), None)
    assert chance(odd, 5, sound) == 1
    low = Curve((162.0,), ((5, 0.1),))
    assert chance(low, 5, [*sound, odd]) == chance(low, 5, sound) < 0.05
