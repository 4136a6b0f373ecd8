"""What stopping at rungs saves: training time until the front of the table is nearly found.

    python benchmarks/rungs.py --sampler random --seeds 20

Replays searches of benchmarks/tables/shapes.csv, whose 240-step trainings were judged at 24 and 80
steps too. Compared are: every trial to its end; our rule; and the simple baseline, everything to
the first rung, then the best of each cost bin to the end. A search sees one training seed of each
variant, drawn by its own seed; what it has found is the dominated area of the true means of the
variants that it trained to the end. Also shown: how the three schedule lengths rank variants.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hrnet_search.pareto import hypervolume, non_dominated
from hrnet_search.records.point import Point
from hrnet_search.records.trial import TrialKey
from hrnet_search.search.problem import Axis, Problem
from hrnet_search.search.rungs import Curve, chance, is_audited
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.space.load import load_space

HERE = Path(__file__).parent / "tables"
RUNGS, STEPS = (24, 80), 240
COST_BINS = 8
Floats = NDArray[np.float64]
Run = Iterator[tuple[float, Point]]
"""Seconds of training spent when a variant's training ends, and the variant."""


@dataclass(frozen=True, slots=True)
class Table:
    """The 240-step trainings by variant: `seen` mIoU at 24, 80 and 240 steps by seed."""

    architecture: dict[Point, str]
    seen: dict[Point, dict[int, tuple[float, float, float]]]
    latency: dict[Point, float]
    second_a_step: dict[Point, float]

    def mean(self, point: Point) -> float:
        return statistics.fmean(row[2] for row in self.seen[point].values())

    def area(self, points: list[Point]) -> float:
        """Return the area that variants dominate: true mean mIoU against log latency."""
        worst = min(self.mean(point) for point in self.seen)
        costliest = np.log(max(self.latency.values()))
        accuracy = [self.mean(point) for point in points]
        costs = [float(np.log(self.latency[point])) for point in points]
        return hypervolume(accuracy, costs, (worst - 1e-9, costliest + 1e-9))


def read_table(path: Path) -> tuple[Table, dict[tuple[Point, int], dict[int, float]]]:
    """Return the trainings of 240 steps, and the final mIoU of every (variant, seed) by length."""
    table = Table({}, defaultdict(dict), {}, {})
    lengths: dict[tuple[Point, int], dict[int, float]] = defaultdict(dict)
    latencies: dict[Point, list[float]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            point: Point = tuple(map(int, row["point"].split("-")))
            seed, steps = int(row["seed"]), int(row["steps"])
            lengths[point, seed][steps] = float(row["miou"])
            latencies[point].append(float(row["latency_ms"]))
            if steps == STEPS:
                at = (float(row["miou_at_24"]), float(row["miou_at_80"]), float(row["miou"]))
                table.seen[point][seed] = at
                table.second_a_step[point] = float(row["wall_s"]) / STEPS
                table.architecture[point] = row["architecture"]
    whole = [point for point in table.seen if len(table.seen[point]) == 2]
    for point in list(table.seen):
        if point not in whole:
            del table.seen[point]
    table.latency.update({point: statistics.median(latencies[point]) for point in whole})
    return table, {key: found for key, found in lengths.items() if len(found) == 3}


def problem_of_table(table: Table) -> Problem:
    """Return the table as a problem: only what was trained is valid, latency is the cost."""
    space = load_space(HERE / "shapes.yaml")
    rows = table.latency
    axes = tuple(Axis(c.path, c.values, c.ordered) for c in space.choices)

    def cost(points: NDArray[np.int64]) -> Floats:
        return np.array([[rows.get(tuple(p), 1.0)] for p in points.tolist()])

    def valid(points: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.array([tuple(p) in rows for p in points.tolist()], dtype=np.bool_)

    return Problem(axes, cost, valid)


def by_rule(table: Table, sampler: str, least: float, seed: int) -> Run:
    """Stop a trial whose chance at a rung is below `least`, 0 for none; one in ten runs on."""
    rng = np.random.default_rng(seed)
    search = SAMPLERS[sampler](problem_of_table(table), seed=seed, trials=len(table.seen))
    spent, curves = 0.0, list[Curve]()
    while points := search.ask():
        (point,) = points
        seen = table.seen[point][int(rng.integers(2))]
        costs = (table.latency[point],)
        key = TrialKey(table.architecture[point], "sc-240", seed)
        rungs = tuple(zip(RUNGS, seen, strict=False))
        steps, final = STEPS, seen[2]
        for i, rung in enumerate(RUNGS):
            at = Curve(costs, rungs[: i + 1])
            if not is_audited(key) and chance(at, rung, curves) < least:
                steps, final, rungs = rung, seen[i], rungs[: i + 1]
                break
        spent += steps * table.second_a_step[point]
        ended = steps == STEPS
        curves.append(Curve(costs, rungs, final if ended else None))
        search.tell(point, final, steps / STEPS, costs)
        if ended:
            yield spent, point


def simple(table: Table, seed: int) -> Run:
    """Train everything to the first rung, then the best of each cost bin to the end, in turn."""
    rng = np.random.default_rng(seed)
    points = sorted(table.seen, key=lambda point: table.latency[point])
    seen = {point: table.seen[point][int(rng.integers(2))] for point in points}
    spent = sum(RUNGS[0] * table.second_a_step[point] for point in points)
    bins = [
        sorted((points[i] for i in rows), key=lambda point: -seen[point][0])
        for rows in np.array_split(np.arange(len(points)), COST_BINS)
    ]
    for rank in range(max(map(len, bins))):
        for members in bins:
            if rank < len(members):
                point = members[rank]
                spent += (STEPS - RUNGS[0]) * table.second_a_step[point]
                yield spent, point


def seconds_to(table: Table, run: Run, shares: tuple[float, ...]) -> list[float]:
    """Return the training seconds until a run has each share of the whole table's area."""
    total = table.area(list(table.seen))
    reached: list[float] = []
    done: list[Point] = []
    for spent, point in run:
        done.append(point)
        while len(reached) < len(shares) and table.area(done) >= shares[len(reached)] * total:
            reached.append(spent)
        if len(reached) == len(shares):
            break
    return reached + [float("inf")] * (len(shares) - len(reached))


def ranks(lengths: dict[tuple[Point, int], dict[int, float]], latency: dict[Point, float]) -> None:
    """Print Kendall's tau between the lengths, plain and given cost, with 95% intervals."""
    keys = sorted(lengths)
    points = sorted({point for point, _ in keys} & set(latency))
    means = {
        steps: np.array([
            statistics.fmean(lengths[key][steps] for key in keys if key[0] == point)
            for point in points
        ])
        for steps in (24, 80, 240)
    }  # fmt: skip
    cost = np.log([latency[point] for point in points])
    print(f"{len(points)} variants, means of two seeds")
    for short in (24, 80):
        rows = np.column_stack([means[short], means[240], cost])
        plain = _with_interval(rows, lambda r: stats.kendalltau(r[:, 0], r[:, 1]).statistic)
        partial = _with_interval(rows, _partial_tau)
        print(f"tau of {short} and 240 steps: {plain}; given latency: {partial}")
    two = np.array([[lengths[p, s][240] for s in (0, 1)] for p in points if (p, 1) in lengths])
    print(f"tau of two seeds at 240 steps: {stats.kendalltau(two[:, 0], two[:, 1]).statistic:.2f}")
    noise = float(np.sqrt(np.mean(np.var(two, axis=1, ddof=1))))
    print(f"seed noise {noise:.4f}, spread of variants {np.std(two.mean(axis=1), ddof=1):.4f} mIoU")


def _partial_tau(rows: Floats) -> float:
    ab, ac, bc = (
        stats.kendalltau(rows[:, i], rows[:, j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))
    )
    return float((ab - ac * bc) / np.sqrt((1 - ac**2) * (1 - bc**2)))


def _with_interval(rows: Floats, statistic: Callable[[Floats], float]) -> str:
    rng = np.random.default_rng(0)
    draws = [statistic(rows[rng.integers(0, len(rows), len(rows))]) for _ in range(1000)]
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return f"{statistic(rows):.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    options = _options()
    table, lengths = read_table(options.table)
    ranks(lengths, table.latency)
    shares = (0.85, 0.90, 0.95)
    sampler = options.sampler
    methods: dict[str, Callable[[int], Run]] = {
        f"{sampler}, to the end": partial(by_rule, table, sampler, 0.0),
        **{
            f"{sampler}, rule below {least}": partial(by_rule, table, sampler, least)
            for least in options.least
        },
        "rung 1, then best of bins": lambda seed: simple(table, seed),
    }
    front = non_dominated([(table.mean(p), table.latency[p]) for p in table.seen], ("max", "min"))
    print(f"\n{len(table.seen)} variants, {front.sum()} on the front; seconds of training to")
    print(f"{'':<28}", *(f"{share:>10.2f}" for share in shares))
    for name, method in methods.items():
        rows = [seconds_to(table, method(seed), shares) for seed in range(options.seeds)]
        print(f"{name:<28}", *(f"{statistics.median(c):10.0f}" for c in zip(*rows, strict=True)))
        if options.json:
            print(json.dumps({"method": name, "seconds": rows}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=HERE / "shapes.csv")
    parser.add_argument("--sampler", default="random", choices=sorted(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--least", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.3])
    parser.add_argument("--json", action="store_true", help="every seed's figures too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
