"""What a data set holds, as people are told: counts, classes, what is unused or doubtful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hrnet_search.class_iou import class_name
from hrnet_search.errors import Fault, counted, shown
from hrnet_search.goals import Goals
from hrnet_search.records.data_spec import DataSpec

NAMED_FILES = 3
NAMED_CLASSES = 8


@dataclass(frozen=True, slots=True)
class SplitInventory:
    """One split: how many files it has, and which classes its masks hold.

    `classes` is empty for what is drawn and not looked at. `unused` counts the files of its
    folders that are in no pair, `unused_names` begins to name them; `notes` say what was guessed.
    `pairs` are what is drawn: an image as often as a list names it; 0 where nobody counted.
    """

    images: int
    masks: int
    classes: tuple[int, ...] = ()
    unused: int = 0
    unused_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pairs: int = 0

    @property
    def length(self) -> int:
        """How many there are to train on, or to judge, in one round."""
        return self.pairs or self.images


@dataclass(frozen=True, slots=True)
class Inventory:
    """Both splits, and `warnings`: what makes results worth less, kept in the study."""

    train: SplitInventory = SplitInventory(0, 0)
    val: SplitInventory = SplitInventory(0, 0)
    warnings: tuple[str, ...] = ()

    def lines(self, spec: DataSpec) -> Iterator[str]:
        """Yield what a person should know of the data before training on them."""
        for key in ("train", "val"):
            split: SplitInventory = getattr(self, key)
            if not spec.in_files:
                yield f"{key}: {counted(split.images, 'image')}, drawn"
                continue
            occurring = _occurring(split.classes, spec)
            counts = f"{counted(split.images, 'image')}, {counted(split.masks, 'mask')}"
            yield f"{key}: {counts}; {occurring}"
            if split.unused:
                names = some(split.unused_names, split.unused)
                yield f"{key}: {counted(split.unused, 'file')} not used: {names}"
            yield from (f"{key}: {note}" for note in split.notes)
        yield from (f"warning: {warning}" for warning in self.warnings)


def judged_on(inventory: Inventory, spec: DataSpec, goals: Goals) -> tuple[Inventory, list[Fault]]:
    """Return an inventory with a warning for each objective that no validation mask judges whole.

    A class that does not occur there has an IoU of 0 whatever the network is; one that is asked for
    alone is a fault.
    """
    there = inventory.val.classes or range(spec.classes)  # what is drawn has them all
    warnings, faults = [], []
    named = [("objectives", one) for one in goals.objectives]
    named += [("limits", floor.objective) for floor in goals.floors]
    for section, one in named:
        absent = [_class(index, spec) for index in one.classes if index not in there]
        if not absent:
            continue
        are, their = ("is", "its") if len(absent) == 1 else ("are", "their")
        what = f"{', '.join(absent)} {are} in no validation mask"
        if len(absent) < len(one.classes):
            warnings.append(f"{section}.{one.name}: {what}, so {their} IoU is 0 for every network")
            continue
        allowed = f"classes that are, {', '.join(_class(k, spec) for k in there)}"
        faults.append(Fault(f"{section}.{one.name}", None, what, allowed))
    return replace(inventory, warnings=(*inventory.warnings, *warnings)), faults


def some(names: tuple[str, ...], count: int) -> str:
    """Return the first of `count` names."""
    rest = ["..."] if count > NAMED_FILES else []
    return ", ".join([*(shown(name, 80) for name in names[:NAMED_FILES]), *rest])


def _occurring(classes: tuple[int, ...], spec: DataSpec) -> str:
    found = f"{len(classes)} of {spec.classes} classes occur"
    never = [_class(index, spec) for index in range(spec.classes) if index not in classes]
    if not never:
        return found
    more = len(never) - NAMED_CLASSES
    rest = [f"... ({more} more)"] if more > 0 else []
    return f"{found}, never: {', '.join([*never[:NAMED_CLASSES], *rest])}"


def _class(index: int, spec: DataSpec) -> str:
    return shown(class_name(index, spec.names))
