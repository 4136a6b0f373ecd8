"""What can be optimised or limited: one table of objectives, and how each is read from a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hrnet_search.class_iou import IOU, class_ids, is_class_iou, key_of, label_of
from hrnet_search.records.accuracy import MIOU_INT8
from hrnet_search.records.trial import TrialResult


@dataclass(frozen=True, slots=True)
class Objective:
    """A column of results that can be optimised or limited.

    `direction` is max or min; `exact` says that it is known without building the network;
    `found` reads it from a result. `most` is the largest value that it can have. A row that is
    `of_classes` stands for one objective for each choice of classes: `classes` are their ids, none
    for all. `key` is the name by which two objectives are the same, however they were written.
    """

    name: str
    direction: str
    unit: str
    label: str
    exact: bool
    found: Callable[[TrialResult], float | None]
    most: float = math.inf
    of_classes: bool = False
    classes: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        return key_of(self.classes) if self.of_classes else self.name

    @property
    def is_cost(self) -> bool:
        """Whether it is minimised."""
        return self.direction == "min"

    @property
    def is_measured(self) -> bool:
        """Whether it is a cost that a device has, under a condition."""
        return self.is_cost and not self.exact

    def of(self, result: TrialResult) -> float | None:
        """Return its value in a result, None if it is not known."""
        value = self.found(result)
        return None if value is None else float(value)


def _counted(name: str) -> Callable[[TrialResult], float | None]:
    return lambda result: getattr(result.cost, name, None)


OBJECTIVES = {
    o.name: o
    for o in (
        Objective("miou", "max", "", "mIoU", False, lambda result: result.miou, most=1),
        Objective("latency_ms", "min", "ms", "latency", False, lambda result: result.latency_ms),
        Objective("macs", "min", "", "MACs", True, _counted("macs")),
        Objective("params", "min", "", "parameters", True, _counted("params")),
        Objective("activations", "min", "", "activations", True, _counted("activations")),
        Objective(MIOU_INT8, "max", "", "mIoU in int8", False, lambda r: r.miou_int8, most=1),
        Objective(IOU, "max", "", "IoU", False, lambda _: None, most=1, of_classes=True),
    )
}

PLAIN = {name: row for name, row in OBJECTIVES.items() if not row.of_classes}
"""Objectives whose name says everything."""


def objective(name: str, classes: int = 0, names: Sequence[str] = ()) -> Objective:
    """Return what a name stands for where there are `classes` classes, with or without names.

    Raise KeyError for an unknown name, UnknownClassError for one of classes that are not there.
    """
    if not is_class_iou(name):
        return PLAIN[name]
    ids = class_ids(name, classes, names)
    key, label = key_of(ids), label_of(ids, names)
    return replace(
        OBJECTIVES[IOU], name=name, label=label, classes=ids, found=lambda r: r.score(key)
    )
