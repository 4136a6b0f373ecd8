"""Sections of a space file without a file of their own: schedule, latency, rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hrnet_search.arch.architecture import MAX_COUNT
from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.targets import TARGETS
from hrnet_search.device_names import DEVICE, DEVICES, is_device
from hrnet_search.errors import shown
from hrnet_search.paths import absolute
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import COMMAND, RUNTIMES, TORCH, LatencySpec, command_problem
from hrnet_search.records.schedule import (
    AUTO,
    CLASS_WEIGHTS,
    LOSSES,
    MEMORY_FORMATS,
    NO_INIT,
    OPTIMISERS,
    PRECISIONS,
    SHARED_INIT,
    TRAINED_FIRST,
    Schedule,
    inherited_lr,
)
from hrnet_search.records.search_options import HANG_S, SHARED
from hrnet_search.space.initial_weights import FIRST_KEYS, MOST_STEPS, Init, Shared
from hrnet_search.space.kinds import (
    Boolean,
    Bounds,
    Integer,
    Kind,
    ListOf,
    Number,
    OneOf,
    Schema,
    Size,
    Text,
)
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.require import LONGEST, Requirement
from hrnet_search.space.rule_keys import RuleError

RATES = {"sgd": 0.05, "adamw": 0.005}
"""Learning rates by optimiser: the library's, and what served short schedules (docs/LOG.md)."""


def usual_rate(optimiser: str, init: str) -> float:
    """Return the learning rate where none is said."""
    usual = RATES[optimiser]
    return usual if init == NO_INIT else inherited_lr(usual)


NO_RUNGS: tuple[int, ...] = ()
ONE_SEED: tuple[int, ...] = (0,)
DEFAULTS = Schedule(DataSpec("shapes", 8))


T = TypeVar("T")
SEED = Integer(0, 2**31)
SEEDS = ListOf(SEED, distinct=True)


@dataclass(frozen=True)
class Rungs(ListOf[int]):
    """Steps that rise."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[int, ...] | None:
        read = super().read(reader, node, path)
        if read is not None and any(a >= b for a, b in pairwise(read)):
            reader.fault(
                node, path, "steps are not strictly increasing", "strictly increasing steps"
            )
            return None
        return read


@dataclass(frozen=True)
class Parts(Kind[int]):
    """Parts of a batch, all alike."""

    batch: int

    def read(self, reader: Reader, node: yaml.Node, path: str) -> int | None:
        parts = reader.integer(node, path, 1, self.batch)
        if parts is not None and self.batch % parts:
            wrong = f"{parts} does not divide a batch of {self.batch}"
            reader.fault(node, path, wrong, "a divisor of it")
            return None
        return parts

    @property
    def schema(self) -> Schema:
        return Integer(1, self.batch).schema


@dataclass(frozen=True)
class ClassWeights(Kind[str | tuple[float, ...]]):
    """A word, or a weight a class (None: of any number of them)."""

    classes: int | None = None

    @property
    def _weights(self) -> ListOf[float]:
        return ListOf(Number(0, 10**6), self.classes)

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | tuple[float, ...] | None:
        if not isinstance(node, yaml.SequenceNode):
            return reader.one_of(node, path, CLASS_WEIGHTS)
        weights = self._weights.read(reader, node, path)
        if weights and len(set(weights)) == 1:
            reader.fault(node, path, "all weights are equal", "none, or weights that differ")
            return None
        return weights

    @property
    def schema(self) -> Schema:
        return {"anyOf": [OneOf(CLASS_WEIGHTS).schema, self._weights.schema]}


@dataclass(frozen=True)
class Scale(Kind[tuple[float, float]]):
    """A range of resizing."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[float, float] | None:
        read = _FACTORS.read(reader, node, path)
        if read and read[0] > read[1]:
            wrong = f"the range {read[0]} to {read[1]} is reversed"
            reader.fault(node, path, wrong, "[min, max]")
            return None
        return (read[0], read[1]) if read else None

    @property
    def schema(self) -> Schema:
        return _FACTORS.schema


FACTOR = Number(0.1, 10)
"""How much larger or smaller images may become."""

_FACTORS = ListOf(FACTOR, 2)


