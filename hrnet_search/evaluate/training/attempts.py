"""Trainings one after the other, on data that stay open; out of memory, each is tried once more."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hrnet_search.arch.cost import cost
from hrnet_search.data.augment import normalised
from hrnet_search.data.batches import Batches, ImageStore, Some, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.errors import Fault, InputError, StudyDamagedError, one_line
from hrnet_search.evaluate.machine.allocator import keep_freed_memory, out_of_memory
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.training.artifacts import log_error
from hrnet_search.evaluate.training.checkpoint import Checkpoints, UnusableCheckpointError
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.evaluate.training.loss import balanced_weights
from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.evaluate.training.shared import SharedTrainer, Strata
from hrnet_search.evaluate.training.steps import Steps, TrainingData
from hrnet_search.evaluate.training.train import (
    SLICES_IMAGES,
    Book,
    Report,
    Trainer,
    Training,
    train,
)
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import Inheritance, inherit_from
from hrnet_search.net.shared import SharedNetwork, start_from
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import NO_INIT, ONE_IMAGE, SHARED_INIT, Schedule
from hrnet_search.records.trial import TrialTask


@dataclass(slots=True)
class Attempt:
    """What is known of a training so far: `kept` is the share of weights that it inherited.

    `trainer` and `training` are set when it has ended, `notes` say how it was trained; `error` is
    why it did not fit into memory.
    """

    kept: float | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    trainer: Steps | None = None
    training: Training | None = None


class Attempts:
    """Trains what it is given, and keeps the data open in between.

    `ranks` are the processes that train it together: each has attempts of its own. `distillation`
    has a teacher beside the labels.
    """

    def __init__(self, ranks: Ranks = ALONE, distillation: Distillation | None = None) -> None:
        self._ranks, self._distillation = ranks, distillation
        self._stores: dict[tuple[DataSpec, str, str], ImageStore] = {}
        self._balanced: dict[DataSpec, Tensor] = {}
        keep_freed_memory()

    def forget_data(self) -> None:
        """Look at the files anew the next time."""
        self._stores.clear()

    def remarks(self) -> tuple[str, ...]:
        """Return what is out of the ordinary about the images that are open."""
        reasons = {store.unkept for store in self._stores.values() if store.unkept}
        return tuple(f"images are decoded on every access: {why}" for why in sorted(reasons))

    def train(
        self,
        task: TrialTask,
        report: Report,
        checkpoints: Checkpoints | None,
        attempt: Attempt,
        book: Book | None = None,
        tries: tuple[int, ...] = (),
    ) -> bool:
        """Train; out of memory, once more in twice as many parts. False if that is no help.

        `tries`: in how many parts each time, if it is known.
        """
        schedule = task.schedule
        for parts in tries or (schedule.accumulate, 2 * schedule.accumulate):
            if parts > schedule.batch:
                break
            learning = (task.architecture, *task.sharing)
            branches = max(network.stages[3].branches for network in learning)
            if why := schedule.untrainable(branches, parts):
                if not attempt.error:
                    raise InputError(Fault("schedule", None, why, ONE_IMAGE))
                attempt.error += f"; not in {parts} parts: {why}"
                break
            try:
                self._train(task, parts, report, checkpoints, attempt, book)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                attempt.error = one_line(error)
                log_error(task)
            else:
                attempt.error = ""
                return True
            # Here the error is gone, and with it the frames that held the first attempt.
            if checkpoints and not book:  # a training in full goes on from its checkpoint
                checkpoints.remove()
            gc.collect()
            empty_cache()
        return False

    def _train(
        self,
        task: TrialTask,
        parts: int,
        report: Report,
        checkpoints: Checkpoints | None,
        attempt: Attempt,
        book: Book | None,
    ) -> None:
        anew: tuple[str, ...] = ()
        trainer, started = self._trainer(task, parts, attempt)
        try:
            training = train(trainer, task.rungs, report, checkpoints, book)
        except UnusableCheckpointError as error:
            if checkpoints and book:  # of a training in full: what it judged is not written over
                path, allowed = str(checkpoints.path), "what wrote it, or another folder with -o"
                raise StudyDamagedError(Fault("", path, str(error), allowed, path)) from error
            if checkpoints:
                checkpoints.remove()
            anew = (f"started again: its checkpoint {error}",)
            trainer, started = self._trainer(task, parts, attempt)  # the other is half restored
            training = train(trainer, task.rungs, report, checkpoints, book)
        attempt.trainer, attempt.training = trainer, training
        attempt.notes = (*_notes(trainer, resolve_device(task.device)), *started, *anew)

    def _trainer(
        self, task: TrialTask, parts: int, attempt: Attempt
    ) -> tuple[Steps, tuple[str, ...]]:
        device = resolve_device(task.device)
        data = self.data(task, device, parts)
        if task.schedule.networks:
            return shared_trainer(task, device, data, parts)
        network, inherited = start_network(task)
        attempt.kept = inherited.kept if isinstance(inherited, Inheritance) else None
        notes = (f"init: {inherited}",) if inherited else ()
        return Trainer(network.to(device), data, task.schedule, parts, self._ranks), notes

    def data(self, task: TrialTask, device: torch.device, parts: int = 1) -> TrainingData:
        """Return what a task trains and judges on, on a device."""
        schedule = task.schedule
        spec = schedule.data
        ranks = self._ranks
        training, whole = ranks.first_alone(lambda: self._splits(task, device))
        validation = whole if schedule.steps else Some(whole, SLICES_IMAGES)
        weights = self._class_weights(schedule, training) if ranks.rank == 0 else None
        weights = ranks.of_first(weights)
        batches = Batches(training, schedule, task.key.seed, device)
        size = max(1, validation_batch(schedule) // parts)
        return TrainingData(
            batch=batches.batch,
            validation=lambda which=None: validation_batches(validation, spec, size, device, which),
            images=len(validation),
            class_weights=None if weights is None else weights.to(device),
            seed=task.key.seed,
            distillation=self._distillation,
        )

    def calibration(self, task: TrialTask, count: int) -> Iterator[Tensor]:
        """Yield at most `count` training images [1, 3, H, W], spread over all, not augmented."""
        some = Some(self._store(task, "train", torch.device("cpu")), count)
        for number in range(len(some)):
            yield normalised(some[number][0][None], task.schedule.data)

    def _class_weights(self, schedule: Schedule, training: ImageStore) -> Tensor | None:
        match schedule.class_weights:
            case "none":
                return None
            case "balanced":
                spec = schedule.data
                if spec not in self._balanced:
                    masks = (training[i][1] for i in range(len(training)))
                    self._balanced[spec] = balanced_weights(masks, spec.classes)
                return self._balanced[spec]
            case given:
                return torch.tensor(given)

    def _splits(self, task: TrialTask, device: torch.device) -> tuple[ImageStore, ImageStore]:
        return self._store(task, "train", device), self._store(task, "val", device)

    def _store(self, task: TrialTask, split: str, device: torch.device) -> ImageStore:
        """Return a split's decoded images, which all trainings of a folder share."""
        spec = task.schedule.data
        key = (spec, split, str(device))
        if key not in self._stores:
            folder = Path(task.folder, "cache") if task.folder else None
            store = ImageStore(open_dataset(spec, split), device, folder, spec.cache)
            self._stores[key] = store
        return self._stores[key]


