"""Run one trial from task to result: build, measure latency, train, judge. Failures are results."""

from __future__ import annotations

import contextlib
import io
import math
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.errors import (
    HrnetSearchError,
    StorageLostError,
    StudyInUseError,
    TrainingError,
    shown,
)
from hrnet_search.evaluate.checkpoint import EVERY_S, Checkpoints, write_whole
from hrnet_search.evaluate.devices import resolve_device, versions
from hrnet_search.evaluate.kept_latencies import latency_of
from hrnet_search.evaluate.train import Report, Trainer, Training, TrainingData, train
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.weights import load_weights, save_weights
from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    STOPPED,
    DataSpec,
    Latency,
    RungResult,
    Schedule,
    TrialProgress,
    TrialResult,
    TrialTask,
)

MESSAGE_LENGTH = 500
"""Characters at most of an error in a result; its log has the rest."""


@dataclass(slots=True)
class _Found:
    """What is known of a trial so far; it fails unless something else is found."""

    status: str = FAILED
    cost: Cost | None = None
    latency: Latency | None = None
    rungs: tuple[RungResult, ...] = ()
    miou: float | None = None
    error: str = ""


class Worker:
    """Runs trials one after the other and keeps their data open in between.

    `checkpoint_s` are the seconds between checkpoints of a trial that has a folder.
    """

    def __init__(self, checkpoint_s: float = EVERY_S) -> None:
        self._checkpoint_s = checkpoint_s
        self._stores: dict[tuple[DataSpec, str, str], ImageStore] = {}

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        """Run a trial to its end, from its checkpoint if there is one.

        `report` is told every step and returns False to stop. Whatever goes wrong becomes a
        failed result of one line, with the traceback in `logs/KEY.log` of the study. Only
        KeyboardInterrupt, SystemExit and the study's own errors, which `report` may raise,
        pass, and leave the checkpoint.
        """
        start, found = time.monotonic(), _Found()
        checkpoints = self._checkpoints(task)
        try:
            self._judge(task, report, checkpoints, found)
        except (StorageLostError, StudyInUseError):
            raise  # from `report`: the study failed, not the trial
        except Exception as error:
            found.status, found.error = FAILED, one_line(error)
            _log(task)
        if checkpoints:
            checkpoints.remove()
        with contextlib.suppress(RuntimeError):  # a GPU that failed says so again
            torch.cuda.empty_cache()  # the next trial, or another process, may need the room
        return TrialResult(
            key=task.key,
            status=found.status,
            cost=found.cost,
            latency=found.latency,
            miou=found.miou,
            rungs=found.rungs,
            wall_s=time.monotonic() - start,
            error=found.error,
            versions=versions(),
            notes=self._remarks(),
        )

    def _remarks(self) -> tuple[str, ...]:
        """Return what is out of the ordinary about the images that this worker has open."""
        reasons = {store.unkept for store in self._stores.values() if store.unkept}
        return tuple(f"images are decoded on every access: {why}" for why in sorted(reasons))

    def _judge(
        self, task: TrialTask, report: Report, checkpoints: Checkpoints | None, found: _Found
    ) -> None:
        classes = task.schedule.data.classes
        size = task.latency.size if task.latency else task.schedule.crop
        found.cost = cost(task.architecture, size=size, classes=classes)
        found.status = STOPPED
        if not report(TrialProgress("build")):
            return
        network = start_network(task)
        if task.latency:
            if not report(TrialProgress("latency")):
                return
            found.latency = _latency(network, task)
            limit = task.latency_limit_ms
            if limit is not None and found.latency.ms > limit:
                found.status = INFEASIBLE
                return
            if not report(TrialProgress("latency", latency=found.latency)):
                return
        device = resolve_device(task.device)
        trainer = Trainer(network.to(device), self._data(task, device), task.schedule)
        training = train(trainer, task.rungs, report, checkpoints)
        found.rungs, found.miou = training.rungs, final_miou(training.rungs)
        _keep(task, network, training)
        found.status = STOPPED if training.stopped else COMPLETED

    def _data(self, task: TrialTask, device: torch.device) -> TrainingData:
        schedule = task.schedule
        spec = schedule.data
        batches = Batches(self._store(task, "train", device), schedule, task.key.seed, device)
        validation = self._store(task, "val", device)
        size = validation_batch(schedule)
        return TrainingData(
            batch=batches.batch,
            validation=lambda: validation_batches(validation, spec, size, device),
            images=len(validation),
        )

    def _store(self, task: TrialTask, split: str, device: torch.device) -> ImageStore:
        """Return a split's decoded images, which all trials of the study share."""
        spec = task.schedule.data
        key = (spec, split, str(device))
        if key not in self._stores:
            folder = Path(task.folder, "cache") if task.folder else None
            store = ImageStore(open_dataset(spec, split), device, folder, spec.cache)
            self._stores[key] = store
        return self._stores[key]

    def _checkpoints(self, task: TrialTask) -> Checkpoints | None:
        if not task.folder:
            return None
        folder = Path(task.folder, "checkpoints", str(task.key))
        return Checkpoints(folder, every_s=self._checkpoint_s)


