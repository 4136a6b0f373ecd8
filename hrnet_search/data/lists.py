"""A list file: an image and its mask a line, or a stem of both."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hrnet_search.data.places import (
    Found,
    Pair,
    Pairs,
    Place,
    better_root,
    chosen,
    is_image_name,
)
from hrnet_search.errors import Fault, shown
from hrnet_search.paths import is_file, is_folder
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import Split

SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
MOST_COLUMNS = 16
"""Longer lines are split at every space; shorter ones are also read as names that hold spaces."""

FLAGS = ("1", "-1", "0")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WINDOWS_ROOT = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def listed(path: Path, given: Split, place: Place) -> Pairs:
    """Return the pairs that a list file names."""
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except (OSError, UnicodeError) as error:
        why = " as UTF-8 or UTF-16" if isinstance(error, UnicodeError) else ""
        wrong = f"{shown(str(path), 300)} cannot be read{why}{better_root(place.spec, given.list)}"
        fault = Fault(f"{place.key}.list", str(path), wrong, "a text file")
        return Pairs([], [("list", fault)])
    reader = _Reader(path, place)
    pairs, found = list[Pair](), Found()
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line:
            continue
        ways = reader.ways(line)
        if len(ways) == 1:
            found += _strangers(ways[0], place)
            found += reader.outside(number, ways[0])
            pairs.append(ways[0])
        else:
            found += reader.faults(number, line, ways)
    return Pairs(pairs, found, notes=(*_flag_notes(path, lines), *_repeat_notes(path, pairs)))


def decoded(content: bytes) -> str:
    """Return the text of a list: UTF-8, or UTF-16 as some editors and shells write it."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\0" in content[:2]:  # no name begins with NUL: half of a UTF-16 letter
        return content.decode("utf-16-be" if content[:1] == b"\0" else "utf-16-le")
    return content.decode("utf-8")


