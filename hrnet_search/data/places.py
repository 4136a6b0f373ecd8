"""Pairs of files, where a split's lie, and which files may be images or masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path, PurePath

from PIL import Image

from hrnet_search.errors import Fault, shown
from hrnet_search.records.data_spec import DataSpec

NO_PIXELS = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow tells by name but cannot decode by itself."""

IMAGES_FIRST = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp"})
MASKS_FIRST = frozenset({".png", ".bmp", ".pgm", ".tif", ".tiff", ".gif"})
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})

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
class Pairs:
    """What was found of a split: its pairs, and what is wrong with its folders or its list.

    `unused` are files of its folders that belong to no pair; `notes` say what was guessed.
    """

    pairs: list[Pair]
    faults: Found
    unused: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one split is looked for: its folders as paths, and what stems end in."""

    key: str
    images: Path
    masks: Path
    ends: tuple[str, str]
    spec: DataSpec

    @property
    def is_one_folder(self) -> bool:
        """Whether images and masks lie beside each other under names with one ending."""
        return self.ends[0] == self.ends[1] and is_same(self.images, self.masks)


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of all that Pillow decodes."""
    Image.init()
    found = Image.registered_extensions()
    return frozenset(s for s, name in found.items() if name in Image.OPEN and name not in NO_PIXELS)


def is_image_name(name: str) -> bool:
    """Return whether a name ends as those of images do, in any case, and is not hidden.

    `._x.jpg` and the like are what some systems put beside a file, and are not images.
    """
    return PurePath(name).suffix.lower() in suffixes() and not name.startswith(".")


def chosen(part: str, files: Sequence[Path], one_folder: bool) -> list[Path]:
    """Return which of several files of one stem may be the image, or the mask.

    More than one where that is not clear. Common formats come before rare ones, as a layered
    original may lie beside what was made of it, and for masks JPEG comes last: it changes labels.
    Where images and masks share folder and ending, the JPEG is the image.
    """

    def rank(path: Path) -> int:
        suffix = path.suffix.lower()
        if part == "masks":
            return 2 if suffix in JPEG_SUFFIXES else int(suffix not in MASKS_FIRST)
        jpeg_first = one_folder and len(files) > 1
        return int(suffix not in (JPEG_SUFFIXES if jpeg_first else IMAGES_FIRST))

    best = min(map(rank, files), default=0)
    return [path for path in files if rank(path) == best]


def better_root(spec: DataSpec, part: str) -> str:
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


def is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are one file or folder, by links or not."""
    return os.path.realpath(one) == os.path.realpath(other)
