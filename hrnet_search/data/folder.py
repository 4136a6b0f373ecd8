"""folder: images and masks in files, paired by stem or by the HRNet library's `.lst` files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.errors import DataError, Fault, shown
from hrnet_search.records import IGNORED, DataSpec, Split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp"})
MASK_SUFFIXES = frozenset({".png", ".bmp", ".pgm", ".tif", ".tiff"})
MASK_MODES = ("1", "L", "P")
"""Pillow's names for one number of at most 8 bits a pixel; P is a palette, kept as indices."""

MASKS_HASHED = 64

Array = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask: paths, and the name that both go by."""

    name: str
    image: Path
    mask: Path


class Folder:
    """One split; images are decoded on every access. Raise DataError if pairs are wrong."""

    def __init__(self, spec: DataSpec, split: str) -> None:
        faults = _option_faults(spec)
        self._pairs, more = _pairs(spec, split)
        if faults or more:
            raise DataError(_shortened(faults + more))
        self._spec, self._split, self._table = spec, split, _table(spec)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if not 0 <= index < len(self._pairs):
            raise IndexError(index)
        image, mask, found = _decode(self._pairs[index], self._table, f"data.{self._split}")
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


def preflight(spec: DataSpec) -> list[Fault]:
    """Decode every image and mask; return the first fault of each sort with how many more."""
    found = _option_faults(spec)
    table = _table(spec) if not found else None
    for split in ("train", "val"):
        pairs, faults = _pairs(spec, split)
        found += faults
        decode = partial(_faults_of, table=table, key=f"data.{split}")
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            found += [fault for faults in pool.map(decode, pairs) for fault in faults]
    return _shortened(found)


def update(spec: DataSpec, feed: Callable[[bytes], None]) -> None:
    """Feed names and sizes of all files, list files whole, and up to 64 masks of each split."""
    for split in ("train", "val"):
        pairs, faults = _pairs(spec, split)
        if faults:
            raise DataError(_shortened(faults))
        if name := _split(spec, split).list:
            feed((Path(spec.root) / name).read_bytes())
        for pair in pairs:
            sizes = (pair.image.stat().st_size, pair.mask.stat().st_size)
            feed(repr((split, pair.name, pair.image.name, pair.mask.name, sizes)).encode())
        count = min(MASKS_HASHED, len(pairs))
        for place in np.linspace(0, len(pairs) - 1, count).round().astype(int):
            feed(pairs[place].mask.read_bytes())


def _split(spec: DataSpec, split: str) -> Split:
    return spec.train if split == "train" else spec.val


Found = list[tuple[str, Fault]]
"""Faults with their sort, of which a report keeps the first."""


def _shortened(found: Found) -> list[Fault]:
    sorts: dict[str, list[Fault]] = {}
    for sort, fault in found:
        sorts.setdefault(sort, []).append(fault)
    return [_and_more(faults[0], len(faults) - 1) for faults in sorts.values()]


def _and_more(fault: Fault, more: int) -> Fault:
    if not more:
        return fault
    return Fault(fault.path, fault.value, f"{fault.wrong} (and {more} more)", fault.allowed)


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


def _pairs(spec: DataSpec, split: str) -> tuple[list[Pair], Found]:
    place, key = _split(spec, split), f"data.{split}"
    root = Path(spec.root)
    if not root.is_dir():
        return [], []  # a fault of its own
    pairs, found = (_listed if place.list else _matched)(root, place, key)
    if not pairs and not found:
        where = place.list or f"{place.images} with {place.masks}"
        wrong = f"{shown(where, 300)} holds no image with a mask"
        found.append(("empty", Fault(key, where, wrong, "allowed: at least 1")))
    return pairs, found


def _listed(root: Path, place: Split, key: str) -> tuple[list[Pair], Found]:
    """Return the pairs of a list file, one a line: image, white space, mask."""
    path = root / place.list
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        wrong = f"{shown(str(path), 300)} cannot be read"
        return [], [("list", Fault(f"{key}.list", place.list, wrong, "allowed: a text file"))]
    pairs, found = list[Pair](), Found()
    for number, line in enumerate(lines, start=1):
        match line.split():
            case []:
                continue
            case [image, mask]:
                # The mask is part of the name: a list may hold one image with two masks.
                pair = Pair(f"{image} {mask}", root / image, root / mask)
                pairs.append(pair)
                found += [_missing(p, key) for p in (pair.image, pair.mask) if not p.is_file()]
            case _:
                wrong = f"{shown(str(path), 300)} line {number} is {shown(line)!r}"
                allowed = "allowed: an image and a mask, without spaces in their names"
                found.append(("line", Fault(f"{key}.list", line, wrong, allowed)))
    return [pair for pair in pairs if pair.image.is_file() and pair.mask.is_file()], found


def _matched(root: Path, place: Split, key: str) -> tuple[list[Pair], Found]:
    """Return the pairs of two trees: files whose path below them is the same but the suffix."""
    found: Found = []
    trees: list[dict[str, Path]] = []
    for part, suffixes in (("images", IMAGE_SUFFIXES), ("masks", MASK_SUFFIXES)):
        folder = root / getattr(place, part)
        if not getattr(place, part) or not folder.is_dir():
            wrong = f"{shown(str(folder), 300)} is no folder"
            found.append((f"no {part}", Fault(f"{key}.{part}", str(folder), wrong)))
        trees.append({})
        for path in _files(folder, suffixes) if not found else ():
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if stem in trees[-1]:
                wrong = f"{shown(str(path), 300)} has the stem of {trees[-1][stem].name}"
                found.append(("twice", Fault(f"{key}.{part}", str(path), wrong)))
            trees[-1][stem] = path
    if not found:
        images, masks = trees
        for stem in sorted(images.keys() ^ masks.keys()):
            partner, path = ("mask", images[stem]) if stem in images else ("image", masks[stem])
            wrong = f"{shown(str(path), 300)} has no {partner}"
            allowed = "allowed: image and mask of one path but the suffix"
            found.append((f"no {partner}", Fault(key, str(path), wrong, allowed)))
    both = sorted(trees[0].keys() & trees[1].keys())
    return [Pair(stem, trees[0][stem], trees[1][stem]) for stem in both], found


def _files(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        # `._x.jpg` and the like are what some systems put beside a file, and no image.
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            yield path


def _missing(path: Path, key: str) -> tuple[str, Fault]:
    return "missing", Fault(key, str(path), f"{shown(str(path), 300)} is missing")


def _faults_of(pair: Pair, table: NDArray[np.int16] | None, key: str) -> Found:
    return _decode(pair, table, key)[2]


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


def _open(path: Path, key: str, found: Found) -> Image.Image | None:
    try:
        with Image.open(path) as image:
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
