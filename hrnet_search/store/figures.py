"""Figures of decisions: IoU, F1 and accuracy of confusion matrices, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.store.evaluations import Floats, percentiles, resample

Confusions = NDArray[np.integer]

OVER_CLASSES = ("miou", "miou_present", "f1_present", "pixel_accuracy", "mean_accuracy")
"""The figures of all classes together, by their names."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What decisions are worth, by class [K] and over all classes.

    `miou` is the official one, in which a class that occurs in neither truth nor prediction
    counts 0; `miou_present` leaves such classes out, and `f1_present` too. `mean_accuracy` is over
    all classes, as the official test script has it. `present` says which classes occur.
    """

    iou: Floats
    f1: Floats
    accuracy: Floats
    present: NDArray[np.bool_]
    miou: float
    miou_present: float
    f1_present: float
    pixel_accuracy: float
    mean_accuracy: float


@dataclass(frozen=True, slots=True)
class Interval:
    """The 95% percentile interval of a figure, from a bootstrap over images."""

    low: float
    high: float


def figures_of(confusions: Confusions) -> Figures:
    """Return the figures of confusion matrices by image [n, K, K] with truth in rows."""
    return _figures(confusions.sum(axis=0, dtype=np.float64))


def intervals_of(confusions: Confusions, seed: int = 0) -> dict[str, Interval]:
    """Return the intervals of the figures over all classes, by their names.

    Images are drawn again, as often as there are; at least one image.
    """
    times = resample(len(confusions), seed)
    flat = confusions.reshape(len(confusions), -1).astype(np.float64)
    sums = (times @ flat).reshape(-1, *confusions.shape[1:])
    found = [_figures(matrix) for matrix in sums]
    return {
        name: Interval(*percentiles(np.array([getattr(one, name) for one in found])))
        for name in OVER_CLASSES
    }


def _figures(matrix: Floats) -> Figures:
    hit, truth, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    union, both = truth + predicted - hit, truth + predicted
    iou, f1 = hit / np.maximum(union, 1), 2 * hit / np.maximum(both, 1)
    accuracy, present = hit / np.maximum(truth, 1), union > 0
    some = present if present.any() else np.ones_like(present)
    return Figures(
        iou=iou,
        f1=f1,
        accuracy=accuracy,
        present=present,
        miou=float(iou.mean()),
        miou_present=float(iou[some].mean()),
        f1_present=float(f1[some].mean()),
        pixel_accuracy=float(hit.sum() / max(matrix.sum(), 1)),
        mean_accuracy=float(accuracy.mean()),
    )
