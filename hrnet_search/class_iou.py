"""The mean IoU of some classes, as an objective or a limit names it: `iou[pedestrian,bicyclist]`.

A trial keeps the IoU of every class at each rung, so any such mean is known of every trial.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from hrnet_search.errors import nearest

IOU = "iou"
SPELT = f"{IOU}[CLASS,...]"
"""How such a name is written; a class is a name or an id."""

PATTERN = rf"{IOU}\[.*\]"
_NAME = re.compile(PATTERN)


class UnknownClassError(ValueError):
    """What names no class, in words, and the classes there are."""

    def __init__(self, wrong: str, allowed: str) -> None:
        super().__init__(wrong)
        self.wrong, self.allowed = wrong, allowed


def is_class_iou(name: str) -> bool:
    """Return whether a name is meant to be one of classes."""
    return _NAME.fullmatch(name) is not None


def class_ids(name: str, classes: int, names: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the classes of a name in the order of their ids; raise UnknownClassError.

    A class that has a name may be written by it or by its id; spaces around either do not count.
    """
    found = [_class_id(part, classes, names) for part in _parts(name)]
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise UnknownClassError(f"{class_name(twice, names)} is named twice", "each class once")
    return tuple(sorted(found))


def key_of(ids: Sequence[int]) -> str:
    """Return the name by ids, which is the same however the classes were written."""
    return f"{IOU}[{','.join(map(str, ids))}]"


@cache
def ids_of(key: str) -> tuple[int, ...]:
    """Return the classes of a name by ids."""
    return tuple(map(int, _parts(key)))


def spelt(key: str, names: Sequence[str] = ()) -> str:
    """Return a name by ids with the names of classes, where they have any."""
    known = [names[one] if one < len(names) else str(one) for one in ids_of(key)]
    return f"{IOU}[{','.join(known)}]"


def label_of(ids: Sequence[int], names: Sequence[str] = ()) -> str:
    """Return what people call it: IoU of pedestrian, bicyclist."""
    return f"IoU of {', '.join(class_name(one, names) for one in ids)}"


def mean_iou(iou: Sequence[float], ids: Sequence[int]) -> float | None:
    """Return the mean over some classes of IoU by class, None where one is not there."""
    if not ids or max(ids) >= len(iou):
        return None
    return sum(iou[one] for one in ids) / len(ids)


def _parts(name: str) -> list[str]:
    inside = name[len(IOU) + 1 : -1]
    return [part.strip() for part in inside.split(",")]


def _class_id(part: str, classes: int, names: Sequence[str]) -> int:
    if names.count(part) > 1:
        raise UnknownClassError(f"{names.count(part)} classes are called {part}", "its id")
    if part in names:
        return names.index(part)
    if part.isascii() and part.isdigit() and int(part) < classes:
        return int(part)
    known = f"{', '.join(names)}, or ids" if names else "ids"
    wrong = f"class {part} is not known{nearest(part, names)}" if part else "a class is missing"
    raise UnknownClassError(wrong, f"{known} from 0 to {classes - 1}")


def class_name(one: int, names: Sequence[str]) -> str:
    """Return what a class is called: by its name, or by its id where it has none."""
    return names[one] if one < len(names) else f"class {one}"
