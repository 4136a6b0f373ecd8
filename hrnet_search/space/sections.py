"""The sections of a space file beside `vary` and `data`: schedule, latency, search, tracking."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from hrnet_search.arch.architecture import MAX_COUNT
from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.device_names import DEVICES, is_device
from hrnet_search.errors import shown
from hrnet_search.paths import expanded
from hrnet_search.records import (
    AUTO,
    BASE_INIT,
    CLASS_WEIGHTS,
    HANG_S,
    LOSSES,
    MEMORY_FORMATS,
    NO_INIT,
    OBJECTIVES,
    OPTIMISERS,
    PRECISIONS,
    SAMPLER_NAMES,
    SIGNALS,
    DataSpec,
    LatencySpec,
    Schedule,
)
from hrnet_search.space.initial_weights import read_init
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import Limit

DEFAULT_SAMPLER = "pareto"
OWN_SAMPLER = "package.module:factory"
_OWN_SAMPLER = re.compile(r"(?!optuna:)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
MOST_COSTS = 2
RATES = {"sgd": 0.05, "adamw": 0.005}
"""Learning rates by optimiser: the library's, and what served short schedules (docs/LOG.md)."""

INHERITED = 0.4
"""Share of the rate for a start that is inherited: the whole undoes it first (docs/LOG.md)."""

NO_RUNGS: tuple[int, ...] = ()
ONE_SEED: tuple[int, ...] = (0,)
DEFAULTS = Schedule(DataSpec("shapes", 8))


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """The `search` section: which sampler, how many trials, its seed.

    `confirm` is the share of the trials that confirms what the others found, `long` the steps
    of the confirming schedule over those of the search. `stop` is the chance to end on the front
    of its cost neighbourhood below which a trial ends at its rung; 0 stops none. `signal` is what
    both learn from, one of SIGNALS.
    """

    sampler: str = DEFAULT_SAMPLER
    signal: str = AUTO
    trials: int = 40
    seed: int = 0
    confirm: float = 0.2
    long: int = 3
    stop: float = 0.1


@dataclass(frozen=True, slots=True)
class TrackingSpec:
    """The `tracking` section, by mirror: auto (a SQLite file in the study), off, or a URI."""

    mlflow: str = "auto"
    optuna: str = "off"


SCHEDULE_KEYS = (
    "steps", "batch", "crop", "seeds", "rungs", "optimiser", "lr", "momentum", "weight_decay",
    "power", "warmup", "loss", "ohem_threshold", "ohem_keep", "class_weights", "scale", "flip",
    "photometric", "accumulate", "ema", "precision", "memory_format", "compile", "init",
    "init_steps", "init_lr", "hang_s",
)  # fmt: skip
LATENCY_KEYS = ("size", "batch", "device", "mode", "precision", "seconds")


def read_objectives(reader: Reader, section: Section) -> tuple[str, ...]:
    """Return the objectives in their order; mIoU is one, with at most two costs beside it."""
    for name in section.found:
        known = OBJECTIVES.get(name)
        if known:
            reader.one_of(section.node_of(name), section.where(name), (known.direction,))
    names = tuple(name for name in section.found if name in OBJECTIVES)
    if section.node is None:
        return names
    if "miou" not in names:
        reader.fault(section.node, "objectives.miou", "is missing", "miou: max among them")
    if len(names) > 1 + MOST_COSTS:
        reader.fault(section.node, "objectives", f"{len(names)} objectives", "miou and two costs")
    return names


def read_limits(reader: Reader, section: Section) -> dict[str, Limit]:
    """Return the limits by objective."""
    limits = {}
    for name in section.found:
        if name not in OBJECTIVES or name == "miou":
            continue
        most = reader.amount(section.node_of(name), section.where(name))
        if most is not None:
            limits[name] = Limit(name, most)
    return limits


