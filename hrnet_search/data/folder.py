"""folder: images and masks in files, decoded and looked at; presets are read by it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data import decode
from hrnet_search.data.decode import read_image, read_mask, read_size, unusable
from hrnet_search.data.labels import Meaning, labels_of, meaning_of, palette_of
from hrnet_search.data.pairs import Found, Pair, find_pairs, list_path
from hrnet_search.errors import DataError, Fault, shown
from hrnet_search.records import IGNORED, DataSpec, hash_of

MASKS_HASHED = 64
NAMED = 2
"""Files with a fault of one sort that are named beside the first."""

Array = NDArray[np.uint8]
T = TypeVar("T")


class Folder:
    """One split; images are decoded on every access. Raise DataError if pairs are wrong."""

    def __init__(self, spec: DataSpec, split: str) -> None:
        faults = _option_faults(spec)
        self._pairs, more = find_pairs(spec, split)
        if faults or more:
            raise DataError(_shortened(faults + more))
        self._spec, self._split, self._meaning = spec, split, meaning_of(spec)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        pair, key = self._pair(index), f"data.{self._split}"
        image, stored, found = _decode(pair, key, self._spec.max_pixels)
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


def preflight(spec: DataSpec) -> list[Fault]:
    """Decode every image and mask; return the first fault of each sort with how many more."""
    found = _option_faults(spec)
    meaning = meaning_of(spec) if not found else None
    for split in ("train", "val"):
        key = f"data.{split}"
        pairs, faults = find_pairs(spec, split)
        found += faults
        look = partial(_look, meaning=meaning, key=key, most=spec.max_pixels)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            looks = list(pool.map(look, pairs))
        faults = [fault for look in looks for fault in look.faults]
        found += faults
        if not (spec.mapping or spec.colors):
            found += _two_palettes(pairs, looks, key)
        if pairs and not faults and meaning is not None:
            found += _too_few_classes(pairs, frozenset().union(*(s.classes for s in looks)), key)
    return _shortened(found)


def update(spec: DataSpec, feed: Callable[[bytes], None]) -> None:
    """Feed how files are decoded, what masks mean, and the files themselves.

    Of all files names and sizes, lists whole, up to 64 masks a split.
    """
    feed(repr((decode.VERSION, spec.classes, spec.ignore, spec.mapping, spec.colors)).encode())
    for split in ("train", "val"):
        pairs, faults = find_pairs(spec, split)
        if faults:
            raise DataError(_shortened(faults))
        if path := list_path(spec, split):
            feed(path.read_bytes())
        for pair in pairs:
            sizes = (pair.image.stat().st_size, pair.mask.stat().st_size)
            feed(repr((split, pair.name, pair.image.name, pair.mask.name, sizes)).encode())
        count = min(MASKS_HASHED, len(pairs))
        for place in np.linspace(0, len(pairs) - 1, count).round().astype(int):
            feed(pairs[place].mask.read_bytes())


def _options(spec: DataSpec) -> list[object]:
    """Return what decides which files are read, and what their pixels become."""
    splits = [asdict(spec.train), asdict(spec.val)]
    meaning = [spec.classes, spec.ignore, spec.mapping, spec.colors]
    return [splits, spec.home, spec.ends, *meaning, spec.size]


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def _shortened(found: Found) -> list[Fault]:
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


def _option_faults(spec: DataSpec) -> Found:
    found: Found = []
    if not 2 <= spec.classes <= IGNORED:
        wrong = f"{spec.classes} classes cannot be told apart"
        found.append(("c", Fault("data.classes", spec.classes, wrong, f"allowed: 2 to {IGNORED}")))
    for stored, target in spec.mapping:
        if not (0 <= stored <= 255 and (0 <= target < spec.classes or target == IGNORED)):
            wrong = f"{stored}: {target} maps to no class"
            allowed = f"allowed: 0..255 to 0..{spec.classes - 1} or {IGNORED}"
            found.append(("m", Fault("data.mapping", (stored, target), wrong, allowed)))
    if not Path(spec.root).is_dir():
        wrong = f"{shown(spec.root, 300)} is no folder"
        found.append(("r", Fault("data.root", spec.root, wrong, "allowed: where the data lie")))
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    """What is wrong with a pair, which classes its mask holds, and in which colours (indices)."""

    faults: Found
    classes: frozenset[int] = frozenset()
    palette: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


def _look(pair: Pair, meaning: Meaning | None, key: str, most: int) -> _Look:
    _, mask, found = _decode(pair, key, most)
    if mask is None or meaning is None:
        return _Look(found)
    labels = _tried(found, lambda: labels_of(mask, meaning, pair.mask, key))
    if labels is None:
        return _Look(found)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    return _Look(found, frozenset(present.tolist()) - {IGNORED}, palette_of(mask))


def _two_palettes(pairs: list[Pair], looks: list[_Look], key: str) -> Found:
    """Return a fault for each mask whose palette gives an index another colour than one before.

    Colours are drawn, indices are chosen by programs: those that make files smaller, and Pillow
    when it writes GIF, number the colours of each file anew.
    """
    seen: dict[int, tuple[tuple[int, ...], Pair]] = {}
    found: Found = []
    for pair, look in zip(pairs, looks, strict=True):
        for index, colour in look.palette.items():
            first, other = seen.setdefault(index, (colour, pair))
            if first != colour:
                wrong = (
                    f"{shown(str(pair.mask), 300)} has label {index} in the colour "
                    f"{list(colour)}, {other.mask.name} in {list(first)}"
                )
                allowed = "allowed: one palette, data.colors, or data.mapping if indices are meant"
                found.append(("palettes", Fault(key, str(pair.mask), wrong, allowed)))
                break
    return found


def _too_few_classes(pairs: list[Pair], classes: frozenset[int], key: str) -> Found:
    """Return a fault if the masks of a split leave nothing to tell apart."""
    if len(classes) >= 2:
        return []
    held = f"class {min(classes)} alone" if classes else "no labelled pixel"
    all_ = f" and the other {len(pairs) - 1} masks" if len(pairs) > 1 else ""
    wrong = f"{shown(str(pairs[0].mask), 300)}{all_}: {held}"
    allowed = "allowed: 2 classes or more; mapping says what stored ids mean, ignore which is none"
    return [("classes", Fault(key, str(pairs[0].mask), wrong, allowed))]


def _decode(
    pair: Pair, key: str, most: int
) -> tuple[Image.Image | None, Image.Image | None, Found]:
    """Return the image, RGB, its mask as it is stored, and what is wrong with them."""
    found: Found = []
    image = _tried(found, lambda: read_image(pair.image, key, most))
    mask = _tried(found, lambda: read_mask(pair.mask, key, most))
    if image is not None and mask is not None and image.size != mask.size:
        wrong = f"is {_size(mask)}, its image {pair.image.name} {_size(image)}"
        found += _sorted(unusable(pair.mask, key, wrong, "allowed: the same size"))
    return image, mask, found


def _tried(found: Found, read: Callable[[], T]) -> T | None:
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
