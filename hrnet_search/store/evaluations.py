"""Evaluations of a study: reading them, and how far an mIoU over these images can be trusted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.records.trial import TrialKey

RESAMPLES = 2000
CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2

AS_TRAINED, IN_INT8 = "confusions", "confusions_int8"
"""Arrays of an evaluation: matrices of the network as it was trained, and once it is quantised."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """Pixels by image and class, float64 [n, K]: `hits` right, `seen` in truth or prediction."""

    hits: Floats
    seen: Floats

    @property
    def images(self) -> int:
        return len(self.hits)

    def iou(self) -> Floats:
        """Return IoU by class [K] over all images, 0 for a class that does not occur."""
        found: Floats = self.hits.sum(axis=0) / np.maximum(self.seen.sum(axis=0), 1)
        return found

    def mious(self, times: Floats, classes: Sequence[int] = ()) -> Floats:
        """Return mIoU [resamples] where `times` [resamples, n] says how often an image counts.

        The official one: of the sum over images, the mean over all classes, or over those given.
        """
        of = list(classes) or slice(None)
        hits, seen = self.hits[:, of], self.seen[:, of]
        found: Floats = ((times @ hits) / np.maximum(times @ seen, 1)).mean(axis=1)
        return found


def image_counts(confusions: NDArray[np.integer]) -> ImageCounts:
    """Return what mIoU needs of confusion matrices [n, K, K] with truth in rows."""
    hits = np.diagonal(confusions, axis1=1, axis2=2).astype(np.float64)
    both = confusions.sum(axis=1, dtype=np.float64) + confusions.sum(axis=2, dtype=np.float64)
    return ImageCounts(hits, both - hits)


def resample(images: int, seed: int = 0, resamples: int = RESAMPLES) -> Floats:
    """Return how often each image is drawn in each of a bootstrap's resamples [resamples, n]."""
    generator = np.random.default_rng(seed)
    times = generator.multinomial(images, np.full(images, 1 / images), resamples)
    return times.astype(np.float64)


def miou_interval(
    confusions: NDArray[np.integer], seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of mIoU over at least one image [n, K, K]."""
    times = resample(len(confusions), seed, resamples)
    return percentiles(image_counts(confusions).mious(times))


def percentiles(values: Floats) -> tuple[float, float]:
    """Return the 95% interval of resampled values."""
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    return float(low), float(high)


def evaluation_path(folder: str | Path, key: TrialKey | str) -> Path:
    """Return where a study keeps what a trial's evaluation showed."""
    return Path(folder, "evaluation", f"{key}.npz")


def read_arrays(path: Path, names: Sequence[str]) -> tuple[NDArray[Any], ...] | None:
    """Return arrays of an evaluation; None if it is missing, damaged, or lacks one of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            # Whole members, whose checksums are then looked at before anything is believed.
            members = [io.BytesIO(archive.read(f"{name}.npy")) for name in names]
        return tuple(np.lib.format.read_array(member, allow_pickle=False) for member in members)
    except Exception:  # zipfile, zlib and numpy raise anything on a damaged file
        return None


def read_confusions(path: Path, name: str = AS_TRAINED) -> NDArray[np.integer] | None:
    """Return the confusion matrices by image [n, K, K] of an evaluation, None if it has none.

    `name` says of which network: AS_TRAINED or IN_INT8.
    """
    arrays = read_arrays(path, [name])
    if arrays is None:
        return None
    (found,) = arrays
    good = found.ndim == 3 and len(found) and found.shape[1] == found.shape[2]
    return found if good and found.dtype.kind in "iu" else None


def read_counts(path: Path, name: str = AS_TRAINED) -> ImageCounts | None:
    """Return the pixel counts of an evaluation, None if it has none; `name` as above."""
    confusions = read_confusions(path, name)
    return None if confusions is None else image_counts(confusions)
