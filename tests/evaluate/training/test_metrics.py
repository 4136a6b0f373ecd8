"""Metrics against what the official code computes, and at the edges where it fails."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hrnet_search.evaluate.training import metrics
from hrnet_search.records.data_spec import IGNORED
from hrnet_search.store.figures import figures_of

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "metrics.json").read_text()
)
CLASSES = GOLDEN["num_classes"]
CLOSE = 1e-10
"""The stored numbers have 12 digits."""


def u01(seed: int, n: int) -> Tensor:
    """Return n doubles in [0, 1) by splitmix64."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def drawn_labels(*shape: int) -> Tensor:
    drawn = (u01(777, math.prod(shape)) * (CLASSES + 1)).floor().long()
    return torch.where(drawn == CLASSES, IGNORED, drawn).reshape(shape)


@pytest.fixture(scope="module")
def labels() -> Tensor:
    drawn = drawn_labels(2, 9, 11)
    return torch.where(drawn == 4, 0, drawn)


@pytest.fixture(scope="module")
def logits() -> Tensor:
    drawn = (4 * u01(4242, 2 * CLASSES * 9 * 11) - 2).reshape(2, CLASSES, 9, 11)
    drawn[:, 4] = -100
    return drawn


@pytest.fixture(scope="module")
def matrix(logits: Tensor, labels: Tensor) -> Tensor:
    return metrics.confusion(logits.argmax(dim=1), labels, CLASSES)


def test_confusion_matrix_is_the_official_one(matrix: Tensor) -> None:
    assert matrix.dtype == torch.int64
    assert matrix.tolist() == GOLDEN["confusion_matrix"]


def test_figures_of_a_matrix_are_the_official_ones(matrix: Tensor) -> None:
    assert metrics.iou(matrix).tolist() == pytest.approx(GOLDEN["iou"], rel=CLOSE)
    assert metrics.miou(matrix) == pytest.approx(GOLDEN["mean_iou"], rel=CLOSE)
    found = figures_of(matrix.numpy()[None])
    assert found.pixel_accuracy == pytest.approx(GOLDEN["pixel_acc"], rel=CLOSE)
    assert found.mean_accuracy == pytest.approx(GOLDEN["mean_acc"], rel=CLOSE)


def test_present_classes_alone_leave_out_the_class_that_never_occurs(matrix: Tensor) -> None:
    expected = sum(GOLDEN["iou"]) / (CLASSES - 1)
    assert metrics.miou_present(matrix) == pytest.approx(expected, rel=CLOSE)


def test_cross_entropy_is_the_official_one(logits: Tensor, labels: Tensor) -> None:
    plain = metrics.cross_entropy(logits, labels, align_corners=False).item()
    assert plain == pytest.approx(GOLDEN["ce"], rel=CLOSE)
    weight = torch.tensor(GOLDEN["ce_weighted"]["weight"], dtype=torch.float64)
    weighted = metrics.cross_entropy(logits, labels, False, weight).item()
    assert weighted == pytest.approx(GOLDEN["ce_weighted"]["value"], rel=CLOSE)


@pytest.mark.parametrize("aligned", [True, False])
def test_cross_entropy_upsamples_as_the_official_one(aligned: bool) -> None:
    small = (4 * u01(99, 180) - 2).reshape(1, CLASSES, 5, 6)
    found = metrics.cross_entropy(small, drawn_labels(1, 17, 23), aligned).item()
    expected = GOLDEN["ce_upsampled"][f"align_corners={aligned}"]
    assert found == pytest.approx(expected, rel=CLOSE)


@pytest.mark.parametrize("case", GOLDEN["ohem"])
def test_ohem_is_the_official_one(case: str, logits: Tensor, labels: Tensor) -> None:
    found = re.fullmatch(r"thres=(.+),keep=(.+)", case)
    assert found
    value = metrics.ohem(logits, labels, False, float(found[1]), int(found[2])).item()
    assert value == pytest.approx(GOLDEN["ohem"][case], rel=CLOSE)


@pytest.mark.parametrize("step", GOLDEN["poly_lr"]["values"])
def test_learning_rates_are_the_official_ones(step: str) -> None:
    golden = GOLDEN["poly_lr"]
    for group, base in enumerate((golden["base_lr"], 10 * golden["base_lr"])):
        rate = metrics.poly_lr(base, int(step), golden["max_iters"], golden["power"])
        assert rate == pytest.approx(golden["values"][step][group], rel=CLOSE)


def test_labels_that_are_no_class_are_left_out() -> None:
    labels = torch.tensor([[[0, 1, 2, -1, IGNORED, 3]]])
    matrix = metrics.confusion(torch.zeros_like(labels), labels, classes=3)
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 0]]


def test_the_ignored_label_is_no_class_even_of_300() -> None:
    labels = torch.tensor([[[254, IGNORED, 256]]])
    matrix = metrics.confusion(labels, labels, classes=300)
    assert matrix.nonzero().tolist() == [[254, 254], [256, 256]]


def test_each_image_has_its_own_matrix() -> None:
    labels = torch.tensor([[[0, 0]], [[1, IGNORED]], [[1, 0]]])
    predicted = torch.tensor([[[0, 1]], [[0, 0]], [[1, 1]]])
    found = metrics.confusions(predicted, labels, classes=2)
    assert found.tolist() == [[[1, 1], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]]
    assert metrics.confusion(predicted, labels, 2).tolist() == [[1, 2], [1, 1]]


def test_nothing_counted_has_figures_of_zero_and_no_nan() -> None:
    nothing = torch.zeros(3, 3, dtype=torch.int64)
    assert (metrics.miou(nothing), metrics.miou_present(nothing)) == (0, 0)


@pytest.mark.parametrize("loss", ["plain", "weighted", "ohem"])
def test_a_batch_of_ignored_pixels_has_loss_and_gradient_zero(loss: str) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.full((2, 8, 8), IGNORED)
    if loss == "ohem":
        value = metrics.ohem(logits, labels, False, 0.9, 10)
    else:
        weight = torch.ones(3) if loss == "weighted" else None
        value = metrics.cross_entropy(logits, labels, False, weight)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.count_nonzero() == 0
