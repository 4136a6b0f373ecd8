"""Every image and mask of a data set in files, looked at before anything is trained on them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from hrnet_search.data.decode import pages_of
from hrnet_search.data.folder import SPLITS, decode_pair, option_faults, shortened, tried
from hrnet_search.data.labels import Meaning, labels_of, meaning_of, palette_of
from hrnet_search.data.pairs import find_pairs
from hrnet_search.data.places import Found, Pair, Pairs
from hrnet_search.errors import Fault, shown
from hrnet_search.inventory import NAMED_FILES, Inventory, SplitInventory, some
from hrnet_search.records.data_spec import IGNORED, DataSpec

LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "WEBP": "WebP", "AVIF": "AVIF"}
"""What Pillow calls formats that change pixels, and what people do; JPEG always does."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A pair as it was decoded: what is wrong, which classes it holds, what its image shows.

    `palette` is the colour of each index of its mask, if it is one of indices; `lossy` the format
    of its mask, if it changes pixels; `pages` are its files of several images, and how many.
    """

    pair: Pair
    found: Found
    classes: frozenset[int]
    content: bytes
    lossy: str
    palette: Mapping[int, tuple[int, ...]]
    pages: tuple[tuple[Path, int], ...] = ()


def inspect(spec: DataSpec, splits: Sequence[str] = SPLITS) -> tuple[Inventory, list[Fault]]:
    """Decode every image and mask; return what they hold, and the first fault of each sort.

    Of splits that are not looked at nothing is said.
    """
    found = option_faults(spec)
    meaning = meaning_of(spec) if not found else None
    parts = dict.fromkeys(SPLITS, Pairs([], []))
    looks: dict[str, list[_Look]] = {split: [] for split in SPLITS}
    for split in splits:
        parts[split] = find_pairs(spec, split)
        if split == splits[0] or not spec.val_fraction:  # else they are those of train
            found += parts[split].faults
        looks[split] = _looks(parts[split].pairs, meaning, f"data.{split}", spec.max_pixels)
        faults = [fault for look in looks[split] for fault in look.found]
        found += faults
        if looks[split] and not faults and meaning is not None:
            found += _too_few_classes(looks[split], f"data.{split}")
    if not (spec.mapping or spec.colors):
        found += _two_palettes(looks)
    train, val = (_inventory(parts[split], looks[split]) for split in SPLITS)
    warnings = _warnings(looks["train"], looks["val"])
    return Inventory(train, val, tuple(warnings)), shortened(found)


def _looks(pairs: list[Pair], meaning: Meaning | None, key: str, most: int) -> list[_Look]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(partial(_look, meaning=meaning, key=key, most=most), pairs))


def _look(pair: Pair, meaning: Meaning | None, key: str, most: int) -> _Look:
    image, mask, found = decode_pair(pair, key, most)
    labels = None
    if mask is not None and meaning is not None:
        labels = tried(found, lambda: labels_of(mask, meaning, pair.mask, key))
    counts = np.bincount(labels.ravel(), minlength=256) if labels is not None else np.zeros(256)
    classes = frozenset(np.flatnonzero(counts).tolist()) - {IGNORED}
    palette = palette_of(mask) if mask is not None and labels is not None else {}
    counted = ((path, pages_of(path)) for path in (pair.image, pair.mask))
    pages = tuple((path, count) for path, count in counted if count > 1)
    return _Look(pair, found, classes, _content(image), _lossy(mask), palette, pages)


def _lossy(mask: Image.Image | None) -> str:
    """Return the format of a mask that changes pixels, or may; empty for none."""
    if mask is None:
        return ""
    in_tiff = mask.info.get("compression") == "jpeg"
    return "JPEG" if in_tiff else LOSSY.get(mask.format or "", "")


def _content(image: Image.Image | None) -> bytes:
    """Return what is equal for images with equal pixels, whatever their format; empty for none."""
    if image is None:
        return b""
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(np.asarray(image).data)
    return digest.digest()


def _two_palettes(looks: Mapping[str, list[_Look]]) -> Found:
    """Return a fault for each mask whose palette gives an index another colour than one before.

    Colours are drawn, indices are chosen by programs: those that make files smaller, and Pillow
    when it writes GIF, number the colours of each file anew.
    """
    seen: dict[int, tuple[tuple[int, ...], Pair]] = {}
    found: Found = []
    for key, look in ((f"data.{split}", look) for split, part in looks.items() for look in part):
        for index, colour in look.palette.items():
            first, other = seen.setdefault(index, (colour, look.pair))
            if first != colour:
                wrong = (
                    f"{shown(str(look.pair.mask), 300)} has label {index} in the colour "
                    f"{list(colour)}, {other.mask.name} in {list(first)}"
                )
                allowed = "one palette, data.colors, or data.mapping if indices are meant"
                found.append(("palettes", Fault(key, str(look.pair.mask), wrong, allowed)))
                break
    return found


def _too_few_classes(looks: list[_Look], key: str) -> Found:
    """Return a fault if the masks of a split leave nothing to distinguish."""
    classes = frozenset().union(*(look.classes for look in looks))
    if len(classes) >= 2:
        return []
    first = str(looks[0].pair.mask)
    held = f"class {min(classes)} alone" if classes else "no labelled pixel"
    all_ = f" and the other {len(looks) - 1} masks" if len(looks) > 1 else ""
    wrong = f"{shown(first, 300)}{all_}: {held}"
    allowed = "2 classes or more; mapping says what stored ids mean, ignore which one is no class"
    return [("classes", Fault(key, first, wrong, allowed))]


def _inventory(found: Pairs, looks: list[_Look]) -> SplitInventory:
    return SplitInventory(
        images=len({pair.image for pair in found.pairs}),
        masks=len({pair.mask for pair in found.pairs}),
        classes=tuple(sorted(frozenset().union(*(look.classes for look in looks)))),
        unused=len(found.unused),
        unused_names=tuple(path.name for path in found.unused[:NAMED_FILES]),
        notes=found.notes,
        pairs=len(found.pairs),
    )


def _warnings(train: Sequence[_Look], val: Sequence[_Look]) -> Iterator[str]:
    if shared := _shared(train, val):
        yield shared
    if several := dict(page for look in (*train, *val) for page in look.pages):
        yield _several(several)
    for what in dict.fromkeys(LOSSY.values()):
        if masks := sorted({look.pair.mask for look in (*train, *val) if look.lossy == what}):
            yield _changed(masks, what)


def _several(pages: Mapping[Path, int]) -> str:
    """Return a warning where files hold more images than the one that is read."""
    names = tuple(map(_short, pages))
    files = "1 file holds" if len(pages) == 1 else f"{len(pages)} files hold"
    return (
        f"{files} several images, the first of which is read and the other"
        f" {sum(pages.values()) - len(pages)} are not ({some(names, len(names))}): write each to a"
        " file of its own"
    )


def _shared(train: Sequence[_Look], val: Sequence[_Look]) -> str:
    """Return a warning where images are trained on and judged on."""
    first = {look.content: look.pair.image for look in reversed(train) if look.content}
    trained = {os.path.realpath(look.pair.image) for look in train}
    images = {look.pair.image: look for look in val}
    same = {path: first[look.content] for path, look in images.items() if look.content in first}
    if not same:
        return ""
    copies = {p: other for p, other in same.items() if os.path.realpath(p) not in trained}
    names = [f"{_short(path)} is {_short(other)}" if path in copies else _short(path)
             for path, other in same.items()]  # fmt: skip
    copied = f", {len(copies)} of them as copies" if copies else ""
    return (
        f"{len(same)} of {len(images)} validation images are trained on as well{copied} "
        f"({some(tuple(names), len(names))}): accuracy on them says little about new images"
    )


def _short(path: Path) -> str:
    """Return a file's name with that of its folder."""
    return "/".join(path.parts[-2:])


def _changed(paths: Sequence[Path], what: str) -> str:
    """Return a warning of masks in a format that changes pixels."""
    names = tuple(map(_short, paths))
    masks = "1 mask is" if len(names) == 1 else f"{len(names)} masks are"
    unless = "" if what == "JPEG" else " unless written as lossless"
    return (
        f"{masks} {what} ({some(names, len(names))}), which changes labels at edges{unless}: "
        "PNG keeps them as they were drawn"
    )
