"""The official figures of segmentation: confusion matrices, mIoU, losses, learning rate.

Formulas of the HRNet library, branch HRNet-OCR: `lib/utils/utils.py` (`get_confusion_matrix`,
`adjust_learning_rate`), `lib/core/function.py` (`testval`), `lib/core/criterion.py`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.records.data_spec import IGNORED


def confusions(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return a matrix an image, int64 [N, K, K], with truth in rows, of integers [N, ...].

    Pixels whose label is IGNORED or no class are left out. `predicted` holds classes only.
    """
    images = len(labels)
    index = torch.arange(images, device=labels.device).view(-1, *[1] * (labels.dim() - 1))
    counted = (labels >= 0) & (labels < classes) & (labels != IGNORED)
    cells = (index * classes + labels) * classes + predicted
    counts = torch.bincount(cells[counted].long(), minlength=images * classes**2)
    assert counts.numel() == images * classes**2, "a predicted class is out of range"
    return counts.view(images, classes, classes)


def confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the matrix over all images, int64 [K, K], with truth in rows."""
    return confusions(predicted, labels, classes).sum(dim=0)


def iou(matrix: Tensor) -> Tensor:
    """Return the IoU of each class, float64 [K], of a confusion matrix [K, K].

    A class that occurs in neither truth nor prediction has 0.
    """
    hit = matrix.diagonal().double()
    return hit / _union(matrix).clamp(min=1)


def miou(matrix: Tensor) -> float:
    """Return the mean IoU over all classes, also absent ones: the official rule."""
    return float(iou(matrix).mean())


def miou_present(matrix: Tensor) -> float:
    """Return the mean IoU over the classes that occur in truth or prediction; 0 if none do."""
    present = _union(matrix) > 0
    return float(iou(matrix)[present].mean()) if present.any() else 0.0


def upsampled(logits: Tensor, labels: Tensor, align_corners: bool) -> Tensor:
    """Return logits [N, K, h, w] bilinearly at the size of labels [N, H, W]."""
    size = labels.shape[-2:]
    if logits.shape[-2:] == size:
        return logits
    return F.interpolate(logits, size, mode="bilinear", align_corners=align_corners)


def cross_entropy(
    logits: Tensor, labels: Tensor, align_corners: bool, weight: Tensor | None = None
) -> Tensor:
    """Return the mean cross entropy of logits [N, K, h, w], upsampled to labels [N, H, W].

    `weight` [K] weighs the classes. Unlike torch's mean, and so the official one, it is 0
    where all pixels are ignored.
    """
    scores = upsampled(logits, labels, align_corners)
    total = F.cross_entropy(scores, labels, weight, ignore_index=IGNORED, reduction="sum")
    share = counted(labels, weight)
    return total / torch.where(share > 0, share, 1)


def counted(labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return how many pixels of labels [N, H, W] count in a loss, or the sum of their weights."""
    there = labels != IGNORED
    if weight is None:
        return there.sum()
    return (weight[torch.where(there, labels, 0)] * there).sum()


def ohem(
    logits: Tensor,
    labels: Tensor,
    align_corners: bool,
    threshold: float,
    keep: int,
    weight: Tensor | None = None,
    ranks: Ranks = ALONE,
) -> Tensor:
    """Return the mean cross entropy of the hard pixels (the official OhemCrossEntropy).

    Hard are those whose true class is less likely than `threshold`, or than the pixel of rank
    `keep`, counted from 0 at the hardest, if that is more. 0 where there are none. `weight`
    [K] multiplies the losses, and not what their mean divides by. Where `ranks` have images each,
    hard are those of all their pixels, and what they return adds up to the mean.
    """
    scores = upsampled(logits, labels, align_corners)
    losses = F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="none")
    there = labels != IGNORED
    losses, truth = losses[there], labels[there]
    likely = torch.exp(-losses.detach())
    bar = _of_rank(likely, keep, ranks).clamp(min=threshold)
    if weight is not None:
        losses = losses * weight[truth]
    hard = losses[likely < bar]
    count = ranks.stacked(torch.tensor(hard.numel())).sum().item()
    return hard.sum() / count if hard.numel() else scores.sum() * 0


def _of_rank(values: Tensor, rank: int, ranks: Ranks) -> Tensor:
    """Return the value of a rank, from 0 at the lowest, or the highest if there are fewer.

    Of the values [n] of all processes together; 0 where there are none.
    """
    counts = ranks.stacked(torch.tensor(len(values)))
    every, most = int(counts.sum()), min(rank + 1, int(counts.max()))
    if not every:
        return values.new_zeros(())
    if not ranks.alone:
        lowest = values.new_full((most,), torch.inf)
        own = min(most, len(values))
        lowest[:own] = values.topk(own, largest=False).values
        values = ranks.stacked(lowest).flatten()
    return values.kthvalue(min(rank, every - 1) + 1).values


def poly_lr(base: float, step: int, steps: int, power: float = 0.9) -> float:
    """Return the learning rate of a step, 0 to `steps`: it falls from `base` to 0."""
    assert 0 <= step <= steps, "a step beyond the schedule has no learning rate"
    return base * math.pow(1 - step / steps, power)


def _union(matrix: Tensor) -> Tensor:
    return matrix.sum(dim=0) + matrix.sum(dim=1) - matrix.diagonal()
