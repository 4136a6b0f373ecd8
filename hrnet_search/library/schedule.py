"""What the HRNet library's trainer makes of a config: the other direction of `settle.py`.

Facts of `tools/train.py`, `lib/core/function.py` and `lib/datasets/` on branch HRNet-OCR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.yaml_nodes import decoded
from hrnet_search.errors import Fault, InputError, nearest, shown
from hrnet_search.library import readers
from hrnet_search.library.keys import (
    CITYSCAPES_WEIGHTS,
    DEFAULTS,
    MOST_FASTER,
    NEVER_READ,
    SCALE_STEP,
    Sections,
    gpu_count,
    known_beside,
    scale_factor,
    scale_range,
    unknown_keys,
    width_height,
)
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import IGNORED, DataSpec, Split
from hrnet_search.records.schedule import AUX_WEIGHT, BLACK_PADDING, Schedule
from hrnet_search.space.kinds import Bounds, Integer, Size
from hrnet_search.space.reader import PIXELS
from hrnet_search.space.sections import FACTOR, bounds_of

PRESET_OF = {
    "cityscapes": "cityscapes",
    "ade20k": "ade20k",
    "cocostuff": "coco-stuff",
    "lip": "lip",
}
"""The data set that a reader was written for."""

OWN = "folder"
SPLITS = ("train", "val")
"""What the older branches have in place of lists of PASCAL-Context."""

NO_MEANING = ("WORKERS", "PRINT_FREQ", "CUDNN", "OUTPUT_DIR", "LOG_DIR", "TRAIN.RESUME")
"""Keys of how the official trainer runs, not of what it trains."""

Check = tuple[Callable[[Any], bool], str]


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _within(bounds: Bounds) -> Check:
    """Return the check of a value that a space file may hold too, by the same bounds."""
    return bounds.holds, bounds.allowed


def _size(bounds: Bounds) -> Check:
    return bounds.holds, f"[width, height], {bounds.allowed}"


EACH_BATCH = "TRAIN.BATCH_SIZE_PER_GPU"

MOST_SCALE = 16
"""Times its size at which an image is decided on, at most."""

SIDE: Check = _within(Integer(1, PIXELS))
FLAG: Check = (lambda v: type(v) is bool, "true or false")
TEXT: Check = (lambda v: isinstance(v, str), "text")

CHECKS: dict[str, Check] = {
    "GPUS": (
        lambda v: isinstance(v, list | tuple) and bool(v) and all(_whole(n) for n in v),
        "a list of GPUs, like (0,1)",
    ),
    "MODEL.PRETRAINED": (lambda v: v is None or isinstance(v, str), "text"),
    "DATASET.DATASET": TEXT, "DATASET.ROOT": TEXT, "DATASET.TRAIN_SET": TEXT,
    "DATASET.TEST_SET": TEXT, "DATASET.NUM_CLASSES": (
        lambda v: type(v) is int and 2 <= v <= IGNORED, f"an integer from 2 to {IGNORED}"
    ),
    "LOSS.USE_OHEM": FLAG, "LOSS.OHEMTHRES": (
        lambda v: _number(v) and 0 < v <= 1, "a number above 0, at most 1"
    ),
    "LOSS.OHEMKEEP": _within(bounds_of("ohem_keep")), "LOSS.BALANCE_WEIGHTS": (
        lambda v: isinstance(v, list | tuple) and list(v) == [1], "[1]"
    ),
    "TRAIN.IMAGE_SIZE": _size(bounds_of("crop")), "TRAIN.BASE_SIZE": SIDE,
    "TRAIN.DOWNSAMPLERATE": (lambda v: _number(v) and v == 1, "1"),
    "TRAIN.FLIP": FLAG, "TRAIN.MULTI_SCALE": (lambda v: v is True, "true"),
    "TRAIN.SCALE_FACTOR": _within(Integer(0, scale_factor(FACTOR.most))),
    "TRAIN.RANDOM_BRIGHTNESS": FLAG,
    "TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE": (
        lambda v: _whole(v) and v <= 255, "an integer from 0 to 255"
    ),
    "TRAIN.LR": _within(bounds_of("lr")), "TRAIN.OPTIMIZER": (lambda v: v == "sgd", "sgd"),
    "TRAIN.MOMENTUM": _within(bounds_of("momentum")),
    "TRAIN.WD": _within(bounds_of("weight_decay")), "TRAIN.NESTEROV": FLAG,
    "TRAIN.NONBACKBONE_KEYWORDS": (
        lambda v: isinstance(v, list | tuple) and all(isinstance(k, str) and k for k in v),
        "a list of parts of names",
    ),
    "TRAIN.END_EPOCH": _within(bounds_of("steps")),
    "TRAIN.EXTRA_EPOCH": (lambda v: v == 0, "0: train on EXTRA_TRAIN_SET as a training of its own"),
    EACH_BATCH: _within(bounds_of("batch")),
    "TEST.IMAGE_SIZE": _size(Size(1)), "TEST.BASE_SIZE": SIDE, "TEST.FLIP_TEST": FLAG,
    "TEST.SCALE_LIST": (
        lambda v: isinstance(v, list | tuple) and bool(v)
        and all(_number(s) and 0 < s <= MOST_SCALE for s in v),
        f"a list of numbers above 0, at most {MOST_SCALE}",
    ),
}  # fmt: skip
"""What the official trainer and test script read, and what of it can be run here."""

OCR_CHECKS: dict[str, Check] = {
    "LOSS.BALANCE_WEIGHTS": (
        lambda v: isinstance(v, list | tuple) and len(v) == 2
        and bounds_of("aux_weight").holds(v[0]) and _number(v[1]) and v[1] == 1,
        "[0.4, 1] or another first number: the losses of the auxiliary and of the main output",
    ),
    "MODEL.NUM_OUTPUTS": (lambda v: v == 2, "2"),
}  # fmt: skip
"""Those that are others with an OCR head."""


AS_STORED = ("pascal-context-60", "lip")
"""Data of the library whose reader takes ids as they are stored: the loss ignores IGNORE_LABEL."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a config asks of the official trainer: a schedule but for its steps, which are
    `epochs` times the whole batches of the training images. `notes` say what is not obeyed."""

    schedule: Schedule
    epochs: int
    notes: tuple[str, ...]


def asked_by(config: Config, data: DataSpec | None = None) -> Asked:
    """Return what a config asks for, on its own data or on those of a space file.

    Raise InputError with every value that the official trainer could not use, or that is not
    trained here.
    """
    values = Values(config)
    given = data is not None
    if data is None:
        data = values.data()
    values.check(skipped=("DATASET.",) if given else ())
    return Asked(values.schedule(data, given), values["TRAIN.END_EPOCH"], tuple(values.notes()))


class Values:
    """The values of a config by their whole keys (`TRAIN.LR`), as the library reads them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.faults: list[Fault] = []

    def __getitem__(self, key: str) -> Any:
        return decoded(_at(self._config.sections, key, _at(DEFAULTS, key)))

    def check(self, skipped: tuple[str, ...] = ()) -> None:
        """Raise InputError if a value is not what its key takes; keys of `skipped` are not read."""
        checks = CHECKS | OCR_CHECKS if self._config.architecture.has_ocr else CHECKS
        for key, (fits, allowed) in checks.items():
            if not key.startswith(skipped) and not fits(self[key]):
                self._fault(key, f"{shown(self[key])} is not trained here", f"{allowed}")
        for key in unknown_keys(self._config.sections):
            if not key.startswith(skipped):
                near = nearest(key, known_beside(key))
                wrong = f"the HRNet library knows no such key{near}, and stops on it"
                self._fault(key, wrong, "its keys alone")
        if not EACH_BATCH.startswith(skipped):
            self._check_batch()
        if self["TRAIN.NESTEROV"] is True and not self["TRAIN.MOMENTUM"]:
            wrong = f"true is not trained with TRAIN.MOMENTUM {shown(self['TRAIN.MOMENTUM'])}"
            self._fault("TRAIN.NESTEROV", wrong, "false, or a momentum above 0")
        if self.faults:
            raise InputError(self.faults)

    def _check_batch(self) -> None:
        each, gpus, bounds = self[EACH_BATCH], gpu_count(self._config.sections), bounds_of("batch")
        if bounds.holds(each) and not bounds.holds(each * gpus):
            wrong = f"{each} on each of {gpus} GPUs is not trained here"
            self._fault(EACH_BATCH, wrong, f"{bounds.allowed} on all")

    def schedule(self, data: DataSpec, given: bool) -> Schedule:
        """Return the schedule without its steps; `given`: the data are not the config's."""
        ohem = self["LOSS.USE_OHEM"]
        weighs = not given and data.kind == "cityscapes"
        keys = tuple(self["TRAIN.NONBACKBONE_KEYWORDS"])
        count = gpu_count(self._config.sections)
        return Schedule(
            data,
            batch=self[EACH_BATCH] * count,
            crop=self.crop,
            lr=float(self["TRAIN.LR"]),
            momentum=float(self["TRAIN.MOMENTUM"]),
            weight_decay=float(self["TRAIN.WD"]),
            nesterov=self["TRAIN.NESTEROV"],
            fast_keys=keys,
            fast_lr=float(MOST_FASTER) if keys else 1.0,
            loss="ohem" if ohem else "cross_entropy",
            ohem_threshold=float(self["LOSS.OHEMTHRES"]),
            ohem_keep=self["LOSS.OHEMKEEP"] * count,  # of a process's images each
            aux_weight=self._aux_weight,
            class_weights=CITYSCAPES_WEIGHTS if weighs else "none",
            scale=scale_range(self["TRAIN.SCALE_FACTOR"]),
            scale_step=SCALE_STEP,
            long_side=self["TRAIN.BASE_SIZE"],
            flip=self["TRAIN.FLIP"],
            brightness=self._brightness,
            padding=BLACK_PADDING,
        )

    @property
    def crop(self) -> tuple[int, int]:
        height, width = width_height(self["TRAIN.IMAGE_SIZE"])
        return height, width

    @property
    def _aux_weight(self) -> float:
        if not self._config.architecture.has_ocr:
            return AUX_WEIGHT
        return float(self["LOSS.BALANCE_WEIGHTS"][0])

    @property
    def _brightness(self) -> int:
        shift: int = self["TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE"]
        return shift if self["TRAIN.RANDOM_BRIGHTNESS"] else 0

    def data(self) -> DataSpec:
        """Return the data that the config's reader reads, without a root."""
        reader, classes = self["DATASET.DATASET"], self["DATASET.NUM_CLASSES"]
        if reader not in readers.NAMES:
            wrong = f"{shown(reader)} is not one of the library's own readers"
            self._fault("DATASET.DATASET", wrong, f"{', '.join(readers.NAMES)}, or --data")
            return DataSpec(OWN, 2)
        if reader in ("pascal_ctx", "lip"):
            return self._of_lists(reader, classes)
        spec = PRESETS[PRESET_OF[reader]].spec
        if classes != spec.classes:
            wrong = f"{shown(classes)}: the reader {reader} tells {spec.classes} classes apart"
            self._fault("DATASET.NUM_CLASSES", wrong, f"{spec.classes}, or --data")
        return self._listed(spec)

    def _of_lists(self, reader: str, classes: Any) -> DataSpec:
        """Return the data of a reader that takes ids of lists as they are stored.

        pascal_ctx subtracts 1 where there are 59 classes, lip stretches images to IMAGE_SIZE.
        """
        kind = f"pascal-context-{classes}" if reader == "pascal_ctx" else reader
        spec = PRESETS[kind].spec if kind in PRESETS else None
        ignore = self["TRAIN.IGNORE_LABEL"]
        # Of published ones it is 255, or no label at all; what is another is of own data.
        other = spec and kind in AS_STORED and _whole(ignore) and ignore != spec.ignore
        if spec is None or spec.classes != classes or other:
            spec = self._own_data(classes)
        if reader == "lip" and bounds_of("crop").holds(self["TRAIN.IMAGE_SIZE"]):
            height, width = self.crop
            known = classes if type(classes) is int else 0
            swaps = [pair for pair in PRESETS["lip"].swaps if max(pair) < known]
            spec = replace(spec, size=(width, height), swaps=tuple(swaps))
        return self._listed(spec)

    def _own_data(self, classes: Any) -> DataSpec:
        ignore = self["TRAIN.IGNORE_LABEL"]
        if not (_whole(ignore) and ignore <= IGNORED):
            wrong = f"{shown(ignore)} is not a label that masks can store"
            self._fault("TRAIN.IGNORE_LABEL", wrong, f"an integer from 0 to {IGNORED}")
        return DataSpec(OWN, classes, ignore=ignore)

    def _listed(self, spec: DataSpec) -> DataSpec:
        """Return a data set that is read by the config's lists."""
        train, val = (self[f"DATASET.{key}"] for key in ("TRAIN_SET", "TEST_SET"))
        if (train, val) == SPLITS and spec.kind != OWN:
            return spec
        begin = PRESETS[spec.kind].begin if spec.kind in PRESETS else ("", "")
        return replace(spec, train=Split(*begin, train), val=Split(*begin, val))

    def notes(self) -> Iterator[str]:
        """Yield what of the config is not obeyed, and what the library does in its own way."""
        unread = [k for k in NEVER_READ if _differs(self._config.sections, k)]
        if unread:
            yield f"no line of the official trainer reads {', '.join(unread)}: not obeyed"
        how = [key for key in NO_MEANING if _differs(self._config.sections, key)]
        if how:
            yield f"how the official trainer runs, with no meaning here: {', '.join(how)}"
        if self["TRAIN.NONBACKBONE_KEYWORDS"] and self["TRAIN.NONBACKBONE_MULT"] != MOST_FASTER:
            yield (
                f"TRAIN.NONBACKBONE_MULT {shown(self['TRAIN.NONBACKBONE_MULT'])}: from its second"
                f" step on the official trainer has {MOST_FASTER} in its place, and so it is here"
            )
        if _at(self._config.sections, "MODEL.ALIGN_CORNERS") is None:
            aligned = self._config.architecture.align_corners
            word = "true, the default" if aligned else "false, as without the key; true would be"
            yield f"MODEL.ALIGN_CORNERS is not said: {word} of the library's branch HRNet-OCR"
        if _differs(self._config.sections, "TEST.NUM_SAMPLES") and self["TEST.NUM_SAMPLES"]:
            first = shown(self["TEST.NUM_SAMPLES"])
            yield f"TEST.NUM_SAMPLES: {first}: not obeyed, all validation images are judged"
        if self._config.architecture.has_ocr and self["TEST.OUTPUT_INDEX"] not in (-1, 1):
            which = shown(self["TEST.OUTPUT_INDEX"])
            yield f"TEST.OUTPUT_INDEX: {which}: not obeyed, the main output is judged"
        if self["TRAIN.SHUFFLE"] is False:
            yield "TRAIN.SHUFFLE: false: not obeyed, each epoch has an order of its own"

    def _fault(self, key: str, wrong: str, allowed: str) -> None:
        self.faults.append(Fault(key, self[key], wrong, allowed, self._config.path))


