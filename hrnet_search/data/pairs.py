"""Which image goes with which mask: folders paired by stem, or the lines of a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hrnet_search.errors import Fault, shown
from hrnet_search.records import DataSpec, Split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp"})
MASK_SUFFIXES = frozenset({".png", ".bmp", ".pgm", ".tif", ".tiff"})

MOST_BESIDE = 1000
"""Entries of a root that are looked at for a better one."""

Found = list[tuple[str, Fault]]
"""Faults with their sort, of which a report keeps the first."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask: paths, and the name that both go by."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one split is looked for: its folders as paths, and what stems end in."""

    key: str
    images: Path
    masks: Path
    ends: tuple[str, str]
    spec: DataSpec


def split_of(spec: DataSpec, split: str) -> Split:
    return spec.train if split == "train" else spec.val


def home_of(spec: DataSpec) -> Path:
    """Return the data set's folder: its own name below the root if that is there, else the root."""
    below = Path(spec.root, spec.home)
    return below if below.is_dir() else Path(spec.root)


def list_path(spec: DataSpec, split: str) -> Path | None:
    """Return a split's list file, below the root as the library has it, or the data set's folder.

    None without a list.
    """
    name = split_of(spec, split).list
    if not name:
        return None
    below_root = Path(spec.root, name)
    return below_root if below_root.is_file() else home_of(spec) / name


def find_pairs(spec: DataSpec, split: str) -> tuple[list[Pair], Found]:
    """Return the pairs of a split, and what is wrong with its folders or its list."""
    if not Path(spec.root).is_dir():
        return [], []  # a fault of its own
    given, home = split_of(spec, split), home_of(spec)
    place = _Place(f"data.{split}", home / given.images, home / given.masks, spec.ends, spec)
    path = list_path(spec, split)
    pairs, found = _listed(path, given, place) if path else _matched(given, place)
    if not pairs and not found:
        where = str(path) if path else f"{place.images} with {place.masks}"
        wrong = f"{shown(where, 300)} holds no image with a mask"
        found.append(("empty", Fault(place.key, where, wrong, "allowed: at least 1")))
    return pairs, found


