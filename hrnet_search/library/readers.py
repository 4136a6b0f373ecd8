"""The HRNet library's five data readers: which one reads a study's data, and what it takes.

Facts of `lib/datasets/` on branch HRNet-OCR; lists and sizes are those of `experiments/`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_search.records.data_spec import IGNORED, DataSpec

NAMES = ("cityscapes", "ade20k", "pascal_ctx", "lip", "cocostuff")
"""What DATASET.DATASET may be; the library evaluates it as a name."""

OWN_LISTS = ("train.lst", "val.lst")
SHIFTED = 59
"""With this many classes `pascal_ctx` subtracts 1 from every id; with others it takes them."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader for data that it was written for.

    `lists` are those of training and validation, `long_side` the pixels that BASE_SIZE means,
    `test` (width, height) what is judged at once.
    """

    name: str
    lists: tuple[str, str]
    long_side: int
    test: tuple[int, int]


def _lists(folder: str) -> tuple[str, str]:
    return f"list/{folder}/train.lst", f"list/{folder}/val.lst"


PASCAL = Reader("pascal_ctx", ("train", "val"), 520, (520, 520))
READERS = {
    "cityscapes": Reader("cityscapes", _lists("cityscapes"), 2048, (2048, 1024)),
    "ade20k": Reader("ade20k", _lists("ade20k"), 520, (520, 520)),
    "pascal-context-59": PASCAL,
    "pascal-context-60": PASCAL,
    "lip": Reader("lip", ("list/lip/trainList.txt", "list/lip/valList.txt"), 473, (473, 473)),
    "coco-stuff": Reader("cocostuff", _lists("cocostuff"), 520, (520, 520)),
}
"""The library's own reader by kind of data; other kinds have none."""


def list_reader(classes: int) -> str:
    """Return the reader that takes ids of lists of (image, mask) as they are stored."""
    return "lip" if classes == SHIFTED else PASCAL.name


def is_renumbered(data: DataSpec) -> bool:
    """Return whether masks hold other ids than classes, which no reader of the library knows."""
    if data.kind in READERS:
        return False
    moved = any(stored != label for stored, label in data.mapping if label != IGNORED)
    return moved or len(_ignored(data)) > 1 or bool(data.colors)


def ignored_label(data: DataSpec) -> int:
    """Return the label of pixels that count nowhere, in masks as a target reads them.

    Where masks are renumbered it is that of the masks that have to be written.
    """
    if data.kind in READERS or is_renumbered(data):
        return IGNORED
    ignored = _ignored(data)
    return ignored.pop() if ignored else data.ignore


def _ignored(data: DataSpec) -> set[int]:
    """Return the stored ids that a mapping says to ignore."""
    return {stored for stored, label in data.mapping if label == IGNORED}
