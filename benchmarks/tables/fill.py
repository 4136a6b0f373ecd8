"""Train the variants of `equal_macs_variants.csv` into `equal_macs.csv`, beside this file.

    taskset -c 1 python benchmarks/tables/fill.py

goes on where the last run ended: a training whose last row is there is not repeated. One process
at a time writes a table. The rows of a training are appended together when it has ended; README.md
tells what the columns mean and in which order the work is done.

    python benchmarks/tables/fill.py --add FILE

adds the trainings of another file of rows, such as `benchmarks/gpu.py` leaves, to the table.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import io
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import torch

from benchmarks.fp32 import FP32, set_fp32
from benchmarks.tables.variants import CLASSES, SIZE, Variant, read_variants
from hrnet_search.arch.cost import cost
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.data.shapes import VERSION
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
from hrnet_search.evaluate.machine.devices import device_name
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

TABLE = Path(__file__).parent / "equal_macs.csv"
TRUTH, TRUTH_SEEDS = 2400, (0, 1)
SHORT, SHORT_SEEDS = (75, 150, 300, 600), (2, 3)
RUNGS = (75, 150, 300, 600, 1200)
"""Steps at which the trainings of TRUTH steps are judged before their end."""

PILOT_BINS, PILOT_PLACES = (0, 2, 4), 8
COLUMNS = (
    "version", "variant", "bin", "params", "macs", "steps", "seed", "step", "miou", "soft_iou",
    "cross_entropy", "balanced_cross_entropy", "training_loss", "cpu_s", "precision", "device",
    "torch",
)  # fmt: skip
SPEC = DataSpec("shapes", CLASSES, size=SIZE, train_images=4096, val_images=512)
VALIDATION_BATCH = 32
Row = dict[str, str]
Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Job:
    """One training: a variant, the length of its schedule and its seed."""

    variant: Variant
    steps: int
    seed: int

    def key(self, version: str) -> Key:
        return version, self.variant.id, self.steps, self.seed

    @property
    def rungs(self) -> tuple[int, ...]:
        return (*RUNGS, self.steps) if self.steps == TRUTH else (self.steps,)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    keep_freed_memory()
    with opened(options.table) as file:
        done = trainings(options.table)
        if options.add:
            added = trainings(options.add)
            for key in added.keys() - done.keys():
                append(file.fileno(), added[key])
            return
        for job in jobs(read_variants()):
            asked = job.steps in options.steps and (not options.pilot or is_pilot(job.variant))
            if asked and job.key(str(VERSION)) not in done:
                rows = trained(job)
                append(file.fileno(), rows)
                print(said(rows), flush=True)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a table to append to, fixed and for this process alone."""
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        repair(file.fileno(), path)
        yield file


def trainings(path: Path) -> dict[Key, list[Row]]:
    """Return the rows of every training that has ended."""
    found: dict[Key, list[Row]] = {}
    for row in read_table(path):
        found.setdefault(_key(row), []).append(row)
    return {key: rows for key, rows in found.items() if rows[-1]["step"] == rows[-1]["steps"]}


def said(rows: list[Row]) -> str:
    """Return what came of a training, for people."""
    return " ".join(rows[-1][column] for column in ("variant", "steps", "seed", "miou", "cpu_s"))


def jobs(variants: list[Variant]) -> Iterator[Job]:
    """Yield all trainings, first those by which a part of the table already tells something.

    The pilot is a few variants of every other bin: first 150 steps by both seeds, which take
    minutes, then the truth by one seed, and by the other. The rest come network by network,
    those of an early place in the other bins first, so that every one adds a whole row: what is
    short by both seeds, and the truth by one. Then the truth by the other, and the schedules left.
    """
    pilot = [v for v in variants if is_pilot(v)]
    rest = [v for v in variants if not is_pilot(v)]
    rest.sort(key=lambda v: (v.place, v.bin in PILOT_BINS))
    first = [
        Job(variant, steps, seed)
        for steps, seeds in ((150, SHORT_SEEDS), (TRUTH, TRUTH_SEEDS))
        for seed in seeds
        for variant in pilot
    ]
    by_network = [
        Job(variant, steps, seed)
        for variant in rest
        for steps, seeds in ((150, SHORT_SEEDS), (300, SHORT_SEEDS), (TRUTH, TRUTH_SEEDS[:1]))
        for seed in seeds
    ]
    left = [
        Job(variant, steps, seed)
        for steps, seeds in ((TRUTH, TRUTH_SEEDS), *((steps, SHORT_SEEDS) for steps in SHORT))
        for seed in seeds
        for variant in variants
    ]
    yield from dict.fromkeys((*first, *by_network, *left))


def is_pilot(variant: Variant) -> bool:
    return variant.bin in PILOT_BINS and variant.place < PILOT_PLACES


