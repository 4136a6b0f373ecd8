"""The spread over validation images: a paired bootstrap of mIoU differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 1000


def confusions(folder: str | Path, key: str) -> Floats | None:
    """Return a trial's confusion matrices by image [images, K, K], None if they were not kept."""
    path = Path(folder, "evaluation", f"{key}.npz")
    try:
        with np.load(path) as held:
            found = np.asarray(held["confusions"], dtype=np.float64)
    except (OSError, KeyError, ValueError):
        return None
    return found if found.ndim == 3 else None


def resampled_miou(matrices: Floats, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Return mIoU (official rule: absent classes count 0) of each draw of images, [draws].

    `matrices` are [images, K, K] with truth in rows. The same seed draws the same images of as
    many, so that draws of two trials are paired.
    """
    images, classes = matrices.shape[:2]
    rng = np.random.default_rng(seed)
    chosen = rng.multinomial(images, np.full(images, 1 / images), size=draws)
    summed = (chosen @ matrices.reshape(images, -1)).reshape(draws, classes, classes)
    hit = np.diagonal(summed, axis1=1, axis2=2)
    union = summed.sum(axis=1) + summed.sum(axis=2) - hit
    return np.asarray((hit / np.maximum(union, 1)).mean(axis=1), dtype=np.float64)


def image_interval(
    weights: Sequence[tuple[int, float]],
    drawn: Sequence[Sequence[Floats | None]],
    seeds: Sequence[int],
    confidence: float,
) -> tuple[float, float] | None:
    """Return the bootstrap interval of a difference averaged over seeds, by index.

    `drawn[arm][seed]` are resampled mIoU of a trial. None where a trial that counts has none.
    """
    total = np.zeros(DRAWS)
    for arm, weight in weights:
        for seed in seeds:
            one = drawn[arm][seed]
            if one is None:
                return None
            total = total + weight * one / len(seeds)
    if not seeds:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(total, [tail, 1 - tail])
    return float(low), float(high)
