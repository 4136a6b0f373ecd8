"""Do the accuracies that a study infers rank better than what its search saw, and do they hold?

    python -m benchmarks.tables.believed [--table FILE]

Studies are drawn from two tables of real trainings. Each sees all networks by one short seed, and
some by a longer schedule: half of them spread over parameters, one drawn from each of as many
classes of them, the rest the best that it saw. Where `short` is 0 it saw scores by slices of shared
weights. What it then believes
(`hrnet_search/report/trust/believed.py`) is held against trainings that it had no part of. Means of
20 studies, intervals percentiles of a bootstrap over networks, the same draws for all that is
compared. `held` is how many of the 95% intervals hold another training by the longer schedule,
whose noise is added to them; over all networks, those trained for long among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import shared
from benchmarks.tables import free
from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, read_table
from benchmarks.tables.judge import Table, table_of
from benchmarks.tables.paired import DRAWS, Pair, Ranking
from benchmarks.tables.ranking import (
    Floats,
    Ints,
    for_long,
    noise,
    pairs_in_order,
    regret,
    three_budgets,
)
from hrnet_search.report.trust.believed import Believed, believe
from hrnet_search.report.trust.statistics import partial_tau, tau_b

STUDIES = 20
LONG = (6, 12)
MIDDLE = 600
QUANTILE = 1.96

COLUMNS = (
    "table", "short", "long", "networks for long", "log parameters", "seen", "believed",
    "believed - seen", "believed - parameters", "partial: seen, believed",
    "not for long: seen, believed", "equal MACs: seen, believed",
    "regret: parameters, seen, believed", "held",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """Networks [n] by one short seed and by a longer schedule, and what judges them.

    `truth` ranks them, `again` is another training by the longer schedule.
    """

    short: Floats
    long: Floats
    truth: Floats
    again: Floats


@dataclass(frozen=True, slots=True)
class Setting:
    """A table, two of its schedules, and the trainings that studies may have seen of them.

    `noise` is the deviation of a seed by the longer one.
    """

    table: str
    steps: tuple[int, int]
    trained: tuple[Trained, ...]
    macs: Floats
    params: Floats
    bins: Ints
    noise: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What a study saw and believes, what judges it, and which networks it trained for long."""

    trained: Trained
    believed: Believed
    long: NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    rows = read_table(parser.parse_args().table)
    table, names = table_of(rows), list({row["variant"]: None for row in rows})
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for setting in (*equal_macs(table), *slices(table, names), *shapes()):
        for long in LONG:
            studies = [study(setting, long, number) for number in range(STUDIES)]
            print(f"| {' | '.join(row(setting, long, studies))} |")


