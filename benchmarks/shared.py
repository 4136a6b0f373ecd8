"""How well slices of shared weights rank networks, beside trainings of their own.

    python benchmarks/shared.py train --steps 1500 --seed 4 --folder WEIGHTS
    python benchmarks/shared.py judge --steps 1500 --seed 4 --folder WEIGHTS [--tune 75]
    python benchmarks/shared.py train --teacher-weight 0 --steps 1500 --seed 4 --folder WEIGHTS
    python benchmarks/shared.py table
    python benchmarks/shared.py train --data camvid --data-root CAMVID --folder WEIGHTS

`train` teaches one set of weights for the grid of `benchmarks/tables/variants.py`: 512 networks
drawn from it, none of them in the table of equal MACs, by the table's schedule and images. It
goes on where it was stopped; `--teacher-weight` is `schedule.shared.teacher_weight`. `judge` judges
by their slices the variants that have a truth in that table, after some steps of fine-tuning if
asked, and adds rows to `tables/shared.csv`. `table` says how well all of that ranks, and what it
costs. With `--data camvid` all three are of CamVid's table, and of `tables/camvid_shared.csv`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.fp32 import FP32, set_fp32
from benchmarks.rows import add
from benchmarks.tables import camvid
from benchmarks.tables.fill import (
    SHORT_SEEDS,
    SPEC,
    TABLE,
    TRUTH,
    Row,
    read_table,
    schedule_of,
    training_data,
)
from benchmarks.tables.judge import (
    SIGNALS,
    Candidate,
    Table,
    judged,
    over_seeds,
    spelt,
    table_of,
)
from benchmarks.tables.ranking import Floats
from benchmarks.tables.variants import (
    BINS,
    CAMVID_BINS,
    CAMVID_VARIANTS,
    MOST_CONVOLUTIONS,
    SIZE,
    VARIANTS,
    WITHIN,
    Variant,
    forms,
    read_variants,
)
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs, operations
from hrnet_search.data.shapes import VERSION
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.shared import SharedTrainer, Strata, with_slices
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.shared import SharedNetwork
from hrnet_search.order_rule import columns_of, expected
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.report.trust.statistics import Bools, Interval, bca, tau_b, tau_gain
from hrnet_search.space.initial_weights import TEACHER_WEIGHT

HERE = Path(__file__).parent / "tables"
COLUMNS = (
    "version", "variant", "bin", "params", "macs", "shared_steps", "shared_seed", "teacher_weight",
    "shared_cpu_s", "tuned_steps", "tuned_lr", "miou", "soft_iou", "cross_entropy",
    "balanced_cross_entropy", "cpu_s", "precision", "torch",
)  # fmt: skip
WAY = ("teacher_weight", "shared_steps", "tuned_steps")
"""Columns that say how a slice was learned, whatever the seed."""

SOFT = "soft_iou"
SLICES, AND, SIZED = "slices", " and ", ", with size"
"""What names of ways begin with, join and end with."""

SIGNAL_COLUMNS = [name for name in SIGNALS if name in COLUMNS]
POOL, STRATA, STEPS = 512, 4, 1500


@dataclass(frozen=True, slots=True)
class Ground:
    """A table of trainings alone, of `truth` and of fewer steps, and where judgements stand."""

    version: str
    table: Path
    rows: Path
    listed: Path
    spec: DataSpec
    bins: tuple[float, ...]
    truth: int
    alone: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.spec.size or SIZE

    def variants(self) -> list[Variant]:
        return read_variants(self.listed)


SHAPES = Ground(
    str(VERSION), TABLE, HERE / "shared.csv", VARIANTS, SPEC, BINS, TRUTH, (150, 300, 600)
)
CAMVID = Ground(
    camvid.VERSION,
    camvid.TABLE,
    HERE / "camvid_shared.csv",
    CAMVID_VARIANTS,
    camvid.SPEC,
    CAMVID_BINS,
    camvid.TRUTH,
    camvid.SHORT,
)
GROUNDS = {"shapes": SHAPES, "camvid": CAMVID}


def main() -> None:
    options = _options()
    ground = options.ground
    if options.what == "table":
        if not ground.rows.exists():
            print("nothing was judged there yet")
            return
        for line in about(ground, read_table(ground.table), read_table(ground.rows)):
            print(line, flush=True)
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    set_fp32(FP32)
    trainer, seconds = trained(ground, options)
    if options.what == "judge":
        judge(trainer, ground, seconds, options)


def judge(
    trainer: SharedTrainer, ground: Ground, seconds: float, options: argparse.Namespace
) -> None:
    """Judge every variant with a truth that has no such row yet."""
    known = {
        row["variant"] for row in read_table(ground.table) if int(row["steps"]) == ground.truth
    }
    done = read_table(ground.rows) if ground.rows.exists() else []
    there = {_key(row) for row in done if row["version"] == ground.version}
    way = f"{options.teacher_weight:g}", str(options.steps), str(options.tune)
    for variant in ground.variants():
        if variant.id in known and (variant.id, str(options.seed), *way) not in there:
            add(ground.rows, COLUMNS, row_of(trainer, variant, ground, seconds, options))


def row_of(
    trainer: SharedTrainer,
    variant: Variant,
    ground: Ground,
    seconds: float,
    options: argparse.Namespace,
) -> Row:
    """Judge one variant by its slices, after `tune` steps by a schedule of their own."""
    start = time.process_time()
    tuned = replace(schedule_of(max(1, options.tune), ground.spec), lr=options.lr, warmup=0)
    network = with_slices(trainer.shared, variant.architecture)
    learner = Trainer(network, training_data(tuned, options.seed), tuned)
    while learner.step < options.tune:
        learner.advance()
    # Statistics of as many batches as the table's own judgements take.
    judge = Trainer(network, training_data(trainer.schedule, options.seed), trainer.schedule)
    found = judge.judge()
    values = (
        ground.version, variant.id, variant.bin, variant.params, variant.macs, options.steps,
        options.seed, f"{options.teacher_weight:g}", f"{seconds:.0f}", options.tune,
        options.lr if options.tune else 0,
        f"{found.rung.miou:.5f}", f"{found.signals.soft_iou:.5f}",
        f"{found.signals.cross_entropy:.5f}", f"{found.signals.balanced_cross_entropy:.5f}",
        f"{time.process_time() - start:.1f}", FP32, torch.__version__,
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def trained(ground: Ground, options: argparse.Namespace) -> tuple[SharedTrainer, float]:
    """Return shared weights at the end of their schedule, and the processor's seconds for them."""
    steps, seed, teacher_weight = options.steps, options.seed, options.teacher_weight
    networks, macs = pool(ground)
    torch.manual_seed(seed)
    table = [variant.architecture for variant in ground.variants()]
    shared = SharedNetwork.of([*networks, *table], ground.spec.classes)
    schedule = replace(schedule_of(steps, ground.spec), teacher_weight=teacher_weight)
    strata = Strata(networks, macs, STRATA, seed, bool(teacher_weight))
    trainer = SharedTrainer(shared, strata, table[0], training_data(schedule, seed), schedule)
    name = f"shared-{options.data}-{steps}-{seed}-{teacher_weight:g}"
    checkpoints = Checkpoints(options.folder / name, every_s=60)
    before, start = 0.0, time.process_time()
    if found := checkpoints.load():
        before = found["cpu_s"]
        trainer.restore(found)

    def save() -> None:
        checkpoints.save(trainer.state() | {"cpu_s": before + time.process_time() - start})

    while trainer.step < steps:
        loss = trainer.advance()
        if trainer.step == steps or checkpoints.due():
            save()
            print(
                trainer.step,
                f"{loss:.4f}",
                *(f"{one:.3f}" for one in trainer.strata_losses),
                flush=True,
            )
    found = checkpoints.load()
    assert found is not None, "it was saved at the end"
    return trainer, found["cpu_s"]


