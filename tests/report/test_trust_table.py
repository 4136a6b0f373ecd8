"""What the statistics of trust say of variants that were really trained: `benchmarks/tables`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hrnet_search.report.trust.statistics import (
    NOT_TRUSTWORTHY,
    Floats,
    partial_tau,
    rank_agreement,
    seed_noise,
    stamp,
    tau_b,
)

TABLE = Path(__file__).parents[2] / "benchmarks" / "tables" / "shapes.csv"
LONG = 240


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """mIoU by steps and seed, and MACs, a row a variant that has been trained in every way."""
    rows = pd.read_csv(TABLE)
    found = rows.pivot_table(index="architecture", columns=["steps", "seed"], values="miou")
    for cost in ("macs", "params"):
        found[cost, ""] = rows.groupby("architecture")[cost].first()
    return found.dropna()


def columns(table: pd.DataFrame, steps: int) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Return accuracies by a short schedule and by the long one, means of seeds, and costs."""
    short, long = (np.mean(table[s].to_numpy(), axis=1) for s in (steps, LONG))
    return short, long, (table["macs", ""].to_numpy(), table["params", ""].to_numpy())


def test_a_tenth_of_the_schedule_is_worthless_and_a_third_is_not(table: pd.DataFrame) -> None:
    worthless, better = (rank_agreement(*columns(table, steps)) for steps in (24, 80))
    assert worthless is not None
    assert better is not None
    assert worthless.tau.low < 0 < worthless.tau.high
    assert worthless.partial.low < 0 < worthless.partial.high
    assert better.tau.low > 0.3
    assert better.partial.low > 0
    assert stamp(worthless).verdict == NOT_TRUSTWORTHY
    assert stamp(worthless).why != stamp(better).why
    # Counting ranks these variants as well: a third of the schedule is not shown to be better.
    assert better.gain.low < 0 < better.gain.high
    assert stamp(better).verdict == NOT_TRUSTWORTHY


def covered(table: pd.DataFrame, draws: int) -> tuple[float, float, float]:
    """Return how often intervals of some of the variants hold what all of them say.

    Of tau and partial tau from 14 variants, and of the noise of seeds from 12.
    """
    rng = np.random.default_rng(0)
    short, long, costs = columns(table, 80)
    true = float(tau_b(short, long)), float(partial_tau(short, long, *np.log(costs)))
    pairs = table[LONG].to_numpy()
    noise = seed_noise(pairs.tolist())
    assert noise is not None
    hits = np.zeros(3)
    for draw in range(draws):
        # With replacement, as from all the variants that there might be.
        some = rng.integers(0, len(short), 14)
        found = rank_agreement(short[some], long[some], (costs[0][some], costs[1][some]), seed=draw)
        few = seed_noise(pairs[rng.integers(0, len(pairs), 12)].tolist())
        assert found is not None
        assert few is not None
        hits += [
            found.tau.low <= true[0] <= found.tau.high,
            found.partial.low <= true[1] <= found.partial.high,
            few.sd.low <= noise.sd.value <= few.sd.high,
        ]
    tau, partial, sd = hits / draws
    return float(tau), float(partial), float(sd)


def test_intervals_of_some_variants_hold_what_all_of_them_say(table: pd.DataFrame) -> None:
    assert min(covered(table, 40)) >= 0.7


@pytest.mark.bench
def test_intervals_of_some_variants_cover_at_size(table: pd.DataFrame) -> None:
    found = covered(table, 1000)
    print(f"\ncoverage of 95% intervals of tau, partial tau, seed noise: {found}")
    assert min(found[:2]) >= 0.9
    # Its interval is that of normal noise, and four of 48 variants make up most of the noise.
    assert found[2] >= 0.75