def _differs(sections: Sections, key: str) -> bool:
    """Return whether a config gives a key another value than the library's default."""
    found = _at(sections, key)
    return found is not None and decoded(found) != _at(DEFAULTS, key)


def _at(sections: Sections, key: str, default: Any = None) -> Any:
    found: Any = sections
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return default
        found = found[part]
    return found


@dataclass(frozen=True, slots=True)
class OfficialRule:
    """How the official test script judges by a config; sizes are (height, width).

    `windows` are what is looked at where an image is larger, `long_side` what the longer side of
    an image becomes; readers other than Cityscapes' overlap windows and pad them.
    """

    scales: tuple[float, ...]
    flip: bool
    windows: tuple[int, int]
    long_side: int
    cityscapes: bool


def official_rule(config: Config) -> OfficialRule:
    """Return how a config is tested; raise InputError for values that cannot be."""
    values = Values(config)
    values.check(skipped=("DATASET.", "GPUS", "LOSS.", "MODEL.", "TRAIN."))
    height, width = width_height(values["TEST.IMAGE_SIZE"])
    return OfficialRule(
        scales=tuple(map(float, values["TEST.SCALE_LIST"])),
        flip=values["TEST.FLIP_TEST"],
        windows=(height, width),
        long_side=values["TEST.BASE_SIZE"],
        cityscapes=values["DATASET.DATASET"] == "cityscapes",
    )
