"""The loss of a schedule, and class weights from the training masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from hrnet_search import heartbeat
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.records.schedule import Schedule


class Loss:
    """The loss of a schedule with weights [K] of the classes, or none.

    Of `ranks` that have a share of a batch each, the values times their shares add up to its loss.
    """

    def __init__(
        self,
        schedule: Schedule,
        weight: Tensor | None,
        align_corners: bool,
        ranks: Ranks = ALONE,
    ) -> None:
        self._schedule, self._weight, self._aligned = schedule, weight, align_corners
        self._ranks = ranks

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of logits [N, K, h, w] against labels [N, H, W]."""
        schedule = self._schedule
        if schedule.loss == "ohem":
            threshold, keep = schedule.ohem_threshold, schedule.ohem_keep
            return metrics.ohem(
                logits, labels, self._aligned, threshold, keep, self._weight, self._ranks
            )
        return metrics.cross_entropy(logits, labels, self._aligned, self._weight)

    def of_part(self, outputs: Sequence[Tensor], part: Tensor, whole: Tensor) -> Tensor:
        """Return what a part of a batch, its labels and a network's outputs, adds to its loss.

        The last output is the one that is judged. One before it, of an OCR head, counts
        `aux_weight`, and by cross entropy whatever the schedule's loss is, as upstream. There the
        OHEM loss takes its sum over the pixels that count by the number of all of them.
        """
        *auxiliary, main = outputs
        loss = self(main, part) * self.share(part, whole)
        for logits in auxiliary:
            plain = metrics.cross_entropy(logits, part, self._aligned, self._weight)
            loss = loss + self._schedule.aux_weight * plain * self._auxiliary(part, whole)
        return loss

    def _auxiliary(self, part: Tensor, whole: Tensor) -> Tensor | float:
        """Return what the mean of an auxiliary output over the labels that count is taken times."""
        if self._schedule.loss != "ohem":
            return self._counted(part, whole)
        pixels = torch.tensor([float(whole.numel())])
        self._ranks.add([pixels])
        return metrics.counted(part, self._weight) / float(pixels)

    def share(self, part: Tensor, whole: Tensor) -> Tensor | float:
        """Return what the loss of a part of a batch counts in the mean over all its labels.

        For cross entropy the parts then add up to the loss of the whole. The hard pixels of
        OHEM are those of each part in all processes, which counts by its images.
        """
        if part is whole and self._ranks.alone:
            return 1.0
        if self._schedule.loss == "ohem":
            images = torch.tensor([float(len(part)), float(len(whole))])
            self._ranks.add([images])
            return float(images[0] / images[1])
        return self._counted(part, whole)

    def _counted(self, part: Tensor, whole: Tensor) -> Tensor | float:
        if part is whole and self._ranks.alone:
            return 1.0
        counted = (metrics.counted(labels, self._weight) for labels in (part, whole))
        some, every = counted
        self._ranks.add([every])
        return some / torch.where(every > 0, every, 1)


def balanced_weights(masks: Iterable[Tensor], classes: int) -> Tensor:
    """Return weights, float32 [K], by the balance of median frequencies.

    The frequency of a class is its share of the pixels of those masks, uint8 [H, W], that show
    it; its weight is the median of all frequencies over its own (Eigen and Fergus 2015, as
    SegNet used on CamVid). A class that no mask shows has 1.
    """
    hits, shown = torch.zeros(2, classes, dtype=torch.float64)
    for mask in masks:
        labels = mask[mask != IGNORED].flatten().cpu()
        counts = torch.bincount(labels.int(), minlength=classes)[:classes].double()
        hits += counts
        shown += (counts > 0) * labels.numel()
        heartbeat.beat()
    there = hits > 0
    frequency = hits / shown.clamp(min=1)
    weights = torch.ones(classes, dtype=torch.float64)
    if there.any():
        weights[there] = frequency[there].quantile(0.5) / frequency[there]
    return weights.float()