@cache
def pool(ground: Ground) -> tuple[list[Architecture], list[int]]:
    """Return the networks that are drawn, and their MACs: none of the table's."""
    grid = list(forms())
    batch = ArchitectureBatch.of(grid)
    images = ground.size, ground.spec.classes
    macs = batch_costs(batch, *images)[:, 1]
    convolutions = sum(op.count for op in operations(batch, *images))
    known = {variant.id for variant in ground.variants()}
    low, high = ground.bins[0] * (1 - WITHIN), ground.bins[-1] * (1 + WITHIN)
    there = np.flatnonzero((macs >= low) & (macs <= high) & (convolutions <= MOST_CONVOLUTIONS))
    others = [i for i in there if grid[i].id not in known]
    drawn = np.random.default_rng(0).permutation(others)[:POOL]
    return [grid[i] for i in drawn], [int(macs[i]) for i in drawn]


def about(ground: Ground, table: list[Row], rows: list[Row]) -> Iterator[str]:
    """Yield Markdown tables: of all networks that slices have judged by one way, and by every way.

    Seconds are a network's own; those of the shared weights, once for all, stand in the name.
    """
    found, variants = newest(table)
    truth = found.truth(steps=ground.truth)
    slices = list(by_slices(truth, variants, rows))
    ways = [*alone(found, truth, ground.alone), *slices]
    ways += together(ways[2:])
    most = max((way.known() for way in slices), key=np.sum)
    every = np.all([way.known() for way in ways], axis=0)
    for there in (most, every) if every.sum() < most.sum() else (most,):
        yield ""
        yield from compared([way for way in ways if way.known()[there].all()], there, found)


