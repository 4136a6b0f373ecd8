"""folder: images and masks in files, decoded and looked at; presets are read by it too."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.content_hash import hash_of
from hrnet_search.data import decode
from hrnet_search.data.contents import Contents, FileContent, digests_of
from hrnet_search.data.decode import read_image, read_mask, read_size, unusable
from hrnet_search.data.labels import labels_of, meaning_of
from hrnet_search.data.pairs import find_pairs, home_of, list_path, split_of
from hrnet_search.data.places import Found, Pair
from hrnet_search.errors import DataError, Fault, shown
from hrnet_search.paths import expanded, why_no_folder
from hrnet_search.records.data_spec import IGNORED, DataSpec

SPLITS = ("train", "val")
NAMED = 2
"""Files with a fault of one sort that are named beside the first."""

Array = NDArray[np.uint8]
T = TypeVar("T")


class Folder:
    """One split; images are decoded on every access. Raise DataError if pairs are wrong."""

    def __init__(self, spec: DataSpec, split: str) -> None:
        faults = option_faults(spec)
        found = find_pairs(spec, split)
        if faults or found.faults:
            raise DataError(shortened(faults + found.faults))
        self._pairs = found.pairs
        self._spec, self._split, self._meaning = spec, split, meaning_of(spec)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        pair, key = self._pair(index), f"data.{self._split}"
        image, stored, found = decode_pair(pair, key, self._spec.max_pixels)
        if image is None or stored is None or found:
            raise DataError(fault for _, fault in found)
        mask = labels_of(stored, self._meaning, pair.mask, key)
        if self._spec.size is not None:
            # Pillow wants width first; both filters take pixel centres, so the two stay aligned.
            size = self._spec.size[::-1]
            image = image.resize(size, Image.Resampling.BILINEAR)
            mask = np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        return np.array(image), mask

    def name(self, index: int) -> str:
        return self._pairs[index].name

    def size(self, index: int) -> tuple[int, int]:
        if self._spec.size is not None:
            return self._spec.size
        return read_size(self._pair(index).image, f"data.{self._split}", self._spec.max_pixels)

    @property
    def key(self) -> str:
        return f"{self._split}-{hash_of(_options(self._spec))}"

    def stamp(self) -> str:
        digest = hashlib.sha256(repr((decode.VERSION, _options(self._spec))).encode())
        for pair in self._pairs:
            digest.update(repr((pair.name, _state(pair.image), _state(pair.mask))).encode())
        return digest.hexdigest()

    def _pair(self, index: int) -> Pair:
        if not 0 <= index < len(self._pairs):
            raise IndexError(index)
        return self._pairs[index]


def identity(spec: DataSpec) -> object:
    """Return what else tells data sets apart: how files are decoded, and what masks mean."""
    return (decode.VERSION, spec.classes, spec.ignore, spec.mapping, spec.colors)


def contents(spec: DataSpec, splits: Sequence[str] = SPLITS) -> Contents:
    """Read every file of splits whole: lists, images and masks. Raise DataError."""
    named: list[tuple[str, str, str, Path]] = []
    for split in splits:
        found = find_pairs(spec, split)
        if found.faults:
            raise DataError(shortened(found.faults))
        if path := list_path(spec, split):
            named.append((split, "list", path.name, path))
        given = split_of(spec, split)
        images, masks = (home_of(spec) / expanded(part) for part in (given.images, given.masks))
        for pair in found.pairs:
            named.append((split, "image", _below(pair.image, images), pair.image))
            named.append((split, "mask", _below(pair.mask, masks), pair.mask))
    try:
        digests = digests_of(path for *_, path in named)
    except OSError as error:
        path = Path(error.filename)
        raise unusable(path, "data", f"cannot be read ({error.strerror})", "files") from None
    return tuple(FileContent(split, part, name, digests[path]) for split, part, name, path in named)


def _below(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _options(spec: DataSpec) -> list[object]:
    """Return what decides which files are read, and what their pixels become."""
    splits = [asdict(spec.train), asdict(spec.val)]
    meaning = [spec.classes, spec.ignore, spec.mapping, spec.colors]
    drawn = [spec.val_fraction, spec.seed] if spec.val_fraction else []
    return [splits, spec.home, spec.ends, *meaning, spec.size, *drawn]


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def shortened(found: Found) -> list[Fault]:
    sorts: dict[str, list[Fault]] = {}
    for sort, fault in found:
        sorts.setdefault(sort, []).append(fault)
    return [_and_more(*faults) for faults in sorts.values()]


def _and_more(fault: Fault, *more: Fault) -> Fault:
    """Return the first fault of a sort with how many more there are, and what of."""
    if not more:
        return fault
    names = [shown(str(f.value), 300) for f in more[:NAMED]]
    keyed = [
        name if f.path == fault.path else f"{f.path}: {name}"
        for f, name in zip(more, names, strict=False)
    ]
    rest = ["..."] if len(more) > NAMED else []
    wrong = f"{fault.wrong} (and {len(more)} more: {', '.join([*keyed, *rest])})"
    return replace(fault, wrong=wrong)


def option_faults(spec: DataSpec) -> Found:
    found: Found = []
    if not 2 <= spec.classes <= IGNORED:
        wrong = f"{spec.classes} classes cannot be distinguished"
        found.append(("c", Fault("data.classes", spec.classes, wrong, f"2 to {IGNORED}")))
    for stored, target in spec.mapping:
        if not (0 <= stored <= 255 and (0 <= target < spec.classes or target == IGNORED)):
            wrong = f"{stored}: {target} maps to no class"
            allowed = f"0..255 to 0..{spec.classes - 1} or {IGNORED}"
            found.append(("m", Fault("data.mapping", (stored, target), wrong, allowed)))
    if why := why_no_folder(spec.root):
        wrong = f"{shown(spec.root, 300)} {why}"
        found.append(("r", Fault("data.root", spec.root, wrong, "where the data are")))
    return found


def decode_pair(
    pair: Pair, key: str, most: int
) -> tuple[Image.Image | None, Image.Image | None, Found]:
    """Return the image, RGB, its mask as it is stored, and what is wrong with them."""
    found: Found = []
    image = tried(found, lambda: read_image(pair.image, key, most))
    mask = tried(found, lambda: read_mask(pair.mask, key, most))
    if image is not None and mask is not None and image.size != mask.size:
        wrong = f"is {_size(mask)}, its image {pair.image.name} {_size(image)}"
        found += _sorted(unusable(pair.mask, key, wrong, "the same size"))
    return image, mask, found


def tried(found: Found, read: Callable[[], T]) -> T | None:
    """Return what `read` returns, or None with its faults in `found`."""
    try:
        return read()
    except DataError as error:
        found += _sorted(error)
        return None


def _sorted(error: DataError) -> Found:
    """Return the faults of files with their sort, which what is allowed instead tells."""
    return [(fault.allowed, fault) for fault in error.faults]


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
