"""What happened: schedules, trial keys, results, and the names that every room shares.

The names of data kinds, samplers and objectives stand here, where the reader of space.yaml may
see them; each implementing table is held equal to them by a test.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, halved
from hrnet_search.class_iou import IOU, class_ids, ids_of, is_class_iou, key_of, label_of, mean_iou

Point = tuple[int, ...]
"""Level indices, one for each axis of a space."""

IGNORED = 255
"""Label of pixels that count nowhere, in every mask that leaves the data room."""

DATA_KINDS = (
    "shapes", "folder", "cityscapes", "ade20k", "pascal-context-59", "pascal-context-60", "lip",
    "coco-stuff", "camvid",
)  # fmt: skip
OPTIMISERS = ("sgd", "adamw")
LOSSES = ("cross_entropy", "ohem")
CLASS_WEIGHTS = ("none", "balanced")
PRECISIONS = ("fp32", "bf16", "fp16")
MEMORY_FORMATS = ("contiguous", "channels_last")
AUTO = "auto"
TORCH, COMMAND, ONNX_FILE = "torch", "command", "{onnx}"
INT8 = "int8"
RUNTIMES = {
    TORCH: PRECISIONS,
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "fp16", INT8),
    "tensorrt": ("fp32", "fp16", INT8),
    COMMAND: ("fp32",),
}
"""What runs a network whose latency is measured, and the precisions that it has there."""

SAMPLER_NAMES = ("pareto", "random", "grid", "local", "optuna:tpe", "optuna:nsga2", "optuna:gp")

MIOU, SOFT_IOU = "miou", "soft_iou"
MIOU_INT8 = "miou_int8"
SIGNAL, LEARN_FROM = "search.signal", "search.learn_from"
TAKEN_OVER = "taken over from"
"""How the note of a trial begins that another study has trained."""

SIGNALS = (AUTO, SOFT_IOU, MIOU)
"""What a search may learn from; auto is soft IoU, of which a seed moves less."""

EVALUATOR = "search.evaluator"
ALONE, SHARED = "alone", "shared"
EVALUATORS = (ALONE, SHARED)
"""By what a search judges variants: by a training of each, or by slices of shared weights."""

FIDELITY = "search.fidelity"
STOP_EARLY, THAW, SHORT_FIRST, TO_THE_END = "stop", "thaw", "short_first", "none"
FIDELITIES = (STOP_EARLY, THAW, SHORT_FIRST, TO_THE_END)
"""How a search saves training: what will hardly reach the front ends at a rung, many are paused at
a rung and some go on, a short study comes first, or not at all."""

PART_FIRST = (THAW, SHORT_FIRST)
"""Those by which many variants are trained in part before any is to the end."""

PAUSED_BYTES = 10 * 10**9
"""What checkpoints of paused trials may take on disk unless a space file says otherwise."""
KEEP_ALL, KEEP_CONFIRMED, KEEP_FRONT = "all", "confirmed", "front"
KEEPS = (KEEP_ALL, KEEP_CONFIRMED, KEEP_FRONT)
"""Whose weights a study keeps: every trial's, those of what it confirmed too, the front's alone."""

GATE = 8
"""Variants that are trained alone, so that scores by slices can be held against them."""

KEPT = "kept"
"""Which column says what share of the source's weights a trial inherited."""

MIRROR_NAMES = ("mlflow", "optuna", "tensorboard")

NO_INIT, BASE_INIT, SHARED_INIT = "none", "base", "shared"
PRETRAINED_INIT, TRIAL_INIT = "pretrained", "trial:"
"""What `schedule.init` may be, beside the name of a weight file; the last one before a key."""

TRAINED_FIRST = (BASE_INIT, SHARED_INIT)
"""What a search trains before all else, so that its variants start from it."""

COMPLETED, STOPPED, FAILED, INFEASIBLE = "completed", "stopped", "failed", "infeasible"
STATUSES = (COMPLETED, STOPPED, FAILED, INFEASIBLE)
"""How a trial ends; stopped and infeasible trials are not failures."""

