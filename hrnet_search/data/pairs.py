"""Which image goes with which mask: by folders, by a list, or a part of those of training."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from hrnet_search.data.lists import listed
from hrnet_search.data.places import Found, Pairs, Place, is_same
from hrnet_search.data.trees import matched
from hrnet_search.errors import Fault, shown
from hrnet_search.paths import expanded, is_file, is_folder
from hrnet_search.records.data_spec import DataSpec, Split


def split_of(spec: DataSpec, split: str) -> Split:
    return spec.train if split == "train" else spec.val


def home_of(spec: DataSpec) -> Path:
    """Return the data set's folder: its own name below the root if that is there, else the root."""
    below = Path(spec.root, spec.home)
    return below if is_folder(below) else Path(spec.root)


def list_path(spec: DataSpec, split: str) -> Path | None:
    """Return a split's list file, below the root as the library has it, or the data set's folder.

    None without a list.
    """
    name = expanded(split_of(spec, split).list)
    if not name:
        return None
    below_root = Path(spec.root, name)
    return below_root if is_file(below_root) else home_of(spec) / name


def find_pairs(spec: DataSpec, split: str) -> Pairs:
    """Return the pairs of a split, and what is wrong with its folders or its list."""
    if not is_folder(spec.root):
        return Pairs([], [])  # a fault of its own
    if not spec.val_fraction:
        return _given(spec, split)
    return _drawn(_given(spec, "train"), spec, split)


def _given(spec: DataSpec, split: str) -> Pairs:
    """Return the pairs of a split's own folders or list."""
    given, home = split_of(spec, split), home_of(spec)
    images, masks = (home / expanded(part) for part in (given.images, given.masks))
    place = Place(f"data.{split}", images, masks, spec.ends, spec)
    path = list_path(spec, split)
    found = listed(path, given, place) if path else matched(given, place)
    found.faults.extend(_own_masks(found, place.key))
    if not found.pairs and not found.faults:
        where = str(path) if path else f"{place.images} with {place.masks}"
        wrong = f"{shown(where, 300)} holds no image with a mask"
        found.faults.append(("empty", Fault(place.key, where, wrong, "at least 1")))
    return found


def _own_masks(found: Pairs, key: str) -> Found:
    """Return a fault for each image that is given as its own mask, under whatever name."""
    faults: Found = []
    for pair in found.pairs:
        if is_same(pair.image, pair.mask):
            wrong = f"{shown(str(pair.image), 300)} is both an image and its own mask"
            allowed = "two folders, or data.ends where both are in one: ['', _mask]"
            faults.append(("own mask", Fault(key, str(pair.image), wrong, allowed)))
    return faults


def _drawn(whole: Pairs, spec: DataSpec, split: str) -> Pairs:
    """Return a split's part of pairs that lie together.

    Images are drawn by a hash of seed and name: their order on disk means nothing, and a file
    more leaves most where they are. An image with two masks stays with both.
    """
    names: dict[Path, str] = {}
    for pair in whole.pairs:
        names[pair.image] = min(pair.name, names.get(pair.image, pair.name))
    if len(names) < 2 and not whole.faults:
        wrong = f"{len(names)} image cannot be shared among training and validation"
        fault = Fault("data.val.fraction", spec.val_fraction, wrong, "2 images or more")
        return Pairs([], [("fraction", fault)])

    def draw(image: Path) -> bytes:
        name = f"{spec.seed} {names[image]}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(name).digest()

    count = min(len(names) - 1, max(1, round(spec.val_fraction * len(names))))
    held_out = set(sorted(names, key=draw)[: max(0, count)])
    pairs = [pair for pair in whole.pairs if (pair.image in held_out) == (split == "val")]
    if split == "val":  # what is left over is that of train, and counted there
        whole = Pairs([], whole.faults)
    return replace(whole, pairs=pairs)
