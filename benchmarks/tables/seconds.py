"""What seconds of training are best spent on: many networks for a short time, or few for longer.

    python -m benchmarks.tables.seconds [--table FILE]

A study draws as many networks of the table as it can train in its seconds, scores them by its
schedule, and has a front of scores over MACs and a pick for each of three budgets of MACs. Said is
the hypervolume of the front's **true** mIoU and log MACs, as a share of that of all networks, and
what the picks lose against the best of the table, in points; medians of STUDIES studies and how far
19 of 20 reach. `log parameters` ranks all networks of the table for nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.problems.benchmark import area
from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, read_table
from benchmarks.tables.judge import Table, table_of
from benchmarks.tables.ranking import Floats, Ints, for_long, three_budgets
from hrnet_search.pareto import non_dominated
from hrnet_search.report.trust.believed import believe

STUDIES = 400
SECONDS = (480, 960, 2880)
COLUMNS = (
    "seconds", "by", "networks", "hypervolume", "lost by picks, points", "networks on the front",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Way:
    """How a study scores networks: a schedule, a signal, seeds, networks trained for long too."""

    steps: int
    signal: str
    seeds: int = 1
    long: int = 0

    def __str__(self) -> str:
        twice = f" by {self.seeds} seeds" if self.seeds > 1 else ""
        believed = f", believed with {self.long} of {TRUTH}" if self.long else ""
        return f"{self.steps} steps{twice}, {self.signal}{believed}"


WAYS = (
    Way(150, "miou"),
    Way(150, "soft_iou"),
    Way(150, "soft_iou", seeds=2),
    Way(150, "soft_iou", long=6),
    Way(300, "miou"),
    Way(300, "soft_iou"),
    Way(300, "soft_iou", seeds=2),
    Way(300, "soft_iou", long=6),
    Way(600, "soft_iou"),
    Way(TRUTH, "miou"),
)


class Judge:
    """The truth of a table's networks, and what a study of some of them is worth by it."""

    def __init__(self, table: Table) -> None:
        wanted = [table.of(steps, seed, steps) for steps in (150, 300) for seed in SHORT_SEEDS]
        self.here = np.flatnonzero(~np.isnan(np.vstack([*wanted, table.truth()])).any(axis=0))
        self.table = table
        self.truth = table.truth()[self.here]
        self.macs, self.params = table.macs[self.here], table.params[self.here]
        self.budgets = three_budgets(self.macs, table.bins[self.here])
        self._reference = float(np.quantile(self.truth, 0.25)), float(self.macs.max()) * 1.1
        self._best = self._area(np.arange(len(self.here)))

    def of(self, steps: int, seed: int, signal: str) -> Floats:
        """Return what a schedule says of the networks, [n]."""
        return self.table.of(steps, seed, steps, signal)[self.here]

    def price(self, steps: int) -> float:
        """Return the seconds of a training, on average."""
        seeds = TRUTH_SEEDS if steps == TRUTH else SHORT_SEEDS
        runs = [self.of(steps, seed, "cpu_s") for seed in seeds]
        return float(np.nanmean(runs)) if runs else float("nan")

    def worth(self, some: Ints, scores: Floats) -> tuple[float, float, int]:
        """Return the share of the hypervolume, points lost by picks, and members of the front."""
        columns = np.column_stack([scores, np.log(self.macs[some])])
        front = some[non_dominated(columns, ("max", "min"))]
        lost = []
        for budget in self.budgets:
            within = np.flatnonzero(self.macs[some] <= budget)
            if not len(within):
                continue
            pick = some[within[scores[within].argmax()]]
            lost.append(self.truth[self.macs <= budget].max() - self.truth[pick])
        return self._area(front) / self._best, 100 * float(np.mean(lost)), len(front)

    def _area(self, some: Ints) -> float:
        kept = some[self.truth[some] > self._reference[0]]
        if not len(kept):
            return 0.0
        return area(self.truth[kept], np.log(self.macs[kept]), self._reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    judge = Judge(table_of(read_table(parser.parse_args().table)))
    print(f"{len(judge.here)} networks\n\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    everything = np.arange(len(judge.here))
    free = judge.worth(everything, np.log(judge.params))
    print(f"| 0 | log parameters | {len(everything)} | {free[0]:.2f} | {free[1]:.1f} | {free[2]} |")
    for seconds in SECONDS:
        for way in WAYS:
            for line in row(judge, seconds, way):
                print(line, flush=True)


def row(judge: Judge, seconds: float, way: Way) -> Iterator[str]:
    """Yield the line of a way at its seconds, none where it cannot fill or afford them."""
    left = seconds - way.long * judge.price(TRUTH)
    count = int(left // (way.seeds * judge.price(way.steps)))
    fewest = max(3, 2 * way.long)
    if count < fewest or np.isnan(judge.of(way.steps, _seeds(way)[0], way.signal)).any():
        return
    count = min(count, len(judge.here))
    found = np.array([judge.worth(*study(judge, way, count, number)) for number in range(STUDIES)])
    cells = [
        f"{seconds:g}", str(way), str(count), _spread(found[:, 0], 2), _spread(found[:, 1], 1),
        f"{np.median(found[:, 2]):.0f}",
    ]  # fmt: skip
    yield f"| {' | '.join(cells)} |"


def study(judge: Judge, way: Way, count: int, number: int) -> tuple[Ints, Floats]:
    """Return the networks that a study drew, and its scores of them."""
    rng = np.random.default_rng(number)
    some = np.sort(rng.choice(len(judge.here), count, replace=False))
    seeds = rng.permutation(_seeds(way))[: way.seeds]
    scores = np.mean([judge.of(way.steps, int(seed), way.signal) for seed in seeds], axis=0)[some]
    if not way.long:
        return some, scores
    long = judge.of(TRUTH, TRUTH_SEEDS[0], "miou")[some]
    chosen = for_long(judge.params[some], scores, way.long, rng)
    believed = believe(
        [str(i) for i in some],
        scores,
        (judge.macs[some], judge.params[some]),
        [[long[i]] if i in chosen else [] for i in range(count)],
    )
    assert believed is not None
    return some, believed.mean


def _seeds(way: Way) -> tuple[int, ...]:
    return TRUTH_SEEDS[:1] if way.steps == TRUTH else SHORT_SEEDS


def _spread(values: Floats, digits: int) -> str:
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