PAUSED, RUNNING = "paused", "running"
STATES = (*STATUSES, PAUSED, RUNNING)
"""How a trial stands: a paused one may go on from its checkpoint."""

HANG_S = 120.0
"""Seconds without a sign of life after which, at the earliest, a trial's process hangs."""

CONFIRMED_FROM = 12
"""A study of fewer trials spends none of them on confirming what it found."""

ONE_IMAGE = "a larger crop, or two images or more in each part of a batch"
"""What helps where a schedule is `untrainable`."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A column of results that can be optimised or limited.

    `direction` is max or min; `exact` says that it is known without building the network;
    `found` reads it from a result. `most` is the largest value that it can have. A row that is
    `of_classes` stands for one objective for each choice of classes: `classes` are their ids, none
    for all. `key` is the name by which two objectives are the same, however they were written.
    """

    name: str
    direction: str
    unit: str
    label: str
    exact: bool
    found: Callable[[TrialResult], float | None]
    most: float = math.inf
    of_classes: bool = False
    classes: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        return key_of(self.classes) if self.of_classes else self.name

    @property
    def is_cost(self) -> bool:
        """Whether it is minimised."""
        return self.direction == "min"

    @property
    def is_measured(self) -> bool:
        """Whether it is a cost that a device has, under a condition."""
        return self.is_cost and not self.exact

    def of(self, result: TrialResult) -> float | None:
        """Return its value in a result, None if it is not known."""
        value = self.found(result)
        return None if value is None else float(value)


def _counted(name: str) -> Callable[[TrialResult], float | None]:
    return lambda result: getattr(result.cost, name, None)


OBJECTIVES = {
    o.name: o
    for o in (
        Objective("miou", "max", "", "mIoU", False, lambda result: result.miou, most=1),
        Objective("latency_ms", "min", "ms", "latency", False, lambda result: result.latency_ms),
        Objective("macs", "min", "", "MACs", True, _counted("macs")),
        Objective("params", "min", "", "parameters", True, _counted("params")),
        Objective("activations", "min", "", "activations", True, _counted("activations")),
        Objective(MIOU_INT8, "max", "", "mIoU in int8", False, lambda r: r.miou_int8, most=1),
        Objective(IOU, "max", "", "IoU", False, lambda _: None, most=1, of_classes=True),
    )
}


PLAIN = {name: row for name, row in OBJECTIVES.items() if not row.of_classes}
"""Objectives whose name says everything."""


def objective(name: str, classes: int = 0, names: Sequence[str] = ()) -> Objective:
    """Return what a name stands for where there are `classes` classes, with or without names.

    Raise KeyError for an unknown name, UnknownClassError for one of classes that are not there.
    """
    if not is_class_iou(name):
        return PLAIN[name]
    ids = class_ids(name, classes, names)
    key, label = key_of(ids), label_of(ids, names)
    return replace(
        OBJECTIVES[IOU], name=name, label=label, classes=ids, found=lambda r: r.score(key)
    )


CACHE_BYTES = 32 * 10**9
"""What decoded images of a study may take on disk unless its space file says otherwise."""

MAX_PIXELS = 10**9
"""Pixels of the largest image that is decoded unless a space file says otherwise."""

NO_IDENTITY = ("root", "cache", "max_pixels", "outside")
"""Fields of DataSpec that change nothing of what is trained on."""

WHERE_SET = ("colors", "val_fraction")
"""Fields of DataSpec that are part of an identity where they are set: studies begun before they
existed go on."""

LIBRARY_ONLY = (
    "nesterov", "fast_keys", "fast_lr", "long_side", "scale_step", "brightness", "padding",
)  # fmt: skip
"""Fields of Schedule that configs of the HRNet library set; part of an identity where they do."""

MEAN_PADDING, BLACK_PADDING = "mean", "black"
"""What a crop shows outside its image."""


AUX_WEIGHT = 0.4
"""LOSS.BALANCE_WEIGHTS of all published configs with an OCR head; the main output counts 1."""

