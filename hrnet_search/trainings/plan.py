"""What a training is to do: a start, what was asked for beside it, and the data, settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hrnet_search.arch.pretrained import pretrained_file, pretrained_name, pretrained_places
from hrnet_search.data.contents import Contents
from hrnet_search.data.dataset import contents_of, fingerprint, inventory_of, largest_sizes
from hrnet_search.errors import Fault, InputError, WeightsError, listed, shown
from hrnet_search.evaluate.machine.devices import resolve_device
from hrnet_search.evaluate.training.probe import is_open, settle
from hrnet_search.net.hrnet import build
from hrnet_search.net.inherit import inherited_by
from hrnet_search.net.shared import start_from
from hrnet_search.paths import absolute, is_file
from hrnet_search.records.schedule import (
    AUTO,
    NO_INIT,
    ONE_IMAGE,
    OPTIMISERS,
    PRECISIONS,
    PRETRAINED_INIT,
    SHARED_INIT,
    TRAINED_FIRST,
    Schedule,
)
from hrnet_search.search.initial_weights import fingerprint_of
from hrnet_search.space.kinds import Bounds, Integer, Number, beyond
from hrnet_search.space.reader import PIXELS
from hrnet_search.space.sections import RATES, SEED, bounds_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.trainings import TrainingRecord
from hrnet_search.trainings.defaults import JUDGED, TEACHER_WEIGHT, TEMPERATURE
from hrnet_search.trainings.starts import STUDY, Start
from hrnet_search.trainings.teacher import line_of, noted_teacher

MOST_TEMPERATURE = 100.0

ENLARGED = 2.0
"""Times the size at which images are stored from which it is said that they are enlarged."""


MOST_JUDGED = 10_000
"""Results of a training that are kept and drawn."""

BOUNDS: dict[str, Bounds] = {
    **{key: bounds_of(key) for key in ("steps", "batch", "accumulate", "crop", "lr", "ema")},
    "epochs": bounds_of("steps"),
    "base_size": Integer(0, PIXELS),
    "seed": SEED,
    "judged": Integer(1, MOST_JUDGED),
    "temperature": Number(0, MOST_TEMPERATURE, open_=True),
    "teacher_weight": Number(0, 1, open_=True),
}
"""Which numbers a field of `Overrides` may be: what it is in a space file, if it is there."""

OF_TEACHER = ("temperature", "teacher_weight")
"""Fields of `Overrides` that say how a teacher teaches."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is asked for in place of what a config or a study says; None: as it says.

    `judged` is how often the training is judged at most. `teacher` is a file of a network whose
    decisions, softened by a `temperature` (None: 2), count `teacher_weight` of the loss (None: a
    half). The names are those of the command line.
    """

    steps: int | None = None
    epochs: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    crop: tuple[int, int] | None = None
    base_size: int | None = None
    lr: float | None = None
    optimiser: str | None = None
    precision: str | None = None
    ema: float | None = None
    seed: int = 0
    init: str | None = None
    judged: int = JUDGED
    teacher: str | None = None
    temperature: float | None = None
    teacher_weight: float | None = None

    def check(self) -> None:
        """Raise InputError with everything in it that cannot be trained by."""
        if faults := list(self._faults()):
            raise InputError(faults)

    def _faults(self) -> Iterator[Fault]:
        if self.steps is not None and self.epochs is not None:
            yield Fault("--steps", self.steps, "cannot be set with --epochs", "one of the two")
        for name, known in (("optimiser", OPTIMISERS), ("precision", (*PRECISIONS, AUTO))):
            value = getattr(self, name)
            if value is not None and value not in known:
                allowed = ", ".join(known)
                yield Fault(f"--{name}", value, f"{shown(value)} is not known", allowed)
        for name in OF_TEACHER:
            if self.teacher is None and (value := getattr(self, name)) is not None:
                allowed = "with --teacher FILE"
                yield Fault(_option(name), value, "there is no teacher", allowed)
        for name, bounds in BOUNDS.items():
            yield from beyond(_option(name), getattr(self, name), bounds)

    def fields(self) -> dict[str, Any]:
        """Return what is asked for by the field of the schedule that it stands in."""
        found = {
            "batch": self.batch,
            "accumulate": self.accumulate,
            "crop": self.crop,
            "long_side": self.base_size,
            "lr": self.lr,
            "optimiser": self.optimiser,
            "precision": self.precision,
            "ema": self.ema,
        }
        return {key: value for key, value in found.items() if value is not None}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A training that is settled: what its folder keeps, `contents` of its data's files, where it
    trains, and `lines` of what a person should know before."""

    record: TrainingRecord
    contents: Contents
    device: str
    lines: tuple[str, ...]


