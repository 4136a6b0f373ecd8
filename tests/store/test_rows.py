"""Records survive the database exactly, and impossible numbers never look like results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_up import network, result

from hrnet_search.arch.architecture import Architecture
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, RungResult, TrialResult
from hrnet_search.store.rows import from_json, to_json, trusted


@pytest.mark.parametrize(
    "record",
    [
        result(3),
        result(4, latency=None, cost=None, rungs=(), notes=("half the batch",)),
        result(5, miou=None, status=FAILED, error="line: ünïcode <b>", versions=()),
    ],
)
def test_a_result_survives(record: TrialResult) -> None:
    assert from_json(TrialResult, to_json(record)) == record


def test_an_architecture_survives() -> None:
    assert from_json(Architecture, to_json(network(7))) == network(7)


def test_fields_that_another_version_had_are_left_out() -> None:
    text = to_json(result(1)).replace('{"key"', '{"gone":1,"key"', 1)
    assert from_json(TrialResult, text) == result(1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('{"key":', "truncated"),
        ("null", "Expected `object`, got `null`"),
        ('{"key":{"architecture":"hr-1","schedule":"sc-1","seed":0}}', "status"),
        (
            '{"key":{"architecture":"hr-1","schedule":"sc-1","seed":"0"},"status":"completed"}',
            "str",
        ),
        ('{"key":{"architecture":"hr-1","schedule":"sc-1","seed":0},"status":1}', "int"),
    ],
)
def test_what_is_not_a_record_is_refused(wrong: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(TrialResult, wrong)


@pytest.mark.parametrize("miou", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_completed_trial_with_an_impossible_miou_has_failed(miou: float) -> None:
    kept = trusted(result(1, miou=miou))
    assert (kept.status, kept.miou) == (FAILED, None)
    assert "mIoU" in kept.error
    to_json(kept)


def test_a_completed_trial_without_an_miou_has_failed() -> None:
    assert trusted(replace(result(1), miou=None)).status == FAILED


def test_a_latency_that_is_none_is_dropped() -> None:
    slow = result(1)
    assert slow.latency
    broken = replace(slow, latency=replace(slow.latency, ms=float("nan")))
    assert (trusted(broken).status, trusted(broken).latency) == (FAILED, None)
    refused = trusted(replace(broken, status=INFEASIBLE, miou=None))
    assert refused.status == INFEASIBLE


def test_a_sound_result_stays_as_it_is() -> None:
    assert trusted(result(2)) is not None
    assert trusted(result(2)) == result(2)


def changed(rung: RungResult, name: str, value: float | None) -> RungResult:
    changes: Any = {name: value}
    return replace(rung, **changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["soft_iou", "balanced_cross_entropy", "training_loss"])
def test_a_trial_whose_signal_is_not_finite_keeps_all_else(name: str, value: float) -> None:
    sound = result(3)
    (rung,) = sound.rungs
    kept = trusted(replace(sound, rungs=(changed(rung, name, value),)))
    assert (kept.status, kept.miou, kept.error) == (COMPLETED, sound.miou, "")
    assert kept.rungs == (changed(rung, name, None),)
    assert kept.notes == (f"its {name} at step 10 is not finite, and left out",)
    assert from_json(TrialResult, to_json(kept)) == kept


def test_a_share_that_is_not_finite_is_left_out() -> None:
    kept = trusted(result(3, kept=float("nan")))
    assert (kept.status, kept.kept) == (COMPLETED, None)
    assert kept.notes == ("its kept is not finite, and left out",)


@pytest.mark.parametrize("name", ["loss", "miou", "miou_present"])
def test_a_rung_whose_own_numbers_are_not_finite_fails_a_trial(name: str) -> None:
    (rung,) = result(3).rungs
    kept = trusted(result(3, rungs=(changed(rung, name, float("nan")),)))
    assert (kept.status, kept.rungs) == (FAILED, ())
