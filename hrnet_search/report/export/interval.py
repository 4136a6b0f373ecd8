"""How far an mIoU can be trusted that was measured on these images."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95


def miou_interval(
    confusions: NDArray[np.integer], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of mIoU over images.

    `confusions` [n, K, K] has truth in rows, n at least 1. The mIoU is the official one: of the
    sum over images, the mean over all classes, 0 for one that does not occur.
    """
    images = len(confusions)
    counts = confusions.astype(np.float64)
    hits = np.diagonal(counts, axis1=1, axis2=2)
    seen = counts.sum(axis=1) + counts.sum(axis=2) - hits
    generator = np.random.default_rng(seed)
    times = generator.multinomial(images, np.full(images, 1 / images), resamples)
    mious = ((times @ hits) / np.maximum(times @ seen, 1)).mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(mious, (tail, 1 - tail))
    return float(low), float(high)


def read_confusions(path: Path) -> NDArray[np.integer] | None:
    """Return the confusion matrices by image [n, K, K] of an evaluation, None if it has none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            found: NDArray[np.integer] = content["confusions"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.ndim == 3 and len(found) and found.dtype.kind in "iu" else None
