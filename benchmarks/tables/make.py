"""Train the variants of shapes.yaml at three schedule lengths and two seeds into shapes.csv.

    python benchmarks/tables/make.py --studies results/shapes-table

Each length is a study of its own, whose grid goes through the space by cost in the same order, so
that the first n variants are spread over all costs whatever n is. It resumes from the study
folders; where there are none, from the rows that shapes.csv already has. The file is written anew
after every trial.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hrnet_search.arch.cost import cost
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.point import Point
from hrnet_search.records.trial import (
    COMPLETED,
    RungResult,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.begin import open_store
from hrnet_search.search.plan import Plan
from hrnet_search.search.run import search
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import SpaceFile, load_space_file
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

HERE = Path(__file__).parent
TABLE = HERE / "shapes.csv"
LENGTHS = (24, 80, 240)
COLUMNS = (
    "point", "architecture", "seed", "steps", "miou", "miou_at_24", "miou_at_80", "params",
    "macs", "activations", "latency_ms", "latency_ratio", "wall_s", "device", "torch",
)  # fmt: skip
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Rewriter:
    """A listener that writes the table anew whenever a trial has ended."""

    write: Callable[[], None]

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        figure = f"{result.miou:.4f}" if result.miou is not None else result.error
        print(f"{task.schedule.steps} steps, trial {task.number}: {figure}", flush=True)
        self.write()


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    file = load_space_file(HERE / "shapes.yaml")
    known = read_table(TABLE)
    folders = {steps: Path(options.studies) / str(steps) for steps in LENGTHS}

    def write() -> None:
        rows = [row for steps in LENGTHS for row in rows_of(folders[steps])]
        mine = {_key(row) for row in rows}
        write_table([*rows, *(row for row in known if _key(row) not in mine)])

    # All lengths of a few variants before the next: what is there is whole at any time.
    for variants in range(options.step, options.variants + 1, options.step):
        for steps in LENGTHS:
            _train(file, folders[steps], steps, variants, known, Rewriter(write))
    write()


def _train(
    file: SpaceFile, folder: Path, steps: int, variants: int, known: list[Row], after: Rewriter
) -> None:
    file = replace(
        file,
        schedule=replace(file.schedule, steps=steps),
        rungs=tuple(rung for rung in LENGTHS if rung <= steps),
    )
    plan = plan_of(file, folder, trials=variants * len(file.seeds))
    with open_store(file, plan, folder) as store:
        _take_over(plan, store, [row for row in known if int(row["steps"]) == steps])
        search(plan, store, [after], lambda _: None)


def _take_over(plan: Plan, store: StudyStore, rows: list[Row]) -> None:
    """Put the table's trials into a study that does not have them, as if it had run them."""
    there = {ask.key for ask in store.asks()}
    for row in rows:
        point: Point = tuple(int(level) for level in row["point"].split("-"))
        network = plan.space.decode(point)
        key = TrialKey(network.id, plan.schedule.id, int(row["seed"]))
        assert network.id == row["architecture"], "the table is of another space"
        if key not in there:
            ask = Ask(len(there), key, point, network)
            store.ask(ask)
            store.finish(ask.number, _result(row, key, ask, plan))
            there.add(key)


def _result(row: Row, key: TrialKey, ask: Ask, plan: Plan) -> TrialResult:
    spec = plan.latency
    condition = LatencyCondition(row["device"], "eager", "fp32", spec.batch, spec.size, 1)
    ms = float(row["latency_ms"])
    latency = Latency(ms, float(row["latency_ratio"]), ms, ms, ms, ms, 0, True, condition)
    seen = {24: row["miou_at_24"], 80: row["miou_at_80"], plan.schedule.steps: row["miou"]}
    rungs = tuple(
        RungResult(step, float(seen[step]), (), 0.0, float(seen[step])) for step in plan.rungs
    )
    return TrialResult(
        key=key,
        status=COMPLETED,
        cost=cost(ask.architecture, spec.size, plan.schedule.data.classes),
        latency=latency,
        miou=float(row["miou"]),
        rungs=rungs,
        wall_s=float(row["wall_s"]),
        versions=(("torch", row["torch"]),),
    )


def rows_of(folder: Path) -> list[Row]:
    """Return a row a completed trial of a study; none where there is no study yet."""
    if not (folder / "study.db").exists():
        return []
    return [
        _row(ask, result)
        for ask, result in open_study(folder).trials()
        if result is not None and result.status == COMPLETED
    ]


def _row(ask: Ask, result: TrialResult) -> Row:
    assert result.cost is not None
    assert result.latency is not None
    seen = {rung.step: f"{rung.miou:.5f}" for rung in result.rungs}
    return {
        "point": "-".join(map(str, ask.point)),
        "architecture": ask.architecture.id,
        "seed": str(ask.key.seed),
        "steps": str(result.rungs[-1].step),
        "miou": f"{result.miou:.5f}",
        "miou_at_24": seen.get(24, ""),
        "miou_at_80": seen.get(80, ""),
        "params": str(result.cost.params),
        "macs": str(result.cost.macs),
        "activations": str(result.cost.activations),
        "latency_ms": f"{result.latency.ms:.4f}",
        "latency_ratio": f"{result.latency.ratio:.4f}",
        "wall_s": f"{result.wall_s:.2f}",
        "device": result.latency.condition.device,
        "torch": dict(result.versions)["torch"],
    }


def read_table(path: Path) -> list[Row]:
    """Return the rows of the table, none if there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_table(rows: list[Row]) -> None:
    """Write the table whole, by steps, then variants in the order they were tried."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    spare = TABLE.with_name(f".{TABLE.name}.{os.getpid()}")
    spare.write_text(buffer.getvalue(), encoding="utf-8")
    spare.replace(TABLE)


def _key(row: Row) -> tuple[str, str, str]:
    return row["point"], row["seed"], row["steps"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", default="results/shapes-table", help="folder of the studies")
    parser.add_argument("--variants", type=int, default=128, help="how many of the variants")
    parser.add_argument(
        "--step", type=int, default=8, help="variants trained at every length first"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