def newest(rows: list[Row]) -> tuple[Table, list[str]]:
    """Return the trainings of the newest images, and the ids of their networks in their order."""
    version = max(int(row["version"]) for row in rows)
    rows = [row for row in rows if int(row["version"]) == version]
    return table_of(rows), list({row["variant"]: None for row in rows})


def compared(ways: list[Candidate], there: Bools, table: Table) -> Iterator[str]:
    """Yield a Markdown table of ways over the same networks, and what slices are ahead by."""
    ways = [replace(way, scores=np.where(there, way.scores, np.nan)) for way in ways]
    ways = [*ways, *sized(ways, there, table)]
    free = [way.scores[0, there] for way in ways if way.name == "free"]
    yield "| ranked by | signal | n | s | noise | noise in bins | tau [95%] | partial [95%] | equal MACs | regret | ahead of both counts | mIoU |"  # noqa: E501
    yield "| --- | --- | --: | --: | --: | --: | --- | --- | --: | --: | --- | --- |"
    for way in ways:
        if cells := judged(way, table):
            scores, truths = way.scores[:, there], way.truths[:, there]
            ahead = spelt(over_seeds(tau_gain, scores, truths, tuple(free)))
            ahead = "" if way.name == "free" else ahead
            yield f"| {' | '.join([*cells, ahead, levels(way, scores)])} |"
    yield ""
    soft = [way for way in ways if way.signal == SOFT]
    own = [way for way in soft if SLICES not in way.name]
    for one, other in product([way for way in soft if SLICES in way.name], own):
        alike = one.name.endswith(SIZED) == other.name.endswith(SIZED)
        if alike and one.name.startswith((SLICES, f"{other.name.removesuffix(SIZED)}{AND}")):
            yield f"{one.name} less {other.name}: {spelt(difference(one, other, there))}"


def sized(ways: list[Candidate], there: Bools, table: Table) -> Iterator[Candidate]:
    """Yield what is expected by soft IoU and both counts, as a study orders its networks."""
    for way in ways:
        if way.signal == SOFT:
            scores = np.full_like(way.scores, np.nan)
            costs = table.macs[there], table.params[there]
            scores[:, there] = [expected(columns_of(one, costs)) for one in way.scores[:, there]]
            yield replace(way, name=f"{way.name}{SIZED}", scores=scores)


def difference(one: Candidate, other: Candidate, there: Bools) -> Interval:
    """Return by how much one way ranks better than another; means over the seeds both have."""
    seeds = min(len(one.scores), len(other.scores))
    columns = (*one.scores[:seeds, there], *other.scores[:seeds, there], one.truths[0, there])

    def gain(*columns: Floats) -> Floats:
        *scores, truth = columns
        taus = np.array([tau_b(score, truth) for score in scores])
        found: Floats = taus[:seeds].mean(axis=0) - taus[seeds:].mean(axis=0)
        return found

    return bca(gain, columns)


def alone(table: Table, truth: Floats, lengths: tuple[int, ...]) -> Iterator[Candidate]:
    """Yield what the table knows: free counts, and trainings of a network's own."""
    for name, values in (("log MACs", table.macs), ("log parameters", table.params)):
        yield Candidate("free", name, np.log(values)[None], truth[None])
    for steps in lengths:
        seconds = np.array([table.of(steps, seed, steps, "cpu_s") for seed in SHORT_SEEDS])
        for signal, sign in SIGNALS.items():
            scores = sign * np.array([table.of(steps, seed, steps, signal) for seed in SHORT_SEEDS])
            if (~np.isnan(scores).any(axis=0)).sum() >= len(truth) / 4:
                truths = np.broadcast_to(truth, scores.shape)
                yield Candidate(
                    f"{steps} alone", signal, scores, truths, float(np.nanmean(seconds))
                )