class _Reader:
    """Reads lines; every folder that they name is listed once."""

    def __init__(self, path: Path, place: Place) -> None:
        self._path, self._place = path, place
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        own = (Path(place.spec.root), place.images, place.masks)
        self._roots = tuple(Path(os.path.normpath(folder)) for folder in own)

    def ways(self, line: str) -> list[Pair]:
        """Return the pairs of files that a line can mean; one if it is clear, none if wrong.

        Lines come without the spaces and tabs at their ends.
        """
        words = line.split("\t") if "\t" in line else line.split()
        if len(words) > 1 and (pair := self._spelled(words[0].strip(), words[1].strip())):
            return [pair]  # more columns are ignored: the library's LIP lists have them
        if "\t" not in line and len(words) < MOST_COLUMNS:
            ways = [self._spelled(*names) for names in _columns(line)]
            if found := list(dict.fromkeys(filter(None, ways))):
                return found
        pair = self._named(line)
        return [pair] if pair else []

    def faults(self, number: int, line: str, ways: list[Pair]) -> Found:
        """Return what is wrong with a line that no pair, or more than one, could be read from.

        Never nothing: no line is left out without a word.
        """
        where = f"{shown(str(self._path), 300)} line {number}"
        if ways:
            names = " or ".join(
                f"{shown(w.image.name)} with {shown(w.mask.name)}" for w in ways[:2]
            )
            wrong = f"{where} can be read in more than one way: {names}"
            return [("ways", self._fault(line, wrong, "a tab between image and mask"))]
        words = line.split("\t") if "\t" in line else line.split()
        for sort in (self._foreign, self._flagged, self._maskless):
            if fault := sort(where, line, words):
                return [(sort.__name__, fault)]
        columns = [names for names in _columns(line) if all(map(is_image_name, names))]
        files = self._files(*columns[0]) if len(words) > 1 and len(columns) == 1 else ()
        if missing := [file for file in files if not is_file(file)]:
            return [("missing", self._missing(file)) for file in missing]
        allowed = "an image and a mask, a tab between them if names hold spaces, "
        wrong = f"{where} is '{shown(line, 200)}'"
        return [("line", self._fault(line, wrong, allowed + "or a stem of both"))]

    def outside(self, number: int, pair: Pair) -> Found:
        """Return faults for files that a list names outside of the root."""
        if self._place.spec.outside:
            return []
        where = f"{shown(str(self._path), 300)} line {number}"
        return [
            (
                "outside",
                Fault(
                    f"{self._place.key}.list",
                    str(path),
                    f"{where} names {shown(str(path), 300)}, which is outside of the root",
                    "files below it, or data.outside: true",
                ),
            )
            for path in (pair.image, pair.mask)
            if not self._is_below(path)
        ]

    def _is_below(self, path: Path) -> bool:
        """Return whether a path leads into a folder that the space file names.

        As it is written: what links below the root lead to is their owner's choice.
        """
        spelled = Path(os.path.normpath(path))
        return any(map(spelled.is_relative_to, self._roots))

    def _spelled(self, image: str, mask: str) -> Pair | None:
        """Return the pair of an image and a mask that are there by these names."""
        files = self._files(image, mask)
        # The mask is part of the name: a list may hold one image with two masks.
        return (
            Pair(f"{image} {mask}", *files) if image and mask and all(map(is_file, files)) else None
        )

    def _files(self, image: str, mask: str) -> tuple[Path, Path]:
        return self._place.images / image, self._place.masks / mask

    def _named(self, word: str) -> Pair | None:
        """Return the pair that a stem names, or an image without its mask."""
        image_end, mask_end = self._place.ends
        if is_image_name(PurePosixPath(word).name):
            image = self._place.images / word
            images = [image] if is_file(image) else self._like(image)
            stem = str(PurePosixPath(word).with_suffix("")).removesuffix(image_end)
        else:
            stem = word
            images = self._of_stem("images", stem + image_end)
        masks = [path for path in self._of_stem("masks", stem + mask_end) if path not in images]
        return Pair(stem, images[0], masks[0]) if len(images) == len(masks) == 1 else None

    def _of_stem(self, part: str, stem: str) -> list[Path]:
        """Return the files of a stem, whatever their suffix, that may be the image or the mask."""
        path: Path = getattr(self._place, part) / stem
        return chosen(
            part, self._listing(path.parent).get(path.name, []), self._place.is_one_folder
        )

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        """Return the images of a folder by their stems."""
        if folder not in self._folders:
            found: dict[str, list[Path]] = {}
            try:
                paths = sorted(path for path in folder.iterdir() if is_image_name(path.name))
            except (OSError, ValueError):  # not a folder, or a name that no folder can have
                paths = []
            for path in filter(is_file, paths):
                found.setdefault(path.stem, []).append(path)
            self._folders[folder] = found
        return self._folders[folder]

    def _like(self, path: Path) -> list[Path]:
        """Return the files that differ from a path in the case of their suffix."""
        same_stem = self._listing(path.parent).get(path.stem, [])
        return [other for other in same_stem if other.suffix.lower() == path.suffix.lower()]

    def _missing(self, path: Path) -> Fault:
        same = self._like(path)
        hint = f", did you mean {shown(same[0].name)}?" if same else ""
        wrong = f"{shown(str(path), 300)} is missing{hint}"
        return Fault(self._place.key, str(path), wrong)

    def _foreign(self, where: str, line: str, words: list[str]) -> Fault | None:
        """Return a fault for paths of another machine: those of Windows, or below another root."""
        text = shown(line, 200)
        if "\\" in line:
            absolute = (
                " and an absolute path of another machine" if WINDOWS_ROOT.match(line) else ""
            )
            wrong = f"{where} has backslashes, which are not separators here{absolute}: '{text}'"
            allowed = "paths below the data set's folder, with / between folders"
            return self._fault(line, wrong, allowed)
        roots = [word.strip() for word in words if word.startswith("/") or WINDOWS_ROOT.match(word)]
        if not roots or is_folder(Path(roots[0]).parent):
            return None
        wrong = f"{where} is an absolute path of another machine, missing on this one: '{text}'"
        return self._fault(line, wrong, f"{self._below(roots[0])}")

    def _below(self, word: str) -> str:
        """Return how an absolute path of another machine might be written."""
        parts = PurePosixPath(word).parts
        for start in range(1, len(parts)):
            if is_file(self._place.images.joinpath(*parts[start:])):
                cut = shown(str(PurePosixPath(*parts[:start])), 200).rstrip("/")
                return f"paths below {shown(str(self._place.images), 300)}, without {cut}/"
        return f"paths below {shown(str(self._place.images), 300)}"

    def _flagged(self, where: str, line: str, words: list[str]) -> Fault | None:
        """Return a fault for VOC's lists of classes: a stem, and whether the class is in it."""
        if len(words) < 2 or any(word not in FLAGS for word in words[1:]):
            return None
        wrong = f"{where} is '{shown(line)}': {', '.join(FLAGS)} say whether an image shows a"
        allowed = "lists for segmentation (VOC's are in ImageSets/Segmentation)"
        return self._fault(line, f"{wrong} class (VOC); they are not masks", allowed)

    def _maskless(self, where: str, line: str, _words: list[str]) -> Fault | None:
        if not is_file(self._place.images / line):
            return None
        wrong = f"{where} names {shown(line, 300)} without a mask"
        allowed = "lists with masks; images alone can be neither trained on nor judged"
        return self._fault(line, wrong, allowed)

    def _fault(self, line: str, wrong: str, allowed: str) -> Fault:
        return Fault(f"{self._place.key}.list", line, wrong, allowed)