SHARED_KEYS = ("networks", "init_networks", "init_warmup")
"""Fields of Schedule that are part of an identity where they are set, as `WHERE_SET` are."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where the images and masks of one split lie, below the data set's folder.

    Two folders, paired by file stem; or `list`, a file of the HRNet library (`image mask` a
    line, from `images` and `masks` on) or of stems that the two folders hold.
    """

    images: str = ""
    masks: str = ""
    list: str = ""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What a variant is trained and judged on: the `data` section of a space file.

    `size` is the working size (height, width) that images and masks are resized to, None as
    they are stored. `mapping` sends stored ids to class ids. `swaps` are classes that trade
    places in a mirror, as left and right hands do. `train_images` and `val_images` are for
    `shapes`; `train`, `val`, `home` and `ends` for what is in files: the data set's
    folder is `home` below the root if that is there, else the root; `ends` is what file stems of
    images and of masks end in, beyond the name they share. `colors` sends colours (red, green,
    blue) of masks to class ids; the colour () stands for all others. `val_fraction` of the
    images of `train` are for validation instead, if it is not 0. `seed` is what shapes, or that
    part, are drawn by. `root` is where files lie, `cache` the bytes that decoded images may take
    on disk, `max_pixels` the largest image that is decoded and `outside` whether a list may name
    files that are not below the root: no part of the identity.
    """

    kind: str
    classes: int
    names: tuple[str, ...] = ()
    ignore: int = IGNORED
    mapping: tuple[tuple[int, int], ...] = ()
    size: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    train: Split = Split()
    val: Split = Split()
    train_images: int = 0
    val_images: int = 0
    val_fraction: float = 0.0
    seed: int = 0
    swaps: tuple[tuple[int, int], ...] = ()
    home: str = ""
    ends: tuple[str, str] = ("", "")
    root: str = ""
    cache: int = CACHE_BYTES
    colors: tuple[tuple[tuple[int, ...], int], ...] = ()
    max_pixels: int = MAX_PIXELS
    outside: bool = False

    @property
    def in_files(self) -> bool:
        """Whether the data are in files below a root, and are not drawn."""
        return self.kind != "shapes"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that changes how a variant is judged; not its rungs, not its seed.

    `crop` is (height, width) in pixels, `scale` the range of the random resize, `photometric`
    how far colours are changed (0: not at all, 1: completely), `fingerprint` that of the data.
    A step takes `batch` images, in `accumulate` equal parts one after the other. The learning
    rate rises over `warmup` steps and falls as (1 - step/steps) ** power (the official
    trainer's polynomial, power 0.9). `momentum` is AdamW's beta1 too. `class_weights` is none,
    balanced or a weight a class. `ema` is the decay of averaged weights, which are then the
    ones judged; 0: none. `precision` auto and `memory_format` auto stand in space files alone:
    a study settles them at its start.

    `aux_weight` is what the loss of the auxiliary output of an OCR head counts beside that of the
    output that is judged.

    `init` is what a variant starts from: `none` (random weights), `base` (inherited from the
    study's base, which is trained first, for `init_steps` steps at the learning rate `init_lr`;
    0: as a variant), `shared` (slices of weights that all variants share, which are trained first:
    for `init_steps` steps, each of which teaches `init_networks` networks, with a warm-up of
    `init_warmup`), `pretrained` (the file that the base's config names), a weight file or
    `trial:KEY`. Weights are known by `init_fingerprint`;
    `init_path`, where they lie, is not part of the identity. `networks` is how many networks a
    step teaches by weights that they share; 0: one, by its own. Of 0 `steps` nothing is trained:
    a network is judged as it starts.

    The rest is what the HRNet library's own trainer does beside all this: parameters whose names
    hold one of `fast_keys` learn at `fast_lr` times the rate; scale 1 makes the longer side of an
    image `long_side` pixels (0: as it is stored), scales are `scale_step` apart (0: any between);
    half of the crops become up to `brightness` levels brighter or darker; `padding` is what a
    crop shows outside its image.
    """

    data: DataSpec
    steps: int = 300
    batch: int = 8
    crop: tuple[int, int] = (128, 128)
    fingerprint: str = ""
    optimiser: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 1e-4
    power: float = 0.9
    warmup: int = 0
    loss: str = "cross_entropy"
    ohem_threshold: float = 0.9
    ohem_keep: int = 131072
    aux_weight: float = AUX_WEIGHT
    class_weights: str | tuple[float, ...] = "none"
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    photometric: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    precision: str = "fp32"
    memory_format: str = "channels_last"
    compile: bool = False
    init: str = NO_INIT
    init_steps: int = 0
    init_lr: float = 0.0
    init_networks: int = 0
    init_warmup: int = 0
    networks: int = 0
    init_fingerprint: str = ""
    init_path: str = ""
    nesterov: bool = False
    fast_keys: tuple[str, ...] = ()
    fast_lr: float = 1.0
    long_side: int = 0
    scale_step: float = 0.0
    brightness: int = 0
    padding: str = MEAN_PADDING

    def untrainable(self, branches: int, parts: int = 0) -> str:
        """Return why a network of `branches` branches cannot be trained; empty if it can.

        Batch norm needs two values of a channel: torch refuses one, whose variance is 0. Each
        batch is taken in `parts` parts as torch's chunk makes them, 0: `accumulate`.
        """
        parts = parts or self.accumulate
        most = -(-self.batch // parts)
        images = (self.batch - 1) % most + 1
        height, width = halved(self.crop, 1 + branches)
        if images * height * width > 1:
            return ""
        return (
            f"crop [{self.crop[0]}, {self.crop[1]}] leaves the last of {branches} branches one"
            f" pixel, and batch {self.batch} with accumulate {parts} makes a part of one image:"
            " batch norm needs two values of a channel"
        )

    def from_scratch(self) -> Schedule:
        """Return the schedule by which a network of random weights is trained as this one is.

        Where variants start from what is trained first, at its learning rate.
        """
        fresh = replace(self, init=NO_INIT, init_steps=0, init_lr=0.0)
        fresh = replace(fresh, init_networks=0, init_warmup=0)
        return replace(fresh, init_fingerprint="", init_path="", lr=self.init_lr or self.lr)

    @property
    def id(self) -> str:
        """`sc-` and 12 hex digits over all that is read, but not where data and weights lie."""
        content = asdict(self)
        unset = (key for key in WHERE_SET if not content["data"][key])
        for key in (*NO_IDENTITY, *unset):
            del content["data"][key]
        del content["init_path"]
        for key in SHARED_KEYS:
            if not content[key] or self.init_fingerprint:
                del content[key]
        defaults = {f.name: f.default for f in fields(self)}
        for key in LIBRARY_ONLY:
            if content[key] == defaults[key]:
                del content[key]
        if self.init_fingerprint:  # it tells more than the words that led to it
            del content["init"], content["init_steps"], content["init_lr"]
        if self.aux_weight == AUX_WEIGHT:
            del content["aux_weight"]  # as published: studies begun before it existed go on
        if self.loss != "ohem":
            del content["ohem_threshold"], content["ohem_keep"]
        return "sc-" + hash_of(content)


TRIAL_KEY = re.compile(r"hr-[0-9a-f]{12}\.sc-[0-9a-f]{12}\.[0-9]{1,10}")
"""How a trial's key names files."""


@dataclass(frozen=True, slots=True, order=True)
class TrialKey:
    """What makes a trial: one architecture, one schedule, one seed."""

    architecture: str
    schedule: str
    seed: int

    @staticmethod
    def is_spelt(text: str) -> bool:
        """Say whether a text is a key as it names files."""
        return TRIAL_KEY.fullmatch(text) is not None

    def __str__(self) -> str:
        """Return the key as it names files."""
        return f"{self.architecture}.{self.schedule}.{self.seed}"


@dataclass(frozen=True, slots=True)
class LatencyCondition:
    """Under which a latency was measured; two conditions never share an axis.

    `size` is (height, width); `device` names the device as found, not as asked for. `mode` is how
    torch calls the network (eager, cudagraph, compile), or the runtime that runs it instead: its
    `version` is then noted, and its `provider`, what computes for it.
    """

    device: str
    mode: str
    precision: str
    batch: int
    size: tuple[int, int]
    threads: int
    memory_format: str = "contiguous"
    version: str = ""
    provider: str = ""

    @property
    def runtime(self) -> str:
        """What ran the network."""
        return self.mode if self.mode in RUNTIMES else TORCH

    @property
    def how(self) -> str:
        """How the network was run, for people: the mode of torch, or the whole runtime."""
        words = (self.mode, self.version, f"({self.provider})" if self.provider else "")
        return " ".join(filter(None, words))

    @property
    def plain(self) -> dict[str, Any]:
        """What it says, by field; conditions of torch as before there were other runtimes."""
        unset = {key for key in ("version", "provider") if not getattr(self, key)}
        return {key: value for key, value in asdict(self).items() if key not in unset}


@dataclass(frozen=True, slots=True)
class Latency:
    """A measured latency, in milliseconds, with its spread and its conditions.

    `ms` is what counts as the objective: `ratio` to the reference network times the
    reference's latency frozen at the start of the study. `median_ms`, `p95_ms` and the 95%
    interval `low_ms` to `high_ms` of the median are as measured, over `samples` timings;
    `ratio_low` to `ratio_high` is the 95% interval of the ratio, and `noisy` says that it did
    not close in time. `reference_median_ms` is the reference as measured beside it.
    `machine` is what the machine was doing, as name and value; `busy` says that others used
    the device. `peak_memory_bytes` is of one eager call, weights and images included: what the
    GPU's allocator gave, on a CPU the tensors alive.
    """

    ms: float
    ratio: float
    median_ms: float
    p95_ms: float
    low_ms: float
    high_ms: float
    samples: int
    noisy: bool
    condition: LatencyCondition
    peak_memory_bytes: int | None = None
    machine: tuple[tuple[str, str], ...] = ()
    ratio_low: float = 0.0
    ratio_high: float = 0.0
    reference_median_ms: float = 0.0
    busy: bool = False

    def by(self, reference_ms: float) -> Latency:
        """Return it in milliseconds of a study: its ratio to the reference network counts."""
        return replace(self, ms=self.ratio * reference_ms)


@dataclass(frozen=True, slots=True)
class RungResult:
    """What was seen at one rung: steps done, mIoU (official rule) and IoU by class.

    `loss` is the mean cross entropy of the validation pixels, `miou_present` the mIoU over the
    classes that occur in truth or prediction. `soft_iou` is the IoU of probabilities, and
    `balanced_cross_entropy` the cross entropy with each class counted alike, over the same
    pixels; `training_loss` the mean over all steps so far. Studies made before these were kept
    do not know them.
    """

    step: int
    miou: float
    iou: tuple[float, ...]
    loss: float
    miou_present: float
    soft_iou: float | None = None
    balanced_cross_entropy: float | None = None
    training_loss: float | None = None

    def score(self, signal: str) -> float | None:
        """Return what a search learns from by its signal: MIOU, SOFT_IOU or IoU by class ids.

        None: not known, or not finite, from which nothing can be learned. MIOU_INT8 is of a trial.
        """
        if signal == MIOU_INT8:
            return None
        if is_class_iou(signal):
            score = mean_iou(self.iou, ids_of(signal))
        else:
            score = self.soft_iou if signal == SOFT_IOU else self.miou
        return score if score is not None and math.isfinite(score) else None


@dataclass(frozen=True, slots=True)
class LatencySpec:
    """How latency is measured: the `latency` section of a space file.

    `size` is (height, width), `seconds` the cap on one measurement; `device` is one of
    DEVICES, `mode` auto, eager, cudagraph or compile, `precision` one of those that the runtime
    has in RUNTIMES, `threads` those of the CPU (0: all cores this process may use but one),
    `memory_format` contiguous or channels_last. `runtime` runs the networks; modes and memory
    formats are torch's. `command` is what `runtime: command` runs, each run for `seconds` at most.
    """

    size: tuple[int, int] = (512, 1024)
    batch: int = 1
    device: str = "auto"
    mode: str = "auto"
    precision: str = "fp32"
    seconds: float = 5.0
    threads: int = 0
    memory_format: str = "contiguous"
    runtime: str = TORCH
    command: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What of it may not change while a study lasts; a runtime only where it is not torch."""
        keys = ["size", "batch", "mode", "precision"]
        if self.runtime != TORCH:
            keys.append("runtime")
        if self.runtime == COMMAND:
            keys.append("command")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, slots=True)
class TrialTask:
    """Everything a worker needs to run one trial, on whatever machine.

    `rungs` are steps in rising order, the last one `schedule.steps`. `latency` is None where
    no latency is wanted; `reference_ms` is the frozen latency of the reference network;
    `latency_limit_ms` makes a slower network infeasible before it is trained. `folder` is the
    study, for checkpoints, logs, weights and evaluation; empty: nothing is kept. `sharing` are
    the networks that learn together where `schedule.networks` says that some do. `taken` is what
    another study has found by the same key: only its latency is measured, if that is of another
    condition. `beside` says that it counts as none of a study's trials.
    """

    number: int
    key: TrialKey
    architecture: Architecture
    schedule: Schedule
    rungs: tuple[int, ...]
    latency: LatencySpec | None = None
    reference_ms: float | None = None
    latency_limit_ms: float | None = None
    device: str = "auto"
    folder: str = ""
    sharing: tuple[Architecture, ...] = ()
    taken: TrialResult | None = None
    beside: bool = False


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """Where a running trial is: `phase` is build, latency, train or evaluate.

    `step` of `steps` for training; `rung` is set when one was just evaluated, `latency` when
    it was just measured. `strata` are the losses of a step by which networks learn together, the
    cheapest first.
    """

    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    rung: RungResult | None = None
    latency: Latency | None = None
    strata: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial went: the row of results, and the proof behind it.

    `miou` is that of the last rung; `wall_s` seconds from start to end; `error` one line.
    `kept` is the share of the source's weights that it inherited, None where it inherited none
    or the share was not kept; `began` is when its worker took it up, in seconds since 1970 (UTC),
    None where nobody did or kept it. `miou_int8` is that of the trained network in int8, where
    latency is measured in int8.
    """

    key: TrialKey
    status: str
    cost: Cost | None = None
    latency: Latency | None = None
    miou: float | None = None
    rungs: tuple[RungResult, ...] = ()
    wall_s: float = 0.0
    error: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default=())
    kept: float | None = None
    began: float | None = None
    miou_int8: float | None = None

    @property
    def latency_ms(self) -> float | None:
        return self.latency.ms if self.latency else None

    @property
    def untrained(self) -> bool:
        """Whether it is a judgement of a network as it started: by slices of shared weights."""
        return bool(self.rungs) and self.rungs[-1].step == 0

    @property
    def taken_over(self) -> bool:
        """Whether another study trained it: its seconds were not spent here."""
        return any(note.startswith(TAKEN_OVER) for note in self.notes)

    def score(self, signal: str) -> float | None:
        """Return what a search learns from by its signal: mIoU, or what its last rung has."""
        if signal == MIOU_INT8:
            return self.miou_int8
        if signal != MIOU and self.miou is not None:
            return self.rungs[-1].score(signal) if self.rungs else None
        return self.miou


def is_paused(beside: bool, result: TrialResult) -> bool:
    """Whether a trial that ended at a rung may go on: one `beside` the count of a study."""
    return beside and result.status == STOPPED


def command_problem(command: Sequence[str]) -> tuple[str, str] | None:
    """Return what is wrong with a latency command, and what is allowed; None if nothing is."""
    example = f'like [ssh, board, ./bench, "{ONNX_FILE}"]'
    if not command:
        return "is missing", example
    if not any(ONNX_FILE in part for part in command[1:]):
        return f"names no {ONNX_FILE} behind the program, which stands for the file", example
    return None


def hash_of(content: Any) -> str:
    """Return 12 hex digits of sha256 over `content` as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
