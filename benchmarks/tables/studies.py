"""What a study of forty trials knows: how it ranks its networks, and what it would pick.

    python -m benchmarks.tables.studies [--table FILE] [--networks N]

A study draws N networks of the table and trains each by a short schedule, one seed; `with size` it
weighs log MACs and log parameters with that (`hrnet_search/order_rule.py`). Where it
trains some for long too, half of them spread over parameters and half the best seen, it ranks by
what it then believes (`hrnet_search/report/trust/believed.py`). The truth of a network is the mean
of its trainings of 2,400 steps that the study had no part in; one that has no other is not judged.
Every figure is the median of 20 studies, but `ahead of both` is how many of them rank better than
MACs and than parameters do; the interval is that of the median study, BCa over networks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, read_table
from benchmarks.tables.judge import Table, table_of
from benchmarks.tables.paired import DRAWS, Ranking
from benchmarks.tables.ranking import Floats, Ints, for_long, pairs_in_order, regret, three_budgets
from hrnet_search.order_rule import columns_of, expected
from hrnet_search.records.accuracy import MIOU
from hrnet_search.report.trust.believed import believe
from hrnet_search.report.trust.statistics import bca, partial_tau, tau_b, tau_gain

NETWORKS, STUDIES = 40, 20
SOFT, WITH_SIZE = "soft_iou", "soft_iou with size"
WAYS = tuple(
    (steps, signal, long)
    for steps in (150, 300)
    for signal, long in (("miou", 0), (SOFT, 0), (WITH_SIZE, 0), (SOFT, 6), (SOFT, 12))
)
"""Steps of the short schedule, what is ranked by, and how many networks are trained for long."""

COLUMNS = (
    "steps", "ranked by", "for long", "judged", "tau: MACs, parameters, study", "ahead of both",
    "partial [95% of the median study]", "19 of 20 studies", "equal MACs: parameters, study",
    "regret: parameters, study",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """The networks of a study that have a truth of their own [n], and its scores of them."""

    scores: Floats
    truth: Floats
    macs: Floats
    params: Floats
    bins: Ints

    @property
    def logs(self) -> tuple[Floats, Floats]:
        return np.log(self.macs), np.log(self.params)

    def partial(self) -> float:
        return float(partial_tau(self.scores, self.truth, *self.logs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    parser.add_argument("--networks", type=int, default=NETWORKS, help="of a study")
    options = parser.parse_args()
    table = table_of(read_table(options.table))
    print("\n".join(whole(table)))
    print(f"\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for steps, signal, long in WAYS:
        studies = [study(table, steps, signal, long, options.networks, n) for n in range(STUDIES)]
        print(f"| {' | '.join([str(steps), signal, str(long), *row(studies)])} |", flush=True)


def whole(table: Table) -> Iterator[str]:
    """Say how much better than log parameters, and than mIoU, short schedules rank all networks."""
    here = known(table)
    truth, params = table.truth()[here], np.log(table.params[here])
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(here), len(here)) for _ in range(DRAWS)]
    free = Ranking([(params, truth)], draws)
    yield f"{len(here)} networks; tau of log parameters {free.tau:.2f}"
    found: dict[tuple[int, str], Ranking] = {}
    for steps, signal in dict.fromkeys((steps, signal) for steps, signal, _ in WAYS):
        seeds = [seen(table, steps, seed, signal, here) for seed in SHORT_SEEDS]
        own = found[steps, signal] = Ranking([(one, truth) for one in seeds], draws)
        less = f"less parameters {own.ahead_of(free)}"
        if signal != MIOU:
            less += f", less mIoU {own.ahead_of(found[steps, MIOU])}"
        yield f"{steps} steps, {signal}: {own.tau:.2f}, {less}"


def known(table: Table) -> Ints:
    """Return which networks have a truth, and what a study may have seen of them."""
    runs = [table.of(steps, seed, steps) for steps in (150, 300) for seed in SHORT_SEEDS]
    runs.append(table.of(TRUTH, TRUTH_SEEDS[0], TRUTH))
    return np.flatnonzero(~np.isnan(np.vstack(runs)).any(axis=0))


def seen(table: Table, steps: int, seed: int, signal: str, some: Ints) -> Floats:
    """Return the scores that a schedule gives some networks."""
    if signal != WITH_SIZE:
        return table.of(steps, seed, steps, signal)[some]
    short = table.of(steps, seed, steps, SOFT)[some]
    return expected(columns_of(short, (table.macs[some], table.params[some])))


def study(table: Table, steps: int, signal: str, long: int, networks: int, number: int) -> Judged:
    """Return what a study drew and thinks of it."""
    rng = np.random.default_rng(number)
    here = known(table)
    some = np.sort(rng.choice(here, min(networks, len(here)), replace=False))
    seed = SHORT_SEEDS[number % len(SHORT_SEEDS)]
    scores = seen(table, steps, seed, signal, some)
    first, second = (table.of(TRUTH, seed, TRUTH)[some] for seed in TRUTH_SEEDS)
    truth = np.where(np.isnan(second), first, (first + second) / 2)
    if long:
        chosen = for_long(table.params[some], scores, long, rng)
        truth[chosen] = second[chosen]
        trained = [[first[i]] if i in chosen else [] for i in range(len(some))]
        costs = table.macs[some], table.params[some]
        believed = believe([str(i) for i in some], scores, costs, trained)
        assert believed is not None
        scores = believed.mean
    judged = ~np.isnan(truth)
    some = some[judged]
    return Judged(
        scores[judged], truth[judged], table.macs[some], table.params[some], table.bins[some]
    )


def row(studies: list[Judged]) -> Iterator[str]:
    """Yield the cells of COLUMNS but for the first three."""
    partials = np.array([one.partial() for one in studies])
    # An even number has no median study: it is the lower of the two in the middle.
    middle = studies[int(np.argsort(partials)[(len(partials) - 1) // 2])]
    found = bca(partial_tau, (middle.scores, middle.truth, *middle.logs))
    low, high = np.quantile(partials, [0.025, 0.975])
    yield f"{np.median([len(one.truth) for one in studies]):.0f}"
    yield _medians(
        *[[float(tau_b(one.logs[i], one.truth)) for one in studies] for i in range(2)],
        [float(tau_b(one.scores, one.truth)) for one in studies],
    )
    ahead = [float(tau_gain(one.scores, one.truth, *one.logs)) > 0 for one in studies]
    yield f"{np.mean(ahead):.0%}"
    yield f"{np.median(partials):.2f} [{found.low:.2f}, {found.high:.2f}]"
    yield f"{low:.2f} to {high:.2f}"
    yield _medians(
        [pairs_in_order(one.params, one.truth, one.bins) for one in studies],
        [pairs_in_order(one.scores, one.truth, one.bins) for one in studies],
    )
    yield _medians(
        [_regret(one, one.params) for one in studies], [_regret(one, one.scores) for one in studies]
    )


def _regret(one: Judged, scores: Floats) -> float:
    budgets = three_budgets(one.macs, one.bins)
    return 100 * regret(scores, one.truth, one.macs, budgets)


def _medians(*values: list[float]) -> str:
    return ", ".join(f"{np.median(one):.2f}" for one in values)


if __name__ == "__main__":
    main()
