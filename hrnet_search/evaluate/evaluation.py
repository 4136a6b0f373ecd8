"""A network judged on validation images by a protocol: what it decided, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hrnet_search import heartbeat
from hrnet_search.data.batches import ImageStore, validation_batches
from hrnet_search.data.dataset import Dataset
from hrnet_search.errors import DataError, Fault
from hrnet_search.evaluate.boundary import boundary_scores
from hrnet_search.evaluate.inference import Inference, NotFiniteError, room_for
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.previews import Previews, chosen
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.told import Told, nobody


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Decisions on n images: confusion matrices int64 [n, K, K] with truth in rows, boundary
    F-scores [n, K], nan where an image does not show a class, and a few images as previews."""

    confusions: NDArray[np.int64]
    boundaries: NDArray[np.float64] | None
    previews: Previews

    @property
    def boundary_f(self) -> NDArray[np.float64] | None:
        """Each class's boundary F-score [K], the mean over images that show it; nan without."""
        if self.boundaries is None:
            return None
        there = ~np.isnan(self.boundaries)
        sums = np.where(there, self.boundaries, 0).sum(axis=0)
        counts = there.sum(axis=0)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def evaluate(
    inference: Inference,
    images: Dataset | ImageStore,
    spec: DataSpec,
    device: torch.device,
    batch: int,
    boundary: bool = True,
    told: Told = nobody,
) -> Evaluation:
    """Judge a network on all images, at most `batch` at once; `told` hears how far it is.

    Raise DataError if there is no image, WeightsError for scores that are not finite, InputError
    where there is no memory for them.
    """
    count, classes = len(images), spec.classes
    if not count:
        raise DataError(Fault("data.val", 0, "there is no validation image", "at least 1"))
    confusions = np.zeros((count, classes, classes), dtype=np.int64)
    boundaries = np.full((count, classes), np.nan) if boundary else None
    previews = Previews(spec, chosen(count))
    for pixels, labels, indices in validation_batches(images, spec, batch, device):
        told(min(indices), count, images.name(indices[0]))
        try:
            with room_for(images.name(indices[0])):
                predicted = inference.scores(pixels).argmax(dim=1)
        except NotFiniteError as error:
            raise error.of(images.name(indices[error.place])) from error
        confusions[list(indices)] = metrics.confusions(predicted, labels, classes).cpu().numpy()
        for place, index in enumerate(indices):
            previews.look(index, pixels[place], labels[place], predicted[place])
            if boundaries is not None:
                pair = (predicted[place].cpu().numpy(), labels[place].cpu().numpy())
                boundaries[index] = boundary_scores(*pair, classes)
        heartbeat.beat()
    return Evaluation(confusions, boundaries, previews)