def shared_trainer(
    task: TrialTask, device: torch.device, data: TrainingData, parts: int
) -> tuple[Steps, tuple[str, ...]]:
    """Return shared weights on their way, and what there is to say of them."""
    schedule, seed, networks = task.schedule, task.key.seed, task.sharing
    classes = schedule.data.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shared = SharedNetwork.of(networks, classes).to(device)
    macs = [cost(network, schedule.crop, classes).macs for network in networks]
    strata = Strata(networks, macs, schedule.networks, seed, bool(schedule.teacher_weight))
    note = f"weights that {len(networks)} networks share, {len(strata.strata)} a step"
    if schedule.teacher_weight and len(strata.strata) > 1:
        note += ", the most expensive of which teaches the others"
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
        return network, start_from(network, task.schedule.init_path)
    return network, inherit_from(network, task.schedule.init_path)


def validation_batch(schedule: Schedule) -> int:
    """Return how many validation images have about the pixels of a training batch, at least 1."""
    if schedule.data.size is None:
        return 1  # images may differ in size
    return max(1, schedule.batch * math.prod(schedule.crop) // math.prod(schedule.data.size))


def empty_cache() -> None:
    """Give a GPU's free memory back: the next trial, or another process, may need the room."""
    try:
        torch.cuda.empty_cache()
    except RuntimeError:  # a GPU that failed says so again
        return


def _notes(trainer: Steps, device: torch.device) -> tuple[str, ...]:
    """Return how a network was trained, where its schedule does not tell."""
    schedule, parts = trainer.schedule, trainer.parts
    threads = f" with {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    how = f"{schedule.precision}, {schedule.memory_format}"
    done = "trained" if schedule.steps else "judged, not trained,"
    together = "" if trainer.ranks.alone else f", {trainer.ranks.size} processes together"
    notes = [f"{done} in {how} on {device_name(device)}{threads}{together}"]
    if parts != schedule.accumulate:
        notes.append(f"out of memory: each batch of {schedule.batch} was taken in {parts} parts")
    return tuple(notes)
