"""What networks reach when they are trained to the end from slices of shared weights.

    python benchmarks/finished.py run --shared-steps 3000 --folder WEIGHTS --networks hr-... hr-...
    python benchmarks/finished.py run --data camvid --data-root CAMVID --shared-steps 1500 ...
    python benchmarks/finished.py run --shared-steps 0 --steps 4800 --networks hr-...
    python benchmarks/finished.py table

`run` trains networks of the table of equal MACs (or of CamVid's), none of which the shared weights
of `benchmarks/shared.py` were taught, by the table's own schedule, with a seed that it has not,
from their slices; with `--shared-steps 0` from random weights, for a comparison at other lengths.
It adds rows to `tables/finished.csv`, and leaves out what is there. `table` holds them against the
same networks' own trainings of the whole length, and says what orders them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from math import nan
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.fp32 import FP32, set_fp32
from benchmarks.rows import Row, add, read
from benchmarks.shared import GROUNDS, STEPS, Ground, add_ground, ground_of, trained
from benchmarks.tables.fill import Job, read_table, rows_of, schedule_of, trainer_of
from benchmarks.tables.ranking import Floats
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.order_rule import columns_of, expected
from hrnet_search.report.trust.statistics import Interval, bca, tau_b
from hrnet_search.space.initial_weights import TEACHER_WEIGHT

ROWS = Path(__file__).parent / "tables" / "finished.csv"
WAY = ("data", "version", "shared_steps", "shared_seed", "steps", "lr")
"""Columns that say how a network was trained to the end."""

COLUMNS = (
    *WAY, "network", "params", "macs", "seed", "miou", "soft_iou", "cpu_s", "precision", "torch",
)  # fmt: skip
SEED, LR = 9, 0.005


def main() -> None:
    options = _options()
    if options.what == "table":
        for line in about(read(ROWS)):
            print(line, flush=True)
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    set_fp32(FP32)
    options.teacher_weight, shared = TEACHER_WEIGHT, None
    if options.shared_steps:
        taught = argparse.Namespace(**{**vars(options), "steps": options.shared_steps})
        taught.seed = options.shared_seed
        shared = trained(options.ground, taught)[0].shared
    for network in options.networks:
        finish(network, shared, options)


def finish(network: str, shared: SharedNetwork | None, options: argparse.Namespace) -> None:
    """Train a network of the table to the end, and add a row, unless it is there."""
    ground: Ground = options.ground
    (variant,) = (one for one in ground.variants() if one.id == network)
    steps = options.steps or ground.truth
    seed = options.shared_seed if shared else 0
    way = (options.data, ground.version, options.shared_steps, seed, steps, options.lr)
    if any((*_way(row), row["network"]) == (*map(str, way), network) for row in read(ROWS)):
        return
    job = Job(variant, steps, SEED)
    trainer = trainer_of(job, replace(schedule_of(steps, ground.spec), lr=options.lr))
    if shared:
        shared.start(trainer.network)
    (found,) = rows_of(job, trainer, (steps,))
    row = dict(zip(WAY, way, strict=True)) | {"network": network}
    add(ROWS, COLUMNS, row | {column: found[column] for column in COLUMNS if column not in row})


def about(rows: list[Row]) -> Iterator[str]:
    """Yield a Markdown table, a line for each way to train to the end."""
    heads = "data", "from", "steps", "networks", "own, whole", "these", "more"
    yield f"| {' | '.join((*heads, 'best third', 'sd own', 'sd these'))} |"
    yield "| --- | --- | --: | --: | --: | --: | --- | --: | --: | --: |"
    ways = {_way(row): [other for other in rows if _way(other) == _way(row)] for row in rows}
    for way, some in ways.items():
        ground = GROUNDS[way[0]]
        owned = truths(ground)
        own, of_size = np.array([owned[row["network"]] for row in some]), bins(ground, some)
        miou = np.array([float(row["miou"]) for row in some])
        start = f"{way[2]} shared steps, seed {way[3]}" if way[2] != "0" else "random weights"
        cells = (
            way[0], f"{start}, at {way[5]}", way[4], str(len(some)), f"{own.mean():.3f}",
            f"{miou.mean():.3f}", more(miou, own), f"{of_the_best(miou, own):.3f}",
            f"{spread(own, of_size):.3f}",
            f"{spread(miou, of_size):.3f}",
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from alike(ways)
    for way, some in ways.items():
        if len(some) >= FEWEST:
            yield ""
            yield f"What orders {len(some)} networks by {' '.join(way)}:"
            yield from ordering(GROUNDS[way[0]], way, some)


FEWEST = 8
"""Networks of which it is said what orders them."""


def ordering(ground: Ground, way: tuple[str, ...], rows: list[Row]) -> Iterator[str]:
    """Yield taus of what orders networks without such trainings."""
    owned, names = truths(ground), [row["network"] for row in rows]
    miou = np.array([float(row["miou"]) for row in rows])
    scores: dict[str, list[float] | Floats] = {
        "log MACs": [np.log(int(row["macs"])) for row in rows],
        "log parameters": [np.log(int(row["params"])) for row in rows],
        "own whole trainings": [owned[name] for name in names],
    }
    for column in ("soft_iou", "miou"):
        found = slices(ground, way, column)
        if all(name in found for name in names):
            scores[f"slices, {column}"] = [found[name] for name in names]
    for tuned in (75, 150):
        found = slices(ground, (*way[:2], str(STEPS), *way[3:]), "miou", tuned)
        if all(name in found for name in names):
            scores[f"{tuned} steps from slices of {STEPS}, miou"] = [found[n] for n in names]
    for steps in ground.alone:
        found = alone(ground, steps)
        if all(name in found for name in names):
            short = np.array([found[name] for name in names])
            costs = [np.array([float(row[name]) for row in rows]) for name in ("macs", "params")]
            scores[f"{steps} steps alone, soft_iou (mean of its seeds)"] = short
            sized = expected(columns_of(short, (costs[0], costs[1])))
            scores[f"{steps} steps alone, soft_iou with size"] = sized
    of_size = bins(ground, rows)
    for name, values in scores.items():
        tau = _spelt(bca(tau_b, (np.array(values), miou)))
        yield f"- {name}: {tau}, at equal MACs {within(np.array(values), miou, of_size):.2f}"


def alike(ways: dict[tuple[str, ...], list[Row]]) -> Iterator[str]:
    """Yield how far two ways agree on the networks that were trained by both."""
    for (one, first), (other, second) in combinations(ways.items(), 2):
        of_each = [{row["network"]: float(row["miou"]) for row in rows} for rows in (first, second)]
        names = [name for name in of_each[0] if name in of_each[1]]
        if one[:2] != other[:2] or len(names) < FEWEST:
            continue
        ground, (a, b) = GROUNDS[one[0]], (np.array([m[n] for n in names]) for m in of_each)
        of_size = bins(ground, [row for row in first if row["network"] in of_each[1]])
        yield (
            f"- {len(names)} networks by {' '.join(one)} and by {' '.join(other)}:"
            f" {a.mean():.3f} and {b.mean():.3f}, the first {more(a, b)} more, tau"
            f" {_spelt(bca(tau_b, (a, b)))}, at equal MACs {within(a, b, of_size):.2f}, deviation"
            f" of one {(a - b).std(ddof=1) / np.sqrt(2):.4f}"
        )


def truths(ground: Ground) -> dict[str, float]:
    """Return the mean mIoU of each network's own whole trainings."""
    return _means(ground, ground.truth, "miou")


