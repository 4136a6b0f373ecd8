"""Other ways to spend the seconds of a short training: does one of them rank networks better?

    taskset -c 1 python -m benchmarks.tables.ways fill [--ways NAME ...] [--seeds 2 3]
    python -m benchmarks.tables.ways time
    python -m benchmarks.tables.ways judge

`fill` trains the networks of `equal_macs.csv` by each way below into `ways/NAME.csv`, those whose
truth is of two trainings first, and goes on where it was stopped. `time` says what each takes
beside 150 steps as they are, in turns. `judge` holds how it ranks against the truth, beside those
150 steps of the same networks: taus are means over seeds, intervals percentiles of a bootstrap.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch

from benchmarks.tables.fill import (
    SHORT_SEEDS,
    TABLE,
    TRUTH,
    TRUTH_SEEDS,
    Job,
    Row,
    append,
    opened,
    read_table,
    rows_of,
    said,
    schedule_of,
    trainer_of,
    trainings,
)
from benchmarks.tables.judge import FEWEST, SIGNALS, Table, table_of
from benchmarks.tables.paired import DRAWS, Ranking
from benchmarks.tables.ranking import Floats, Ints, pairs_in_order, regret, three_budgets
from benchmarks.tables.variants import Variant, read_variants
from hrnet_search.data.shapes import VERSION
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.records.schedule import Schedule
from hrnet_search.report.trust.statistics import partial_tau

FOLDER = Path(__file__).parent / "ways"
USUAL = 150
"""Steps of the schedule that all are held against."""

WAYS = {
    "half_batch": replace(schedule_of(200), batch=4),
    "quarter_batch": replace(schedule_of(280), batch=2),
    "twice_the_batch": replace(schedule_of(90), batch=16),
    "half_crop": replace(schedule_of(220), crop=(32, 32)),
    "averaged": replace(schedule_of(150), ema=0.98),
    "unscaled": replace(schedule_of(150), scale=(1.0, 1.0)),
    "twice_the_rate": replace(schedule_of(150), lr=0.01),
    "half_the_rate": replace(schedule_of(150), lr=0.0025),
}
"""What is tried; steps are such that each takes about as long as the usual schedule."""

JUDGED = ("miou", "soft_iou", "cross_entropy", "balanced_cross_entropy")
COLUMNS = (
    "way", "signal", "networks", "seeds", "tau: its, usual", "ahead [95%]", "partial: its, usual",
    "equal MACs: its, usual", "lost: its, usual",
)  # fmt: skip
TIMED, TURNS, STEPS = 5, 3, 8
"""Networks that are timed, how often in turns, and steps each time."""


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    keep_freed_memory()
    table = read_table(options.table)
    if options.what == "fill":
        networks = by_truths(table_of(table), [row["variant"] for row in table])
        for name in options.ways:
            fill(name, networks[: options.networks], options.seeds, options.folder)
        return
    lines = timed() if options.what == "time" else judged(table, options.folder)
    for line in lines:
        print(line, flush=True)


def by_truths(table: Table, names: list[str]) -> list[Variant]:
    """Return the networks that have a truth, those by two trainings first, spread over sizes."""
    runs = np.array([table.of(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS])
    truths = dict(zip(dict.fromkeys(names), (~np.isnan(runs)).sum(axis=0), strict=True))
    known = [variant for variant in read_variants() if truths.get(variant.id)]
    return sorted(known, key=lambda v: (-truths[v.id], v.place, v.bin))


def fill(name: str, networks: list[Variant], seeds: list[int], folder: Path) -> None:
    """Train networks by one way, one seed after the other."""
    folder.mkdir(exist_ok=True)
    path, schedule = folder / f"{name}.csv", WAYS[name]
    with opened(path) as file:
        done = trainings(path)
        for seed in seeds:
            for variant in networks:
                job = Job(variant, schedule.steps, seed)
                if job.key(str(VERSION)) not in done:
                    rows = rows_of(job, trainer_of(job, schedule), (schedule.steps,))
                    append(file.fileno(), rows)
                    print(name, said(rows), flush=True)


def timed() -> Iterator[str]:
    """Say what each way takes beside the usual one: of processor time, in turns, few networks."""
    networks = sorted(read_variants(), key=lambda v: v.macs)
    some = [networks[int(i)] for i in np.linspace(0, len(networks) - 1, TIMED)]
    ratios: dict[str, list[float]] = {name: [] for name in WAYS}
    for variant in some:
        usual = schedule_of(USUAL)
        for _ in range(TURNS):
            one = _seconds(variant, usual)
            for name, schedule in WAYS.items():
                ratios[name].append(_seconds(variant, schedule) / one)
    for name, found in ratios.items():
        yield f"{name}: {median(found):.2f} [{min(found):.2f}, {max(found):.2f}]"


def _seconds(variant: Variant, schedule: Schedule) -> float:
    """Return the processor seconds of all steps of a training, by a few; judging is not in them."""
    trainer = trainer_of(Job(variant, schedule.steps, 0), schedule)
    trainer.advance()
    start = time.process_time()
    for _ in range(STEPS):
        trainer.advance()
    return (time.process_time() - start) / STEPS * schedule.steps


def judged(rows: list[Row], folder: Path) -> Iterator[str]:
    """Yield a Markdown table: each way that was tried, over its networks, beside the usual one."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{' --- |' * len(COLUMNS)}"
    for name in WAYS:
        if (path := folder / f"{name}.csv").exists():
            yield from _beside(name, read_table(path), rows)