@dataclass(frozen=True)
class Device(Text):
    """The name of a device."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        value = super().read(reader, node, path)
        if value is None or is_device(value):
            return value
        reader.fault(node, path, f"{shown(value)} is not known", DEVICES)
        return None

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^({DEVICE.pattern})$"}


SCHEDULE: dict[str, Kind[Any]] = {
    "steps": Integer(1, MOST_STEPS),
    "batch": Integer(1, MAX_COUNT),
    "crop": Size(32),
    "seeds": SEEDS,
    "rungs": Rungs(Integer(1, MOST_STEPS)),
    "optimiser": OneOf(OPTIMISERS),
    "lr": Number(0, 100, open_=True),
    "momentum": Number(0, 0.9999),
    "weight_decay": Number(0, 1),
    "power": Number(0, 10, open_=True),
    "warmup": Integer(0, MOST_STEPS - 1),
    "loss": OneOf(LOSSES),
    "ohem_threshold": Number(0, 1),
    "ohem_keep": Integer(1),
    "aux_weight": Number(0, 100),
    "class_weights": ClassWeights(),
    "scale": Scale(),
    "flip": Boolean(),
    "photometric": Number(0, 1),
    "accumulate": Parts(MAX_COUNT),
    "ema": Number(0, 0.99999),
    "precision": OneOf((*PRECISIONS, AUTO)),
    "memory_format": OneOf((*MEMORY_FORMATS, AUTO)),
    "compile": Boolean(),
    "init": Init(),
    "init_steps": Integer(1, MOST_STEPS),
    "shared": Shared(),
    "init_lr": Number(0, 100, open_=True),
    "hang_s": Number(1, 10**6),
}


def bounds_of(key: str) -> Bounds:
    """Return what a number or a size of the schedule may be, for those that stand elsewhere."""
    kind = SCHEDULE[key]
    if isinstance(kind, Parts):
        return Integer(1, kind.batch)
    assert isinstance(kind, Integer | Number | Size), "only numbers and sizes have bounds"
    return kind


OHEM_KEYS = ("ohem_threshold", "ohem_keep")
"""Keys of the schedule that are read with `loss: ohem` alone."""

PLAIN = (
    "momentum", "weight_decay", "power", "scale", "flip", "photometric", "ema", "precision",
    "memory_format", "compile", "aux_weight",
)  # fmt: skip
"""Keys of the schedule that depend on no other."""

LATENCY_PRECISIONS = tuple(dict.fromkeys(word for words in RUNTIMES.values() for word in words))
LATENCY: dict[str, Kind[Any]] = {
    "size": Size(1),
    "batch": Integer(1, MAX_COUNT),
    "device": Device(),
    "mode": OneOf(("auto", "eager", "cudagraph", "compile")),
    "precision": OneOf(LATENCY_PRECISIONS),
    "seconds": Number(0, 3600, open_=True),
    "runtime": OneOf(tuple(RUNTIMES)),
    "command": ListOf(Text(), allowed="a list of the program and its arguments"),
}


@dataclass(frozen=True)
class Rule(Kind[Requirement]):
    """A rule of `require`."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> Requirement | None:
        text = reader.text(node, path)
        try:
            return Requirement(text) if text else None
        except RuleError as error:
            reader.fault(node, path, error.wrong, error.allowed, error.column)
            return None

    @property
    def schema(self) -> Schema:
        return {**Text().schema, "maxLength": LONGEST}


TARGET = OneOf(tuple(TARGETS))
REQUIRE = ListOf(Rule(), allowed='a list of rules, like ["width % 8 == 0"]')


def read_schedule(
    reader: Reader,
    section: Section,
    data: DataSpec,
    crop: tuple[int, int],
    base: Config | None = None,
    slices: bool = False,
) -> tuple[Schedule, tuple[int, ...], tuple[int, ...]]:
    """Return the schedule, its seeds and its rungs (the last step is always one).

    `base` is the config that `init: pretrained` asks for the file of, None if it has a fault.
    `slices` says that shared weights are trained, whatever variants start from.
    """

    def value(key: str, default: T, **narrower: Any) -> T:
        kind = replace(SCHEDULE[key], **narrower) if narrower else SCHEDULE[key]
        return section.take(key, kind, default)

    steps = value("steps", DEFAULTS.steps)
    seeds = value("seeds", ONE_SEED)
    rungs = value("rungs", NO_RUNGS, item=Integer(1, steps))
    batch = value("batch", DEFAULTS.batch)
    init, init_path = value("init", (NO_INIT, ""), base=base)
    for key, users in FIRST_KEYS.items():
        if key in section and init not in users and not (slices and key == "shared"):
            wrong = f"is only used with init: {' or '.join(users)}"
            wrong += f", or search.evaluator: {SHARED}" if key == "shared" else ""
            reader.fault(section.key_node(key), section.where(key), wrong)
    optimiser = value("optimiser", DEFAULTS.optimiser)
    lr = value("lr", usual_rate(optimiser, init))
    base_lr = lr if "lr" in section else usual_rate(optimiser, NO_INIT)
    schedule = Schedule(
        data=data,
        steps=steps,
        batch=batch,
        crop=crop,
        optimiser=optimiser,
        lr=lr,
        warmup=value("warmup", DEFAULTS.warmup, most=steps - 1),
        accumulate=value("accumulate", DEFAULTS.accumulate, batch=batch),
        **{key: value(key, getattr(DEFAULTS, key)) for key in PLAIN},
        init=init,
        init_steps=value("init_steps", 0),
        init_lr=value("init_lr", base_lr) if init in TRAINED_FIRST else 0.0,
        init_path=init_path,
        **_loss(reader, section, data.classes),
    )
    if init == SHARED_INIT:
        shared = Shared(schedule.steps, schedule.warmup)
        schedule = replace(schedule, **section.take("shared", shared, shared.usual))
    return schedule, seeds, (*(r for r in rungs if r < steps), steps)