def read_schedule(
    reader: Reader,
    section: Section,
    data: DataSpec,
    crop: tuple[int, int],
    base: Config | None = None,
) -> tuple[Schedule, tuple[int, ...], tuple[int, ...]]:
    """Return the schedule, its seeds and its rungs (the last step is always one).

    `base` is the config that `init: pretrained` asks for the file of, None if it has a fault.
    """
    steps = section.read("steps", lambda n, p: reader.integer(n, p, 1, 10**8), DEFAULTS.steps)
    seeds = section.read("seeds", lambda n, p: _integers(reader, n, p, 0, 2**31), ONE_SEED)
    rungs = section.read("rungs", lambda n, p: _rungs(reader, n, p, steps), NO_RUNGS)

    def number(key: str, least: float, most: float, default: float, open_: bool = False) -> float:
        return section.read(key, lambda n, p: reader.number(n, p, least, most, open_), default)

    def one_of(key: str, names: tuple[str, ...], default: str) -> str:
        return section.read(key, lambda n, p: reader.one_of(n, p, names), default)

    batch = section.read("batch", lambda n, p: reader.integer(n, p, 1, MAX_COUNT), DEFAULTS.batch)
    init, init_path = section.read(
        "init", lambda n, p: read_init(reader, n, p, base), (NO_INIT, "")
    )
    for key in ("init_steps", "init_lr"):
        if key in section and init != BASE_INIT:
            wrong = f"is for init: {BASE_INIT} alone"
            reader.fault(section.key_node(key), section.where(key), wrong)
    optimiser = one_of("optimiser", OPTIMISERS, DEFAULTS.optimiser)
    usual = RATES[optimiser]
    lr = number("lr", 0, 100, usual if init == NO_INIT else round(INHERITED * usual, 6), open_=True)
    base_lr = lr if "lr" in section else usual
    schedule = Schedule(
        data=data,
        steps=steps,
        batch=batch,
        crop=crop,
        optimiser=optimiser,
        lr=lr,
        momentum=number("momentum", 0, 0.9999, DEFAULTS.momentum),
        weight_decay=number("weight_decay", 0, 1, DEFAULTS.weight_decay),
        power=number("power", 0, 10, DEFAULTS.power, open_=True),
        warmup=section.read("warmup", lambda n, p: reader.integer(n, p, 0, steps - 1), 0),
        scale=section.read("scale", lambda n, p: _scale(reader, n, p), DEFAULTS.scale),
        flip=section.read("flip", reader.boolean, DEFAULTS.flip),
        photometric=number("photometric", 0, 1, DEFAULTS.photometric),
        accumulate=section.read("accumulate", lambda n, p: _parts(reader, n, p, batch), 1),
        ema=number("ema", 0, 0.99999, DEFAULTS.ema),
        precision=one_of("precision", (*PRECISIONS, AUTO), DEFAULTS.precision),
        memory_format=one_of("memory_format", (*MEMORY_FORMATS, AUTO), DEFAULTS.memory_format),
        compile=section.read("compile", reader.boolean, DEFAULTS.compile),
        init=init,
        init_steps=section.read("init_steps", lambda n, p: reader.integer(n, p, 1, 10**8), 0),
        init_lr=number("init_lr", 0, 100, base_lr, open_=True) if init == BASE_INIT else 0.0,
        init_path=init_path,
        **_loss(reader, section, data.classes),
    )
    return schedule, seeds, (*(r for r in rungs if r < steps), steps)


def read_hang_s(reader: Reader, section: Section) -> float:
    """Return the seconds without a sign of life after which a trial hangs, at the earliest."""
    return section.read("hang_s", lambda n, p: reader.number(n, p, 1, 10**6), HANG_S)


def _loss(reader: Reader, section: Section, classes: int) -> dict[str, Any]:
    """Return the fields of the loss; a key that it never reads is a fault."""
    loss = section.read("loss", lambda n, p: reader.one_of(n, p, LOSSES), DEFAULTS.loss)
    for key in ("ohem_threshold", "ohem_keep"):
        if key in section and loss != "ohem":
            wrong = f"is never read with loss: {loss}"
            reader.fault(section.key_node(key), section.where(key), wrong, "loss: ohem beside it")
    return {
        "loss": loss,
        "ohem_threshold": section.read(
            "ohem_threshold", lambda n, p: reader.number(n, p, 0, 1), DEFAULTS.ohem_threshold
        ),
        "ohem_keep": section.read(
            "ohem_keep", lambda n, p: reader.integer(n, p, 1), DEFAULTS.ohem_keep
        ),
        "class_weights": section.read(
            "class_weights",
            lambda n, p: _class_weights(reader, n, p, classes),
            DEFAULTS.class_weights,
        ),
    }


def _class_weights(
    reader: Reader, node: yaml.Node, path: str, classes: int
) -> str | tuple[float, ...] | None:
    if not isinstance(node, yaml.SequenceNode):
        return reader.one_of(node, path, CLASS_WEIGHTS)
    weights = reader.listed(node, path, lambda n, p: reader.number(n, p, 0, 10**6), classes)
    if weights and len(set(weights)) == 1:
        reader.fault(node, path, "all weights are equal", "none, or weights that differ")
        return None
    return weights


