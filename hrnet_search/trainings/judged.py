"""A network's evaluation as people and programs read it: figures with intervals, by class."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hrnet_search.class_iou import class_name
from hrnet_search.data.batches import ImageStore
from hrnet_search.data.contents import Contents, differences
from hrnet_search.data.dataset import contents_of, inventory_of, open_dataset
from hrnet_search.data.decoded import bytes_of, sizes_of
from hrnet_search.errors import InputError
from hrnet_search.evaluate.evaluation import Evaluation, evaluate
from hrnet_search.evaluate.inference import Protocol
from hrnet_search.evaluate.training.attempts import validation_batch
from hrnet_search.library.schedule import OfficialRule
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.store.figures import OVER_CLASSES, Figures, Interval, figures_of, intervals_of
from hrnet_search.told import Told, nobody
from hrnet_search.trainings.models import Model

LABELS = {
    "miou": "mIoU",
    "miou_present": "mIoU over present classes",
    "f1_present": "F1 over present classes",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
}
IN_MEMORY = 4 << 30
"""Bytes of decoded images up to which all are kept in memory; each is looked at once."""

BOUNDARY = "boundary F-score"
VAL = "val"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a network is worth on its validation images, and by which protocol it was found.

    `what` names its weights, `line` says which network it is, where one was chosen; `notes` what a
    reader has to know of its images.
    """

    what: str
    data: DataSpec
    protocol: Protocol
    evaluation: Evaluation
    figures: Figures
    intervals: dict[str, Interval]
    line: str = ""
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all classes."""
        return [class_name(k, self.data.names) for k in range(self.data.classes)]

    @property
    def boundary(self) -> float | None:
        """The mean boundary F-score over classes that occur; None where it was not asked for."""
        found = self.evaluation.boundary_f
        return None if found is None or np.isnan(found).all() else float(np.nanmean(found))

    def plain(self) -> dict[str, Any]:
        """Return it for programs; what is not known is null."""
        protocol = self.protocol
        return {
            "weights": self.what,
            "images": len(self.evaluation.confusions),
            "protocol": {name: getattr(protocol, name) for name in Protocol.__slots__},
            **{name: getattr(self.figures, name) for name in OVER_CLASSES},
            "boundary_f": self.boundary,
            "intervals": {name: [one.low, one.high] for name, one in self.intervals.items()},
            "classes": list(self.classes()),
            "notes": list(self.notes),
        }

    def classes(self) -> Iterator[dict[str, Any]]:
        """Yield a row a class."""
        matrix, found = self.evaluation.confusions.sum(axis=0), self.figures
        boundary = self.evaluation.boundary_f
        for k, name in enumerate(self.names):
            edge = math.nan if boundary is None else float(boundary[k])
            yield {
                "class": k,
                "name": name,
                "iou": float(found.iou[k]),
                "f1": float(found.f1[k]),
                "accuracy": float(found.accuracy[k]),
                "boundary_f": None if math.isnan(edge) else edge,
                "pixels": int(matrix[k].sum()),
                "present": bool(found.present[k]),
            }

    def lines(self) -> Iterator[str]:
        """Yield it as people read it: figures with intervals, a row a class, whose they are."""
        for name in OVER_CLASSES:
            one = self.intervals[name]
            value = getattr(self.figures, name)
            yield f"{LABELS[name]}: {value:.2%} (95% {one.low:.2%} to {one.high:.2%})"
        if self.boundary is not None:
            yield f"{BOUNDARY}: {self.boundary:.2%}"
        width = max(5, *map(len, self.names))
        yield f"{'class':<{width}}  {'IoU':>7}  {'F1':>7}  {'acc.':>7}  {'bound.':>7}"
        for row in self.classes():
            cells = (row["iou"], row["f1"], row["accuracy"], row["boundary_f"])
            said = "  ".join(f"{'-' if c is None else f'{c:.2%}':>7}" for c in cells)
            absent = "" if row["present"] else "  does not occur"
            yield f"{row['name']:<{width}}  {said}{absent}"
        if self.line:
            yield self.line
        where = f" of {self.data.root}" if self.data.root else ""
        yield f"validation images: {len(self.evaluation.confusions)}{where}"
        yield from (f"note: {note}" for note in self.notes)
        yield f"weights: {self.what}"

    def tables(self) -> dict[str, bytes]:
        """Return its tables as files by name."""
        rows = list(self.classes())
        matrix = self.evaluation.confusions.sum(axis=0)
        head = ["truth \\ predicted", *self.names]
        lines = [[name, *row.tolist()] for name, row in zip(self.names, matrix, strict=True)]
        return {
            "classes.csv": table([list(rows[0]), *(list(row.values()) for row in rows)]),
            "confusion.csv": table([head, *lines]),
        }


def table(rows: list[list[Any]]) -> bytes:
    """Return rows as a file of comma-separated values."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def protocol_of(rule: OfficialRule) -> Protocol:
    """Return the protocol of the official test script for a config on its own data."""
    if rule.cityscapes:
        return Protocol(
            rule.scales, rule.flip, rule.windows, rule.windows, rule.long_side, 1.0, True
        )
    return Protocol(rule.scales, rule.flip, rule.windows, None, rule.long_side)


def judge(
    model: Model,
    schedule: Schedule,
    protocol: Protocol,
    batch: int | None,
    boundary: bool,
    begun: Contents = (),
    notes: Sequence[str] = (),
    told: Told = nobody,
) -> Judged:
    """Judge a model on the validation images of a schedule's data.

    `begun` is what the files held that it was trained and judged on, if that is known, `notes` what
    there is to say of how it is judged. Training images need not be there. Raise
    DataError for data that are wrong, InputError for a model of other classes.
    """
    data = schedule.data
    if model.data.classes != data.classes:
        wrong = f"{model.what} tells {model.data.classes} classes apart, the data {data.classes}"
        raise InputError(wrong)
    inventory_of(data, (VAL,))
    dataset = open_dataset(data, VAL)
    small = bytes_of(sizes_of(dataset)) <= IN_MEMORY
    images = ImageStore(dataset, model.device) if small else dataset
    found = evaluate(
        model.inference(protocol),
        images,
        data,
        model.device,
        batch or validation_batch(schedule),
        boundary,
        told,
    )
    figures, intervals = figures_of(found.confusions), intervals_of(found.confusions)
    said = (*notes, *_other_images(begun, data))
    return Judged(model.what, data, protocol, found, figures, intervals, model.line, said)


def _other_images(begun: Contents, data: DataSpec) -> Iterator[str]:
    """Say which validation files are not those that a network was judged on before."""
    before = tuple(file for file in begun if file.split == VAL)
    if not before:
        return
    if which := differences(before, contents_of(data, (VAL,))):
        yield f"not the validation images of its training: {which}"