def by_slices(truth: Floats, variants: list[str], rows: list[Row]) -> Iterator[Candidate]:
    """Yield each length of the shared weights, with each fine-tuning, over their seeds."""
    ways = {(r["teacher_weight"], int(r["shared_steps"]), int(r["tuned_steps"])) for r in rows}
    for weight, steps, tuned in sorted(ways):
        way = weight, str(steps), str(tuned)
        own = [r for r in rows if tuple(r[column] for column in WAY) == way]
        once = np.mean([float(r["shared_cpu_s"]) for r in own])
        seconds = float(np.mean([float(r["cpu_s"]) for r in own]))
        taught = f", teacher {weight}" if weight != "0" else ""
        name = f"{SLICES} of {steps} steps{taught} ({once:.0f} s), {tuned} of its own"
        for signal in SIGNAL_COLUMNS:
            scores = np.array(list(by_seed(own, variants, signal))) * SIGNALS[signal]
            yield Candidate(name, signal, scores, np.broadcast_to(truth, scores.shape), seconds)


def together(ways: list[Candidate]) -> Iterator[Candidate]:
    """Yield trainings alone with slices: soft IoU of both, each in its own deviations, added up.

    The first seeds of both, as many as the one with fewer has.
    """
    soft = [way for way in ways if way.signal == SOFT]
    slices = [way for way in soft if way.name.startswith(SLICES)]
    for one in soft:
        for other in slices if one not in slices else ():
            seeds = min(len(one.scores), len(other.scores))
            scores = standard(one.scores[:seeds]) + standard(other.scores[:seeds])
            name = f"{one.name}{AND}{other.name}"
            seconds = one.seconds + other.seconds
            yield Candidate(name, SOFT, scores, one.truths[:seeds], seconds)


def standard(scores: Floats) -> Floats:
    """Return scores [seeds, n] in deviations of each seed's mean; nan stays."""
    centred: Floats = scores - np.nanmean(scores, axis=1, keepdims=True)
    scaled: Floats = centred / np.nanstd(centred, axis=1, keepdims=True)
    return scaled


def levels(way: Candidate, scores: Floats) -> str:
    """Return from which to which mIoU networks reached, on average over seeds."""
    if way.signal != "miou":
        return ""
    means = scores.mean(axis=0)
    return f"{means.min():.3f} to {means.max():.3f}, mean {means.mean():.3f}"


def taught(rows: list[Row], variants: list[str], signal: str, tuned: int = 0) -> list[Floats]:
    """Return scores of variants [n] by slices, or after so many steps that began with them.

    One for each seed of shared weights as they are by default, of STEPS steps.
    """
    way = f"{TEACHER_WEIGHT:g}", str(STEPS), str(tuned)
    own = [row for row in rows if tuple(row[column] for column in WAY) == way]
    return [np.array(one) for one in by_seed(own, variants, signal)]


def by_seed(rows: list[Row], variants: list[str], signal: str) -> Iterator[list[float]]:
    """Yield the scores [n] of variants by each seed of the shared weights; nan where one is not."""
    for seed in sorted({row["shared_seed"] for row in rows}):
        known = {r["variant"]: float(r[signal]) for r in rows if r["shared_seed"] == seed}
        yield [known.get(variant, np.nan) for variant in variants]


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[column] for column in ("variant", "shared_seed", *WAY))


def add_ground(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which data a benchmark is of."""
    parser.add_argument("--data", choices=GROUNDS, default="shapes", help="of which data")
    parser.add_argument("--data-root", type=Path, help="of CamVid: images/ and annotations/")


def ground_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Ground:
    """Return the data that were asked for, where they are; a table of results needs none."""
    ground = GROUNDS[options.data]
    if ground is CAMVID and options.what != "table" and options.data_root is None:
        parser.error("CamVid needs --data-root CAMVID")
    if options.data_root is None:
        return ground
    return replace(ground, spec=replace(ground.spec, root=str(options.data_root.resolve())))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("what", choices=("train", "judge", "table"))
    add("--steps", type=int, default=STEPS, help="of the shared weights")
    add("--seed", type=int, default=4, help="of them; the table's own are 0 to 3")
    add("--teacher-weight", type=float, default=TEACHER_WEIGHT, help="of the loss of the others")
    add("--folder", type=Path, help="of their checkpoints")
    add("--tune", type=int, default=0, help="steps of fine-tuning of each network")
    add("--lr", type=float, default=0.002, help="at which it starts, and falls to zero")
    add_ground(parser)
    options = parser.parse_args()
    options.ground = ground_of(parser, options)
    if options.what != "table" and options.folder is None:
        parser.error(f"{options.what} needs --folder")
    return options


if __name__ == "__main__":
    main()