def _parts(reader: Reader, node: yaml.Node, path: str, batch: int) -> int | None:
    parts = reader.integer(node, path, 1, batch)
    if parts is not None and batch % parts:
        reader.fault(node, path, f"{parts} does not divide a batch of {batch}", "a divisor of it")
        return None
    return parts


def read_crop(reader: Reader, section: Section) -> tuple[int, int]:
    """Return the training crop, (height, width)."""
    return section.read("crop", lambda n, p: reader.size(n, p, 32), DEFAULTS.crop)


def read_latency(reader: Reader, section: Section) -> LatencySpec:
    """Return how latency is measured."""
    default = LatencySpec()
    return LatencySpec(
        size=section.read("size", lambda n, p: reader.size(n, p, 1), default.size),
        batch=section.read("batch", lambda n, p: reader.integer(n, p, 1, MAX_COUNT), 1),
        device=section.read("device", lambda n, p: _device(reader, n, p), default.device),
        mode=section.read(
            "mode",
            lambda n, p: reader.one_of(n, p, ("auto", "eager", "cudagraph", "compile")),
            "auto",
        ),
        precision=section.read(
            "precision", lambda n, p: reader.one_of(n, p, ("fp32", "fp16", "bf16")), "fp32"
        ),
        seconds=section.read("seconds", lambda n, p: reader.number(n, p, 0, 3600, True), 5.0),
    )


def read_search(reader: Reader, section: Section) -> SearchSpec:
    """Return which sampler searches, and for how long."""
    default = SearchSpec()
    return SearchSpec(
        sampler=section.read("sampler", lambda n, p: _sampler(reader, n, p), default.sampler),
        trials=section.read("trials", lambda n, p: reader.integer(n, p, 1, 10**6), default.trials),
        seed=section.read("seed", lambda n, p: reader.integer(n, p, 0), default.seed),
        confirm=section.read("confirm", lambda n, p: reader.number(n, p, 0, 0.9), default.confirm),
        long=section.read("long", lambda n, p: reader.integer(n, p, 2, 100), default.long),
        signal=section.read("signal", lambda n, p: reader.one_of(n, p, SIGNALS), default.signal),
        stop=section.read("stop", lambda n, p: reader.number(n, p, 0, 1), default.stop),
    )


def _sampler(reader: Reader, node: yaml.Node, path: str) -> str | None:
    """Return a sampler's name, or `package.module:factory`, which is looked for later."""
    value = reader.scalar(node, path)
    if isinstance(value, str) and _OWN_SAMPLER.fullmatch(value):
        return value
    return reader.one_of(node, path, (*SAMPLER_NAMES, OWN_SAMPLER)) if value is not None else None


def read_tracking(reader: Reader, section: Section) -> TrackingSpec:
    """Return where the mirrors are; `off` is a word here, though YAML readers make it false."""

    def uri(node: yaml.Node, path: str) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.value == "off":
            return "off"
        text = reader.text(node, path)
        return expanded(text) if text else None

    default = TrackingSpec()
    return TrackingSpec(
        mlflow=section.read("mlflow", uri, default.mlflow),
        optuna=section.read("optuna", uri, default.optuna),
    )


def _device(reader: Reader, node: yaml.Node, path: str) -> str | None:
    value = reader.text(node, path)
    if value is None or is_device(value):
        return value
    reader.fault(node, path, f"{shown(value)} is not known", DEVICES)
    return None


def _integers(
    reader: Reader, node: yaml.Node, path: str, least: int, most: int
) -> tuple[int, ...] | None:
    read = reader.listed(node, path, lambda n, p: reader.integer(n, p, least, most))
    if read is not None:
        reader.distinct(node, path, read)
    return read


def _rungs(reader: Reader, node: yaml.Node, path: str, steps: int) -> tuple[int, ...] | None:
    read = reader.listed(node, path, lambda n, p: reader.integer(n, p, 1, steps))
    if read is not None and any(a >= b for a, b in pairwise(read)):
        reader.fault(node, path, "steps do not rise", "rising steps")
        return None
    return read


def _scale(reader: Reader, node: yaml.Node, path: str) -> tuple[float, float] | None:
    read = reader.listed(node, path, lambda n, p: reader.number(n, p, 0.1, 10), length=2)
    if read and read[0] > read[1]:
        reader.fault(node, path, f"from {read[0]} to {read[1]} is empty", "the smaller one first")
        return None
    return (read[0], read[1]) if read else None
