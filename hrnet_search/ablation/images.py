"""The spread over validation images: a paired bootstrap of mIoU differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_search.records.trial import TrialKey
from hrnet_search.store.evaluations import (
    RESAMPLES,
    Floats,
    evaluation_path,
    read_counts,
    resample,
)


class Resampled:
    """Resampled mIoU of the trials of a study, all over the same draws of images."""

    def __init__(self, folder: str) -> None:
        """Read from a study; nothing is found without one."""
        self._folder = folder
        self._times: dict[int, Floats] = {}

    def mious(self, key: TrialKey) -> Floats | None:
        """Return a trial's mIoU in each draw [RESAMPLES], None if its images were not kept."""
        counts = read_counts(evaluation_path(self._folder, key)) if self._folder else None
        if counts is None:
            return None
        if counts.images not in self._times:
            self._times[counts.images] = resample(counts.images)
        return counts.mious(self._times[counts.images])


def image_interval(
    weights: Sequence[tuple[int, float]],
    drawn: Sequence[Sequence[Floats | None]],
    seeds: Sequence[int],
    confidence: float,
) -> tuple[float, float] | None:
    """Return the bootstrap interval of a difference averaged over seeds, by index.

    `drawn[arm][seed]` are resampled mIoU of a trial. None where a trial that counts has none.
    """
    total = np.zeros(RESAMPLES)
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
