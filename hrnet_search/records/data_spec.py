"""What variants are trained and judged on: the `data` section of a space file."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

IGNORED = 255
"""Label of pixels that count nowhere, in every mask that leaves the data room."""

DATA_KINDS = (
    "shapes", "folder", "cityscapes", "ade20k", "pascal-context-59", "pascal-context-60", "lip",
    "coco-stuff", "camvid",
)  # fmt: skip

CACHE_BYTES = 32 * 10**9
"""What decoded images of a study may take on disk unless its space file says otherwise."""

MAX_PIXELS = 10**9
"""Pixels of the largest image that is decoded unless a space file says otherwise."""

NO_IDENTITY = ("root", "cache", "max_pixels", "outside")
"""Fields of DataSpec that change nothing of what is trained on."""

WHERE_SET = ("colors", "val_fraction")
"""Fields of DataSpec that are part of an identity where they are set: studies begun before they
existed go on."""


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


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in json.loads(text))


def _names(text: str) -> tuple[str, ...]:
    return tuple(map(str, json.loads(text)))


def _channels(text: str) -> tuple[float, ...]:
    red, green, blue = map(float, ast.literal_eval(text))
    return red, green, blue


def _size(text: str) -> tuple[int, int] | None:
    found = json.loads(text)
    if found is None:
        return None
    height, width = map(int, found)
    return height, width


_READ: dict[str, Callable[[str], Any]] = {
    "names": _names,
    "mean": _channels,
    "std": _channels,
    "size": _size,
    "swaps": _pairs,
}
"""Fields that whoever uses a network has to know, as its file spells them."""


def facts_of(spec: DataSpec) -> dict[str, str]:
    """Return what a file of a network says of the data it was trained on, to be used by itself."""
    found = {name: json.dumps(getattr(spec, name)) for name in _READ}
    return {"classes": str(spec.classes), **found}


def of_facts(facts: Mapping[str, str], classes: int) -> DataSpec:
    """Return the data that a file says its network was trained on, as far as it says so.

    Raise ValueError, TypeError or SyntaxError for facts that are of something else.
    """
    known = {name: read(facts[name]) for name, read in _READ.items() if name in facts}
    return DataSpec("", classes, **known)
