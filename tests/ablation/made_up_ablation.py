"""An ablation on made-up accuracies: everything but the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hrnet_search.ablation.arms import Ablation, settle
from hrnet_search.ablation.brain import AblationBrain
from hrnet_search.ablation.run import open_ablation, write_record
from hrnet_search.arch.cost import cost
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.trial import (
    COMPLETED,
    FAILED,
    RungResult,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.space.load import SpaceFile, load_space_file

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = CONFIGS / "seg_hrnet_w18_small_v2_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
TEXT = f"""\
name: made-up
base: {BASE}
ablate:
  factors:
    fuse:   {{path: STAGE4.FUSE_METHOD, levels: [SUM, CAT]}}
    branch: {{path: STAGE4.NUM_BRANCHES, levels: [4, 3]}}
    flip:   {{path: schedule.flip, levels: [true, false]}}
  match: [none, macs]
  seeds: 6
  equivalence: {{miou: 0.01}}
data: {{kind: shapes, size: [32, 32], train: 8, val: 4, names: [a, b, c, d, e, f, g, h]}}
schedule: {{steps: 10, batch: 2, crop: [32, 32]}}
latency: {{size: [64, 64]}}
tracking: {{mlflow: off}}
"""
CONDITION = LatencyCondition("a machine", "eager", "fp32", 1, (64, 64), 1)

Run = Callable[[TrialTask, Report], TrialResult]


def space_file(folder: Path, text: str = TEXT) -> SpaceFile:
    path = folder / "space.yaml"
    path.write_text(text)
    return load_space_file(path)


def accuracy(task: TrialTask) -> float:
    """Return a number that depends on the network, the schedule and the seed alone."""
    stages = task.architecture.stages
    effect = 0.03 * (stages[3].fuse == "CAT") - 0.05 * (4 - stages[3].branches)
    digits = int(task.architecture.id[3:9], 16) + task.key.seed * 7919
    noise = np.random.default_rng(digits).normal() * 0.003
    shared = 0.02 * np.random.default_rng(task.key.seed).normal()
    return float(0.5 + effect + noise + shared)


def run_made_up(task: TrialTask, report: Report) -> TrialResult:
    miou = accuracy(task)
    classes = tuple(miou + 0.01 * k for k in range(8))
    rungs = tuple(RungResult(step, miou, classes, 1.0, miou) for step in task.rungs)
    for rung in rungs:
        report(TrialProgress("evaluate", rung.step, 10, rung=rung))
    counted = cost(task.architecture, (64, 64), 8)
    ms = counted.macs / 1e9 + 0.01 * task.key.seed
    latency = Latency(ms, ms, ms, ms, ms, ms, 9, False, CONDITION)
    return TrialResult(task.key, COMPLETED, counted, latency, miou, rungs, wall_s=0.1)


def failing(*numbers: int) -> Run:
    """Return a way to run in which some trials, by number, fail."""

    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number in numbers:
            return TrialResult(task.key, FAILED, error="the loss is nan at step 7 of 10")
        return run_made_up(task, report)

    return run


def settled(file: SpaceFile) -> Ablation:
    return settle(file, file.schedule)


def drive(file: SpaceFile, folder: Path, run: Run = run_made_up) -> AblationBrain:
    ablation = settled(file)
    with open_ablation(file, ablation, folder) as store:
        brain = AblationBrain(ablation, store, file.latency, 1.0)
        run_inline(brain, run)
        write_record(file, ablation, store)
    return brain
