"""Dataset: what every kind of data looks like, and the table of kinds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_search.data import shapes
from hrnet_search.data.contents import Contents, to_text
from hrnet_search.errors import DataError, Fault
from hrnet_search.inventory import Inventory, judged_on
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.space.load import SpaceFile, placed

Array = NDArray[np.uint8]

SPLITS = ("train", "val")


class Dataset(Protocol):
    """Images and masks of one split, decoded on every access; safe to read from threads."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Array, Array]:
        """Return image uint8 [H, W, 3] (RGB) and mask uint8 [H, W] of class ids or IGNORED.

        Raise IndexError past the end and DataError, naming the file, for what cannot be read.
        """
        ...

    def name(self, index: int, /) -> str:
        """Return what people call the image, unique in its split."""
        ...

    @property
    def key(self) -> str:
        """What names a copy of the decoded images: the split, and 12 hex digits of the options."""
        ...

    def size(self, index: int, /) -> tuple[int, int]:
        """Return (height, width) of an image without decoding it; raise DataError as above."""
        ...

    def stamp(self) -> str:
        """Return 64 hex digits that change with the options, and with any file's size or time."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """The functions of a data kind.

    `open(spec, split)` looks for files but decodes none; `inspect(spec, splits)` looks at
    everything; `contents(spec, splits)` reads every file, and `identity(spec)` is all else that
    tells two data sets apart, but not where they lie.
    """

    open: Callable[[DataSpec, str], Dataset]
    inspect: Callable[[DataSpec, Sequence[str]], tuple[Inventory, list[Fault]]]
    identity: Callable[[DataSpec], object]
    contents: Callable[[DataSpec, Sequence[str]], Contents]


def _drawn() -> Kind:
    return Kind(shapes.Shapes, shapes.inspect, shapes.identity, shapes.contents)


def _in_files() -> Kind:
    from hrnet_search.data import folder, inspection  # Pillow, which drawn data have no need of

    return Kind(folder.Folder, inspection.inspect, folder.identity, folder.contents)


DATASETS = {"shapes": _drawn, "folder": _in_files, **dict.fromkeys(PRESETS, _in_files)}


def open_dataset(spec: DataSpec, split: str) -> Dataset:
    """Open the `train` or `val` split. Raise DataError with every fault seen without decoding."""
    assert split in SPLITS, split
    return _kind(spec).open(spec, split)


def preflight(spec: DataSpec) -> list[Fault]:
    """Look at all data of both splits and return what is wrong, the first fault of each sort."""
    return _kind(spec).inspect(spec, SPLITS)[1]


def inspect_data(file: SpaceFile) -> Inventory:
    """Look at all data of a space file and return what they hold.

    Raise DataError, placed in the file, with the first fault of each sort.
    """
    spec = file.schedule.data
    try:
        inventory, faults = judged_on(inventory_of(spec), spec, file.goals)
    except DataError as error:
        faults = list(error.faults)
    if faults:
        raise DataError(placed(file, faults))
    return inventory


def inventory_of(spec: DataSpec, splits: Sequence[str] = SPLITS) -> Inventory:
    """Look at all data of splits and return what they hold.

    Raise DataError with the first fault of each sort.
    """
    inventory, faults = _kind(spec).inspect(spec, splits)
    if faults:
        raise DataError(faults)
    return inventory


def largest_sizes(spec: DataSpec) -> dict[str, tuple[int, int]]:
    """Return the largest height and the largest width of each split, decoding nothing.

    Raise DataError if the files cannot be listed.
    """
    found = {}
    for split in SPLITS:
        dataset = open_dataset(spec, split)
        heights, widths = zip(*(dataset.size(i) for i in range(len(dataset))), strict=True)
        found[split] = (max(heights), max(widths))
    return found


def contents_of(spec: DataSpec, splits: Sequence[str] = SPLITS) -> Contents:
    """Return what every file of splits holds, read whole; nothing of data that are drawn.

    Raise DataError if the files cannot be listed or read.
    """
    return _kind(spec).contents(spec, splits)


def fingerprint(spec: DataSpec, contents: Contents | None = None) -> str:
    """Return 12 hex digits over all bytes: equal for copies, whatever their place and times.

    `contents` are those of its files if they have been read. Raise DataError if the files cannot
    be listed or read.
    """
    files = contents_of(spec) if contents is None else contents
    content = repr(_kind(spec).identity(spec)) + to_text(files)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _kind(spec: DataSpec) -> Kind:
    if spec.kind not in DATASETS:
        wrong = f"{spec.kind!r} is not a kind of data"
        raise DataError(Fault("data.kind", spec.kind, wrong, ", ".join(DATASETS)))
    return DATASETS[spec.kind]()
