"""A space file and its base to start from, filled from the data where they are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.init import DEFAULT_BASE
from hrnet_search.commands.init_text import (
    SHAPES,
    SHAPES_SIZE,
    Start,
    data_lines,
    flow,
    space_text,
    spelled,
)
from hrnet_search.errors import Fault, InputError, nearest, shown
from hrnet_search.paths import absolute, why_no_folder
from hrnet_search.records.data_spec import DATA_KINDS, IGNORED, DataSpec, Split

if TYPE_CHECKING:
    from hrnet_search.data.layout import Layout
    from hrnet_search.data.mask_contents import Classes, Contents
    from hrnet_search.data.places import Pair

SPACE, BASE = "space.yaml", "base.yaml"
FIRST_KIND = "cityscapes"
"""The data set that is known by its names of files alone."""

CLASS_LISTS = ("classes.txt", "class_names.txt", "labels.txt", "names.txt")


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, what was found, and what could not be found out."""

    space: Path
    base: Path
    found: tuple[str, ...]
    left: tuple[str, ...]


def init(
    folder: str | Path,
    data_root: str | Path | None = None,
    kind: str | None = None,
    base: str = DEFAULT_BASE,
) -> Written:
    """Write a space file, its base and its schema into a folder, which holds none of them yet.

    What is found below `data_root` fills the data section; what is not is left in comments. Raise
    InputError for names that are not known and for files that are there, StorageLostError.
    """
    from hrnet_search.arch.hrnet_yaml import config_text
    from hrnet_search.files import write_whole, writing
    from hrnet_search.space.published import PUBLISHED
    from hrnet_search.space.schema import SCHEMA_FILE, schema_text

    place = absolute(folder)
    _check_names(kind, base, list(PUBLISHED))
    _check_free(place)
    data = _Data(place)
    if data_root is not None:
        data.look(absolute(data_root), kind)
    else:
        data.unseen(kind or "shapes")
    written = Written(place / SPACE, place / BASE, tuple(data.found), tuple(data.left))
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    write_whole(written.base, config_text(PUBLISHED[base]).encode())
    write_whole(place / SCHEMA_FILE, schema_text().encode())
    write_whole(written.space, space_text(data.start(), PUBLISHED[base]).encode())
    return written


def _check_names(kind: str | None, base: str, bases: list[str]) -> None:
    faults = []
    for option, name, known in (("--kind", kind, list(DATA_KINDS)), ("--base", base, bases)):
        if name is not None and name not in known:
            wrong = f"{shown(name)} is not known{nearest(name, known)}"
            faults.append(Fault(option, name, wrong, ", ".join(known)))
    if faults:
        raise InputError(faults)


def _check_free(place: Path) -> None:
    from hrnet_search.space.schema import SCHEMA_FILE

    names = (SPACE, BASE, SCHEMA_FILE)
    there = [place / name for name in names if os.path.lexists(place / name)]
    if there:
        wrong = "is there already and is not overwritten"
        allowed = "another folder"
        raise InputError(Fault("", None, wrong, allowed, str(path)) for path in there)


