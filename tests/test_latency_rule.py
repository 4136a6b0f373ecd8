"""One rule says what may be concluded from latencies."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hrnet_search.latency_rule import closed, half_width_ms, interval_ms, is_slower, noisy_doubt
from hrnet_search.records.latency import Latency, LatencyCondition

CONDITION = LatencyCondition("a machine", "eager", "fp32", 1, (64, 64), 1)


def latency(ratio: float, spread: float, noisy: bool = False) -> Latency:
    return Latency(
        10 * ratio, ratio, ratio, ratio, ratio, ratio, 9, noisy, CONDITION,
        ratio_low=ratio - spread, ratio_high=ratio + spread,
    )  # fmt: skip


def test_only_what_closed_and_does_not_overlap_is_slower() -> None:
    slow, fast = latency(1.2, 0.01), latency(1.0, 0.01)
    assert is_slower(slow, fast)
    assert not is_slower(fast, slow)
    assert not is_slower(latency(1.019, 0.01), fast)  # they overlap
    assert not is_slower(latency(1.2, 0.01, noisy=True), fast)
    assert not is_slower(slow, latency(1.0, 0.01, noisy=True))
    elsewhere = replace(fast, condition=replace(CONDITION, device="another"))
    assert not is_slower(slow, elsewhere)
    assert closed(slow, fast)
    assert not closed(slow, elsewhere)


def test_the_interval_is_that_of_what_counts() -> None:
    assert interval_ms(latency(2.0, 0.1)) == pytest.approx((19, 21))
    old = replace(latency(2.0, 0.1), ratio_low=0.0, median_ms=5, low_ms=4, high_ms=7)
    assert interval_ms(old) == pytest.approx((16, 28))  # before intervals of ratios were noted
    assert half_width_ms(old) == pytest.approx(8)
    assert half_width_ms(latency(2.0, 0.1, noisy=True)) == math.inf


def test_a_doubt_counts_the_noisy_ones() -> None:
    assert noisy_doubt([latency(1, 0.1)], "here") == ""
    assert noisy_doubt([], "here") == ""
    some = [latency(1, 0.1), latency(1, 0.1, noisy=True)]
    assert noisy_doubt(some, "here").startswith("1 of 2 latencies here are noisy")
