"""The library's data sets as trees of a few small files, in the layout that each is published in.

Written down here once more, by hand, so that a wrong line in the table of presets shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DataSpec

SIZE = (48, 64)
COUNTS = {"train": 5, "val": 3}
Array = NDArray[np.uint8]
Place = tuple[str, str]
"""Paths of an image and its mask below the library's ROOT; {n} is the number, {s} the split."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where files lie, which ids masks store, and a list's path and line if it needs one."""

    place: Place
    ids: tuple[int, ...]
    list: str = ""
    line: str = ""


CITY = "cityscapes/{}/{{s}}/aachen/aachen_{{n:06d}}_000019_{}.png"
VOC = "pascal_ctx/VOCdevkit/VOC2010"
VOC_LIST = f"{VOC}/ImageSets/SegmentationContext/{{s}}.txt"
VOC_PLACE = (
    f"{VOC}/JPEGImages/{{s}}_{{n:06d}}.jpg",
    f"{VOC}/SegmentationClassContext/{{s}}_{{n:06d}}.png",
)
LAYOUTS = {
    "cityscapes": Layout(
        (CITY.format("leftImg8bit", "leftImg8bit"), CITY.format("gtFine", "gtFine_labelIds")),
        tuple(range(34)),
    ),
    "ade20k": Layout(
        ("ade20k/{s}/image/ADE_{s}_{n:08d}.jpg", "ade20k/{s}/label/ADE_{s}_{n:08d}.png"),
        tuple(range(151)),
    ),
    "pascal-context-59": Layout(VOC_PLACE, tuple(range(60)), VOC_LIST, "{s}_{n:06d}"),
    "pascal-context-60": Layout(VOC_PLACE, tuple(range(60)), VOC_LIST, "{s}_{n:06d}"),
    "lip": Layout(
        (
            "lip/TrainVal_images/{s}_images/{n}_500.jpg",
            "lip/TrainVal_parsing_annotations/{s}_segmentations/{n}_500.png",
        ),
        tuple(range(20)),
    ),
    "coco-stuff": Layout(
        (
            "cocostuff/{s}/image/COCO_train2014_{n:012d}.jpg",
            "cocostuff/{s}/label/COCO_train2014_{n:012d}.png",
        ),
        (0, 1, 11, 13, 25, 27, 90, 92, 182),
    ),
    "camvid": Layout(
        ("CamVid/{s}/0001TP_{n:06d}.png", "CamVid/{s}annot/0001TP_{n:06d}.png"),
        tuple(range(12)),
    ),
}


def make(kind: str, root: Path, size: tuple[int, int] = SIZE) -> DataSpec:
    """Write 5 training and 3 validation pairs below `root`; return how a space file sees them.

    Masks store every id of the layout in turn, row by row from the pair's number on.
    """
    layout = LAYOUTS[kind]
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number in range(count):
            image, mask = (root / p.format(s=split, n=number) for p in layout.place)
            for path in (image, mask):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
            write_mask(mask, stored(kind, number, size))
        if layout.list:
            lines = [layout.line.format(s=split, n=number) + "\n" for number in range(count)]
            path = root / layout.list.format(s=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines))
    return replace(PRESETS[kind].spec, root=str(root))


def write_mask(path: Path, ids: Array) -> None:
    Image.fromarray(ids).save(path)


def stored(kind: str, number: int, size: tuple[int, int] = SIZE) -> Array:
    """Return the mask that `make` writes for a pair, uint8 [H, W] of stored ids."""
    ids = np.array(LAYOUTS[kind].ids, dtype=np.uint8)
    turn = (np.arange(size[0] * size[1]) + number) % len(ids)
    return ids[turn].reshape(size)