def equal_macs(table: Table) -> Iterator[Setting]:
    """Yield settings of networks of equal MACs, judged by 2,400 steps and, in part, by them."""
    for short in (150, 300):
        seen = [table.of(short, seed, short, "soft_iou") for seed in SHORT_SEEDS]
        first, second = (table.of(MIDDLE, seed, MIDDLE) for seed in SHORT_SEEDS)
        yield _setting(table, (short, MIDDLE), [
            Trained(seen[0], second, table.truth(), first),
            Trained(seen[1], first, table.truth(), second),
        ])  # fmt: skip
        first, second = (table.of(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS)
        yield _setting(table, (short, TRUTH), [
            Trained(one, *pair) for one in seen
            for pair in ((first, second, second), (second, first, first))
        ])  # fmt: skip


def slices(table: Table, names: list[str]) -> Iterator[Setting]:
    """Yield settings of the same networks, by name, that slices of shared weights have judged."""
    seen = shared.taught(read_table(shared.SHAPES.rows), names, "soft_iou")
    first, second = (table.of(MIDDLE, seed, MIDDLE) for seed in SHORT_SEEDS)
    yield _setting(table, (0, MIDDLE), [
        Trained(one, long, table.truth(), again) for one in seen
        for long, again in ((first, second), (second, first))
    ])  # fmt: skip
    first, second = (table.of(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS)
    yield _setting(table, (0, TRUTH), [
        Trained(one, *pair) for one in seen
        for pair in ((first, second, second), (second, first, first))
    ])  # fmt: skip


def _setting(table: Table, steps: tuple[int, int], trained: list[Trained]) -> Setting:
    """Return a setting of the networks that have all of its trainings, and both of the truth."""
    both = [table.of(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    there = ~np.isnan(np.vstack([*both, *(one for each in trained for one in _all(each))]))
    here = there.all(axis=0)
    return Setting(
        "equal MACs",
        steps,
        tuple(Trained(*(one[here] for one in _all(each))) for each in trained),
        table.macs[here],
        table.params[here],
        table.bins[here],
        noise(np.column_stack([trained[0].long, trained[0].again])[here], table.bins[here]).seed,
    )


def _all(one: Trained) -> tuple[Floats, ...]:
    return one.short, one.long, one.truth, one.again


def shapes() -> Iterator[Setting]:
    """Yield settings of the older table; all sizes are one bin."""
    costs, trained = free.read(free.TABLE)
    first, second = trained[free.LONG]
    one_bin = np.zeros(len(first), dtype=np.int64)
    for short in free.SHORT:
        yield Setting(
            "shapes",
            (short, free.LONG),
            (
                Trained(trained[short][0], first, second, second),
                Trained(trained[short][1], second, first, first),
            ),
            np.exp(costs["log MACs"]),
            np.exp(costs["log parameters"]),
            one_bin,
            noise(trained[free.LONG].T, one_bin).seed,
        )


def study(setting: Setting, long: int, number: int) -> Judged:
    """Return a study that trained so many networks by the longer schedule."""
    rng = np.random.default_rng(number)
    trained = setting.trained[number % len(setting.trained)]
    chosen = for_long(setting.params, trained.short, long, rng)
    found = believe(
        [str(i) for i in range(len(trained.short))],
        trained.short,
        (setting.macs, setting.params),
        [[trained.long[i]] if i in chosen else [] for i in range(len(trained.short))],
    )
    assert found is not None
    return Judged(trained, found, np.isin(np.arange(len(trained.short)), chosen))


def row(setting: Setting, long: int, studies: list[Judged]) -> Iterator[str]:
    """Yield the cells of COLUMNS."""
    rng = np.random.default_rng(0)
    n = len(setting.macs)
    draws = [rng.integers(0, n, n) for _ in range(DRAWS)]
    logs = [np.log(setting.macs), np.log(setting.params)]
    seen: list[Pair] = [(one.trained.short, one.trained.truth) for one in studies]
    held: list[Pair] = [(one.believed.mean, one.trained.truth) for one in studies]
    by_params = Ranking([(logs[1], one.trained.truth) for one in studies], draws)
    raw, own = Ranking(seen, draws), Ranking(held, draws)
    yield from (setting.table, *map(str, setting.steps), f"{long} of {n}")
    yield from (f"{one.tau:.2f}" for one in (by_params, raw, own))
    yield from (own.ahead_of(raw), own.ahead_of(by_params))
    yield _both([[partial_tau(*pair, *logs) for pair in pairs] for pairs in (seen, held)])
    apart = [~one.long for one in studies]
    yield _both([
        [tau_b(a[some], b[some]) for (a, b), some in zip(pairs, apart, strict=True)]
        for pairs in (seen, held)
    ])  # fmt: skip
    in_bins = [[pairs_in_order(*pair, setting.bins) for pair in pairs] for pairs in (seen, held)]
    yield _both(in_bins)
    budgets = three_budgets(setting.macs, setting.bins)
    by_size: list[Pair] = [(logs[1], truth) for _, truth in seen]
    yield _both(
        [[100 * regret(*pair, setting.macs, budgets) for pair in pairs]
         for pairs in (by_size, seen, held)]
    )  # fmt: skip
    yield f"{np.mean([_held(one, setting.noise) for one in studies]):.0%}"


def _both(values: list[list[float]] | list[list[Floats]]) -> str:
    return ", ".join(f"{np.mean(one):.2f}" for one in values)


def _held(one: Judged, noise: float) -> float:
    allowed = np.hypot(one.believed.half, QUANTILE * noise)
    return float((np.abs(one.believed.mean - one.trained.again) <= allowed).mean())


if __name__ == "__main__":
    main()