def _beside(name: str, own: list[Row], rows: list[Row]) -> Iterator[str]:
    """Yield a line a signal, over the networks that have each of a way's seeds."""
    found = {(row["variant"], int(row["seed"])): row for row in own}
    seeds = sorted({seed for _, seed in found})
    whole = {variant for variant, _ in found if all((variant, seed) in found for seed in seeds)}
    rows = [row for row in rows if row["variant"] in whole]
    networks = list(dict.fromkeys(row["variant"] for row in rows))
    if len(networks) < FEWEST:
        return
    table = table_of(rows)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(networks), len(networks)) for _ in range(DRAWS)]
    for signal in JUDGED:
        sign = SIGNALS[signal]
        scores = [np.array([sign * float(found[n, s][signal]) for n in networks]) for s in seeds]
        usual = [sign * table.of(USUAL, seed, USUAL, signal) for seed in SHORT_SEEDS]
        cells = [
            name,
            signal,
            str(len(networks)),
            str(len(seeds)),
            *_cells(table, scores, usual, draws),
        ]
        yield f"| {' | '.join(cells)} |"


def _cells(
    table: Table, scores: list[Floats], usual: list[Floats], draws: list[Ints]
) -> Iterator[str]:
    """Yield what scores of each seed, and those of the usual way, are worth."""
    truth, logs = table.truth(), (np.log(table.macs), np.log(table.params))
    budgets = three_budgets(table.macs, table.bins)

    def both(statistic: Callable[[Floats], float], spelt: str) -> str:
        means = [fmean(map(statistic, of)) for of in (scores, usual)]
        return ", ".join(format(mean, spelt) for mean in means)

    one, other = (Ranking([(of, truth) for of in ways], draws) for ways in (scores, usual))
    yield f"{one.tau:.2f}, {other.tau:.2f}"
    yield one.ahead_of(other)
    yield both(lambda of: float(partial_tau(of, truth, *logs)), ".2f")
    yield both(lambda of: pairs_in_order(of, truth, table.bins), ".0%")
    yield both(lambda of: 100 * regret(of, truth, table.macs, budgets), ".1f")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("fill", "time", "judge"))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="to train by")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SHORT_SEEDS[:1]))
    parser.add_argument("--networks", type=int, help="how many of them; default: all")
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows of the truth")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of what ways gave")
    return parser.parse_args()


if __name__ == "__main__":
    main()
