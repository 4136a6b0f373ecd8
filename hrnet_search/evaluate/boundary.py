"""The boundary F-score: how well the outlines of classes are met, by image and class.

Csurka, Larlus and Perronnin (2013), "What is a good evaluation measure for semantic
segmentation?": a pixel of one outline is met if the other one is at most 0.75% of the image's
diagonal away.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hrnet_search.records.data_spec import IGNORED

TOLERANCE = 0.0075
"""Of an image's diagonal."""

Labels = NDArray[np.integer]
Mask = NDArray[np.bool_]


def boundary_scores(
    predicted: Labels, truth: Labels, classes: int, tolerance: float = TOLERANCE
) -> NDArray[np.float64]:
    """Return the F-score of each class's outline [K] in one image; nan where neither has it.

    Labels are [H, W]; where the truth is IGNORED, nothing is compared.
    """
    pixels = max(1.0, tolerance * math.hypot(*truth.shape))
    counted = truth != IGNORED
    shown = np.where(counted, predicted, IGNORED)
    there = set(np.unique(truth[counted]).tolist()) | set(np.unique(shown[counted]).tolist())
    found = np.full(classes, np.nan)
    for label in there:
        if label < classes:
            found[label] = _f_score(shown == label, truth == label, pixels)
    return found


def _f_score(predicted: Mask, truth: Mask, pixels: float) -> float:
    place = _around(predicted | truth, math.ceil(pixels) + 1)
    ours, theirs = _outline(predicted[place]), _outline(truth[place])
    if not ours.any() and not theirs.any():  # both fill the image: neither has an outline
        return math.nan
    precision, recall = _met(ours, theirs, pixels), _met(theirs, ours, pixels)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _met(one: Mask, other: Mask, pixels: float) -> float:
    """Return the share of one outline's pixels that the other one is near to."""
    if not one.any() or not other.any():
        return 0.0
    distance = ndimage.distance_transform_edt(~other)
    return float((distance[one] <= pixels).mean())


def _outline(mask: Mask) -> Mask:
    """Return the pixels of a mask that have a neighbour outside of it, of four."""
    inner: Mask = ndimage.binary_erosion(mask, border_value=1)
    return mask & ~inner


def _around(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the part of an image that holds a mask, and a margin."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )
