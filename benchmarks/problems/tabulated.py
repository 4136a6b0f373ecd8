"""Problems that are tables of real trainings: NAS-Bench-201 and tables of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.problems.benchmark import Benchmark, area, numbered
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.search.space_problem import structure_of
from hrnet_search.space.load import load_space

OPERATIONS = ("none", "skip", "conv1x1", "conv3x3", "pool3x3")
NONE, CONV1X1, CONV3X3 = 0, 2, 3
PATHS = ((0, 2, 5), (0, 4), (1, 5), (3,))
"""The ways from the input of a cell to its output, by edges."""

NASBENCH_REFERENCE = 60.0
"""Percent: about what the better half of the table beats, so that the upper half decides."""


def nasbench201(folder: Path) -> Benchmark:
    """Return NAS-Bench-201 on CIFAR-100 (Dong and Yang 2020): 15,625 cells, up to three seeds.

    `folder` holds cifar100.npz: `ops` [n, 6], `accuracy` [n, 3] with NaN where a seed is
    missing, `cost` [n].
    """
    table = np.load(folder / "cifar100.npz")
    ops = np.asarray(table["ops"], dtype=np.int64)
    axes = [Axis(f"edge{i}", OPERATIONS, ordinal=False) for i in range(ops.shape[1])]
    return _benchmark(
        "nasbench201", axes, ops, table["accuracy"].astype(np.float64),
        np.asarray(table["cost"], dtype=np.float64), NASBENCH_REFERENCE, cell_structure,
    )  # fmt: skip


def cell_structure(points: Points) -> Floats:
    """Return what cells [n, 6] are made of, [n, 11]: operations by kind, and the ways through.

    Of these: how many are open, the most and the fewest convolutions along one, and how many of
    each size there are along all.
    """
    counts = (points[:, :, None] == np.arange(len(OPERATIONS))).sum(axis=1)
    open_ = np.stack([(points[:, list(way)] != NONE).all(axis=1) for way in PATHS], axis=1)

    def along(*operations: int) -> Points:
        there = np.isin(points, operations)
        found = np.stack([there[:, list(way)].sum(axis=1) for way in PATHS], axis=1)
        return np.asarray(found * open_, dtype=np.int64)

    convolutions, threes = along(CONV1X1, CONV3X3), along(CONV3X3)
    fewest = np.where(open_, convolutions, len(PATHS)).min(axis=1)
    ways = [open_.sum(axis=1), convolutions.max(axis=1), np.where(open_.any(axis=1), fewest, 0),
            threes.max(axis=1), convolutions.sum(axis=1), threes.sum(axis=1)]  # fmt: skip
    return np.concatenate([counts, np.stack(ways, axis=1)], axis=1).astype(np.float64)


def own_table(path: Path, cost: str = "latency_ms") -> Benchmark:
    """Return a CSV table of HRNet variants as a problem: the longest schedule counts.

    Columns: `point` (levels joined by -), `seed`, `steps`, `miou`, and costs. Axes are ordinal;
    the space file beside it says what networks are made of. The reference is the lower quartile
    of mIoU.
    """
    space = load_space(path.with_suffix(".yaml"))
    rows = pd.read_csv(path)
    rows = rows[rows["steps"] == rows["steps"].max()]
    seeds = rows.pivot_table(index="point", columns="seed", values="miou")
    points = np.array([[int(level) for level in str(p).split("-")] for p in seeds.index])
    costs = rows.groupby("point")[cost].median().loc[seeds.index].to_numpy(dtype=np.float64)
    axes = [Axis(f"axis{i}", int(n) + 1, ordinal=True) for i, n in enumerate(points.max(axis=0))]
    accuracy = seeds.to_numpy(dtype=np.float64)
    floor = float(np.quantile(np.nanmean(accuracy, axis=1), 0.25))
    made_of = partial(structure_of, space)
    return _benchmark(path.stem, axes, points, accuracy, costs, floor, made_of)


def _benchmark(
    name: str,
    axes: list[Axis],
    points: Points,
    accuracy: Floats,
    costs: Floats,
    floor: float,
    features: Callable[[Points], Floats] | None = None,
) -> Benchmark:
    counts = tuple(axis.count for axis in axes)
    rows = np.full(int(np.prod(counts)), -1, dtype=np.int64)
    rows[numbered(points, counts)] = np.arange(len(points))
    means = np.nanmean(accuracy, axis=1)
    reference = (floor, float(costs.max()))

    def row(points: Points) -> Points:
        return rows[numbered(points, counts)]

    def valid(points: Points) -> Bools:
        return np.asarray(row(points) >= 0, dtype=np.bool_)

    def observe(point: Points, rng: np.random.Generator) -> float:
        seeds = accuracy[row(point)[0]]
        return float(rng.choice(seeds[np.isfinite(seeds)]))

    def hours(points: Points) -> Floats:
        return np.asarray(0.5 + costs[row(points)] / np.median(costs), dtype=np.float64)

    problem = Problem(axes, lambda p: costs[row(p), None], valid, features=features)
    best = area(means, np.log(costs), reference)
    return Benchmark(name, problem, lambda p: means[row(p)], observe, hours, reference, best)
