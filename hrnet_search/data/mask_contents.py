"""What the masks of a data set that nobody has described hold, and which classes that makes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hrnet_search.data.decode import read_mask, read_size
from hrnet_search.data.labels import held_by, palette_of
from hrnet_search.data.places import Pair
from hrnet_search.errors import DataError, Fault
from hrnet_search.records.data_spec import IGNORED, MAX_PIXELS

MOST_COLOURS = 64
"""Colours up to which masks are drawn in colours; more are those of edges, or of a photo."""

KEY = "data.masks"

Colour = tuple[int, ...]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What all masks hold together: numbers, colours of those that show some, and why files could
    not be read. `greys` are the numbers of masks that show no colour, `two_palettes` says
    that one index has two colours, `drawn` that some masks have colours and no numbers, `jpeg`
    that some are JPEG."""

    ids: frozenset[int]
    colours: frozenset[Colour]
    greys: frozenset[int]
    two_palettes: bool
    drawn: bool
    jpeg: bool
    unread: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that masks hold: how many, and what stored ids or colours become.

    `notes` says what was taken for granted, a line each.
    """

    count: int
    mapping: dict[int, int]
    colours: dict[Colour, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    ids: frozenset[int] = frozenset()
    colours: frozenset[Colour] = frozenset()
    palette: tuple[tuple[int, Colour], ...] = ()
    jpeg: bool = False
    faults: tuple[Fault, ...] = ()


def contents_of(pairs: Sequence[Pair]) -> Contents:
    """Decode every mask and return what all of them hold."""
    masks = list(dict.fromkeys(pair.mask for pair in pairs))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        looks = list(pool.map(_look, masks))
    palette: dict[int, Colour] = {}
    clash = False
    for index, colour in (entry for look in looks for entry in look.palette):
        clash |= palette.setdefault(index, colour) != colour
    return Contents(
        ids=frozenset().union(*(look.ids for look in looks)),
        colours=frozenset().union(*(look.colours for look in looks)),
        greys=frozenset().union(*(look.ids for look in looks if not look.colours)),
        two_palettes=clash,
        drawn=any(look.colours and not look.ids for look in looks),
        jpeg=any(look.jpeg for look in looks),
        unread=tuple(fault for look in looks for fault in look.faults),
    )


def sizes_of(pairs: Sequence[Pair]) -> list[Size]:
    """Return (height, width) of every image that can be read, in rising order of pixels."""
    found = []
    for path in dict.fromkeys(pair.image for pair in pairs):
        try:
            found.append(read_size(path, "data.images", MAX_PIXELS))
        except DataError:  # `check` names it
            continue
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def classes_of(found: Contents) -> Classes | str:
    """Return the classes that masks hold, or why that cannot be said."""
    if found.drawn or (found.colours and found.two_palettes):
        return _by_colour(found)
    rest = sorted(found.ids - {IGNORED})
    if len(rest) == 1 and IGNORED in found.ids:
        note = f"class 1 is what the masks store as 255, class 0 what they store as {rest[0]}"
        return Classes(2, {rest[0]: 0, IGNORED: 1}, {}, (note,))
    if len(rest) < 2:
        held = f"hold {rest[0]} alone" if rest else "could not be read"
        return f"the masks {held}: two classes or more are needed"
    if len(rest) > MOST_COLOURS and not _is_dense(rest):
        return f"the masks hold {len(rest)} numbers with gaps, which are hardly class ids"
    if found.jpeg and not _is_dense(rest):
        changed = "some are JPEG, which changes labels at edges: PNG keeps them as they were drawn"
        return f"the masks hold {len(rest)} numbers with gaps, and {changed}"
    return _by_id(rest, IGNORED in found.ids)


def _by_id(ids: Sequence[int], ignored: bool) -> Classes:
    notes = ["255 in masks is taken for not labelled"] if ignored else []
    if _is_dense(ids):
        if len(ids) > MOST_COLOURS:
            notes.append(f"{len(ids)} are many: the levels of soft edges are such numbers too")
        never = sorted(set(range(ids[-1] + 1)) - set(ids))
        if never:
            notes.append(f"classes that occur in no mask: {', '.join(map(str, never))}")
        return Classes(ids[-1] + 1, {}, {}, tuple(notes))
    mapping = {stored: index for index, stored in enumerate(ids)}
    notes.append("stored ids have gaps: classes are numbered in their order (mapping)")
    return Classes(len(ids), mapping, {}, tuple(notes))


def _is_dense(ids: Sequence[int]) -> bool:
    """Return whether ids from 0 on are class ids, of which a few may not occur."""
    return ids[0] == 0 and ids[-1] + 1 <= max(2 * len(ids) - 1, len(ids))


def _by_colour(found: Contents) -> Classes | str:
    colours = sorted(found.colours | {(level, level, level) for level in found.greys})
    if not 2 <= len(colours) <= MOST_COLOURS:
        return (
            f"the masks hold {len(colours)} colours, which are hardly 2 to {MOST_COLOURS} classes"
        )
    notes = (
        "which class each colour is could not be found out: numbered in the order of the colours",
    )
    return Classes(len(colours), {}, {c: i for i, c in enumerate(colours)}, notes)


def _look(path: Path) -> _Look:
    try:
        mask = read_mask(path, KEY, MAX_PIXELS)
        ids, colours = held_by(mask, path, KEY)
        palette, jpeg = tuple(palette_of(mask).items()), mask.format in ("JPEG", "MPO")
        return _Look(frozenset(ids), frozenset(colours), palette, jpeg)
    except DataError as error:
        return _Look(faults=tuple(error.faults))
