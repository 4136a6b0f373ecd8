"""Soft IoU and cross entropies against their formulas, written out pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.soft_metrics import Signals, SoftSums
from hrnet_search.records.data_spec import IGNORED

CLASSES = 4


def drawn(seed: int = 0, images: int = 5) -> tuple[Tensor, Tensor]:
    """Return logits [N, K, 6, 7] and labels: class 2 never occurs, some pixels count nowhere."""
    made = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, CLASSES, 6, 7, generator=made)
    labels = torch.randint(0, CLASSES + 2, (images, 6, 7), generator=made)
    labels[labels == 2] = 1
    labels[labels == CLASSES + 1] = IGNORED  # CLASSES itself is not a class either
    return logits, labels


def signals(*batches: tuple[Tensor, Tensor]) -> Signals:
    sums = SoftSums(CLASSES)
    for logits, labels in batches:
        sums.add(logits, labels)
    return sums.signals()


def by_the_formulas(logits: Tensor, labels: Tensor) -> tuple[float, float, float]:
    shared, predicted, pixels, loss = ([0.0] * CLASSES for _ in range(4))
    for n, row, column in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        truth = int(labels[n, row, column])
        if truth >= CLASSES:
            continue
        weights = [math.exp(v) for v in logits[n, :, row, column].tolist()]
        p = [w / sum(weights) for w in weights]
        for k in range(CLASSES):
            predicted[k] += p[k]
        shared[truth] += p[truth]
        pixels[truth] += 1
        loss[truth] -= math.log(p[truth])
    ious = [s / (p + y - s) for s, p, y in zip(shared, predicted, pixels, strict=True)]
    means = [own / y for own, y in zip(loss, pixels, strict=True) if y]
    return sum(ious) / CLASSES, sum(loss) / sum(pixels), sum(means) / len(means)


def test_signals_are_those_of_the_formulas() -> None:
    logits, labels = drawn()
    found = signals((logits, labels))
    expected = by_the_formulas(logits, labels)
    values = (found.soft_iou, found.cross_entropy, found.balanced_cross_entropy)
    assert values == pytest.approx(expected, rel=1e-6)


def test_batches_of_any_size_give_the_same() -> None:
    logits, labels = drawn()
    whole = signals((logits, labels))
    parts = signals(*((logits[i : i + 2], labels[i : i + 2]) for i in (0, 2, 4)))
    assert parts.soft_iou == pytest.approx(whole.soft_iou, rel=1e-12)
    assert parts.cross_entropy == pytest.approx(whole.cross_entropy, rel=1e-12)
    assert parts.balanced_cross_entropy == pytest.approx(whole.balanced_cross_entropy, rel=1e-12)


def test_soft_iou_of_certain_probabilities_is_the_official_miou() -> None:
    logits, labels = drawn(1)
    predicted = logits.argmax(dim=1)
    certain = 200.0 * F.one_hot(predicted, CLASSES).movedim(-1, 1).float()
    matrix = metrics.confusion(predicted, labels, CLASSES)
    assert signals((certain, labels)).soft_iou == pytest.approx(metrics.miou(matrix), rel=1e-12)


def test_cross_entropies_are_those_of_torch() -> None:
    logits, labels = drawn(2)
    labels[labels == CLASSES] = IGNORED
    found = signals((logits, labels))
    plain = F.cross_entropy(logits, labels, ignore_index=IGNORED)
    assert found.cross_entropy == pytest.approx(plain.item(), rel=1e-6)
    counts = torch.bincount(labels[labels != IGNORED], minlength=CLASSES).float()
    weight = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    balanced = F.cross_entropy(logits, labels, weight, ignore_index=IGNORED)
    assert found.balanced_cross_entropy == pytest.approx(balanced.item(), rel=1e-6)


def test_a_pixel_counts_after_many_millions() -> None:
    """In float32 a half is lost beside 2^25."""
    sums = SoftSums(2)
    sums.predicted += 2.0**25
    for _ in range(6):
        sums.add(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long))
    assert sums.predicted.tolist() == [2.0**25 + 3] * 2


def test_pixels_that_count_nowhere_change_nothing() -> None:
    logits, labels = drawn(3)
    found = signals((logits, labels))
    other = torch.where((labels >= CLASSES)[:, None], torch.full((), 9.0), logits)
    assert signals((other, labels)) == found
    nothing = signals((logits, torch.full_like(labels, IGNORED)))
    assert nothing == Signals(0.0, 0.0, 0.0)
