"""folder: images and masks in files, decoded and looked at; presets are read by it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data.pairs import Found, Pair, find_pairs, list_path
from hrnet_search.errors import DataError, Fault, shown
from hrnet_search.records import IGNORED, DataSpec, hash_of

MASK_MODES = ("1", "L", "P")
"""Pillow's names for one number of at most 8 bits a pixel; P is a palette, kept as indices."""

MASKS_HASHED = 64
NAMED = 2
"""Files with a fault of one sort that are named beside the first."""

Array = NDArray[np.uint8]


class Folder:
    """One split; images are decoded on every access. Raise DataError if pairs are wrong."""

    def __init__(self, spec: DataSpec, split: str) -> None:
        faults = _option_faults(spec)
        self._pairs, more = find_pairs(spec, split)
        if faults or more:
            raise DataError(_shortened(faults + more))
        self._spec, self._split, self._table = spec, split, _table(spec)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        image, mask, found = _decode(self._pair(index), self._table, f"data.{self._split}")
        if image is None or mask is None or found:
            raise DataError(fault for _, fault in found)
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
        found: Found = []
        image = _open(self._pair(index).image, f"data.{self._split}", found, pixels=False)
        if image is None:
            raise DataError(fault for _, fault in found)
        return image.height, image.width

    @property
    def key(self) -> str:
        return f"{self._split}-{hash_of(_options(self._spec))}"

    def stamp(self) -> str:
        digest = hashlib.sha256(repr(_options(self._spec)).encode())
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
    table = _table(spec) if not found else None
    for split in ("train", "val"):
        key = f"data.{split}"
        pairs, faults = find_pairs(spec, split)
        found += faults
        look = partial(_look, table=table, key=key)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            looks = list(pool.map(look, pairs))
        faults = [fault for faults, _ in looks for fault in faults]
        found += faults
        if pairs and not faults and table is not None:
            found += _too_few_classes(pairs, frozenset().union(*(s for _, s in looks)), key)
    return _shortened(found)


def update(spec: DataSpec, feed: Callable[[bytes], None]) -> None:
    """Feed the label mapping, names and sizes of all files, lists whole, up to 64 masks a split."""
    feed(repr((spec.classes, spec.ignore, spec.mapping)).encode())
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
    return [splits, spec.home, spec.ends, spec.classes, spec.ignore, spec.mapping, spec.size]


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


def _table(spec: DataSpec) -> NDArray[np.int16]:
    """Return what each stored id becomes, int16 [256]; -1 where it is not allowed."""
    table = np.full(256, -1, dtype=np.int16)
    if not spec.mapping:
        table[: spec.classes] = range(spec.classes)
    if 0 <= spec.ignore <= 255:
        table[spec.ignore] = IGNORED
    for stored, target in spec.mapping:
        table[stored] = target
    return table


def _look(pair: Pair, table: NDArray[np.int16] | None, key: str) -> tuple[Found, frozenset[int]]:
    """Return what is wrong with a pair, and which classes its mask holds."""
    _, labels, found = _decode(pair, table, key)
    if labels is None:
        return found, frozenset()
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    return found, frozenset(present.tolist()) - {IGNORED}


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
    pair: Pair, table: NDArray[np.int16] | None, key: str
) -> tuple[Image.Image | None, Array | None, Found]:
    """Return the RGB image, the mask as class ids if `table` is given, and what is wrong."""
    found: Found = []
    opened = [_open(path, key, found) for path in (pair.image, pair.mask)]
    image, mask = opened
    if image is not None and (image.mode == "F" or image.mode.startswith("I")):
        found.append(_wrong(key, pair.image, f"is {image.mode}", "allowed: 8 bits a channel"))
        image = None
    labels = _labels(mask, pair.mask, table, key, found) if mask is not None else None
    if image is not None and mask is not None and image.size != mask.size:
        wrong = f"is {_size(mask)}, its image {pair.image.name} {_size(image)}"
        found.append(_wrong(key, pair.mask, wrong, "allowed: the same size"))
    return image.convert("RGB") if image is not None else None, labels, found


def _labels(
    mask: Image.Image, path: Path, table: NDArray[np.int16] | None, key: str, found: Found
) -> Array | None:
    if mask.mode not in MASK_MODES:
        allowed = "allowed: one channel of 8 bits, or a palette"
        found.append(_wrong(key, path, f"is a mask of mode {mask.mode}", allowed))
        return None
    stored = np.asarray(mask).astype(np.uint8)
    if table is None:
        return stored
    labels = table[stored]
    if (labels < 0).any():
        value = int(stored[labels < 0][0])
        known = ", ".join(map(str, np.flatnonzero(table >= 0)))
        found.append(_wrong(key, path, f"holds label {value}", f"allowed: {shown(known)}"))
    return labels.astype(np.uint8)


def _open(path: Path, key: str, found: Found, pixels: bool = True) -> Image.Image | None:
    try:
        with Image.open(path) as image:
            if pixels:
                image.load()
            return image
    except Exception as error:  # a broken file makes Pillow raise almost anything
        wrong = f"cannot be read ({shown(str(error))})"
        found.append(_wrong(key, path, wrong, "allowed: a whole image file"))
        return None


def _wrong(key: str, path: Path, wrong: str, allowed: str) -> tuple[str, Fault]:
    return allowed, Fault(key, str(path), f"{shown(str(path), 300)} {wrong}", allowed)


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
