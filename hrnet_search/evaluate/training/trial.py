"""Run one trial from task to result: build, measure latency, train, judge. Failures are results."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.errors import (
    DataError,
    DeviceLostError,
    Fault,
    HrnetSearchError,
    InputError,
    StorageLostError,
    StudyInUseError,
    TrainingError,
    listed,
    one_line,
)
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.kept import latency_of
from hrnet_search.evaluate.machine.allocator import keep_freed_memory, out_of_memory
from hrnet_search.evaluate.machine.devices import (
    device_name,
    gpu_uuid,
    is_lost,
    resolve_device,
    versions,
)
from hrnet_search.evaluate.machine.gate import CPU, DeviceGate
from hrnet_search.evaluate.training.artifacts import keep, log_error
from hrnet_search.evaluate.training.checkpoint import EVERY_S, Checkpoints, OtherLayoutError
from hrnet_search.evaluate.training.loss import balanced_weights
from hrnet_search.evaluate.training.shared import SharedTrainer, Strata
from hrnet_search.evaluate.training.steps import Steps, TrainingData
from hrnet_search.evaluate.training.train import Report, Trainer, Training, train
from hrnet_search.files import checkpoint_folder, lost_storage
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import Inheritance, inherit_from
from hrnet_search.net.shared import SharedNetwork, read_shared
from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    NO_INIT,
    ONE_IMAGE,
    SHARED_INIT,
    STOPPED,
    DataSpec,
    Latency,
    RungResult,
    Schedule,
    TrialProgress,
    TrialResult,
    TrialTask,
)

Notes = tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What is known of a trial so far; it fails unless something else is found."""

    status: str = FAILED
    cost: Cost | None = None
    latency: Latency | None = None
    rungs: tuple[RungResult, ...] = ()
    miou: float | None = None
    error: str = ""
    kept: float | None = None
    notes: tuple[str, ...] = ()


