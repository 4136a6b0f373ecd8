"""Failures end a study when many trials fail, or three say the same in a row."""

from __future__ import annotations

import pytest

from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, TrialKey, TrialResult
from hrnet_search.search.failures import Failures


def taken(planned: int, *trials: tuple[str, str]) -> str:
    failures = Failures(planned)
    for number, (status, error) in enumerate(trials):
        failures.take(TrialResult(TrialKey(f"a{number}", "b", 0), status, error=error))
    return failures.why_stop


@pytest.mark.parametrize(
    "errors",
    [
        ["no such device"] * 3,
        [f"the loss is nan at step {step} of 90" for step in (7, 18, 66)],
        [f"data.train: /d/0001TP_{n:06d}.png cannot be read" for n in (1, 22, 333)],
        [f"/d/{name}.png: data.train: cannot be read" for name in ("cat", "dog", "gnu")],
        [rf"D:\d\{name}: cannot be read" for name in ("cat", "dog", "gnu")],
        [""] * 3,
    ],
)
def test_three_that_say_the_same_are_enough(errors: list[str]) -> None:
    trials = [(FAILED, error) for error in errors]
    assert taken(100, *trials[:2]) == ""
    assert taken(100, *trials).startswith("3 networks in a row failed the same way (")


@pytest.mark.parametrize(
    "between", [(COMPLETED, ""), (FAILED, "something else")], ids=["success", "another failure"]
)
def test_what_comes_between_breaks_the_row(between: tuple[str, str]) -> None:
    failed = (FAILED, "no such device")
    assert taken(100, failed, failed, between, failed) == ""


def test_a_network_that_was_not_trained_does_not_break_the_row() -> None:
    failed = (FAILED, "no such device")
    assert taken(100, failed, (INFEASIBLE, "too slow"), failed, failed)


def test_the_seeds_of_one_network_are_one_failure() -> None:
    """What cannot be trained is no reason to end the study, however many seeds it has."""
    failures = Failures(4)
    for seed in range(9):
        failures.take(TrialResult(TrialKey("a", "b", seed), FAILED, error="the loss is nan"))
    assert failures.why_stop == ""
    for other in "cd":
        failures.take(TrialResult(TrialKey(other, "b", 0), FAILED, error="the loss is nan"))
    assert failures.why_stop.startswith("3 networks in a row failed the same way")


def test_of_two_arms_both_are_enough() -> None:
    """An ablation of two arms has no third that could fail alike."""
    failed = (FAILED, "no such device")
    assert taken(2, failed) == ""
    assert taken(2, failed, failed).startswith("2 networks in a row failed the same way")
    assert taken(1, failed) == "", "there is another seed of it, perhaps"


@pytest.mark.parametrize(("planned", "enough"), [(4, 5), (12, 6)])
def test_half_of_what_was_planned_is_enough_and_five_at_least(planned: int, enough: int) -> None:
    different = [(FAILED, name) for name in "ghijklmnop"[:enough]]
    assert taken(planned, *different[:-1]) == ""
    assert taken(planned, *different).startswith(
        f"{enough} networks failed: stopping; fix the cause and"
    )
