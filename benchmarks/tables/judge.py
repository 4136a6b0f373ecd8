"""How well short trainings rank networks as long ones do: figures from the rows of a table.

    python benchmarks/tables/judge.py [--table FILE] [--version N]

Judged is what is there, a part of the table as well. The truth of a network is the mean mIoU of
its trainings of 2,400 steps. A schedule's own seeds never made the truth; a rung of a long
training, and its end, are judged against the other long training only. Figures are the means over
the seeds of a schedule, intervals 95% bootstraps (BCa) over networks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables.fill import SHORT, SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, Row, read_table
from benchmarks.tables.ranking import (
    Floats,
    Ints,
    front_and_fewest,
    noise,
    pairs_in_order,
    regret,
    three_budgets,
)
from hrnet_search.report.trust.statistics import Interval, bca, partial_tau, tau_b

SIGNALS = {
    "miou": 1,
    "soft_iou": 1,
    "cross_entropy": -1,
    "balanced_cross_entropy": -1,
    "training_loss": -1,
}
"""Columns that may rank networks, and whether more is better (1) or worse (-1)."""

Statistic = Callable[..., Floats]

FRONT_SHARE = 0.9
FEWEST = 5
"""Networks from which anything is said."""


@dataclass(frozen=True, slots=True)
class Table:
    """The networks of one version: bins, MACs and parameters [n], and what trainings gave.

    `values[steps, seed, step, column]` is [n], nan where there is no such training.
    """

    bins: Ints
    macs: Floats
    params: Floats
    values: dict[tuple[int, int, int, str], Floats]

    def of(self, steps: int, seed: int, step: int, column: str = "miou") -> Floats:
        missing = np.full(len(self.bins), np.nan)
        return self.values.get((steps, seed, step, column), missing)

    def truth(self, seeds: tuple[int, ...] = TRUTH_SEEDS, steps: int = TRUTH) -> Floats:
        """Return the mean mIoU of the long trainings that are there; nan without one."""
        runs = np.array([self.of(steps, seed, steps) for seed in seeds])
        there = ~np.isnan(runs)
        mean: Floats = np.where(there, runs, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        return np.where(there.any(axis=0), mean, np.nan)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to rank: scores of each of its seeds [seeds, n], and the truth of each [seeds, n]."""

    name: str
    signal: str
    scores: Floats
    truths: Floats
    seconds: float = 0.0

    def known(self) -> NDArray[np.bool_]:
        """Return which networks have all of its numbers [n]."""
        missing = np.isnan(np.vstack([self.scores, self.truths]))
        return np.asarray(~missing.any(axis=0), dtype=np.bool_)


def main() -> None:
    options = _options()
    rows = read_table(options.table)
    versions = {int(row["version"]) for row in rows}
    if not versions:
        print("the table has no rows yet")
        return
    version = options.version or max(versions)
    table = table_of([row for row in rows if int(row["version"]) == version])
    print(f"version {version} of shapes: {len(table.bins)} networks\n")
    for steps in SHORT:
        print("\n".join(about_schedule(table, steps, SHORT_SEEDS)))
    print("\n".join(about_truth(table)))
    print("\n".join(about_front(table)))
    print("\n".join(about_candidates(table)))


def table_of(rows: list[Row]) -> Table:
    """Return rows of one version as arrays over its networks."""
    networks = {row["variant"]: row for row in rows}
    place = {variant: i for i, variant in enumerate(networks)}
    values: dict[tuple[int, int, int, str], NDArray[np.float64]] = {}
    for row in rows:
        for column in (*SIGNALS, "cpu_s"):
            key = (int(row["steps"]), int(row["seed"]), int(row["step"]), column)
            missing = np.full(len(networks), np.nan)
            values.setdefault(key, missing)[place[row["variant"]]] = float(row[column])
    facts = {
        name: np.array([float(row[name]) for row in networks.values()])
        for name in ("bin", "macs", "params")
    }
    return Table(facts["bin"].astype(np.int64), facts["macs"], facts["params"], values)


def about_truth(table: Table) -> Iterator[str]:
    """Say of the long schedule what `about_schedule` says, and how it looks in each bin."""
    yield from about_schedule(table, TRUTH, TRUTH_SEEDS)
    truth = table.truth()
    once = ~np.isnan(truth)
    for b in np.unique(table.bins[once]):
        inside = once & (table.bins == b)
        low, high = truth[inside].min(), truth[inside].max()
        tau = float(tau_b(np.log(table.params[inside]), truth[inside]))
        yield (
            f"bin {b} ({table.macs[inside].mean() / 1e6:.0f} M MACs): {inside.sum()} networks,"
            f" mIoU {low:.3f} to {high:.3f}, tau of log parameters {tau:.2f}"
        )


def about_schedule(table: Table, steps: int, seeds: tuple[int, ...]) -> Iterator[str]:
    """Say how far two trainings of the same network differ, and networks of equal MACs."""
    runs = np.array([table.of(steps, seed, steps) for seed in seeds]).T
    twice = ~np.isnan(runs).any(axis=1)
    once = ~np.isnan(runs).all(axis=1)
    yield f"{steps} steps: {once.sum()} networks, {twice.sum()} of them by two seeds"
    if twice.sum() < FEWEST:
        return
    bins, params = table.bins[twice], np.log(table.params[twice])
    found = noise(runs[twice], bins)
    yield (
        f"deviation of a seed {found.seed:.4f}; spread of mIoU {found.spread:.4f},"
        f" {found.spread_in_bins:.4f} at equal MACs"
        f" ({found.spread_in_bins / found.seed:.1f} deviations)"
    )
    right = pairs_in_order(params, runs[twice].mean(axis=1), bins)
    yield (
        f"at equal MACs log parameters put {right:.0%} of pairs in the order of the means of two"
        f" seeds: a tau of {2 * right - 1:.2f}"
    )


