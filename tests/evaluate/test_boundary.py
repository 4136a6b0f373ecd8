"""The boundary F-score against its definition (Csurka, Larlus and Perronnin 2013), pair by pair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_search.evaluate.boundary import boundary_scores
from hrnet_search.records.data_spec import IGNORED


def outline(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    height, width = mask.shape
    found = []
    for y, x in zip(*np.nonzero(mask), strict=True):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(0 <= b < height and 0 <= a < width and not mask[b, a] for b, a in beside):
            found.append((int(y), int(x)))
    return found


def met(one: list[tuple[int, int]], other: list[tuple[int, int]], most: float) -> float:
    if not one or not other:
        return 0.0
    return sum(any(math.dist(p, q) <= most for q in other) for p in one) / len(one)


def by_definition(predicted: Any, truth: Any, label: int, most: float) -> float:
    ours, theirs = outline(predicted == label), outline(truth == label)
    precision, recall = met(ours, theirs, most), met(theirs, ours, most)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 3, (5, 6)), np.ones((5, 5), dtype=int))
    predicted = np.roll(truth, (1, seed), axis=(0, 1))
    most = max(1.0, 0.05 * math.hypot(*truth.shape))
    found = boundary_scores(predicted, truth, 4, tolerance=0.05)
    for label in range(3):
        assert found[label] == pytest.approx(by_definition(predicted, truth, label, most))
    assert np.isnan(found[3])


def test_the_same_mask_has_1_and_one_that_is_nowhere_near_0() -> None:
    truth = np.zeros((40, 40), dtype=int)
    truth[5:15, 5:15] = 1
    assert boundary_scores(truth, truth, 2).tolist() == [1.0, 1.0]
    other = np.zeros_like(truth)
    other[25:35, 25:35] = 1
    assert boundary_scores(other, truth, 2)[1] == 0


def test_a_class_that_fills_an_image_has_no_outline_to_be_compared() -> None:
    whole = np.zeros((16, 16), dtype=int)
    assert np.isnan(boundary_scores(whole, whole, 3)).all()
    part = whole.copy()
    part[4:8, 4:8] = 1
    assert boundary_scores(part, whole, 3)[:2].tolist() == [0.0, 0.0]


def test_what_is_ignored_is_not_compared() -> None:
    truth = np.zeros((20, 20), dtype=int)
    truth[:, 10:] = 1
    predicted = truth.copy()
    predicted[8:12, 2:6] = 1
    truth[8:12, 2:6] = IGNORED
    assert boundary_scores(predicted, truth, 2)[1] == 1
