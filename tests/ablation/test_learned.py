"""An arm that learned nothing, or failed, is equivalent to nothing and better than nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ablation.made_up_ablation import accuracy, drive, run_made_up, space_file

from hrnet_search.ablation.learned import nothing_learned, withheld
from hrnet_search.records.trial import FAILED, TrialResult, TrialTask
from hrnet_search.search.driver import Report
from hrnet_search.store.ablation import AblationRecord, EffectRow
from hrnet_search.store.study import open_study

NAN = float("nan")
MANY = np.full((4, 3), 0.5)
ONE = np.array([[0.6, 0, 0], [0, 0.6, 0], [0.6, 0, 0], [0.6, 0, 0]])


@pytest.mark.parametrize(
    ("miou", "iou", "why"),
    [
        ([0.5, 0.51, 0.49, 0.5], MANY, ""),
        ([0.02, 0.02, 0.02, 0.02], MANY, "its mIoU is 2.00% at every seed"),
        ([0.02, 0.02, NAN, NAN], MANY, "its mIoU is 2.00% at every seed"),
        ([0.2, 0.21, 0.2, 0.2], ONE, "it predicts one class alone"),  # another at each seed
        ([0.2, NAN, NAN, NAN], ONE, "it predicts one class alone"),
        ([0.2, 0.21, 0.2, 0.2], np.vstack([MANY[:1], ONE[1:]]), ""),  # one seed did learn
        ([0.2, NAN, NAN, NAN], MANY, ""),  # one seed: nothing to compare it with
        ([1.0, 1.0, 1.0, 1.0], MANY, ""),  # perfect, and so all alike
        ([0.3, 0.31, 0.3, 0.3], np.full((4, 3), NAN), ""),
        ([NAN] * 4, MANY, ""),
    ],
)
def test_who_learned_nothing_is_told_by_its_numbers(
    miou: list[float], iou: np.ndarray, why: str
) -> None:
    assert nothing_learned(np.array(miou), iou) == why


def test_verdicts_are_withheld_from_such_arms() -> None:
    pair = ((0, -1.0), (1, 1.0))
    assert withheld("equivalent", pair, {}, {}) == "equivalent"
    for arm in (0, 1):
        assert withheld("equivalent", pair, {arm: "x"}, {}) == "undecided"
        assert withheld("worse", pair, {arm: "x"}, {}) == "worse"
        assert withheld("equivalent", pair, {}, {arm: 1}) == "undecided"
    assert withheld("worse", pair, {0: "x", 1: "x"}, {}) == "undecided"
    # What an arm gained is not believed where it is the one that failed.
    assert withheld("better", pair, {}, {1: 1}) == "undecided"
    assert withheld("worse", pair, {}, {1: 1}) == "worse"
    assert withheld("better", pair, {}, {0: 1}) == "better"
    assert withheld("worse", pair, {}, {0: 1}) == "undecided"


def made(task: TrialTask, report: Report, miou: float) -> TrialResult:
    found = run_made_up(task, report)
    rungs = tuple(replace(rung, miou=miou, iou=(miou,) * 8) for rung in found.rungs)
    return replace(found, miou=miou, rungs=rungs)


def record_of(folder: Path, run: Callable[[TrialTask, Report], TrialResult]) -> AblationRecord:
    drive(space_file(folder), folder / "study", run)
    record = open_study(folder / "study").notes.ablation
    assert record
    return record


def row(record: AblationRecord, name: str) -> EffectRow:
    return next(effect for effect in record.effects if effect.name == name)


def test_an_arm_that_never_learned_is_undecided_and_says_so(tmp_path: Path) -> None:
    # All is at chance, as of a schedule too short; one arm alone has noise.
    def run(task: TrialTask, report: Report) -> TrialResult:
        learned = task.architecture.stages[3].branches == 3
        return made(task, report, 0.02 + (0.0001 * task.key.seed if learned else 0.0))

    record = record_of(tmp_path, run)
    found = row(record, "fuse=CAT")
    assert found.verdict == "undecided"
    assert "fuse=CAT: nothing was learned, its mIoU is 2.00% at every seed" in found.note
    assert "equivalent" not in {effect.verdict for effect in record.effects}


def test_an_arm_that_learned_nothing_beside_one_that_did_is_worse_and_says_why(
    tmp_path: Path,
) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.architecture.stages[3].fuse == "CAT":
            return made(task, report, 0.02)
        return run_made_up(task, report)

    found = row(record_of(tmp_path, run), "fuse=CAT")
    assert found.verdict == "worse"
    assert "nothing was learned" in found.note


def test_seed_noise_is_that_of_arms_that_learned(tmp_path: Path) -> None:
    """The difference to an arm at chance has all that a seed does to every arm, or nothing."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.architecture.stages[3].fuse == "CAT":
            return made(task, report, 0.02)
        return run_made_up(task, report)

    record = record_of(tmp_path, run)
    squares = [e.sd**2 for e in record.effects if e.name != "fuse=CAT" and e.sd is not None]
    assert record.noise == pytest.approx((sum(squares) / len(squares)) ** 0.5)
    assert len(squares) == 3


def test_no_noise_is_told_against_a_reference_that_learned_nothing(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        learned = task.architecture.stages[3].branches == 3
        return made(task, report, 0.02 + (0.0001 * task.key.seed if learned else 0.0))

    record = record_of(tmp_path, run)
    assert (record.noise, record.detectable) == (None, None)


@pytest.mark.parametrize("fails", [False, True])
def test_an_arm_that_failed_at_a_seed_is_not_called_equivalent(tmp_path: Path, fails: bool) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.schedule.flip:
            return run_made_up(task, report)
        if fails and task.key.seed == 2:
            return TrialResult(task.key, FAILED, error="the loss is nan at step 7 of 10")
        return made(task, report, accuracy(task) + 0.0005 * (task.key.seed % 3 - 1))

    found = row(record_of(tmp_path, run), "flip=false")
    said = "flip=false failed at 1 of 6 seeds: no verdict is in its favour"
    assert found.verdict == ("undecided" if fails else "equivalent")
    assert (said in found.note) is fails