def _listed(path: Path, given: Split, place: _Place) -> tuple[list[Pair], Found]:
    """Return the pairs of a list file, one a line: image, white space, mask; or a stem."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        wrong = f"{shown(str(path), 300)} cannot be read{_better_root(place.spec, given.list)}"
        fault = Fault(f"{place.key}.list", str(path), wrong, "allowed: a text file")
        return [], [("list", fault)]
    pairs, found = list[Pair](), Found()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        pair = _named(words[0], place) if len(words) == 1 else _spelled(words, place)
        if pair is None:
            found.append(_bad_line(path, number, line, place))
            continue
        missing = [file for file in (pair.image, pair.mask) if not file.is_file()]
        found += [_missing(file, place.key) for file in missing]
        if not missing:
            found += _strangers(pair, place)
            pairs.append(pair)
    return pairs, found


def _spelled(words: list[str], place: _Place) -> Pair | None:
    """Return the pair of a line that names image and mask.

    More words are allowed behind two files that are there: the library's LIP lists have them.
    """
    image, mask = place.images / words[0], place.masks / words[1]
    if len(words) > 2 and not (image.is_file() and mask.is_file()):
        return None  # more likely a name with a space
    # The mask is part of the name: a list may hold one image with two masks.
    return Pair(f"{words[0]} {words[1]}", image, mask)


def _named(word: str, place: _Place) -> Pair | None:
    """Return the pair that a line of one word names: a stem, or an image without its mask."""
    image_end, mask_end = place.ends
    suffix = Path(word).suffix if Path(word).suffix.lower() in IMAGE_SUFFIXES else ""
    stem = word.removesuffix(suffix)
    stem = stem.removesuffix(image_end) if suffix else stem
    endings = [suffix] if suffix else sorted(IMAGE_SUFFIXES)
    image = _first_file(place.images, stem + image_end, endings)
    mask = _first_file(place.masks, stem + mask_end, sorted(MASK_SUFFIXES))
    if image is None or mask is None or image == mask:
        return None
    return Pair(stem, image, mask)


def _first_file(folder: Path, stem: str, suffixes: list[str]) -> Path | None:
    for suffix in suffixes:
        path = folder / (stem + suffix)
        if path.is_file():
            return path
    return None


def _bad_line(path: Path, number: int, line: str, place: _Place) -> tuple[str, Fault]:
    key, where = f"{place.key}.list", f"{shown(str(path), 300)} line {number}"
    if (place.images / line.strip()).is_file():
        wrong = f"{where} names {shown(line.strip(), 300)} without a mask"
        allowed = "allowed: lists with masks; images alone can be neither trained on nor judged"
        return "no mask", Fault(key, line, wrong, allowed)
    allowed = "allowed: an image and a mask, without spaces in their names, or a stem of both"
    return "line", Fault(key, line, f"{where} is {shown(line)!r}", allowed)


def _strangers(pair: Pair, place: _Place) -> Found:
    """Return a fault for a file that is none of this data set's: its ids may mean something else.

    Cityscapes has masks of label ids, of training ids and of colours beside each other.
    """
    return [
        (
            f"end of {what}",
            Fault(
                place.key,
                str(path),
                f"{shown(str(path), 300)} is no {what} of this data set",
                f"allowed: a name that ends in {end}{path.suffix}",
            ),
        )
        for what, path, end in zip(
            ("image", "mask"), (pair.image, pair.mask), place.ends, strict=True
        )
        if not path.stem.endswith(end)
    ]


def _matched(given: Split, place: _Place) -> tuple[list[Pair], Found]:
    """Return the pairs of two trees: files whose path below them is the same but the ending."""
    found: Found = []
    trees: list[dict[str, Path]] = []
    for part, suffixes, end in (
        ("images", IMAGE_SUFFIXES, place.ends[0]),
        ("masks", MASK_SUFFIXES, place.ends[1]),
    ):
        folder: Path = getattr(place, part)
        if not getattr(given, part) or not folder.is_dir():
            hint = _better_root(place.spec, getattr(given, part))
            wrong, allowed = f"{shown(str(folder), 300)} is no folder{hint}", _layout(given, place)
            fault = Fault(f"{place.key}.{part}", str(folder), wrong, allowed)
            found.append((f"no {part}", fault))
        trees.append({})
        for path in _files(folder, suffixes, end) if not found else ():
            stem = path.relative_to(folder).with_suffix("").as_posix().removesuffix(end)
            if stem in trees[-1]:
                wrong = f"{shown(str(path), 300)} has the stem of {trees[-1][stem].name}"
                found.append(("twice", Fault(f"{place.key}.{part}", str(path), wrong)))
            trees[-1][stem] = path
    if not found:
        found = _without_partner(trees[0], trees[1], place.key)
    both = sorted(trees[0].keys() & trees[1].keys())
    return [Pair(stem, trees[0][stem], trees[1][stem]) for stem in both], found


def _layout(given: Split, place: _Place) -> str:
    """Return which files are read where, to a user whose folders are not there."""
    images, masks = (f"*{end}.*" if end else "" for end in place.ends)
    parts = ("images", images, given.images), ("masks", masks, given.masks)
    files = ", ".join(" ".join(filter(None, (*part[:2], "in", part[2]))) for part in parts)
    home = f" or its folder {place.spec.home}" if place.spec.home else ""
    return f"allowed: {files}, below the root{home}"


def _better_root(spec: DataSpec, part: str) -> str:
    """Return a hint at a folder next to the root below which a part of the data set stands."""
    if not part or Path(part).is_absolute():
        return ""
    root = Path(spec.root).resolve()
    try:
        for other in (*root.parents[:2], *sorted(islice(root.iterdir(), MOST_BESIDE))):
            if any(Path(other, home, part).exists() for home in ("", spec.home)):
                return f", did you mean the root {shown(str(other), 300)}?"
    except OSError:  # a folder that may not be looked into
        pass
    return ""


def _without_partner(images: dict[str, Path], masks: dict[str, Path], key: str) -> Found:
    found: Found = []
    for stem in sorted(images.keys() ^ masks.keys()):
        partner, path = ("mask", images[stem]) if stem in images else ("image", masks[stem])
        wrong = f"{shown(str(path), 300)} has no {partner}"
        allowed = "allowed: image and mask of one path but the suffix"
        found.append((f"no {partner}", Fault(key, str(path), wrong, allowed)))
    return found


def _files(folder: Path, suffixes: frozenset[str], end: str) -> Iterator[Path]:
    for path in sorted(folder.rglob(f"*{end}.*")):
        # `._x.jpg` and the like are what some systems put beside a file, and no image.
        known = path.suffix.lower() in suffixes and path.stem.endswith(end)
        if known and not path.name.startswith(".") and path.is_file():
            yield path


def _missing(path: Path, key: str) -> tuple[str, Fault]:
    return "missing", Fault(key, str(path), f"{shown(str(path), 300)} is missing")
