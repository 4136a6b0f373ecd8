"""A study on made-up accuracies: everything of a search but the training.

Run as a script it is a driver to be killed: `python tabulated.py STUDY SAMPLER TRIALS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from made_up import network

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.cost_table import cost_table
from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    DataSpec,
    Latency,
    LatencyCondition,
    LatencySpec,
    RungResult,
    Schedule,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.inline import Listener, Report, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.search.study import Brain
from hrnet_search.space.space import Choice, Limit, SearchSpace
from hrnet_search.store.writer import StudyStore

SPACE = SearchSpace(
    network(8),
    (
        Choice("width", (4, 6, 8, 12, 16)),
        Choice("STAGE3.NUM_BRANCHES", (3, 4)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.FUSE_METHOD", ("SUM", "CAT")),
    ),
    limits=(Limit("params", 1.5e6),),
    input_size=(64, 64),
    classes=8,
)


def plan(sampler: str = "random", trials: int = 20, seeds: tuple[int, ...] = (0,)) -> Plan:
    schedule = Schedule(DataSpec("shapes", 8), steps=10)
    return Plan(
        space=SPACE,
        objectives=("miou", "macs"),
        schedule=schedule,
        seeds=seeds,
        rungs=(5, 10),
        latency=LatencySpec(),
        sampler=sampler,
        seed=3,
        trials=trials,
    )


def accuracy(task: TrialTask) -> float:
    """Return a number that depends on the network and the seed alone, rising with its size."""
    noise = int(task.architecture.id[3:9], 16) / 16**6 + task.key.seed / 10
    return min(0.99, 0.1 + 0.2 * noise + task.architecture.width / 40)


def with_latency(planned: Plan, at_most: float) -> Plan:
    """Return a plan that minimises latency in the place of MACs, with a limit on it."""
    limits = (*SPACE.limits, Limit("latency_ms", at_most))
    space = SearchSpace(SPACE.base, SPACE.choices, limits, SPACE.input_size, SPACE.classes)
    return replace(planned, space=space, objectives=("miou", "latency_ms"))


def made_up_ms(architecture: Architecture) -> float:
    """Return ms of a device that adds up its operations, each kind at its own pace, and noise."""
    pace = {"stem": 1.0, "blocks": 4.0, "transition": 2.0, "fuse": 9.0, "head": 1.5}
    ms = 0.0
    for row in cost_table(architecture, (64, 64), 8):
        ms += pace[row.kind] * row.macs / 1e8 + 0.01 * row.convolutions
    return ms * (0.98 + 0.04 * int(architecture.id[3:9], 16) / 16**6)


def made_up_latency(architecture: Architecture) -> Latency:
    ms = made_up_ms(architecture)
    condition = LatencyCondition("a machine", "eager", "fp32", 1, (64, 64), 1)
    return Latency(ms, ms / 2, ms, ms, ms, ms, 20, noisy=False, condition=condition)


def run_made_up(task: TrialTask, report: Report) -> TrialResult:
    counted = cost(task.architecture, (64, 64), 8)
    latency = made_up_latency(task.architecture)
    limit = task.latency_limit_ms
    if limit is not None and latency.ms > limit:
        return TrialResult(task.key, INFEASIBLE, counted, latency)
    if task.architecture.id.endswith("0"):  # one in sixteen
        return TrialResult(task.key, FAILED, counted, error="made to fail")
    miou = accuracy(task)
    rungs = tuple(RungResult(step, miou, (miou,), 1.0, miou) for step in task.rungs)
    for rung in rungs:
        report(TrialProgress("evaluate", rung.step, 10, rung=rung))
    return TrialResult(task.key, COMPLETED, counted, latency, miou, rungs, wall_s=0.1)


def create(folder: Path) -> None:
    if not (folder / "study.db").exists():
        schedule = json.dumps({"id": plan().schedule.id})
        meta = {"name": "tabulated", "objectives": '["miou", "macs"]', "schedule": schedule}
        StudyStore.create(folder, meta)


def drive(folder: Path, planned: Plan, listeners: Sequence[Listener] = ()) -> Brain:
    create(folder)
    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        run_inline(brain, run_made_up, listeners)
    return brain


if __name__ == "__main__":
    drive(Path(sys.argv[1]), plan(sys.argv[2], int(sys.argv[3])))