class _Data:
    """The data section as it is found out: what was found, and what is left to say."""

    def __init__(self, place: Path) -> None:
        self.found: list[str] = []
        self.left: list[str] = []
        name = re.sub(r"[^A-Za-z0-9._-]", "_", place.name).strip(".")[:64]
        self._name = name if re.search("[A-Za-z_]", name) else "search"
        self._lines: list[str] = [SHAPES]
        self._size: tuple[int, int] | None = SHAPES_SIZE
        self._quick = True
        self._read: dict[tuple[Path, ...], Contents] = {}

    def start(self) -> Start:
        """Return what the space file begins with."""
        return Start(spelled(self._name), self._lines, self._size, self._quick)

    def unseen(self, kind: str) -> None:
        """Write what can be said of a kind of data that was not looked at."""
        if kind == "shapes":
            self.found.append("data: shapes, drawn; --data-root DIR looks at data of your own")
        elif kind == "folder":
            self._give_up("no --data-root: what the data hold", Path("/path/to/data"))
        else:
            self.left.append("data.root: no --data-root, so the data were not looked at")
            self._use(data_lines({"kind": kind}, {"root": "/path/to/data"}), None)

    def look(self, root: Path, kind: str | None) -> None:
        """Look at a folder and write what it holds."""
        from hrnet_search.presets import PRESETS

        if why := why_no_folder(str(root)):
            wrong = f"{shown(str(root), 300)} {why}"
            raise InputError(Fault("--data-root", str(root), wrong, "a folder"))
        if kind == "shapes":
            wrong, allowed = "data of kind shapes need no files", "another kind"
            raise InputError(Fault("--data-root", str(root), wrong, allowed))
        alike = [] if kind else self._alike(root)
        named = [one for one in alike if one == FIRST_KIND or _is_named(root, PRESETS[one].home)]
        if kind not in (None, "folder") or len(named) == 1:
            self._preset(kind or named[0], root)
            return
        self._folder(root)
        if alike:
            names = " or ".join(f"--kind {one}" for one in named or alike)
            self.left.append(f"data.kind: folders and ids are those of a known data set: {names}?")

    def _alike(self, root: Path) -> list[str]:
        """Return the known data sets whose folders a root has, with masks that hold their ids.

        One that is known by its names of files is that one. Folders called train and label are
        anybody's: others are meant where the folder of the data set has its name too.
        """
        from hrnet_search.presets import PRESETS

        if _fits(FIRST_KIND, root):
            return [FIRST_KIND]
        return [kind for kind, preset in PRESETS.items() if self._holds_ids_of(preset.spec, root)]

    def _holds_ids_of(self, spec: DataSpec, root: Path) -> bool:
        """Return whether a root holds what a known data set would, and no other ids."""
        pairs = _pairs(spec, root)
        found = self._contents(pairs)
        known = {stored for stored, _ in spec.mapping} or set(range(spec.classes))
        as_ids = bool(found.ids) and not found.two_palettes
        return as_ids and found.ids <= known | {spec.ignore, IGNORED}

    def _contents(self, pairs: list[Pair]) -> Contents:
        """Return what masks hold, which are read once."""
        from hrnet_search.data.mask_contents import contents_of

        masks = tuple(dict.fromkeys(pair.mask for pair in pairs))
        if masks not in self._read:
            self._read[masks] = contents_of(pairs)
        return self._read[masks]

    def _preset(self, kind: str, root: Path) -> None:
        from hrnet_search.data.layout import find_layout
        from hrnet_search.presets import PRESETS

        values, spec = {"kind": kind, "root": spelled(str(root))}, PRESETS[kind].spec
        if _fits(kind, root):
            self.found.append(f"data: {kind}, in the layout that it is published in")
            pairs = _pairs(spec, root)
        elif (layout := find_layout(root, spec)) is not None and layout.ends == spec.ends:
            values |= self._splits(layout)
            pairs = _pairs(layout.spec(root, spec), root)
        else:
            line = f"{shown(str(root), 300)} holds no images and masks as {kind} has them"
            self.left.append(f"data.train, data.val: {line}")
            lines = data_lines({"kind": kind}, {"root": spelled(str(root)), **_SPLITS})
            self._use(lines, None)
            return
        size, left = self._sizes(pairs)
        self._use(data_lines(values, left), size)

    def _folder(self, root: Path) -> None:
        from hrnet_search.data.folder import shortened
        from hrnet_search.data.layout import find_layout
        from hrnet_search.data.mask_contents import classes_of

        like = DataSpec("folder", 2)
        layout = find_layout(root, like)
        if layout is None:
            line = f"no images with masks were found below {shown(str(root), 300)}"
            self._give_up(f"{line}: where they are", root)
            return
        pairs = _pairs(layout.spec(root, like), root)
        found = self._contents(pairs)
        self.left += map(str, shortened([(fault.allowed, fault) for fault in found.unread]))
        values = {"kind": "folder", "root": spelled(str(root)), **self._splits(layout)}
        classes = classes_of(found)
        if isinstance(classes, str):
            self.left.append(f"data.classes: {classes}")
            self.left.append("data: shapes are drawn until it says which classes there are")
            commented = {**values, **_CLASSES}
            self._lines = [SHAPES, *_commented(data_lines(commented, {}))]
            return
        more, left = self._classes(classes, root)
        size, unknown = self._sizes(pairs)
        self._use(data_lines({**values, **more}, {**left, **unknown}), size)

    def _splits(self, layout: Layout) -> dict[str, str]:
        train = _split(layout.train)
        self.found.append(
            f"data: images and masks to train on are paired ({layout.pairs}): {train}"
        )
        values = {"train": train}
        if layout.val is None:
            why = "none of the splits is for it" if layout.aside else "nothing splits them"
            self.found.append(f"data: {why}, so a fifth is for validation")
            if layout.aside:
                self.left.append(f"data.val: {layout.aside} has masks too, and is left out")
            values["val"] = "{fraction: 0.2, seed: 0}"
        else:
            values["val"] = _split(layout.val)
        if layout.ends != ("", ""):
            values["ends"] = "[{}, {}]".format(*(spelled(end) for end in layout.ends))
        return values

    def _classes(self, found: Classes, root: Path) -> tuple[dict[str, str], dict[str, str]]:
        """Return what is said of classes, and what is left to say."""
        self.found.append(f"data: {found.count} classes occur in the masks")
        self.left += [f"data.classes: {note}" for note in found.notes]
        values = {"classes": str(found.count)}
        if found.mapping:
            pairs = (f"{stored}: {label}" for stored, label in found.mapping.items())
            values["mapping"] = f"{{{', '.join(pairs)}}}"
        if found.colours:
            colours = (f"{list(colour)}: {label}" for colour, label in found.colours.items())
            values["colors"] = f"{{{', '.join(colours)}}}"
        if names := _names(root, found.count):
            return {**values, "names": f"[{', '.join(map(spelled, names))}]"}, {}
        self.left.append("data.names: what the classes are called could not be found out")
        return values, {"names": f"[{', '.join(f'class_{i}' for i in range(found.count))}]"}

    def _sizes(self, pairs: list[Pair]) -> tuple[tuple[int, int] | None, dict[str, str]]:
        """Return the usual size of the images, and what is left to say of it."""
        from hrnet_search.data.mask_contents import sizes_of

        sizes = sizes_of(pairs)
        if not sizes:
            self.left.append("data.size: no image could be read")
            return None, {"size": "[512, 1024]"}
        usual = sizes[len(sizes) // 2]
        if sizes[0] == sizes[-1]:
            self.found.append(f"data: all images are {usual[0]} x {usual[1]} (height x width)")
            return usual, {
                "size": f"[{usual[0]}, {usual[1]}]                # another working size"
            }
        span = " to ".join(f"{height} x {width}" for height, width in (sizes[0], sizes[-1]))
        self.left.append(f"data.size: images differ, {span}: they are used as they are stored")
        return usual, {"size": f"[{usual[0]}, {usual[1]}]"}

    def _give_up(self, why: str, root: Path) -> None:
        """Leave the whole section in comments; drawn data stand in its place."""
        self.left.append(f"data: {why} is left in comments, and shapes are drawn until then")
        values = {"kind": "folder", "root": spelled(str(root)), **_SPLITS, **_CLASSES}
        self._lines = [SHAPES, *_commented(data_lines(values, {}))]

    def _use(self, lines: list[str], size: tuple[int, int] | None) -> None:
        self._lines, self._size, self._quick = lines, size, False


_SPLITS = {
    "train": "{images: images/train, masks: masks/train}",
    "val": "{images: images/val, masks: masks/val}     # or {fraction: 0.2, seed: 0}",
}
_CLASSES = {"classes": "2", "names": "[background, object]"}


def _commented(lines: list[str]) -> list[str]:
    return [f"# {line}" for line in lines]


def _split(split: Split) -> str:
    parts = {"images": split.images, "masks": split.masks, "list": split.list}
    return flow({key: value for key, value in parts.items() if value})


def _is_named(root: Path, home: str) -> bool:
    """Return whether a root holds a data set's folder, or is that folder."""
    parts = Path(home).parts
    return (root / home).is_dir() or root.parts[-len(parts) :] == parts


def _fits(kind: str, root: Path) -> bool:
    from hrnet_search.presets import PRESETS

    return bool(_pairs(PRESETS[kind].spec, root))


def _pairs(spec: DataSpec, root: Path) -> list[Pair]:
    """Return the pairs of both splits, none if one of them has none."""
    from hrnet_search.data.pairs import find_pairs

    parts = [find_pairs(replace(spec, root=str(root)), split).pairs for split in ("train", "val")]
    return [pair for part in parts for pair in part] if all(parts) else []


def _names(root: Path, count: int) -> list[str]:
    """Return what a list of classes beside the data says, one a line; empty if there is none."""
    for name in CLASS_LISTS:
        try:
            lines = (root / name).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError):
            continue
        names = [line.strip() for line in lines if line.strip()]
        if len(names) == count == len(set(names)) and all(n.isprintable() for n in names):
            return names
    return []
