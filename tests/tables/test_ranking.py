"""Figures of rankings against other ways to the same number, and against what was made up."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tables.ranking import (
    front_and_fewest,
    noise,
    pairs_in_order,
    regret,
    three_budgets,
)


def test_noise_is_what_was_put_in() -> None:
    """4,000 networks in 4 bins: 0.05 between bins, 0.03 within them, 0.02 a seed."""
    rng = np.random.default_rng(0)
    bins = np.arange(4000) % 4
    true = 0.05 * np.array([-1.2, -0.4, 0.4, 1.2])[bins] + 0.03 * rng.normal(size=4000)
    found = noise(true[:, None] + 0.02 * rng.normal(size=(4000, 2)), bins)
    assert found.seed == pytest.approx(0.02, rel=0.03)
    assert found.spread_in_bins == pytest.approx(0.03, rel=0.03)
    assert found.spread == pytest.approx(np.hypot(0.03, 0.05 * np.sqrt(0.8)), rel=0.03)


def test_spread_within_bins_has_a_degree_of_freedom_less_a_bin() -> None:
    means = np.array([0.2, 0.4, 0.7, 0.9])
    values = means[:, None] + np.array([-0.02, 0.02])
    found = noise(values, np.array([0, 0, 1, 1]))
    own = 0.04**2 / 2
    assert found.seed == pytest.approx(np.sqrt(own))
    assert found.spread_in_bins == pytest.approx(np.sqrt(4 * 0.1**2 / 2 - own / 2))
    assert found.spread == pytest.approx(np.sqrt(means.var(ddof=1) - own / 2))


def test_where_noise_explains_all_there_is_no_spread() -> None:
    values = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.4, 0.6]])
    assert noise(values, np.zeros(4, dtype=np.int64)).spread == 0


def test_only_pairs_of_one_bin_count_and_a_tie_is_half() -> None:
    bins = np.array([0, 0, 0, 1, 1])
    truth = np.array([1.0, 2.0, 3.0, 9.0, 8.0])
    # In order: 0-1, 0-2. Wrong: 3-4. A tie: 1-2.
    assert pairs_in_order(np.array([1.0, 2.0, 2.0, 0.0, 5.0]), truth, bins) == pytest.approx(
        2.5 / 4
    )
    assert np.isnan(pairs_in_order(np.arange(2.0), np.arange(2.0), np.arange(2)))


def test_regret_is_what_the_picks_of_the_budgets_lose() -> None:
    macs = np.array([10.0, 11.0, 20.0, 21.0, 30.0, 31.0])
    bins = np.array([0, 0, 1, 1, 2, 2])
    truth = np.array([0.5, 0.4, 0.6, 0.7, 0.65, 0.8])
    budgets = three_budgets(macs, bins)
    assert budgets.tolist() == [11, 21, 31]
    assert regret(truth, truth, macs, budgets) == 0
    # Picks 1 (loses .1), then 2 (.1), then 2 again (.2).
    score = np.array([0.0, 1.0, 2.0, 0.0, 0.0, 0.0])
    assert regret(score, truth, macs, budgets) == pytest.approx(0.4 / 3)


def test_how_few_hold_the_front_is_told_from_how_many_are_on_it() -> None:
    """Two steps hold all but a little; then four equal steps, of which all four are needed."""
    macs = np.exp(np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    assert front_and_fewest(np.array([0.9, 0.901, 0.1, 0.2, 0.902]), macs, 0.9) == (3, 1)
    steps = np.array([0.2, 0.4, 0.6, 0.8, 0.1])
    assert front_and_fewest(steps, macs, 0.999) == (4, 3)