def about_front(table: Table) -> Iterator[str]:
    """Say on how few networks the front of true mIoU and MACs hangs."""
    truth = table.truth()
    there = ~np.isnan(truth)
    if there.sum() >= FEWEST:
        front, fewest = front_and_fewest(truth[there], table.macs[there], FRONT_SHARE)
        yield f"front: {front} networks, {fewest} of them hold {FRONT_SHARE:.0%} of its area"


def about_candidates(table: Table) -> Iterator[str]:
    """Yield a Markdown table, a line a candidate."""
    yield ""
    yield (
        "| schedule | signal | n | CPU s | noise | noise in bins | tau [95%] |"
        " partial [95%] | equal MACs | regret |"
    )
    yield "| --- | --- | --: | --: | --: | --: | --- | --- | --: | --: |"
    for candidate in candidates(table):
        if cells := judged(candidate, table):
            yield f"| {' | '.join(cells)} |"


def candidates(table: Table) -> Iterator[Candidate]:
    """Yield what is free, each own schedule by one seed and by two, rungs, and another truth."""
    truth = table.truth()
    for name, values in (("log MACs", table.macs), ("log parameters", table.params)):
        yield Candidate("free", name, np.log(values)[None], truth[None])
    lengths = sorted({(steps, step) for steps, _, step, _ in table.values})
    for steps, step in lengths:
        seeds = TRUTH_SEEDS if steps == TRUTH else SHORT_SEEDS
        seconds = np.array([table.of(steps, seed, step, "cpu_s") for seed in seeds])
        cost = float(np.nanmean(seconds)) if (~np.isnan(seconds)).any() else 0.0
        for signal, sign in SIGNALS.items():
            scores = sign * np.array([table.of(steps, seed, step, signal) for seed in seeds])
            if steps == TRUTH:
                others = np.array([table.truth((other,)) for other in reversed(TRUTH_SEEDS)])
                name = "another 2,400" if step == TRUTH else f"{step} of {TRUTH}"
                yield Candidate(name, signal, scores, others, cost)
            else:
                truths = np.broadcast_to(truth, scores.shape)
                yield Candidate(f"{steps}", signal, scores, truths, cost)
                mean = scores.mean(axis=0, keepdims=True)
                yield Candidate(f"2 x {steps}", signal, mean, truths[:1], 2 * cost)


def judged(candidate: Candidate, table: Table) -> list[str]:
    """Return the cells of a candidate's line, over the networks that have all of its numbers."""
    there = candidate.known()
    if there.sum() < FEWEST:
        return []
    scores, truths = candidate.scores[:, there], candidate.truths[:, there]
    bins, macs = table.bins[there], table.macs[there]
    free = (np.log(macs), np.log(table.params[there]))
    noises = ["", ""]
    if len(scores) == 2:
        found = noise(scores.T, bins)
        noises = [_ratio(found.seed, s) for s in (found.spread, found.spread_in_bins)]
    pairs = np.mean([pairs_in_order(s, t, bins) for s, t in zip(scores, truths, strict=True)])
    budgets = three_budgets(macs, bins)
    lost = np.mean([regret(s, t, macs, budgets) for s, t in zip(scores, truths, strict=True)])
    given = () if candidate.name == "free" else free
    partly = spelt(tau_with_truth(scores, truths, given)) if given else ""
    return [
        candidate.name, candidate.signal, str(there.sum()), f"{candidate.seconds:.0f}", *noises,
        spelt(tau_with_truth(scores, truths)), partly, f"{pairs:.2f}", f"{100 * lost:.2f}",
    ]  # fmt: skip


def tau_with_truth(scores: Floats, truths: Floats, given: tuple[Floats, ...] = ()) -> Interval:
    """Return the mean tau over seeds, or the partial tau, with its interval over networks."""
    return over_seeds(partial_tau if given else tau_b, scores, truths, given)


def over_seeds(
    statistic: Statistic, scores: Floats, truths: Floats, given: tuple[Floats, ...]
) -> Interval:
    """Return the mean of a statistic over seeds [seeds, n] with its interval over networks.

    `statistic` takes the scores and the truth of a seed, and what is given for all.
    """
    seeds = len(scores)

    def mean(*columns: Floats) -> Floats:
        pairs = zip(columns[:seeds], columns[seeds : 2 * seeds], strict=True)
        found: Floats = np.mean([statistic(*pair, *columns[2 * seeds :]) for pair in pairs], axis=0)
        return found

    return bca(mean, (*scores, *truths, *given))


def spelt(found: Interval) -> str:
    """Return a figure with its interval in a cell."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _ratio(seed: float, spread: float) -> str:
    return f"{seed / spread:.2f}" if spread > 0 else ">"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    parser.add_argument("--version", type=int, help="of shapes; default: the newest in the table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