def schedule_of(steps: int, data: DataSpec = SPEC) -> Schedule:
    """Return a schedule of its own, annealed to zero; its warm-up is 13% of the shortest."""
    return Schedule(
        data, steps=steps, batch=8, crop=data.size or SIZE, scale=(0.75, 1.5), optimiser="adamw",
        lr=0.005, warmup=10, precision="fp32",
    )  # fmt: skip


def trained(
    job: Job, data: DataSpec = SPEC, device: str = "cpu", rungs: tuple[int, ...] | None = None
) -> list[Row]:
    """Train as a study does, and return a row for each rung, the last for the end.

    On CUDA, too, fp32 is exact.
    """
    rungs = job.rungs if rungs is None else rungs
    return rows_of(job, trainer_of(job, schedule_of(job.steps, data), device), rungs)


def trainer_of(job: Job, schedule: Schedule, device: str = "cpu") -> Trainer:
    """Return the training of a job by a schedule, before its first step."""
    set_fp32(FP32)
    data = training_data(schedule, job.seed, device)
    torch.manual_seed(job.seed)
    network = build(job.variant.architecture, schedule.data.classes).to(device)
    return Trainer(network, data, schedule)


def training_data(schedule: Schedule, seed: int, device: str = "cpu") -> TrainingData:
    """Return what a training by a schedule sees, in the order of a seed."""
    data = schedule.data
    training, validation = stores(data, device)
    return TrainingData(
        Batches(training, schedule, seed, device).batch,
        lambda: validation_batches(validation, data, VALIDATION_BATCH, device),
        len(validation),
    )


def rows_of(job: Job, trainer: Trainer, rungs: tuple[int, ...]) -> list[Row]:
    """Train to the end, and return a row for each rung."""
    rows, losses, start = [], 0.0, time.process_time()
    while trainer.step < job.steps:
        losses += trainer.advance()
        if trainer.step in rungs:
            rows.append(_row(job, trainer, losses, start))
    return rows


@cache
def stores(data: DataSpec, device: str = "cpu") -> tuple[ImageStore, ImageStore]:
    training, validation = (
        ImageStore(open_dataset(data, split), device) for split in ("train", "val")
    )
    return training, validation


def _row(job: Job, trainer: Trainer, losses: float, start: float) -> Row:
    seconds = time.process_time() - start  # judging at earlier rungs included
    judged = trainer.judge()
    signals, variant, data = judged.signals, job.variant, trainer.schedule.data
    counted = cost(variant.architecture, data.size or SIZE, data.classes)
    version = VERSION if data.kind == "shapes" else 1
    values = (
        version, variant.id, variant.bin, counted.params, counted.macs, job.steps, job.seed,
        trainer.step, f"{judged.rung.miou:.5f}", f"{signals.soft_iou:.5f}",
        f"{signals.cross_entropy:.5f}", f"{signals.balanced_cross_entropy:.5f}",
        f"{losses / trainer.step:.5f}", f"{seconds:.1f}", trainer.schedule.precision,
        _device(trainer), torch.__version__,
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def _device(trainer: Trainer) -> str:
    device = next(trainer.network.parameters()).device
    if device.type == "cuda":
        return device_name(device)
    return platform.processor() or platform.machine()


def read_table(path: Path = TABLE) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append(handle: int, rows: list[Row]) -> None:
    """Put the rows of one training on disk, all or, should the machine stop, none or some."""
    buffer = io.StringIO()
    csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerows(rows)
    os.write(handle, buffer.getvalue().encode())
    os.fsync(handle)


def repair(handle: int, path: Path) -> None:
    """Begin an empty table with its columns, and drop what follows the last whole training."""
    content = path.read_bytes()
    if not content:
        os.write(handle, (",".join(COLUMNS) + "\n").encode())
        return
    lines = content.splitlines(keepends=True)
    steps, step = COLUMNS.index("steps"), COLUMNS.index("step")

    def ends(line: bytes) -> bool:
        cells = line.rstrip(b"\n").split(b",")
        return line.endswith(b"\n") and len(cells) == len(COLUMNS) and cells[steps] == cells[step]

    while len(lines) > 1 and not ends(lines[-1]):
        lines.pop()
    os.ftruncate(handle, sum(map(len, lines)))


def _key(row: Row) -> Key:
    return row["version"], row["variant"], int(row["steps"]), int(row["seed"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    parser.add_argument(
        "--steps", type=int, nargs="+", default=(*SHORT, TRUTH), help="schedules of these lengths"
    )
    parser.add_argument("--pilot", action="store_true", help="only the variants of the pilot")
    parser.add_argument("--add", type=Path, metavar="FILE", help="add its trainings, train none")
    return parser.parse_args()


if __name__ == "__main__":
    main()
