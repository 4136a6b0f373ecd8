"""What the pixels of a mask mean: class ids, by a table of numbers or of colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data.decode import transparent, unusable
from hrnet_search.errors import shown
from hrnet_search.records.data_spec import IGNORED, DataSpec

COLOURS_NAMED = 8
"""Colours of a mask that a fault names, the most frequent first."""

UNKNOWN = -1

Array = NDArray[np.uint8]
Codes = NDArray[np.int32]
"""Colours as numbers: red * 2^16 + green * 2^8 + blue."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What becomes of what masks store.

    `numbers` int16 [256] holds the class of each number, UNKNOWN where it is not allowed. With
    `colours`, sorted, colours are looked up instead: `classes` int16 holds the class of each,
    `other` that of the rest.
    """

    numbers: NDArray[np.int16]
    colours: Codes
    classes: NDArray[np.int16]
    other: int = UNKNOWN


def meaning_of(spec: DataSpec) -> Meaning:
    """Return what masks of a data set mean, which has to be without faults in its options."""
    table = np.full(256, UNKNOWN, dtype=np.int16)
    if not spec.mapping:
        table[: spec.classes] = range(spec.classes)
    if 0 <= spec.ignore <= 255:
        table[spec.ignore] = IGNORED
    for stored, target in spec.mapping:
        table[stored] = target
    known = {_code(colour): target for colour, target in spec.colors if colour}
    other = next((target for colour, target in spec.colors if not colour), UNKNOWN)
    colours = np.array(sorted(known), dtype=np.int32)
    classes = np.array([known[code] for code in sorted(known)], dtype=np.int16)
    return Meaning(table, colours, classes, other)


def labels_of(mask: Image.Image, meaning: Meaning, path: Path, key: str) -> Array:
    """Return the class ids of a mask, uint8 [H, W], IGNORED where there is none.

    Raise DataError with a fault of `key` that says what else the mask at `path` holds.
    """
    if len(meaning.colours):
        return _by_colour(_opaque(mask, path, key), meaning, path, key)
    stored = _numbers(mask, path, key)
    labels = meaning.numbers[stored]
    if (labels == UNKNOWN).any():
        value = int(stored[labels == UNKNOWN][0])
        known = shown(", ".join(map(str, np.flatnonzero(meaning.numbers != UNKNOWN))))
        jpeg = (
            "; JPEG changes labels at edges: masks have to be PNG" if mask.format == "JPEG" else ""
        )
        raise unusable(path, key, f"holds label {value}", f"{known}{jpeg}")
    return labels.astype(np.uint8)


def palette_of(mask: Image.Image) -> dict[int, tuple[int, ...]]:
    """Return the colour of each index that a mask with a palette uses; nothing without one."""
    if mask.mode != "P":
        return {}
    used = np.flatnonzero(np.bincount(np.asarray(mask).ravel(), minlength=256))
    colours = mask.getpalette("RGB") or []
    return {int(index): tuple(colours[3 * index : 3 * index + 3]) for index in used}


def held_by(mask: Image.Image, path: Path, key: str) -> tuple[set[int], set[tuple[int, ...]]]:
    """Return the numbers that a mask stores and, if it is not grey, the colours that it shows.

    Raise DataError with a fault of `key` for a mask that nothing can be read from.
    """
    mask = _opaque(mask, path, key)
    codes = np.unique(_codes(mask)).tolist()
    colours: set[tuple[int, ...]] = {(c >> 16, c >> 8 & 255, c & 255) for c in codes}
    if mask.mode == "RGB":
        grey: set[int] = {red for red, green, blue in colours if red == green == blue}
        return (grey, set()) if len(grey) == len(colours) else (set(), colours)
    ids: set[int] = set(np.unique(_numbers(mask, path, key)).tolist())
    return ids, colours if mask.mode == "P" else set()


def _numbers(mask: Image.Image, path: Path, key: str) -> Array:
    """Return one number a pixel, uint8 [H, W]: of a palette its indices, of 1 bit 0 and 255.

    So do the library's readers; RGB of equal channels is grey, as for its readers with OpenCV.
    """
    mask = _opaque(mask, path, key)
    if mask.mode == "1":
        mask = mask.convert("L")
    stored = np.array(mask)
    if mask.mode in ("L", "P"):
        return stored
    if not (stored == stored[..., :1]).all():
        allowed = "one number a pixel, or data.colors: {[R, G, B]: class}"
        raise unusable(path, key, f"is a mask in {_listed(_codes(mask))}", allowed)
    return stored[..., 0]


def _by_colour(mask: Image.Image, meaning: Meaning, path: Path, key: str) -> Array:
    codes = _codes(mask)
    place = np.searchsorted(meaning.colours, codes).clip(max=len(meaning.colours) - 1)
    known = meaning.colours[place] == codes
    if meaning.other == UNKNOWN and not known.all():
        allowed = "colours in data.colors, or `other: ignore` there"
        raise unusable(path, key, f"holds {_listed(codes[~known], ' without a class')}", allowed)
    return np.where(known, meaning.classes[place], meaning.other).astype(np.uint8)


def _opaque(mask: Image.Image, path: Path, key: str) -> Image.Image:
    """Return a mask of 8 bits without its alpha channel, which has to be opaque."""
    if mask.mode in ("LA", "RGBA"):
        clear = int((np.asarray(mask.getchannel("A")) < 255).sum())
        if clear:
            raise transparent(path, key, clear)
        return mask.convert(mask.mode[:-1])
    if mask.mode in ("1", "L", "P", "RGB"):
        return mask
    allowed = "one channel of 8 bits, a palette, or RGB"
    raise unusable(path, key, f"is a mask of mode {mask.mode}", allowed)


def _codes(mask: Image.Image) -> Codes:
    mask.info.pop("transparency", None)  # of a palette: Pillow warns that RGB cannot keep it
    red, green, blue = np.moveaxis(np.asarray(mask.convert("RGB")).astype(np.int32), -1, 0)
    codes: Codes = (red << 16) | (green << 8) | blue
    return codes


def _code(colour: Sequence[int]) -> int:
    red, green, blue = colour
    return (red << 16) | (green << 8) | blue


def _listed(codes: Codes, what: str = "") -> str:
    """Return how many colours pixels have and which, the most frequent first."""
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    named = [
        f"[{code >> 16}, {code >> 8 & 255}, {code & 255}] ({count} pixels)"
        for code, count in zip(found[order[:COLOURS_NAMED]], counts[order], strict=False)
    ]
    more = [f"and {len(found) - COLOURS_NAMED} more"] if len(found) > COLOURS_NAMED else []
    return f"{len(found)} colour{'s' * (len(found) > 1)}{what}: {', '.join([*named, *more])}"