def read_slices(reader: Reader, section: Section, schedule: Schedule) -> Schedule:
    """Return the schedule by which networks are judged by slices: not trained, as they start.

    What is not said of the shared weights is as `init: shared` has it.
    """
    if schedule.init not in (NO_INIT, SHARED_INIT):
        wrong = f"{shown(schedule.init)} does not go with search.evaluator: {SHARED}"
        node = section.node_of("init")
        reader.fault(node, section.where("init"), wrong, f"{NO_INIT} or {SHARED_INIT}")
    elif schedule.init == NO_INIT:
        shared = Shared(schedule.steps, schedule.warmup)
        fields = section.take("shared", shared, shared.usual)
        schedule = replace(schedule, init=SHARED_INIT, init_lr=schedule.lr, **fields)
    return replace(schedule, steps=0)


def read_hang_s(section: Section) -> float:
    """Return the seconds without a sign of life after which a trial hangs, at the earliest."""
    return section.take("hang_s", SCHEDULE["hang_s"], HANG_S)


def _loss(reader: Reader, section: Section, classes: int) -> dict[str, Any]:
    """Return the fields of the loss; a key that it never reads is a fault."""
    loss = section.take("loss", SCHEDULE["loss"], DEFAULTS.loss)
    for key in OHEM_KEYS:
        if key in section and loss != "ohem":
            wrong = f"is not used with loss: {loss}"
            reader.fault(section.key_node(key), section.where(key), wrong, "loss: ohem")
    found = {key: section.take(key, SCHEDULE[key], getattr(DEFAULTS, key)) for key in OHEM_KEYS}
    weights = section.take("class_weights", ClassWeights(classes), DEFAULTS.class_weights)
    return {"loss": loss, "class_weights": weights, **found}


def read_crop(section: Section) -> tuple[int, int]:
    """Return the training crop, (height, width)."""
    return section.take("crop", SCHEDULE["crop"], DEFAULTS.crop)


def read_latency(section: Section) -> LatencySpec:
    """Return how latency is measured; a key that the runtime never reads is a fault."""
    usual = LatencySpec(runtime=COMMAND if "command" in section else TORCH)
    found = LatencySpec(**taken(section, LATENCY, usual))
    runtime, reader = found.runtime, section.reader
    if runtime != TORCH and "mode" in section:
        wrong = f"is not used with runtime: {runtime}"
        reader.fault(section.key_node("mode"), section.where("mode"), wrong, f"runtime: {TORCH}")
    if found.precision not in RUNTIMES[runtime]:
        wrong = f"{runtime} is not measured in {found.precision}"
        allowed = ", ".join(RUNTIMES[runtime])
        reader.fault(section.node_of("precision"), section.where("precision"), wrong, allowed)
    return _with_command(section, found)


def _with_command(section: Section, found: LatencySpec) -> LatencySpec:
    """Return how latency is measured with the command's program where it is named by its path."""
    reader, where = section.reader, section.where("command")
    if "command" not in section:
        if found.runtime == COMMAND:
            reader.fault(section.node_of("runtime"), where, *_problem(()))
        return found
    if found.runtime != COMMAND:
        wrong = f"is not used with runtime: {found.runtime}"
        reader.fault(section.key_node("command"), where, wrong, f"runtime: {COMMAND}")
    elif found.command and command_problem(found.command):
        reader.fault(section.node_of("command"), where, *_problem(found.command))
    if not found.command or "/" not in found.command[0]:
        return found
    program = absolute(found.command[0], Path(reader.file).parent)
    return replace(found, command=(str(program), *found.command[1:]))


def _problem(command: tuple[str, ...]) -> tuple[str, str]:
    wrong, allowed = command_problem(command) or ("", "")
    return wrong, allowed


def taken(section: Section, kinds: Mapping[str, Kind[Any]], default: object) -> dict[str, Any]:
    """Return the values of a section by its table; of a key that is not there that of `default`."""
    return {key: section.take(key, kind, getattr(default, key)) for key, kind in kinds.items()}
