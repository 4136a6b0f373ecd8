"""How well short trainings rank networks on real images: CamVid, 24 networks of three sizes.

    taskset -c 1 python -m benchmarks.tables.camvid fill --data-root CAMVID
    python -m benchmarks.tables.camvid judge

`fill` trains the variants of `camvid_variants.csv` into `camvid.csv`, beside this file, and goes on
where the last run ended, network by network: what is short by both of its seeds, and the truth by
one; then the truth by the other. `judge` holds what is short against the truth, the mean mIoU of
3,000 steps, beside log MACs and log parameters; intervals are 95% bootstraps over networks (BCa).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.tables.fill import Job, append, opened, read_table, said, trained, trainings
from benchmarks.tables.judge import (
    SIGNALS,
    Table,
    over_seeds,
    spelt,
    table_of,
    tau_with_truth,
)
from benchmarks.tables.ranking import Floats, noise, pairs_in_order, regret, three_budgets
from benchmarks.tables.variants import CAMVID_SIZE, CAMVID_VARIANTS, Variant, read_variants
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.order_rule import columns_of, expected
from hrnet_search.records.data_spec import DataSpec, Split
from hrnet_search.report.trust.statistics import (
    Bools,
    bca,
    partial_tau,
    tau_b,
    tau_gain,
)

TABLE = Path(__file__).parent / "camvid.csv"
VERSION = "1"
TRUTH, TRUTH_SEEDS = 3000, (0, 1)
SHORT, SHORT_SEEDS = (188, 375), (2, 3)
"""A sixteenth and an eighth of the truth's steps."""

RUNGS = (188, 375, 750, 1500)
FEWEST = 6
JUDGED = ("miou", "soft_iou", "cross_entropy")
SPEC = DataSpec(
    "folder",
    11,
    ignore=11,
    size=CAMVID_SIZE,
    train=Split("images/train", "annotations/train"),
    val=Split("images/val", "annotations/val"),
)


def main() -> None:
    options = _options()
    if options.what == "judge":
        for line in judged(table_of(read_table(options.table))):
            print(line, flush=True)
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    data = replace(SPEC, root=str(options.data_root))
    with opened(options.table) as file:
        done = trainings(options.table)
        for job in jobs(read_variants(CAMVID_VARIANTS)):
            if job.key(VERSION) not in done:
                long = RUNGS if job.steps == TRUTH else ()
                rows = trained(job, data, rungs=(*long, job.steps))
                append(file.fileno(), rows)
                print(said(rows), flush=True)


def jobs(variants: list[Variant]) -> Iterator[Job]:
    """Yield all trainings, those first that make the rows of a network whole."""
    for variant in variants:
        yield from (Job(variant, steps, seed) for steps in SHORT for seed in SHORT_SEEDS)
        yield Job(variant, TRUTH, TRUTH_SEEDS[0])
    yield from (Job(variant, TRUTH, seed) for seed in TRUTH_SEEDS[1:] for variant in variants)


def judged(table: Table) -> Iterator[str]:
    """Yield a Markdown table of what ranks, and how well; nothing for too few networks."""
    runs = [table.of(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    shorts = [table.of(steps, seed, steps) for steps in SHORT for seed in SHORT_SEEDS]
    there = ~np.isnan(np.array(runs))
    here = np.asarray(there.any(axis=0) & ~np.isnan(np.array(shorts)).any(axis=0), dtype=np.bool_)
    both = here & there.all(axis=0)
    yield f"{here.sum()} networks, {both.sum()} with the truth by both seeds"
    if here.sum() < FEWEST:
        return
    if both.sum() >= FEWEST:
        found = noise(np.array(runs).T[both], table.bins[both])
        yield (
            f"truth: deviation of a seed {found.seed:.4f}, spread between networks"
            f" {found.spread:.4f}, at equal MACs {found.spread_in_bins:.4f}"
        )
        again = bca(tau_b, (runs[0][both], runs[1][both]))
        yield f"tau of one training of {TRUTH} steps with another: {spelt(again)}"
    truth = np.where(there, runs, 0).sum(axis=0)[here] / there.sum(axis=0)[here]
    free = {"log MACs": np.log(table.macs[here]), "log parameters": np.log(table.params[here])}
    yield ""
    yield "| ranked by | tau | ahead of the better free one | partial tau | equal MACs | lost |"
    yield "| --- | --- | --- | --- | --: | --: |"
    for name, scores in free.items():
        yield _row(table, name, scores[None], truth, {}, here)
    for steps in SHORT:
        for signal in JUDGED:
            values = [
                SIGNALS[signal] * table.of(steps, seed, steps, signal)[here] for seed in SHORT_SEEDS
            ]
            yield _row(table, f"{steps} steps, {signal}", np.array(values), truth, free, here)
        costs = table.macs[here], table.params[here]
        values = [
            expected(columns_of(table.of(steps, seed, steps, "soft_iou")[here], costs))
            for seed in SHORT_SEEDS
        ]
        name = f"{steps} steps, soft_iou with size"
        yield _row(table, name, np.array(values), truth, free, here)


def _row(
    table: Table, name: str, scores: Floats, truth: Floats, free: dict[str, Floats], here: Bools
) -> str:
    """Return the line of scores [seeds, n]: means over the seeds."""

    truths, given = np.broadcast_to(truth, scores.shape), tuple(free.values())
    beside = (tau_gain, partial_tau) if free else ()
    macs, bins = table.macs[here], table.bins[here]
    budgets = three_budgets(macs, bins)
    cells = [name, spelt(tau_with_truth(scores, truths))]
    cells += [spelt(over_seeds(one, scores, truths, given)) for one in beside] or ["", ""]
    cells.append(f"{np.mean([pairs_in_order(one, truth, bins) for one in scores]):.0%}")
    cells.append(f"{100 * np.mean([regret(one, truth, macs, budgets) for one in scores]):.1f}")
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("fill", "judge"))
    parser.add_argument("--data-root", type=Path, help="CamVid: images/ and annotations/")
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    options = parser.parse_args()
    if options.what == "fill" and options.data_root is None:
        parser.error("fill needs --data-root CAMVID")
    return options


if __name__ == "__main__":
    main()
