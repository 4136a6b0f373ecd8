"""Two folders paired by name: what is in them, which file goes with which, what is left over."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from hrnet_search.data.places import Found, Pair, Pairs, Place, better_root, chosen, is_image_name
from hrnet_search.errors import Fault, shown
from hrnet_search.paths import is_folder
from hrnet_search.records.data_spec import Split

Stems = dict[str, list[Path]]
"""Files by their path below a folder, without suffix and ending."""

DIGITS = "0123456789"
PARTS = ("images", "masks")


def matched(given: Split, place: Place) -> Pairs:
    """Return the pairs of two trees: files whose path below them is the same but the ending."""
    if missing := _missing_folders(given, place):
        return Pairs([], missing)
    files, odd, faults = _all_files(place)
    found = _by_stem(files, place)
    images, masks = (_one_a_stem(stems, part, place, faults) for stems, part in zip(
        found, PARTS, strict=True))  # fmt: skip
    notes: tuple[str, ...] = ()
    if images and masks and not images.keys() & masks.keys():
        images, masks, notes = _by_what_differs(images, masks)
    faults += _without_partner(images, masks, place.key)
    pairs = [Pair(stem, images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())]
    seen = {*images.values(), *masks.values()}
    unused = sorted(path for path in {*files[0], *files[1], *odd} if path not in seen)
    return Pairs(pairs, faults, tuple(unused), notes)


def walk(folder: Path) -> tuple[list[Path], list[OSError]]:
    """Return all files below a folder, and what could not be looked into.

    Links are followed, and each folder is entered once: real ones first, and never one that the
    given folder is in, so that loops end.
    """
    files, _, errors = _walked(folder)
    return files, errors


def _walked(folder: Path) -> tuple[list[Path], list[Path], list[OSError]]:
    """Return files, folders, and what could not be looked into."""
    files: list[Path] = []
    inner: list[Path] = []
    errors: list[OSError] = []
    real = Path(os.path.realpath(folder))
    entered = {_identity(parent) for parent in real.parents}
    waiting = deque([folder])
    while waiting:
        for here, folders, names in os.walk(waiting.popleft(), onerror=errors.append):
            inner += [Path(here, name) for name in folders]
            if (identity := _identity(here)) in entered:
                folders.clear()
                continue
            entered.add(identity)
            folders.sort()
            waiting.extend(Path(here, f) for f in folders if Path(here, f).is_symlink())
            files += [Path(here, name) for name in names]
    return files, inner, errors


def _identity(path: str | Path) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _missing_folders(given: Split, place: Place) -> Found:
    found: Found = []
    for part in PARTS:
        folder: Path = getattr(place, part)
        if not getattr(given, part) or not is_folder(folder):
            hint = better_root(place.spec, getattr(given, part))
            wrong = f"{shown(str(folder), 300)} is not a folder{hint}"
            fault = Fault(f"{place.key}.{part}", str(folder), wrong, _layout(given, place))
            found.append((f"no {part}", fault))
    return found


def _layout(given: Split, place: Place) -> str:
    """Return which files are read where, to a user whose folders are not there."""
    images, masks = (f"*{end}.*" if end else "" for end in place.ends)
    parts = ("images", images, given.images), ("masks", masks, given.masks)
    files = ", ".join(" ".join(filter(None, (*part[:2], "in", part[2]))) for part in parts)
    home = f" or its folder {place.spec.home}" if place.spec.home else ""
    return f"{files}, below the root{home}"


def _all_files(place: Place) -> tuple[tuple[list[Path], list[Path]], list[Path], Found]:
    """Return the files of both trees, what is there but is none, and faults for what cannot be
    read.

    None are pipes and the like, and folders that are named as images are and hold no file.
    """
    found: Found = []
    trees, odd = [], list[Path]()
    for part in PARTS:
        folder: Path = getattr(place, part)
        files, inner, errors = _walked(folder)
        key = f"{place.key}.{part}"
        for error in errors:
            wrong = f"{shown(str(error.filename), 300)} cannot be looked into ({error.strerror})"
            found.append(("closed", Fault(key, str(error.filename), wrong)))
        for path in files:
            if is_image_name(path.name) and path.is_symlink() and not path.exists():
                wrong = f"{shown(str(path), 300)} is a link to a file that is missing"
                found.append(("link", Fault(key, str(path), wrong, "files that exist")))
        trees.append([path for path in files if path.is_file()])
        odd += [path for path in files if not path.is_file()]
        holding = {parent for path in files for parent in path.parents}
        odd += [path for path in inner if is_image_name(path.name) and path not in holding]
    return (trees[0], trees[1]), odd, found


def _by_stem(files: tuple[list[Path], list[Path]], place: Place) -> tuple[Stems, Stems]:
    """Return what may be images and masks; a file that could be both is the one it looks more like.

    In one folder `1_mask.png` has the ending of masks, and any name has one that is empty; in a
    folder inside the other, files belong to the inner one.
    """
    trees = []
    for folder, end, paths in zip((place.images, place.masks), place.ends, files, strict=True):
        names = ((path, path.relative_to(folder)) for path in paths)
        trees.append({path: name for path, name in names if _is_of(name, end)})
    images, masks = trees
    both = images.keys() & masks.keys()
    image, mask = (
        (len(folder.parts), len(end))
        for folder, end in zip((place.images, place.masks), place.ends, strict=True)
    )
    for path in both if image != mask else ():
        del (images if mask > image else masks)[path]
    return _grouped(images, place.ends[0]), _grouped(masks, place.ends[1])


def _is_of(name: Path, end: str) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and is_image_name(name.name) and name.stem.endswith(end)


def _grouped(names: dict[Path, Path], end: str) -> Stems:
    found: Stems = {}
    for path, name in sorted(names.items()):
        found.setdefault(name.with_suffix("").as_posix().removesuffix(end), []).append(path)
    return found


def _one_a_stem(stems: Stems, part: str, place: Place, faults: Found) -> dict[str, Path]:
    found = {}
    for stem, files in stems.items():
        first, *others = chosen(part, files, place.is_one_folder)
        for path in others:
            wrong = f"{shown(str(path), 300)} has the stem of {first.name}"
            faults.append(("twice", Fault(f"{place.key}.{part}", str(path), wrong)))
        found[stem] = first
    return found


def _by_what_differs(
    images: dict[str, Path], masks: dict[str, Path]
) -> tuple[dict[str, Path], dict[str, Path], tuple[str, ...]]:
    """Pair names by what is left without what all images, and all masks, have in common.

    As in DRIVE, whose `21_training.tif` goes with `21_manual1.gif`. Both are returned as they are
    where that pairs nothing.
    """
    parts = [_shared(stems) for stems in (images, masks)]
    bare = [
        {_without(stem, *shared): path for stem, path in stems.items()}
        for stems, shared in zip((images, masks), parts, strict=True)
    ]
    kept = len(bare[0]) == len(images) and len(bare[1]) == len(masks)
    if not kept or not bare[0].keys() & bare[1].keys():
        return images, masks, ()
    names = [f"{shown(before)}*{shown(after)}" for before, after in parts]
    return bare[0], bare[1], (f"images {names[0]} are paired with masks {names[1]} by the *",)


def _shared(stems: Iterable[str]) -> tuple[str, str]:
    """Return how all names begin and how they end; never with a digit of a number that varies."""
    names = [stem.rpartition("/")[2] for stem in stems]
    if len(names) == 1:
        return "", ""
    begin = _common_start(names).rstrip(DIGITS)
    end = _common_start([name[len(begin) :][::-1] for name in names])[::-1].lstrip(DIGITS)
    return begin, end


def _common_start(names: list[str]) -> str:
    first, last = min(names), max(names)  # all others lie between these two
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[: min(len(first), len(last)) if count is None else count]


def _without(stem: str, begin: str, end: str) -> str:
    folder, slash, name = stem.rpartition("/")
    return folder + slash + name.removeprefix(begin).removesuffix(end)


def _without_partner(images: dict[str, Path], masks: dict[str, Path], key: str) -> Found:
    found: Found = []
    for stem in sorted(images.keys() ^ masks.keys()):
        partner, path = ("mask", images[stem]) if stem in images else ("image", masks[stem])
        wrong = f"{shown(str(path), 300)} has no {partner}"
        allowed = "image and mask of one path but the suffix, and ends if they differ"
        found.append((f"no {partner}", Fault(key, str(path), wrong, allowed)))
    return found