def plan_of(
    start: Start, asked: Overrides, device: str = AUTO, begun: TrainingRecord | None = None
) -> Plan:
    """Look at the data and settle what is trained; what was left to the machine is as `begun`.

    Raise InputError, DataError or WeightsError for what cannot be trained, in one round a sort.
    """
    asked.check()
    found = resolve_device(device, "--device")
    schedule = start.schedule
    inventory = inventory_of(schedule.data)
    contents = contents_of(schedule.data)
    schedule = replace(schedule, fingerprint=fingerprint(schedule.data, contents))
    schedule, lines = _with_asked(schedule, start, asked)
    epoch = _epoch(inventory.train.length, schedule.batch, start.source)
    steps = asked.steps or (asked.epochs or start.epochs) * epoch
    if faults := list(beyond(f"steps ({_length(asked)})", steps, bounds_of("steps"))):
        raise InputError(faults)
    schedule = _stretched(schedule, steps)
    _check_parts(schedule, start)
    schedule = _on_this_machine(schedule, start, found, begun)
    lines += [*inventory.lines(schedule.data), start.line]
    lines += [f"note: {note}" for note in (*start.notes, *_enlarged(schedule))]
    teacher, origin = None, {**start.origin, "judged": str(asked.judged)}
    if asked.teacher is not None:
        temperature = asked.temperature or TEMPERATURE
        weight = asked.teacher_weight or TEACHER_WEIGHT
        teacher, told = noted_teacher(asked.teacher, temperature, weight, schedule)
        lines += told
        origin["teacher"] = line_of(teacher).removeprefix("teacher: ")
    record = TrainingRecord(
        name=start.name,
        architecture=start.architecture,
        config=start.config,
        schedule=NotedSchedule.of(schedule),
        seed=asked.seed,
        rungs=_rungs(steps, epoch, asked.judged),
        epoch=epoch,
        origin=origin,
        came_from=_came_from(start, asked, schedule),
        notes=start.notes,
        data_holds=inventory,
        teacher=teacher,
    )
    return Plan(record, contents, device, tuple(lines))


def _with_asked(schedule: Schedule, start: Start, asked: Overrides) -> tuple[Schedule, list[str]]:
    """Return a schedule with what is asked for in it, and lines about its initial weights."""
    given = asked.fields()
    if asked.optimiser not in (None, schedule.optimiser):
        given = {"lr": RATES[asked.optimiser or ""], "nesterov": False, **given}
    if asked.precision == AUTO:
        given["memory_format"] = AUTO
    schedule = replace(schedule, **given)
    if asked.init == SHARED_INIT:
        schedule = _from_shared(schedule, start)
    elif asked.init is not None:
        init = asked.init
        if init == NO_INIT:  # whose rate is not that of what inherits
            lr = {"lr": given["lr"]} if "lr" in given else {}
            schedule = replace(schedule.from_scratch(), **lr)
        path = "" if init in (NO_INIT, PRETRAINED_INIT) else str(absolute(init))
        schedule = replace(schedule, init=init, init_path=path, init_fingerprint="")
    if schedule.init == SHARED_INIT and "lr" not in given:
        # A training in full has time for the whole rate, and gains by it: docs/shared.md.
        schedule = replace(schedule, lr=schedule.full_lr)
    return _initial(schedule, start)


def _from_shared(schedule: Schedule, start: Start) -> Schedule:
    """Return a schedule that starts from slices of what its study trained first."""
    if not start.first:
        wrong = "there are no shared weights to start from"
        allowed = "with a study that trained some, a weight file, none or pretrained"
        raise InputError(Fault("--init", SHARED_INIT, wrong, allowed))
    # A study that starts from them knows them by how it trained them.
    known = schedule.init_fingerprint if schedule.init == SHARED_INIT else ""
    return replace(schedule, init=SHARED_INIT, init_path=start.first, init_fingerprint=known)


def _initial(schedule: Schedule, start: Start) -> tuple[Schedule, list[str]]:
    """Return a schedule that knows its initial weights by their content, and what they are."""
    if schedule.init == NO_INIT:
        return schedule, []
    if schedule.init in TRAINED_FIRST:  # the study may have moved since it noted where they lie
        schedule = replace(schedule, init_path=start.first or schedule.init_path)
    path = _weights(schedule, start)
    classes = schedule.data.classes
    if schedule.init == SHARED_INIT:
        what = start_from(build(start.architecture, classes), path)
    else:
        what = str(inherited_by(start.architecture, classes, path))
    line = f"init: {path}: {what}"
    known = schedule.init_fingerprint
    if schedule.init not in TRAINED_FIRST or not known:
        known = fingerprint_of(path)
    return replace(schedule, init_fingerprint=known, init_path=str(path)), [line]


