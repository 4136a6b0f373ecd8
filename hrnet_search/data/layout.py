"""How a folder that nobody has described holds images and masks: found by names and contents.

What is found is said as a space file says it, and `pairs.py` is asked whether it holds.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from hrnet_search.data.pairs import find_pairs
from hrnet_search.data.places import is_image_name
from hrnet_search.data.trees import walk
from hrnet_search.records.data_spec import DataSpec, Split

MASK_WORDS = re.compile(
    r"(?i)(?<![a-z])(masks?|labels?|labelids|labelled|labeled|annot\w*|gt\w*|ground.?truth|seg\w*"
    r"|targets?|parsing\w*|manual\w*)(?![a-z])|segmentationclass\w*|annot"
)
IMAGE_WORDS = re.compile(
    r"(?i)(?<![a-z])(images?|imgs?|jpegimages|leftimg8bit|rgb|photos?|pictures?|inputs?)(?![a-z])"
)
SPLITS = {"train": "train(?:ing)?", "val": "val(?:id)?(?:ation)?", "test": "test(?:ing)?"}
_BEHIND = r"(?=$|[^a-z]|sets?|images?|imgs?|masks?|labels?|annot|gt)"
SPLIT_WORDS = {
    name: re.compile(rf"(?i)(?<![a-z])(?:{word}){_BEHIND}") for name, word in SPLITS.items()
}
FEW_COLOURS = 64
"""Distinct values of a file up to which it looks like a mask."""

LOOKED_AT = 4
FRACTION = 0.2
"""What is judged on of images that nothing splits."""

MOST_FOLDERS = 200
LISTS = (".txt", ".lst")


Looks = Callable[[Path], float]
"""How far a file looks like a mask, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where images and masks are, as a space file says it; `val` is None where none is for it.

    `pairs` is how many images have a mask in what is trained on; `aside` is the word for a split
    of both that is neither.
    """

    train: Split
    val: Split | None
    ends: tuple[str, str]
    pairs: int
    aside: str = ""

    def spec(self, root: Path, like: DataSpec) -> DataSpec:
        """Return the data set with these places below a root."""
        return replace(
            like,
            root=str(root),
            train=self.train,
            val=self.val or Split(),
            val_fraction=0.0 if self.val else FRACTION,
            ends=self.ends,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Files of one folder, or of the same folder of each split: {} stands for the split."""

    template: str
    stems: dict[str, dict[str, list[Path]]]

    @property
    def whole(self) -> str:
        """The split that is trained on, empty where there are no splits."""
        return "train" if "train" in self.stems else ""

    def of(self, split: str) -> dict[str, list[Path]]:
        return self.stems.get(split, {})


@dataclass(frozen=True, slots=True)
class _Candidate:
    images: _Place
    masks: _Place
    ends: tuple[str, str]
    pairs: int
    score: float


def find_layout(root: Path, like: DataSpec) -> Layout | None:
    """Return how `root` holds images and masks, None if no way pairs any without a fault.

    `like` says what is known of the data set beside its places. Of several ways, names that say
    mask or image come first, then what files hold, then how many are paired.
    """
    places = _places(root)
    found = sorted(_candidates(places), key=lambda c: (-c.score, -c.pairs, c.images.template))
    for candidate in found:
        for layout in _layouts(root, candidate):
            spec = layout.spec(root, like)
            train, val = (find_pairs(spec, split) for split in ("train", "val"))
            if train.pairs and val.pairs:
                return replace(layout, pairs=len(train.pairs))
    return None


def _places(root: Path) -> list[_Place]:
    """Return the folders that hold images, those of splits together, the fullest first."""
    found: dict[str, dict[str, dict[str, list[Path]]]] = defaultdict(lambda: defaultdict(dict))
    for path in walk(root)[0]:
        name = path.relative_to(root)
        if is_image_name(name.name) and not any(part.startswith(".") for part in name.parts):
            template, split = _template(name.parent)
            found[template][split].setdefault(name.stem, []).append(path)
    places = [_Place(template, dict(stems)) for template, stems in found.items()]
    kept = [place for place in places if place.of(place.whole)]
    return sorted(kept, key=lambda p: -len(p.of(p.whole)))[:MOST_FOLDERS]


def _template(folder: Path) -> tuple[str, str]:
    """Return a folder with {} for the word that names its split, and the split."""
    parts = list(PurePosixPath(folder.as_posix()).parts)
    for i, part in enumerate(parts):
        for split, word in SPLIT_WORDS.items():
            if match := word.search(part):
                parts[i] = f"{part[: match.start()]}{{}}{part[match.end() :]}"
                return "/".join(parts), split
    return "/".join(parts), ""


def _candidates(places: Sequence[_Place]) -> Iterator[_Candidate]:
    looks = cache(_looks_like_mask)  # a folder is held against all others: its files are read once
    for images in places:
        for masks in places:
            if images.whole != masks.whole:
                continue
            for ends, pairs in _ends(images, masks):
                score = _score(images, masks, ends, looks)
                if pairs or score > 0:  # else any two folders of as many photos would be a pair
                    yield _Candidate(images, masks, ends, pairs, score)


