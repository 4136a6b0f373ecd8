"""Duels: hardly ever called better for nothing, over all looks, and soon for something."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from hrnet_search.duel_rule import (
    ABOVE,
    BELOW,
    BETTER,
    FEWEST_PAIRS,
    FUTILE_FROM,
    MOST_DUELS,
    MOST_PAIRS,
    NOT_SHOWN,
    OPEN,
    WORSE,
    Verdict,
    critical,
    interval,
    verdicts,
)


def fought(rows: list[list[float]], most: int) -> list[Verdict]:
    """Return how duels end that are fought one after the other."""
    counts = [0] * len(rows)
    for current in range(len(rows)):
        while True:
            found = verdicts([(most, r[:n]) for r, n in zip(rows, counts, strict=True)])
            if found[current].called != OPEN:
                break
            counts[current] += 1
    return found


@pytest.mark.parametrize("duels", [1, 3])
def test_of_studies_without_a_difference_at_most_five_in_a_hundred_find_one(duels: int) -> None:
    rng, count = np.random.default_rng(0), 1000
    ended = [fought(rng.normal(0, 0.02, (duels, 8)).tolist(), 8) for _ in range(count)]
    false = sum(any(one.called == BETTER for one in family) for family in ended)
    assert 0.01 * count < false <= 0.05 * count
    held = np.mean([one.low <= 0 <= one.high for family in ended for one in family])
    assert held >= 0.945


def test_two_points_are_found_in_most_duels_at_the_noise_of_the_table() -> None:
    rng, count = np.random.default_rng(1), 300
    ended = [fought(rng.normal(0.02, 0.02, (1, MOST_PAIRS)).tolist(), MOST_PAIRS)[0]
             for _ in range(count)]  # fmt: skip
    assert sum(one.called == BETTER for one in ended) > 0.8 * count
    assert np.mean([one.pairs for one in ended]) < 9
    held = np.mean([one.low <= 0.02 <= one.high for one in ended])
    assert held >= 0.93


def test_with_one_look_it_is_the_paired_t_test_of_scipy() -> None:
    pick, rival = [0.61, 0.64], [0.58, 0.60]
    low, high = interval([a - b for a, b in zip(pick, rival, strict=True)], 2, BELOW)
    found = stats.ttest_rel(pick, rival)
    assert low == pytest.approx(found.confidence_interval(1 - 2 * BELOW).low, rel=2e-3)
    assert high == pytest.approx(found.confidence_interval(1 - 2 * ABOVE).high, rel=2e-3)


@pytest.mark.parametrize("tail", [BELOW, BELOW / 2, BELOW / 3, ABOVE])
def test_a_look_among_several_asks_for_more_than_the_only_one(tail: float) -> None:
    for most in range(FEWEST_PAIRS + 1, MOST_PAIRS + 1):
        looks = [critical(k, most, tail) for k in range(FEWEST_PAIRS, most + 1)]
        assert all(a > b for a, b in pairwise(looks))
        assert looks[-1] > stats.t.ppf(1 - tail, most - 1)
        # Bonferroni over the looks would ask for more.
        assert looks[-1] < stats.t.ppf(1 - tail / (most - 1), most - 1)


def test_before_two_pairs_nothing_is_said() -> None:
    none, one = verdicts([(4, []), (4, [0.3])])
    assert (none.called, one.called) == (OPEN, OPEN)
    assert math.isnan(none.mean)
    assert (one.mean, one.low, one.high) == (0.3, -math.inf, math.inf)
    assert verdicts([(4, [0.3, 0.1])])[0].mean == pytest.approx(0.2)


def test_a_duel_ends_better_worse_or_not_shown() -> None:
    plain = [0.02, 0.022, 0.021, 0.0195]
    called = [
        verdicts([(6, differences)])[0].called
        for differences in (
            plain,
            [-d for d in plain],
            [0.01, -0.02, 0.015, -0.01],  # not ahead after four
            [0.02, -0.02, 0.01, -0.01],  # nor behind
            [0.05, -0.04, 0.06],
            [0.05, -0.04, 0.06, -0.03, 0.04, -0.03],
        )
    ]
    assert called == [BETTER, WORSE, NOT_SHOWN, NOT_SHOWN, OPEN, NOT_SHOWN]
    assert FUTILE_FROM == 4


def test_what_one_duel_decided_makes_the_others_easier() -> None:
    """Holm's step-down: the share of a duel that was decided goes to those left."""
    clear, close = [0.02, 0.021, 0.0205, 0.0202], [0.020, 0.030, 0.010, 0.022]
    alone = verdicts([(4, close)])[0]
    beside = verdicts([(4, []), (4, []), (4, close)])[2]
    helped = verdicts([(4, clear), (4, clear), (4, close)])[2]
    assert (alone.called, helped.called) == (BETTER, BETTER)
    assert beside.called == NOT_SHOWN
    assert helped == alone
    assert beside.low < alone.low
    assert beside.high == alone.high


def test_the_scale_of_accuracies_changes_no_verdict() -> None:
    rows = np.random.default_rng(3).normal(0.5, 1, (40, 5))
    for row in rows:
        first, second = (verdicts([(5, (row * s).tolist())])[0] for s in (1.0, 1e-3))
        assert first.called == second.called
        assert first.low == pytest.approx(second.low * 1e3)


def test_networks_that_never_differ_are_not_shown_to() -> None:
    assert verdicts([(2, [0.0, 0.0])])[0].called == NOT_SHOWN
    assert MOST_DUELS == 3


@pytest.mark.parametrize("differences", [[0.002, 0.002], [0.1 + 0.2, 0.3, 0.3], [0.0] * 3])
def test_differences_without_any_noise_decide_nothing(differences: list[float]) -> None:
    """Two networks that name every pixel alike, each by a class of its own, differ so."""
    (found,) = verdicts([(5, differences)])
    assert found.called == OPEN
    assert (found.low, found.high) == (-math.inf, math.inf)