def _columns(line: str) -> Iterator[tuple[str, str]]:
    """Yield every way to read a line as an image, a mask, and perhaps more columns."""
    if "\t" in line:
        words = [word.strip() for word in line.split("\t")]
        yield words[0], words[1]
        return
    marks = [*SEPARATOR.finditer(line)][:MOST_COLUMNS]
    for i, first in enumerate(marks):
        for stop in (len(line), *(mark.start() for mark in marks[i + 1 :])):
            yield line[: first.start()], line[first.end() : stop]


def _repeat_notes(path: Path, pairs: list[Pair]) -> tuple[str, ...]:
    """Say how many lines repeat others, however they are spelled.

    They count again, as for the official trainer: some lists show rare images more often.
    """
    spelled = {(os.path.normpath(pair.image), os.path.normpath(pair.mask)) for pair in pairs}
    if not (more := len(pairs) - len(spelled)):
        return ()
    lines = "1 line repeats another" if more == 1 else f"{more} lines repeat others"
    return (f"{shown(path.name)}: {lines}, whose images count once more each time",)


def _flag_notes(path: Path, lines: list[str]) -> tuple[str, ...]:
    thirds = {words[2] for line in lines if len(words := line.split()) == 3}
    if thirds and thirds <= set(FLAGS):
        flags = "1, -1 or 0, which VOC's lists have for a class being in an image"
        return (f"{shown(path.name)}: a third column of {flags}, is ignored",)
    return ()


def _strangers(pair: Pair, place: Place) -> Found:
    """Return a fault for a mask that is not of this data set: its ids may mean something else.

    Cityscapes has masks of label ids, of training ids and of colours beside each other; coarse ones
    end in the same word, and the library reads whatever images a list names.
    """
    end = place.ends[1]
    if place.spec.kind in PRESETS:
        end = "".join(end.rpartition("_")[1:])
    if pair.mask.stem.endswith(end):
        return []
    wrong = f"{shown(str(pair.mask), 300)} is not a mask of this data set"
    allowed = f"a name that ends in {end}{pair.mask.suffix}"
    return [("end of a mask", Fault(place.key, str(pair.mask), wrong, allowed))]
