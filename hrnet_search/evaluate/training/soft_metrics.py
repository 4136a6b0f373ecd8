"""Figures of probabilities rather than of decisions: soft IoU and cross entropies.

A decision changes only where the likeliest class does; a probability changes with every weight.
So these figures of a network that was trained twice differ less than its mIoU does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.records.data_spec import IGNORED


@dataclass(frozen=True, slots=True)
class Signals:
    """What the logits of all validation pixels say, beside mIoU."""

    soft_iou: float
    cross_entropy: float
    balanced_cross_entropy: float


class SoftSums:
    """Sums over pixels by class, each float64 [K], gathered from one batch after another.

    For pixels i whose label y_i is a class, and the softmax p_ik of their logits:
    `shared` is the sum of p_ik over the pixels of class k, `predicted` that over all pixels,
    `pixels` how many pixels have class k, and `loss` the sum of -log p_ik over these.
    """

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self.shared, self.predicted, self.pixels, self.loss = torch.zeros(
            4, classes, dtype=torch.float64, device=device
        )

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Take in logits [N, K, H, W] and labels int64 [N, H, W].

        Pixels whose label is not a class, as IGNORED, are left out, as in a confusion matrix.
        """
        classes = len(self.pixels)
        counted = (labels >= 0) & (labels < classes) & (labels != IGNORED)
        # Whole planes, those of no class as one class more: to pick pixels out would copy them all.
        truth = torch.where(counted, labels, classes).flatten()
        log_p = F.log_softmax(logits.float(), dim=1)
        own = log_p.gather(1, torch.where(counted, labels, 0)[:, None]).flatten().double()
        rows = log_p.exp_().mul_(counted[:, None]).sum(dim=3)  # [N, K, H]
        self.predicted += rows.double().sum(dim=(0, 2))
        self.pixels += torch.bincount(truth, minlength=classes + 1)[:classes]
        self.shared += torch.bincount(truth, own.exp(), minlength=classes + 1)[:classes]
        self.loss -= torch.bincount(truth, own, minlength=classes + 1)[:classes]

    @property
    def sums(self) -> tuple[Tensor, ...]:
        """All four."""
        return self.shared, self.predicted, self.pixels, self.loss

    def signals(self) -> Signals:
        return Signals(
            soft_iou(self.shared, self.predicted, self.pixels),
            float(self.loss.sum() / self.pixels.sum().clamp(min=1)),
            balanced_cross_entropy(self.loss, self.pixels),
        )


def soft_iou(shared: Tensor, predicted: Tensor, pixels: Tensor) -> float:
    """Return the mean over all K classes of sum(p y) / (sum p + sum y - sum(p y)).

    y is 1 at the pixels of a class and 0 elsewhere. With probabilities of 0 and 1 it is mIoU
    (over all classes: the official rule). It is the Jaccard index of Rahman and Wang (2016).
    """
    union = predicted + pixels - shared
    return float((shared / torch.where(union > 0, union, 1)).mean())


def balanced_cross_entropy(loss: Tensor, pixels: Tensor) -> float:
    """Return the mean over the classes that occur of the mean cross entropy of their pixels."""
    there = pixels > 0
    return float((loss[there] / pixels[there]).mean()) if there.any() else 0.0