def start_network(task: TrialTask) -> HighResolutionNet:
    """Return the network on the CPU with the start that the seed and the schedule give it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.key.seed)
        network = build(task.architecture, task.schedule.data.classes)
    if task.schedule.init != "none":
        load_weights(network, task.schedule.init)
    return network


def validation_batch(schedule: Schedule) -> int:
    """Return how many validation images have about the pixels of a training batch, at least 1."""
    if schedule.data.size is None:
        return 1  # images may differ in size
    return max(1, schedule.batch * math.prod(schedule.crop) // math.prod(schedule.data.size))


def final_miou(rungs: tuple[RungResult, ...]) -> float | None:
    """Return the mIoU of the last rung, None without one. Raise TrainingError if it is none."""
    if not rungs:
        return None
    miou = rungs[-1].miou
    if not 0 <= miou <= 1:  # also false for nan
        raise TrainingError(f"the mIoU is {miou}, not from 0 to 1")
    return miou


def one_line(error: Exception) -> str:
    """Return an error as one printable line; foreign ones with their kind."""
    text = "; ".join(filter(None, map(str.strip, str(error).splitlines())))
    if not isinstance(error, HrnetSearchError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shown(text, MESSAGE_LENGTH)


def _latency(network: HighResolutionNet, task: TrialTask) -> Latency:
    assert task.latency is not None, "asked for only where a latency is wanted"
    spec = task.latency
    if spec.device == "auto":
        spec = replace(spec, device=task.device)  # the device that this trial was given
    return latency_of(network, spec, task.reference_ms, classes=task.schedule.data.classes)


def _keep(task: TrialTask, network: HighResolutionNet, training: Training) -> None:
    """Write the last confusion matrices by image, and the weights if they are those judged."""
    last = training.last
    if not task.folder or last is None:
        return
    for name in ("weights", "evaluation"):
        Path(task.folder, name).mkdir(parents=True, exist_ok=True)
    if last.rung.step == training.step:
        metadata = {"key": str(task.key), "step": str(training.step), "miou": repr(last.rung.miou)}
        save_weights(network, Path(task.folder, "weights", f"{task.key}.safetensors"), metadata)
    small = last.confusions.astype(np.min_scalar_type(int(last.confusions.max(initial=0))))
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"confusions": small, "step": np.int64(last.rung.step)}
    np.savez_compressed(buffer, **arrays)
    write_whole(Path(task.folder, "evaluation", f"{task.key}.npz"), buffer.getvalue())


def _log(task: TrialTask) -> None:
    """Append the traceback of the error being handled to the trial's log."""
    if not task.folder:
        return
    # A full disk must not turn the failure of one trial into that of the study.
    with contextlib.suppress(OSError):
        path = Path(task.folder, "logs", f"{task.key}.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