class Worker:
    """Runs trials one after the other and keeps their data open in between.

    `checkpoint_s` are the seconds between checkpoints of a trial that has a folder.
    """

    def __init__(self, checkpoint_s: float = EVERY_S) -> None:
        self._checkpoint_s = checkpoint_s
        self._stores: dict[tuple[DataSpec, str, str], ImageStore] = {}
        self._balanced: dict[DataSpec, Tensor] = {}
        keep_freed_memory()

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        """Run a trial to its end, from its checkpoint if there is one.

        `report` is told every step and returns False to stop. Whatever goes wrong becomes a
        failed result of one line, with the traceback in `logs/KEY.log` of the study. Only
        KeyboardInterrupt, SystemExit and what is the study's trouble pass: its own errors, which
        `report` may raise, StorageLostError where a disk is full, gone or read-only, and
        DeviceLostError where a GPU answers no more. The checkpoint is left for whoever commits
        the result, or goes on with the trial.
        """
        start, found = time.monotonic(), _Found()
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
                self._stores.clear()  # the next trial looks at the files anew
        empty_cache()
        if task.taken is not None and found.status == COMPLETED:
            return replace(task.taken, latency=found.latency)
        return TrialResult(
            key=task.key,
            status=found.status,
            cost=found.cost,
            latency=found.latency,
            miou=found.miou,
            rungs=found.rungs,
            kept=found.kept,
            wall_s=time.monotonic() - start,
            error=found.error,
            versions=versions(),
            notes=(*found.notes, *self._remarks(), *passed),
        )

    def _remarks(self) -> tuple[str, ...]:
        """Return what is out of the ordinary about the images that this worker has open."""
        reasons = {store.unkept for store in self._stores.values() if store.unkept}
        return tuple(f"images are decoded on every access: {why}" for why in sorted(reasons))

    def _judge(
        self,
        task: TrialTask,
        report: Report,
        gate: DeviceGate,
        checkpoints: Checkpoints | None,
        found: _Found,
    ) -> None:
        classes = task.schedule.data.classes
        size = task.latency.size if task.latency else task.schedule.crop
        found.cost = cost(task.architecture, size=size, classes=classes)
        found.status = STOPPED
        if not report(TrialProgress("build")):
            return
        if task.latency:
            if not report(TrialProgress("latency")):
                return
            found.latency = _taken_latency(task)
            if found.latency is None:
                network, _ = start_network(task)
                with gate.alone():
                    found.latency = _latency(network, task)
                del network  # its own is built for training
            limit = task.latency_limit_ms
            if limit is not None and found.latency.ms > limit:
                found.status = INFEASIBLE
                noisy = ", noisy" if found.latency.noisy else ""
                found.error = f"{found.latency.ms:.4g} ms over latency_ms {limit:g}{noisy}"
                return
            if not report(TrialProgress("latency", latency=found.latency)):
                return
        if task.taken is not None:
            found.status, found.error = COMPLETED, ""
            return
        trained = self._trained(task, report, checkpoints, found)
        if trained is None:
            found.status = INFEASIBLE
            return
        trainer, training, inherited = trained
        found.rungs, found.miou = training.rungs, final_miou(training.rungs)
        found.notes = (*_notes(trainer, resolve_device(task.device)), *inherited)
        found.error = ""
        keep(task, trainer.weights, training)
        found.status = STOPPED if training.stopped else COMPLETED

    def _trained(
        self, task: TrialTask, report: Report, checkpoints: Checkpoints | None, found: _Found
    ) -> tuple[Steps, Training, Notes] | None:
        """Train; out of memory, once more in twice as many parts; None if that is no help."""
        schedule = task.schedule
        for parts in (schedule.accumulate, 2 * schedule.accumulate):
            if parts > schedule.batch:
                break
            learning = (task.architecture, *task.sharing)
            branches = max(network.stages[3].branches for network in learning)
            if why := schedule.untrainable(branches, parts):
                if not found.error:
                    raise InputError(Fault("schedule", None, why, ONE_IMAGE))
                found.error += f"; not in {parts} parts: {why}"
                break
            try:
                return self._train(task, parts, report, checkpoints, found)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                found.error = one_line(error)
                log_error(task)
            # Here the error is gone, and with it the frames that held the first attempt.
            if checkpoints:
                checkpoints.remove()
            gc.collect()
            empty_cache()
        return None

    def _train(
        self,
        task: TrialTask,
        parts: int,
        report: Report,
        checkpoints: Checkpoints | None,
        found: _Found,
    ) -> tuple[Steps, Training, Notes]:
        trainer, notes = self._trainer(task, parts, found)
        try:
            return trainer, train(trainer, task.rungs, report, checkpoints), notes
        except OtherLayoutError as error:
            anew = f"started anew: its checkpoint is of another layout ({error})"
        if checkpoints:
            checkpoints.remove()
        trainer, notes = self._trainer(task, parts, found)  # of the other one half may be restored
        return trainer, train(trainer, task.rungs, report, checkpoints), (*notes, anew)

    def _trainer(self, task: TrialTask, parts: int, found: _Found) -> tuple[Steps, Notes]:
        device = resolve_device(task.device)
        data = self._data(task, device, parts)
        if task.schedule.networks:
            return shared_trainer(task, device, data, parts)
        network, inherited = start_network(task)
        found.kept = inherited.kept if isinstance(inherited, Inheritance) else None
        notes = (f"init: {inherited}",) if inherited else ()
        return Trainer(network.to(device), data, task.schedule, parts), notes

    def _data(self, task: TrialTask, device: torch.device, parts: int) -> TrainingData:
        schedule = task.schedule
        spec = schedule.data
        training, validation = (self._store(task, split, device) for split in ("train", "val"))
        batches = Batches(training, schedule, task.key.seed, device)
        size = max(1, validation_batch(schedule) // parts)
        return TrainingData(
            batch=batches.batch,
            validation=lambda: validation_batches(validation, spec, size, device),
            images=len(validation),
            class_weights=self._class_weights(schedule, training, device),
        )

    def _class_weights(
        self, schedule: Schedule, training: ImageStore, device: torch.device
    ) -> Tensor | None:
        match schedule.class_weights:
            case "none":
                return None
            case "balanced":
                spec = schedule.data
                if spec not in self._balanced:
                    masks = (training[i][1] for i in range(len(training)))
                    self._balanced[spec] = balanced_weights(masks, spec.classes)
                return self._balanced[spec].to(device)
            case given:
                return torch.tensor(given, device=device)

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
        folder = checkpoint_folder(task.folder, task.key)
        return Checkpoints(folder, every_s=self._checkpoint_s)


def _check_device(name: str, why: str) -> None:
    """Raise DeviceLostError if what failed is the GPU, and not the trial on it."""
    with contextlib.suppress(InputError):  # there is no such device
        device = resolve_device(name)
        if is_lost(device):
            raise DeviceLostError(gpu_uuid(device), why)


def empty_cache() -> None:
    """Give a GPU's free memory back: the next trial, or another process, may need the room."""
    with contextlib.suppress(RuntimeError):  # a GPU that failed says so again
        torch.cuda.empty_cache()


def gate_of(device: str, measured: str) -> DeviceGate:
    """Return what keeps computing on `device` and measuring on `measured` apart from others."""
    places = (resolve_device(measured), resolve_device(device))
    gpu = next((gpu_uuid(place) for place in places if place.type == "cuda"), "")
    return DeviceGate(gpu, gpu if places[0].type == "cuda" else CPU)


def shared_trainer(
    task: TrialTask, device: torch.device, data: TrainingData, parts: int
) -> tuple[Steps, Notes]:
    """Return shared weights on their way, and what there is to say of them."""
    schedule, seed, networks = task.schedule, task.key.seed, task.sharing
    classes = schedule.data.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shared = SharedNetwork.of(networks, classes).to(device)
    macs = [cost(network, schedule.crop, classes).macs for network in networks]
    strata = Strata(networks, macs, schedule.networks, seed)
    note = f"weights that {len(networks)} networks share, {len(strata.strata)} a step"
    return SharedTrainer(shared, strata, task.architecture, data, schedule, parts), (note,)


def start_network(task: TrialTask) -> tuple[HighResolutionNet, Inheritance | str | None]:
    """Return the network on the CPU with the start that the seed and the schedule give it.

    Beside it is what became of weights to start from, if there are any. Raise WeightsError if
    their file is missing or does not hold what it should.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.key.seed)
        network = build(task.architecture, task.schedule.data.classes)
    if task.schedule.init == NO_INIT:
        return network, None
    if task.schedule.init == SHARED_INIT:
        fresh = read_shared(task.schedule.init_path).start(network)
        count = len(list(network.parameters()))
        anew = f", {len(fresh)} anew ({listed(fresh)})" if fresh else ""
        return network, f"{count - len(fresh)} of {count} tensors from shared weights{anew}"
    return network, inherit_from(network, task.schedule.init_path)


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


def _lost_storage(error: Exception, folder: str) -> StorageLostError | None:
    """Return what an error says of the study's storage; None if a trial failed for its own part."""
    if folder and not Path(folder).is_dir():
        return StorageLostError(f"{folder}: the study's folder is gone")
    return None if isinstance(error, HrnetSearchError) else lost_storage(error, folder)


def _latency(network: HighResolutionNet, task: TrialTask) -> Latency:
    assert task.latency is not None, "asked for only where a latency is wanted"
    spec = replace(task.latency, device=_latency_device(task))
    return latency_of(network, spec, task.reference_ms, classes=task.schedule.data.classes)


def _taken_latency(task: TrialTask) -> Latency | None:
    """Return the latency of another study by this one's reference; None for another condition."""
    known = task.taken.latency if task.taken else None
    if known is None or task.latency is None or task.reference_ms is None:
        return None
    spec = replace(task.latency, device=_latency_device(task))
    if known.condition != resolve(spec).condition:
        return None
    return known.by(task.reference_ms)


def _notes(trainer: Steps, device: torch.device) -> tuple[str, ...]:
    """Return how a trial was trained, where its schedule does not tell."""
    schedule, parts = trainer.schedule, trainer.parts
    threads = f" with {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    how = f"{schedule.precision}, {schedule.memory_format}"
    notes = [f"trained in {how} on {device_name(device)}{threads}"]
    if parts != schedule.accumulate:
        notes.append(f"out of memory: each batch of {schedule.batch} was taken in {parts} parts")
    return tuple(notes)


def _latency_device(task: TrialTask) -> str:
    """Return the device to measure on: the one that this trial was given, unless one is named."""
    named = task.latency.device if task.latency else "auto"
    return task.device if named == "auto" else named