def alone(ground: Ground, steps: int) -> dict[str, float]:
    """Return the mean soft IoU of each network after so many steps of its own."""
    return _means(ground, steps, "soft_iou")


def slices(ground: Ground, way: tuple[str, ...], column: str, tuned: int = 0) -> dict[str, float]:
    """Return what each network's slice had by itself, or after so many steps of its own."""
    rows = [row for row in read_table(ground.rows) if row["version"] == ground.version]
    wanted = (way[2], way[3], str(tuned), f"{TEACHER_WEIGHT:g}")
    keys = ("shared_steps", "shared_seed", "tuned_steps", "teacher_weight")
    return {r["variant"]: float(r[column]) for r in rows if tuple(r[k] for k in keys) == wanted}


def more(miou: Floats, own: Floats) -> str:
    """Return by how much the mean of one is higher, with its interval over networks.

    Of few networks between which differences: a bootstrap of them is far too narrow.
    """
    if len(own) >= FEWEST:
        return _spelt(bca(lambda a, b: (a - b).mean(axis=-1), (miou, own)))
    least, most = (miou - own).min(), (miou - own).max()
    return f"{(miou - own).mean():.3f}, each {least:.3f} to {most:.3f}"


def of_the_best(miou: Floats, own: Floats) -> float:
    """Return by how much the third that are best by themselves are better."""
    best = np.argsort(-own)[: max(1, len(own) // 3)]
    return float((miou - own)[best].mean())


def bins(ground: Ground, rows: list[Row]) -> NDArray[np.int64]:
    """Return of which size of MACs each network is."""
    of_each = {variant.id: variant.bin for variant in ground.variants()}
    return np.array([of_each[row["network"]] for row in rows])


def spread(miou: Floats, of_size: NDArray[np.int64]) -> float:
    """Return the deviation of networks of equal MACs from their mean."""
    parts = [miou[of_size == one] for one in np.unique(of_size)]
    parts = [part for part in parts if len(part) > 1]
    freedom = sum(len(part) - 1 for part in parts)
    return float(np.sqrt(sum(part.var() * len(part) for part in parts) / freedom)) if parts else nan


def within(scores: Floats, miou: Floats, of_size: NDArray[np.int64]) -> float:
    """Return the tau over the pairs of equal MACs alone."""
    first, second = np.triu_indices(len(miou), 1)
    same = of_size[first] == of_size[second]
    first, second = first[same], second[same]
    return float(
        (np.sign(scores[first] - scores[second]) * np.sign(miou[first] - miou[second])).mean()
    )


def _means(ground: Ground, steps: int, column: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in read_table(ground.table):
        if row["version"] == ground.version and row["steps"] == row["step"] == str(steps):
            found.setdefault(row["variant"], []).append(float(row[column]))
    return {name: fmean(values) for name, values in found.items()}


def _way(row: Row) -> tuple[str, ...]:
    return tuple(row[column] for column in WAY)


def _spelt(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("what", choices=("run", "table"))
    add("--networks", nargs="+", default=[], help="of the table, by their ids")
    add("--shared-steps", type=int, default=1500, help="of the shared weights; 0: none")
    add("--shared-seed", type=int, default=4, help="of them")
    add("--steps", type=int, help="of each network (as its own whole training)")
    add("--lr", type=float, default=LR, help="at which it starts, and falls to zero")
    add("--folder", type=Path, help="of the checkpoints of shared weights")
    add_ground(parser)
    options = parser.parse_args()
    options.ground = ground_of(parser, options)
    if options.what == "run" and options.shared_steps and options.folder is None:
        parser.error("slices need --folder")
    return options


if __name__ == "__main__":
    main()