def _ends(images: _Place, masks: _Place) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield what names of images and of masks end in where that pairs them, and how many."""
    here, there = images.of(images.whole), masks.of(masks.whole)
    if images is masks:
        shared = sum(len(paths) == 2 for paths in here.values())
    else:
        shared = len(here.keys() & there.keys())
    if shared:
        yield ("", ""), shared
        return
    for end in dict.fromkeys(("", _common_end(list(here)))):
        bare = {stem.removesuffix(end) for stem in here}
        behind = Counter(
            rest for stem in there for cut in range(1, len(stem))
            if (rest := stem[cut:]) and stem[:cut] in bare and rest != end
            and not rest[0].isdigit()
        )  # fmt: skip
        for rest, count in behind.most_common(8):
            yield (end, rest), count
        if behind:
            return
    if images is not masks and min(len(here), len(there)) > 1 and len(here) == len(there):
        yield ("", ""), 0  # names that differ in what all have in common: trees.py pairs them


def _common_end(stems: Sequence[str]) -> str:
    """Return how all stems end, from a sign that parts words; of one stem its last word."""
    if len(stems) == 1:
        return match[0] if (match := re.search(r"[_.-][A-Za-z]+$", stems[0])) else ""
    end = stems[0]
    for stem in stems:
        while end and not stem.endswith(end):
            end = end[1:]
    return end if end[:1] in ("_", "-", ".") else ""


def _score(images: _Place, masks: _Place, ends: tuple[str, str], looks: Looks) -> float:
    """Return how well names and contents say that the one are images and the other masks."""
    mask_names = [f"{masks.template}/{ends[1]}", f"{images.template}/{ends[0]}"]
    mask_word, image_is_mask = (bool(MASK_WORDS.search(name)) for name in mask_names)
    named = 2.0 * (mask_word - image_is_mask)
    named += bool(IMAGE_WORDS.search(images.template)) - bool(IMAGE_WORDS.search(masks.template))
    shares = _mask_share(masks, ends[1], looks, last=True), _mask_share(images, ends[0], looks)
    return named + 2 * (shares[0] - shares[1])


def _mask_share(place: _Place, end: str, looks: Looks, last: bool = False) -> float:
    """Return the share of some files of a folder that look like masks; `last` of one stem."""
    ending = [paths for stem, paths in place.of(place.whole).items() if stem.endswith(end)]
    chosen = ending[:: max(1, len(ending) // LOOKED_AT)][:LOOKED_AT]
    files = [sorted(paths, key=_mask_suffix)[-1 if last else 0] for paths in chosen]
    return sum(map(looks, files)) / max(1, len(files))


def _mask_suffix(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".gif", ".bmp", ".tif", ".tiff")


def _looks_like_mask(path: Path) -> float:
    try:
        with path.open("rb") as file, Image.open(file) as image:  # of a path, Pillow maps the file
            if image.format in ("JPEG", "MPO"):
                return 0.0
            if image.mode in ("1", "P"):
                return 1.0
            pixels = np.asarray(image)
    except Exception:  # a broken file makes Pillow raise almost anything; `check` names it
        return 0.0
    if pixels.ndim == 2:
        return float(len(np.unique(pixels)) <= FEW_COLOURS)
    codes = sum(pixels[..., i].astype(np.int32) << 8 * i for i in range(min(3, pixels.shape[2])))
    return 0.5 * (len(np.unique(codes)) <= FEW_COLOURS)


def _layouts(root: Path, found: _Candidate) -> Iterator[Layout]:
    """Yield the ways to say where a candidate's images and masks are, the best first."""
    images, masks = _without_shared_tail(found.images.template, found.masks.template)

    def split(name: str, listed: str = "") -> Split:
        parts = (images, found.images), (masks, found.masks)
        places = [(part.replace("{}", _word(place, name)) or ".") for part, place in parts]
        return Split(places[0], places[1], listed)

    if found.images.whole:
        others = {"val", "test"} & found.images.stems.keys() & found.masks.stems.keys()
        judged = split("val") if "val" in others else None
        aside = _word(found.images, "test") if "test" in others else ""
        yield Layout(split("train"), judged, found.ends, found.pairs, aside)
        return
    for train, val in _lists(root):
        yield Layout(split("", train), split("", val), found.ends, found.pairs)
    yield Layout(split(""), None, found.ends, found.pairs)


def _word(place: _Place, split: str) -> str:
    """Return how the folders of a place spell a split."""
    for paths in place.of(split).values() if split else ():
        for part in paths[0].parent.parts[::-1]:
            if match := SPLIT_WORDS[split].search(part):
                return match[0]
    return split


def _without_shared_tail(images: str, masks: str) -> tuple[str, str]:
    """Return two folders without the folders in them that both share, down to the split."""
    one, other = images.split("/"), masks.split("/")
    while len(one) > 1 and len(other) > 1 and one[-1] == other[-1] and "{}" not in one[-1]:
        one, other = one[:-1], other[:-1]
    return "/".join(one), "/".join(other)


def _lists(root: Path) -> Iterator[tuple[str, str]]:
    """Yield lists of training and validation images next to each other."""
    names = {path.relative_to(root).as_posix() for path in walk(root)[0]
             if path.suffix.lower() in LISTS}  # fmt: skip
    for name in sorted(names, key=lambda n: ("seg" not in n.lower(), n)):
        stem = PurePosixPath(name).name.lower()
        if stem.startswith("train") and not stem.startswith("trainval"):
            folder, _, file = name.rpartition("/")
            for word in ("val", "valid", "validation"):
                other = re.sub(r"(?i)^train(ing)?", word, file)
                beside = f"{folder}/{other}" if folder else other
                if beside in names:
                    yield name, beside
