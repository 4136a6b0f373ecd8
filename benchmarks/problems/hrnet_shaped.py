"""An HRNet space of 3.7 million points: real costs, a made-up accuracy with a known front."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.problems.benchmark import Benchmark, area, deviations, numbered, with_noise
from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.space_problem import problem_of, structure_of
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import SearchSpace, costs

RUGGED, SEED_NOISE = 0.25, 0.35
"""Percent: what no model can foresee of a network, and what another seed changes."""

FLOOR = 68.0
"""Percent: what nine variants of ten beat."""

BASE = Architecture(
    (
        Stage(1, "BOTTLENECK", (2,), (64,)),
        Stage(1, "BASIC", (2, 2), (18, 36)),
        Stage(3, "BASIC", (2, 2, 2), (18, 36, 72)),
        Stage(2, "BASIC", (2, 2, 2, 2), (18, 36, 72, 144)),
    )
)

SPACE = SearchSpace(
    BASE,
    (
        Choice("width", (8, 12, 16, 18, 24, 32, 40, 48)),
        Choice("STAGE1.NUM_BLOCKS", ((1,), (2,), (4,))),
        Choice("STAGE2.NUM_MODULES", (1, 2)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3, 4, 5)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3, 4)),
        Choice("STAGE4.NUM_BRANCHES", (3, 4)),
        Choice("STAGE2.NUM_BLOCKS", ((1, 1), (2, 2), (4, 4))),
        Choice("STAGE3.NUM_BLOCKS[0]", (1, 2, 4)),
        Choice("STAGE3.NUM_BLOCKS[1]", (1, 2, 4)),
        Choice("STAGE3.NUM_BLOCKS[2]", (1, 2, 4)),
        Choice("STAGE4.NUM_BLOCKS", ((1, 1, 1, 1), (2, 2, 2, 2), (4, 4, 4, 4))),
        Choice("STAGE3.FUSE_METHOD", ("SUM", "CAT")),
        Choice("STAGE4.FUSE_METHOD", ("SUM", "CAT")),
        Choice("FINAL_CONV_KERNEL", (1, 3)),
    ),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Every point of the space by number: MACs, the number of its canonical point, accuracy."""

    macs: Floats
    same: Points
    accuracy: Floats


def hrnet_shaped(cache: Path) -> Benchmark:
    """Return the problem, as a table of all its points that is made once and kept in `cache`.

    The table holds what the space itself would say, only quicker: a search of 200 trainings
    costs seconds, and the front is exact.
    """
    counts = SPACE.shape
    table = _table(cache / "hrnet_shaped")
    middle = float(np.median(table.macs))
    reference = (FLOOR, float(table.macs.max()))

    def truth(points: Points) -> Floats:
        return table.accuracy[numbered(points, counts)]

    def hours(points: Points) -> Floats:
        return np.asarray(0.5 + table.macs[numbered(points, counts)] / middle)

    def canonical(points: Points) -> Points:
        same = table.same[numbered(points, counts)]
        return np.stack(np.unravel_index(same, counts), axis=1).astype(np.int64)

    axes = problem_of(SPACE, ("miou", "macs")).axes
    problem = Problem(
        axes,
        lambda p: table.macs[numbered(p, counts), None],
        lambda p: np.ones(len(p), dtype=np.bool_),  # whatever the branches of stage 4
        canonical,
        features=partial(structure_of, SPACE),
    )
    best = area(table.accuracy, np.log(table.macs), reference)
    observe = with_noise(truth, SEED_NOISE)
    return Benchmark("hrnet-shaped", problem, truth, observe, hours, reference, best)


def accuracy(space: SearchSpace, points: Points) -> Floats:
    """Return made-up mIoU in percent, [n]: what each scale can do saturates, and they interact."""
    batch = space.batch(points)
    same = space.canonical(points)
    unforeseen = deviations(numbered(same, space.shape), RUGGED, seed=7)
    return np.asarray(_foreseen(batch) + unforeseen, dtype=np.float64)


def _foreseen(batch: ArchitectureBatch) -> Floats:
    width = batch.channels[:, 3, 0] / 18.0
    units = (batch.modules[:, :, None] * batch.blocks).astype(np.float64)  # [n, stage, branch]
    depth = units[:, 1:].sum(axis=1)
    # Fine scales saturate late and coarse ones early; a missing branch has no depth.
    scale = np.array([9.0, 7.0, 5.0, 4.0])
    able = 1 - np.exp(-depth * width[:, None] ** 0.8 / scale)
    score = 55.0 + able @ np.array([7.5, 5.0, 4.0, 3.0])
    score += 2.5 * able[:, 0] * able[:, 3] - 1.5 * able[:, 1] * (1 - able[:, 2])
    exchanges = batch.modules[:, 1:].sum(axis=1)
    score += 2.5 * (1 - np.exp(-exchanges / 3.0))
    score += 1.2 * (1 - np.exp(-batch.blocks[:, 0, 0] / 1.5))
    # Too deep for its width, or the reverse, trains worse.
    score -= 0.5 * (np.log(depth.sum(axis=1) / 30.0) - np.log(width)) ** 2
    gain = 0.7 * np.tanh(width - 1.1)
    score += batch.cat[:, 2] * gain + batch.cat[:, 3] * (gain + 0.3 * (batch.branches[:, 3] - 3.5))
    score += np.where(batch.final_kernel == 3, 0.6 * (1 - able[:, 0]) + 0.1, 0.0)
    return np.asarray(score, dtype=np.float64)


def _table(folder: Path) -> Table:
    names = [field.name for field in fields(Table)]
    if not all((folder / f"{name}.npy").exists() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        made = _enumerated()
        for name in names:
            np.save(folder / f"{name}.npy", getattr(made, name))
    return Table(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def _enumerated() -> Table:
    macs, same, values = [], [], []
    for chunk in SPACE.index_chunks():
        macs.append(costs(SPACE, chunk)[:, 1].astype(np.float64))
        same.append(numbered(SPACE.canonical(chunk), SPACE.shape).astype(np.int32))
        values.append(accuracy(SPACE, chunk))
    return Table(np.concatenate(macs), np.concatenate(same), np.concatenate(values))
