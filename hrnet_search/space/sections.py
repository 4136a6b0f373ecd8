"""The sections of a space file beside `vary`: data, schedule, latency, search, tracking."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from hrnet_search.arch.architecture import MAX_COUNT
from hrnet_search.errors import shown
from hrnet_search.records import (
    DATA_KINDS,
    IGNORED,
    OBJECTIVES,
    SAMPLER_NAMES,
    DataSpec,
    LatencySpec,
    Schedule,
    Split,
)
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import Limit

DEFAULT_SAMPLER = "optuna:tpe"
PIXELS = 1 << 14
"""Most pixels along one side of an image."""

SHAPES_CLASSES = 8
SHAPES_IMAGES = {"train": 256, "val": 64}
MOST_COSTS = 2
NO_NAMES: tuple[str, ...] = ()
NO_RUNGS: tuple[int, ...] = ()
ONE_SEED: tuple[int, ...] = (0,)
DEFAULTS = Schedule(DataSpec("shapes", SHAPES_CLASSES))


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """The `search` section: which sampler, how many trials, its seed.

    `confirm` is the share of the trials that confirms what the others found, `long` the steps
    of the confirming schedule over those of the search. `stop` is the chance to end on the front
    of its cost neighbourhood below which a trial ends at its rung; 0 stops none.
    """

    sampler: str = DEFAULT_SAMPLER
    trials: int = 40
    seed: int = 0
    confirm: float = 0.2
    long: int = 3
    stop: float = 0.1


@dataclass(frozen=True, slots=True)
class TrackingSpec:
    """The `tracking` section: auto (a SQLite file in the study), off, or a tracking URI."""

    mlflow: str = "auto"


COMMON_DATA = ("kind", "classes", "names", "size", "mean", "std")
DATA_KEYS = {
    "shapes": (*COMMON_DATA, "train", "val", "seed"),
    "folder": (*COMMON_DATA, "root", "ignore", "mapping", "train", "val"),
}
SCHEDULE_KEYS = (
    "steps", "batch", "crop", "seeds", "rungs", "optimiser", "lr", "momentum", "weight_decay",
    "power", "scale", "flip", "precision", "init",
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


def read_data(
    reader: Reader,
    node: yaml.Node | None,
    space_file: str,
    data_root: str | None,
    crop: tuple[int, int],
) -> DataSpec:
    """Return what to train on; `crop` is the size of shapes without one of their own."""
    kind = "shapes"
    if isinstance(node, yaml.MappingNode):
        probe = Reader("")
        found = probe.section(node, "data", ())
        kind_node = found.require("kind")
        kind = (probe.one_of(kind_node, "", DATA_KINDS) if kind_node else None) or ""
        if not kind:
            section = reader.section(
                node, "data", sorted({k for v in DATA_KEYS.values() for k in v})
            )
            kind_node = section.require("kind")
            if kind_node is not None:
                reader.one_of(kind_node, "data.kind", DATA_KINDS)
            return DataSpec("shapes", SHAPES_CLASSES)
    section = reader.section(node, "data", DATA_KEYS[kind])
    if kind == "shapes":
        spec = _shapes(reader, section, crop)
    else:
        spec = _folder(reader, section, space_file, data_root)
    if spec.names and len(spec.names) != spec.classes and "names" in section:
        wrong = f"{len(spec.names)} names for {spec.classes} classes"
        reader.fault(section.node_of("names"), "data.names", wrong, "one name a class")
    return spec


def _common(reader: Reader, section: Section) -> dict[str, Any]:
    return {
        "names": section.read("names", lambda n, p: reader.listed(n, p, reader.text), NO_NAMES),
        "mean": section.read("mean", lambda n, p: _colour(reader, n, p, 0.0), DEFAULTS.data.mean),
        "std": section.read("std", lambda n, p: _colour(reader, n, p, 1e-6), DEFAULTS.data.std),
    }


def _shapes(reader: Reader, section: Section, crop: tuple[int, int]) -> DataSpec:
    def images(key: str) -> int:
        return section.read(key, lambda n, p: reader.integer(n, p, 1, 10**6), SHAPES_IMAGES[key])

    return DataSpec(
        kind="shapes",
        classes=section.read("classes", lambda n, p: reader.integer(n, p, 6, 8), SHAPES_CLASSES),
        size=section.read("size", lambda n, p: _size(reader, n, p, 32), crop),
        train_images=images("train"),
        val_images=images("val"),
        seed=section.read("seed", lambda n, p: reader.integer(n, p, 0), 0),
        **_common(reader, section),
    )


def _folder(reader: Reader, section: Section, space_file: str, data_root: str | None) -> DataSpec:
    root = section.read("root", reader.text, "")
    if data_root is not None:
        root = data_root
    elif root:
        root = str(Path(space_file).parent / root)
    if root and not Path(root).is_dir():
        node = section.found["root"][1] if "root" in section and data_root is None else None
        where = "data.root" if data_root is None else "--data-root"
        reader.fault(node or section.node, where, f"{shown(root)} is no folder", "a folder")
    classes_node = section.require("classes")
    classes = (
        reader.integer(classes_node, "data.classes", 2, IGNORED) if classes_node is not None else 0
    )
    train, val = (_split(reader, section.require(key), f"data.{key}") for key in ("train", "val"))
    classes = classes or 2
    return DataSpec(
        kind="folder",
        classes=classes,
        ignore=section.read("ignore", lambda n, p: reader.integer(n, p, 0, 255), IGNORED),
        mapping=section.read("mapping", lambda n, p: _mapping(reader, n, p, classes), ()),
        size=section.read("size", lambda n, p: _size(reader, n, p, 1), None),
        root=root,
        train=train,
        val=val,
        **_common(reader, section),
    )


def _split(reader: Reader, node: yaml.Node | None, path: str) -> Split:
    if node is None:
        return Split()
    section = reader.section(node, path, ("images", "masks", "list"))
    if not isinstance(node, yaml.MappingNode):
        return Split()
    if "list" in section and ("images" in section or "masks" in section):
        reader.fault(node, path, "has folders and a list", "images and masks, or list")
    if "list" not in section:
        for key in ("images", "masks"):
            section.require(key)
    return Split(
        images=section.read("images", reader.text, ""),
        masks=section.read("masks", reader.text, ""),
        list=section.read("list", reader.text, ""),
    )


def _mapping(
    reader: Reader, node: yaml.Node, path: str, classes: int
) -> tuple[tuple[int, int], ...] | None:
    """Read `{stored id: class id}`; the ids are numbers, so keys are read here."""
    if not isinstance(node, yaml.MappingNode):
        reader.fault(node, path, "is no mapping", "stored id: class id")
        return None
    pairs = []
    for key, value in node.value:
        stored = reader.integer(key, path, 0, 255)
        label = reader.integer(value, f"{path}.{shown(key.value)}", 0, classes - 1)
        if stored is not None and label is not None:
            pairs.append((stored, label))
    return tuple(sorted(pairs))


def read_schedule(
    reader: Reader, section: Section, data: DataSpec, crop: tuple[int, int]
) -> tuple[Schedule, tuple[int, ...], tuple[int, ...]]:
    """Return the schedule, its seeds and its rungs (the last step is always one)."""
    steps = section.read("steps", lambda n, p: reader.integer(n, p, 1, 10**8), DEFAULTS.steps)
    seeds = section.read("seeds", lambda n, p: _integers(reader, n, p, 0, 2**31), ONE_SEED)
    rungs = section.read("rungs", lambda n, p: _rungs(reader, n, p, steps), NO_RUNGS)

    def number(key: str, least: float, most: float, default: float, open_: bool = False) -> float:
        return section.read(key, lambda n, p: reader.number(n, p, least, most, open_), default)

    def one_of(key: str, names: tuple[str, ...], default: str) -> str:
        return section.read(key, lambda n, p: reader.one_of(n, p, names), default)

    schedule = Schedule(
        data=data,
        steps=steps,
        batch=section.read("batch", lambda n, p: reader.integer(n, p, 1, MAX_COUNT), 8),
        crop=crop,
        optimiser=one_of("optimiser", ("sgd",), "sgd"),
        lr=number("lr", 0, 100, DEFAULTS.lr, open_=True),
        momentum=number("momentum", 0, 0.9999, DEFAULTS.momentum),
        weight_decay=number("weight_decay", 0, 1, DEFAULTS.weight_decay),
        power=number("power", 0, 10, DEFAULTS.power, open_=True),
        scale=section.read("scale", lambda n, p: _scale(reader, n, p), DEFAULTS.scale),
        flip=section.read("flip", reader.boolean, DEFAULTS.flip),
        precision=one_of("precision", ("fp32", "bf16"), DEFAULTS.precision),
        init=section.read("init", reader.text, DEFAULTS.init),
    )
    return schedule, seeds, (*(r for r in rungs if r < steps), steps)


def read_crop(reader: Reader, section: Section) -> tuple[int, int]:
    """Return the training crop, (height, width)."""
    return section.read("crop", lambda n, p: _size(reader, n, p, 32), DEFAULTS.crop)


def read_latency(reader: Reader, section: Section) -> LatencySpec:
    """Return how latency is measured."""
    default = LatencySpec()
    return LatencySpec(
        size=section.read("size", lambda n, p: _size(reader, n, p, 1), default.size),
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
        sampler=section.read(
            "sampler", lambda n, p: reader.one_of(n, p, SAMPLER_NAMES), default.sampler
        ),
        trials=section.read("trials", lambda n, p: reader.integer(n, p, 1, 10**6), default.trials),
        seed=section.read("seed", lambda n, p: reader.integer(n, p, 0), default.seed),
        confirm=section.read("confirm", lambda n, p: reader.number(n, p, 0, 0.9), default.confirm),
        long=section.read("long", lambda n, p: reader.integer(n, p, 2, 100), default.long),
        stop=section.read("stop", lambda n, p: reader.number(n, p, 0, 1), default.stop),
    )


def read_tracking(reader: Reader, section: Section) -> TrackingSpec:
    """Return where the mirrors are; `off` is a word here, though YAML readers make it false."""

    def uri(node: yaml.Node, path: str) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.value == "off":
            return "off"
        return reader.text(node, path)

    return TrackingSpec(mlflow=section.read("mlflow", uri, "auto"))


def _device(reader: Reader, node: yaml.Node, path: str) -> str | None:
    value = reader.text(node, path)
    if value is None or value in ("auto", "cpu", "cuda") or _is_cuda(value):
        return value
    reader.fault(node, path, f"{shown(value)} is not known", "auto, cpu, cuda or cuda:N")
    return None


def _is_cuda(value: str) -> bool:
    name, _, number = value.partition(":")
    return name == "cuda" and number.isascii() and number.isdigit() and len(number) < 4


def _size(reader: Reader, node: yaml.Node, path: str, least: int) -> tuple[int, int] | None:
    read = reader.listed(node, path, lambda n, p: reader.integer(n, p, least, PIXELS), length=2)
    return (read[0], read[1]) if read else None


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


def _colour(
    reader: Reader, node: yaml.Node, path: str, least: float
) -> tuple[float, float, float] | None:
    read = reader.listed(node, path, lambda n, p: reader.number(n, p, least, 1), length=3)
    return (read[0], read[1], read[2]) if read else None
