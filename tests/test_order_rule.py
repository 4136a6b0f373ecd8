"""The order that a long schedule is expected to give, where a search saw little or nonsense."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_search.order_rule import applies, columns_of, expected


def test_one_that_learned_nothing_leaves_the_order_of_the_others() -> None:
    """It sets no scale, and is far behind."""
    rng = np.random.default_rng(0)
    short, ones = 0.4 + 0.03 * rng.normal(size=20), np.ones(20)
    alone = expected(columns_of(short[:-1], (ones[:-1], ones[:-1])))
    short[-1] = 0.02
    learned = np.array([True] * 19 + [False])
    beside = expected(columns_of(short, (ones, ones), learned))
    assert beside[:-1] == pytest.approx(alone)
    assert beside[-1] < 2 * alone.min()
    unknown = expected(columns_of(short, (ones, ones)))
    assert np.abs(unknown[:-1]).max() < np.abs(alone).max()
    for some in (0, 10):  # where most learned nothing, nobody says what is usual
        few = expected(columns_of(short, (ones, ones), np.arange(20) < some))
        assert few == pytest.approx(unknown)


def test_what_learned_nothing_is_no_better_than_the_worst_that_did() -> None:
    """Soft IoU of one class everywhere may be more than that of a network that learns."""
    ones = np.ones(5)
    short = np.array([0.072, 0.074, 0.077, 0.09, 0.01])
    learned = np.array([True, True, True, False, False])
    found = expected(columns_of(short, (ones, ones), learned))
    assert found[3] == found[:3].min() > found[4]
    assert found.argmax() == 2


def test_what_is_equal_but_for_one_is_told_by_it() -> None:
    ones = np.ones(5)
    short = np.array([0.3, 0.3, 0.3, 0.3, 0.5])
    assert expected(columns_of(short, (ones, ones))).argmax() == 4
    assert not expected(columns_of(ones, (ones, ones))).any()


@pytest.mark.parametrize(
    ("init", "schedules", "does"),
    [("none", 1, True), ("shared", 1, True), ("none", 0, True), ("none", 2, False),
     ("base", 1, False), ("trial:x", 1, False), ("w.safetensors", 1, False)],
)  # fmt: skip
def test_where_it_holds(init: str, schedules: int, does: bool) -> None:
    assert applies(init, schedules) is does
