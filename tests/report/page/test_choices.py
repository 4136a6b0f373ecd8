"""The model of choices finds effects that are there, and says when it can say nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from hrnet_search.report.page import choices
from hrnet_search.report.page.choices import choice_model, choice_names
from hrnet_search.store.notes import Notes

PATHS = ("width", "FUSE", "NOTHING")
LEVELS = (("16", "18", "24"), ("SUM", "CAT"), ("a", "b"))


def made(count: int, noise: float = 0.002) -> tuple[list[tuple[int, ...]], list[float]]:
    """Return points and mIoUs: width adds 0.02 a level, CAT 0.01, the third choice nothing."""
    rng = np.random.default_rng(0)
    points = [tuple(int(rng.integers(len(v))) for v in LEVELS) for _ in range(count)]
    return points, [0.5 + 0.02 * a + 0.01 * b + rng.normal() * noise for a, b, _ in points]


def test_known_effects_are_found_in_order_and_size() -> None:
    model = choice_model(*made(200), PATHS, LEVELS)
    assert model is not None
    assert model.variants == 200
    assert model.r2 > 0.95
    width, fuse, nothing = model.effects
    assert width.share > fuse.share > nothing.share
    assert abs(nothing.share) < 0.01
    assert np.diff(width.adds) == pytest.approx([0.02, 0.02], abs=0.002)
    assert np.diff(fuse.adds) == pytest.approx([0.01], abs=0.002)
    assert np.average(width.adds, weights=width.seen) == pytest.approx(0)
    assert sum(width.seen) == 200
    assert abs(nothing.adds[0]) < 3 * nothing.errors[0] + 1e-3


def test_noise_alone_predicts_nothing() -> None:
    points, _ = made(60)
    mious = np.random.default_rng(1).normal(0.5, 0.01, 60).tolist()
    model = choice_model(points, mious, PATHS, LEVELS)
    assert model is not None
    assert model.r2 < 0.1


def test_levels_never_tried_are_left_out() -> None:
    points, mious = made(40)
    rows = [i for i, p in enumerate(points) if p[0] != 1]
    model = choice_model([points[i] for i in rows], [mious[i] for i in rows], PATHS, LEVELS)
    assert model is not None
    assert model.effects[0].levels == ("16", "24")


def test_too_little_says_nothing() -> None:
    points, mious = made(40)
    assert choice_model(points[:11], mious[:11], PATHS, LEVELS) is None
    assert choice_model(points, [0.5] * 40, PATHS, LEVELS) is None
    assert choice_model(points, mious, (), ()) is None
    assert choice_model(points, mious, PATHS[:2], LEVELS[:2]) is None


def test_names_of_levels_are_text() -> None:
    notes = Notes(choices=("width", "x"), levels=((16, 18), ([1, 2], [3, 4])))
    assert choice_names(notes) == (("width", "x"), (("16", "18"), ("[1, 2]", "[3, 4]")))
    assert choice_names(Notes()) == ((), ())


def test_memory_grows_with_the_variants_and_not_with_their_square() -> None:
    """4,000 variants: a matrix of each against each would take 128 MB."""
    points, mious = made(4000)
    tracemalloc.start()
    model = choice_model(points, mious, PATHS, LEVELS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert model is not None
    assert peak < 20e6


def test_standard_errors_are_those_of_the_whole_hat_matrix() -> None:
    """Against the textbook's formulas written out, with a row and a column a variant."""
    rng = np.random.default_rng(3)
    design, y = rng.normal(size=(40, 5)), rng.normal(size=40)
    weights, errors = choices._fit(design, y, 0.3)
    inverse = np.linalg.inv(design.T @ design + 0.3 * np.eye(5))
    hat = design @ inverse @ design.T
    left = y - y.mean() - hat @ (y - y.mean())
    variance = (left**2).sum() / (40 - np.trace(hat) - 1)
    assert weights == pytest.approx(inverse @ design.T @ (y - y.mean()))
    expected = np.sqrt(variance * np.diag(inverse @ design.T @ design @ inverse))
    assert errors == pytest.approx(expected)