def _weights(schedule: Schedule, start: Start) -> Path:
    if schedule.init == PRETRAINED_INIT and not schedule.init_path:
        named, path = pretrained_name(start.base), pretrained_file(start.base)
        places = listed(map(str, pretrained_places(start.base))) if named else ""
        key, what = "MODEL.PRETRAINED", shown(named, 300)
        where = f" (looked for {places})" if places else ""
    else:
        path = Path(schedule.init_path)
        key, what, where = "--init", shown(schedule.init_path or schedule.init, 300), ""
    if path is None or not is_file(path):
        wrong = f"{what} is not a file{where}" if what else "names no file"
        raise WeightsError(
            Fault(key, what, wrong, "a weight file, or --init none", start.base.path)
        )
    return path


def _on_this_machine(
    schedule: Schedule, start: Start, device: torch.device, begun: TrainingRecord | None
) -> Schedule:
    """Return a schedule whose precision is settled: once, when its training begins."""
    if not is_open(schedule):
        return schedule
    probe = begun.schedule.schedule if begun else settle(schedule, start.architecture, device)
    return replace(schedule, precision=probe.precision, memory_format=probe.memory_format)


def _epoch(images: int, batch: int, source: str) -> int:
    """Return the steps of an epoch: whole batches, as the official loader drops the rest.

    With fewer images it has none; a study trains on them all the same.
    """
    if images < batch and source != STUDY:
        wrong = f"a batch of {batch} is more than the {images} training images"
        raise InputError(Fault("--batch", batch, wrong, f"at most {images}"))
    return max(1, images // batch)


def _stretched(schedule: Schedule, steps: int) -> Schedule:
    """Return a schedule of other steps; a rise in line keeps its share of them."""
    warmup = min(steps - 1, round(schedule.warmup * steps / schedule.steps))
    return replace(schedule, steps=steps, warmup=warmup)


def _check_parts(schedule: Schedule, start: Start) -> None:
    if schedule.accumulate > schedule.batch:
        wrong = f"{schedule.accumulate} parts of a batch of {schedule.batch}"
        fault = Fault("--accumulate", schedule.accumulate, wrong, "at most the batch")
        raise InputError(fault)
    if why := schedule.untrainable(start.architecture.stages[3].branches):
        raise InputError(Fault("--crop", schedule.crop, why, ONE_IMAGE))


def _rungs(steps: int, epoch: int, most: int) -> tuple[int, ...]:
    """Return after which steps a training is judged: at ends of epochs, and at its own."""
    epochs = -(-steps // epoch)  # the last one may not be whole
    every = epoch * max(1, -(-epochs // most))
    return (*range(every, steps, every), steps)


def _enlarged(schedule: Schedule) -> Iterator[str]:
    """Yield what a scale of 1 does to images that are much smaller than the config expects."""
    if not schedule.long_side:
        return
    longest = max(largest_sizes(schedule.data)["train"])
    times = schedule.long_side / longest
    if times >= ENLARGED:
        yield (
            f"BASE_SIZE {schedule.long_side} enlarges images {times:.1f} times at a scale of 1"
            f" (their longer side has {longest} pixels): --base-size 0 leaves them as they are"
        )


def _length(asked: Overrides) -> str:
    """Return where the number of steps came from."""
    return "--steps" if asked.steps else "--epochs" if asked.epochs else "config"


def _came_from(start: Start, asked: Overrides, schedule: Schedule) -> dict[str, str]:
    """Return where each value of a schedule came from: an option, the config or the study."""
    options = {"long_side": "--base-size"}
    keys = (
        "batch", "accumulate", "crop", "long_side", "lr", "optimiser", "momentum", "weight_decay",
        "loss", "class_weights", "scale", "flip", "precision", "ema",
    )  # fmt: skip
    found = dict.fromkeys(keys, start.source)
    if schedule.lr != start.schedule.lr:  # an option that was not --lr may have brought another
        other = asked.optimiser not in (None, start.schedule.optimiser)
        by_init = "--init" if asked.init is not None else start.source
        found["lr"] = "--optimiser" if other else by_init
    found |= {key: options.get(key, f"--{key}") for key in asked.fields()}
    return {
        "steps": _length(asked),
        **found,
        "data": "--data" if "data" in start.origin else start.source,
        "init": "--init" if asked.init is not None else start.source,
        "seed": "--seed",
    }
