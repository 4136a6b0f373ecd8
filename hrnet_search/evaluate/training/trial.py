"""Run one trial from task to result: build, measure latency, train, judge. Failures are results."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.errors import (
    DataError,
    DeviceLostError,
    HrnetSearchError,
    InputError,
    LatencyError,
    StorageLostError,
    StudyInUseError,
    TrainingError,
    one_line,
)
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.kept import latency_of
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.evaluate.machine.devices import gpu_uuid, is_lost, resolve_device, versions
from hrnet_search.evaluate.machine.gate import CPU, DeviceGate
from hrnet_search.evaluate.training.artifacts import keep, log_error
from hrnet_search.evaluate.training.attempts import Attempt, Attempts, empty_cache, start_network
from hrnet_search.evaluate.training.checkpoint import EVERY_S, Checkpoints
from hrnet_search.evaluate.training.int8 import CALIBRATION_IMAGES, confusions_int8, miou_of
from hrnet_search.evaluate.training.steps import Steps
from hrnet_search.evaluate.training.train import Report, Trainer
from hrnet_search.files import checkpoint_folder, lost_storage
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.records.latency import INT8, Latency
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


@dataclass(slots=True)
class _Found:
    """What is known of a trial so far; it fails unless something else is found."""

    status: str = FAILED
    cost: Cost | None = None
    latency: Latency | None = None
    rungs: tuple[RungResult, ...] = ()
    miou: float | None = None
    miou_int8: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()
    attempt: Attempt = field(default_factory=Attempt)


class Worker:
    """Runs trials one after the other and keeps their data open in between.

    `checkpoint_s` are the seconds between checkpoints of a trial that has a folder.
    """

    def __init__(self, checkpoint_s: float = EVERY_S) -> None:
        self._checkpoint_s = checkpoint_s
        self._attempts = Attempts()

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        """Run a trial to its end, from its checkpoint if there is one.

        `report` is told every step and returns False to stop. Whatever goes wrong becomes a
        failed result of one line, with the traceback in `logs/KEY.log` of the study. Only
        KeyboardInterrupt, SystemExit and what is the study's trouble pass: its own errors, which
        `report` may raise, StorageLostError where a disk is full, gone or read-only, and
        DeviceLostError where a GPU answers no more. The checkpoint is left for whoever commits
        the result, or goes on with the trial.
        """
        began, start, found = time.time(), time.monotonic(), _Found()
        passed: list[str] = []
        checkpoints = self._checkpoints(task)
        try:
            with gate_of(task.device, _latency_device(task)) as gate:
                passed = gate.passed

                def told(progress: TrialProgress) -> bool:
                    gate.pause()
                    return report(progress)

                self._judge(task, told, gate, checkpoints, found)
        except (StorageLostError, StudyInUseError):
            raise  # the study failed, not the trial
        except Exception as error:
            if lost := _lost_storage(error, task.folder):
                raise lost from error
            found.status, found.error = FAILED, one_line(error)
            log_error(task)
            _check_device(task.device, found.error)
            if isinstance(error, DataError):
                self._attempts.forget_data()
        empty_cache()
        if task.taken is not None and found.status == COMPLETED:
            # The other study may count at another size; what is compared is counted alike.
            return replace(task.taken, latency=found.latency, cost=found.cost)
        # What a process that was cut off had spent is part of it; pauses are added by the study.
        carried = checkpoints.carried_s if checkpoints else 0.0
        carried = max(0.0, carried - (task.before.wall_s if task.before else 0.0))
        return TrialResult(
            key=task.key,
            status=found.status,
            cost=found.cost,
            latency=found.latency,
            miou=found.miou,
            miou_int8=found.miou_int8,
            rungs=found.rungs,
            kept=found.attempt.kept,
            wall_s=time.monotonic() - start + carried,
            error=found.error,
            versions=versions(),
            notes=(*found.notes, *self._attempts.remarks(), *passed),
            began=began - carried,
        )

    def _judge(
        self,
        task: TrialTask,
        report: Report,
        gate: DeviceGate,
        checkpoints: Checkpoints | None,
        found: _Found,
    ) -> None:
        classes = task.schedule.data.classes
        found.cost = cost(task.architecture, size=task.cost_size, classes=classes)
        found.status = STOPPED
        if not report(TrialProgress("build")):
            return
        if task.latency and not _goes_on_timed(task, report, gate, found):
            return
        if task.taken is not None:
            found.status, found.error = COMPLETED, ""
            return
        attempt = found.attempt
        fits = self._attempts.train(task, report, checkpoints, attempt)
        found.error, found.notes = attempt.error, attempt.notes
        if not fits:
            found.status = INFEASIBLE
            return
        trainer, training = attempt.trainer, attempt.training
        assert trainer, "it has ended"
        assert training, "it has ended"
        found.rungs, found.miou = training.rungs, final_miou(training.rungs)
        in_int8: list[Tensor] = []
        if task.latency and task.latency.precision == INT8 and not training.stopped:
            in_int8 = self._judge_in_int8(task, trainer, found)
        keep(task, trainer.weights, training, in_int8)
        found.status = STOPPED if training.stopped else COMPLETED

    def _judge_in_int8(self, task: TrialTask, trainer: Steps, found: _Found) -> list[Tensor]:
        """Judge what was trained in int8 too; where that cannot be, a note says why.

        Returns the confusion matrices of the validation images.
        """
        if task.latency is None or not isinstance(trainer, Trainer):
            return []  # weights that many share are not those of a network
        calibration = self._attempts.calibration(task, CALIBRATION_IMAGES)
        runtime, data = task.latency.runtime, task.schedule.data
        try:
            matrices = confusions_int8(
                trainer.network, runtime, data, calibration, trainer.data.validation()
            )
        except LatencyError as error:
            found.notes = (*found.notes, f"not judged in int8: {one_line(error)}")
            return []
        found.miou_int8 = miou_of(matrices)
        return matrices

    def _checkpoints(self, task: TrialTask) -> Checkpoints | None:
        if not task.folder:
            return None
        folder = checkpoint_folder(task.folder, task.key)
        return Checkpoints(folder, every_s=self._checkpoint_s)


def _goes_on_timed(task: TrialTask, report: Report, gate: DeviceGate, found: _Found) -> bool:
    """Measure the latency of a trial that wants one; False if it ends there."""
    if not report(TrialProgress("latency")):
        return False
    found.latency = _known_latency(task)
    if found.latency is None:
        try:
            network, _ = start_network(task)
            with gate.alone():
                found.latency = _latency(network, task)
            del network  # its own is built for training
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            height, width = task.latency.size if task.latency else (0, 0)
            found.status = INFEASIBLE
            found.error = f"out of memory at latency.size [{height}, {width}]"
            return False
    limit = task.latency_limit_ms
    if limit is not None and found.latency.ms > limit:
        found.status = INFEASIBLE
        noisy = ", noisy" if found.latency.noisy else ""
        found.error = f"{found.latency.ms:.4g} ms over latency_ms {limit:g}{noisy}"
        return False
    return report(TrialProgress("latency", latency=found.latency))


def _check_device(name: str, why: str) -> None:
    """Raise DeviceLostError if what failed is the GPU, and not the trial on it."""
    with contextlib.suppress(InputError):  # there is no such device
        device = resolve_device(name)
        if is_lost(device):
            raise DeviceLostError(gpu_uuid(device), why)


def gate_of(device: str, measured: str) -> DeviceGate:
    """Return what keeps computing on `device` and measuring on `measured` apart from others."""
    places = (resolve_device(measured), resolve_device(device))
    gpu = next((gpu_uuid(place) for place in places if place.type == "cuda"), "")
    return DeviceGate(gpu, gpu if places[0].type == "cuda" else CPU)


def final_miou(rungs: tuple[RungResult, ...]) -> float | None:
    """Return the mIoU of the last rung, None without one; raise TrainingError if it is not one."""
    if not rungs:
        return None
    miou = rungs[-1].miou
    if not 0 <= miou <= 1:  # also false for nan
        raise TrainingError(f"the mIoU is {miou}, not from 0 to 1")
    return miou


def _lost_storage(error: Exception, folder: str) -> StorageLostError | None:
    """Return what an error says of the study's storage; None if a trial failed for its own part."""
    if folder and not Path(folder).is_dir():
        return StorageLostError(f"{folder}: the study's folder is gone")
    return None if isinstance(error, HrnetSearchError) else lost_storage(error, folder)


def _latency(network: HighResolutionNet, task: TrialTask) -> Latency:
    assert task.latency is not None, "asked for only where a latency is wanted"
    spec = replace(task.latency, device=_latency_device(task))
    return latency_of(network, spec, task.reference_ms, classes=task.schedule.data.classes)


def _known_latency(task: TrialTask) -> Latency | None:
    """Return the latency of another study, or of before a pause, by this one's reference.

    None where that is of another condition, or where there is none.
    """
    result = task.taken or task.before
    known = result.latency if result else None
    if known is None or task.latency is None or task.reference_ms is None:
        return None
    spec = replace(task.latency, device=_latency_device(task))
    if known.condition != resolve(spec).condition:
        return None
    return known.by(task.reference_ms)


def _latency_device(task: TrialTask) -> str:
    """Return the device to measure on: the one that this trial was given, unless one is named."""
    named = task.latency.device if task.latency else "auto"
    return task.device if named == "auto" else named
