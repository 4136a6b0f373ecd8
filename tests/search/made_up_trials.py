"""Accuracies and latencies that are made up: what runs a trial and trains nothing.

Worker processes of Ray import this and no more of a driver.
"""

from __future__ import annotations

from collections.abc import Callable

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.cost_table import cost_table
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.trial import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    STOPPED,
    RungResult,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.driver import Report

Run = Callable[[TrialTask, Report], TrialResult]


class KilledError(Exception):
    """Stands for what ends a driver in the middle of a study."""


def accuracy(task: TrialTask) -> float:
    """Return a number that depends on the network and the seed alone, rising with its size."""
    noise = int(task.architecture.id[3:9], 16) / 16**6 + task.key.seed / 10
    return min(0.99, 0.1 + 0.2 * noise + task.architecture.width / 40)


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
    seconds = task.schedule.steps / 100
    return TrialResult(task.key, COMPLETED, counted, latency, miou, rungs, wall_s=seconds)


def by_steps(task: TrialTask, report: Report) -> TrialResult:
    """Run a trial that stops at a rung where it is told to."""
    miou, rungs = accuracy(task), list[RungResult]()
    for step in task.rungs:
        rungs.append(RungResult(step, miou, (miou,), 1.0, miou, soft_iou=miou))
        if not report(TrialProgress("evaluate", step, rung=rungs[-1])):
            break
    status = COMPLETED if rungs[-1].step == task.rungs[-1] else STOPPED
    counted = cost(task.architecture, (64, 64), 8)
    return TrialResult(task.key, status, counted, miou=miou, rungs=tuple(rungs), wall_s=1.0)


def killed_after(trials: int, run: Run = run_made_up) -> Run:
    """Return what runs so many trials, and raises KilledError in the place of the next."""
    left = trials

    def counted(task: TrialTask, report: Report) -> TrialResult:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        return run(task, report)

    return counted
