"""Rows for the table of trained variants, until the time is over: several trainings at once.

On drawn shapes, and by turns on CamVid where it is at hand, at the schedules of
`benchmarks/tables/`. Rows are in equal_macs.csv (and equal_macs_camvid.csv) beside the results;
`python -m benchmarks.tables.fill --add FILE` adds those of shapes to the committed table.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import BinaryIO

import torch

from benchmarks.gpu_steps.results import Row, TimeIsOver
from benchmarks.gpu_steps.step import Given
from benchmarks.tables import fill
from benchmarks.tables.variants import CLASSES, read_variants
from hrnet_search.data.shapes import VERSION
from hrnet_search.evaluate.machine.load import cores
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.space.load import load_space_file

SPACE = Path(__file__).parents[2] / "search_spaces" / "camvid.yaml"
MOST_AT_ONCE = 12
DRY = DataSpec("shapes", CLASSES, size=(32, 32), train_images=8, val_images=4)
DRY_STEPS, DRY_JOBS = 2, 2


@dataclass(frozen=True, slots=True)
class Table:
    """What is trained on, and where its rows lie: beside the results, and before, committed."""

    name: str
    data: DataSpec
    file: str
    committed: Path | None = None


def run(given: Given) -> None:
    """Train what no table has yet; raise TimeIsOver when there was more."""
    with ExitStack() as stack:
        tables = tables_of(given)
        files = {t.name: stack.enter_context(fill.opened(given.out / t.file)) for t in tables}
        pool = stack.enter_context(_pool(1 if given.dry else min(MOST_AT_ONCE, cores())))
        _train(given, pool, waiting(given, tables), files)


def tables_of(given: Given) -> list[Table]:
    """Return the tables that rows are for."""
    if given.dry:
        return [Table("shapes", DRY, "equal_macs.csv")]
    tables = [Table("shapes", fill.SPEC, "equal_macs.csv", fill.TABLE)]
    if given.data_root:
        data = load_space_file(SPACE, data_root=given.data_root).schedule.data
        tables.append(Table("CamVid", data, "equal_macs_camvid.csv"))
    return tables


def waiting(given: Given, tables: list[Table]) -> Iterator[tuple[Table, fill.Job]]:
    """Yield the trainings that are in no table, of each table by turns."""
    lists = []
    for table in tables:
        done = set(fill.trainings(given.out / table.file))
        if table.committed:
            done |= set(fill.trainings(table.committed))
        jobs = list(fill.jobs(read_variants()))
        if given.dry:
            jobs = [replace(job, steps=DRY_STEPS) for job in jobs[:DRY_JOBS]]
        lists.append([(table, job) for job in jobs if job.key(str(VERSION)) not in done])
    yield from (found for found in chain(*zip_longest(*lists)) if found is not None)


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield how many trainings were added, and at what rate."""
    for name, row in rows.items():
        each = row["steps"] / max(row["trained_s"], 1e-9)
        yield (
            f"{row['trainings']} trainings on {name}, {row['at_once']} at once,"
            f" {each:.0f} steps/s; `python -m benchmarks.tables.fill --add {row['file']}`"
        )


def _train(
    given: Given,
    pool: ProcessPoolExecutor,
    jobs: Iterator[tuple[Table, fill.Job]],
    files: dict[str, BinaryIO],
) -> None:
    """Keep every process of the pool busy; append each training when it has ended."""
    at_once: int = pool._max_workers  # type: ignore[attr-defined]
    running: dict[Future[list[fill.Row]], tuple[Table, fill.Job]] = {}
    left = given.left()
    while True:
        for table, job in jobs:
            running[pool.submit(fill.trained, job, table.data, given.device)] = (table, job)
            if len(running) >= at_once:
                break
        if not running:
            return
        done, _ = wait(running, timeout=given.left(), return_when=FIRST_COMPLETED)
        for future in done:
            table, job = running.pop(future)
            fill.append(files[table.name].fileno(), future.result())
            print(table.name, fill.said(future.result()), flush=True)
            _note(given, table, job, at_once, left - given.left())
            left = given.left()


def _note(given: Given, table: Table, job: fill.Job, at_once: int, seconds: float) -> None:
    """Count a training, and the seconds since the last one ended."""
    new = {"trainings": 0, "steps": 0, "trained_s": 0.0, "file": table.file, "at_once": at_once}
    row = given.results.rows.setdefault(table.name, {"key": table.name, "state": "done", **new})
    row["trainings"] += 1
    row["steps"] += job.steps
    row["trained_s"] += seconds
    given.results.save()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes end with the step, whatever they are at."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, torch.set_num_threads, (1,))
    try:
        yield pool
    except TimeIsOver:
        for process in pool._processes.values():
            process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
