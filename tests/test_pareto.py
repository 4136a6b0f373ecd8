"""Fronts and hypervolume, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_search.pareto import fronts, hypervolume, non_dominated


def by_definition(values: np.ndarray) -> list[bool]:
    """All columns are to be small."""
    return [
        not any((o <= v).all() and (o < v).any() for o in values if np.isfinite(o).all())
        and bool(np.isfinite(v).all())
        for v in values
    ]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_front_is_what_its_definition_says(columns: int) -> None:
    rng = np.random.default_rng(columns)
    for _ in range(50):
        values = rng.integers(0, 6, size=(rng.integers(1, 30), columns)).astype(float)
        values[rng.random(values.shape) < 0.05] = np.nan
        assert non_dominated(values, ["min"] * columns).tolist() == by_definition(values)
        flipped = values * [-1, *[1] * (columns - 1)]
        directions = ["max", *["min"] * (columns - 1)]
        assert non_dominated(flipped, directions).tolist() == by_definition(values)


def test_numbers_of_any_size_are_compared() -> None:
    """No network is too large to be counted, and Python's integers are not int64."""
    costs = [(10**30, 0.5), (10**31, 0.5), (10**31, 0.75)]
    assert non_dominated(costs, ["min", "max"]).tolist() == [True, False, True]
    whole = [(1, 3), (2, 3), (2, 4)]
    assert non_dominated(whole, ["min", "max"]).tolist() == [True, False, True]


def test_an_empty_table_has_an_empty_front() -> None:
    assert non_dominated(np.zeros((0, 2)), ["max", "min"]).tolist() == []


def test_the_hypervolume_is_the_area_that_is_dominated() -> None:
    assert hypervolume([0.5, 0.8], [1, 3], (0, 4)) == pytest.approx(0.5 * 3 + 0.3 * 1)
    assert hypervolume([0.5, 0.4], [1, 2], (0, 4)) == pytest.approx(0.5 * 3)
    assert hypervolume([0.5, np.nan], [5, 1], (0, 4)) == 0


def test_the_hypervolume_is_what_points_drawn_in_the_box_see() -> None:
    """Monte Carlo is the authority: the share of a box that some point dominates."""
    rng = np.random.default_rng(5)
    accuracy, cost = rng.uniform(0.1, 1, 12), rng.uniform(2, 9, 12)
    accuracy[3], cost[4] = np.nan, np.inf
    accuracy[5] = 0.3  # on the reference itself: dominates nothing
    inside = rng.uniform((0.3, 0.0), (1.0, 8.0), (200_000, 2))
    beaten = np.zeros(len(inside), dtype=bool)
    for value, price in zip(accuracy, cost, strict=True):
        beaten |= (inside[:, 0] < value) & (inside[:, 1] > price)
    found = hypervolume(accuracy, cost, (0.3, 8.0))
    assert found == pytest.approx(beaten.mean() * 0.7 * 8.0, rel=0.01)
    assert isinstance(found, float)


def test_values_may_be_missing() -> None:
    lacking = np.array([0.5, None], dtype=object)
    assert hypervolume(lacking, [1, 1], (0, 4)) == 1.5
    assert hypervolume([0.5, 0.6], np.array([1, None], dtype=object), (0, 4)) == 1.5


def test_a_point_counts_by_its_accuracy_and_by_its_cost() -> None:
    assert hypervolume([0.2], [3], (0.5, 4)) == 0, "costs are not held against the accuracy"
    assert hypervolume([0.9], [5], (0.5, 4)) == 0
    assert hypervolume([0.5], [-1], (0, 4)) == 2.5, "logs of costs may be below 0"
    assert hypervolume([0.9, 0.9], [1, np.inf], (0.5, 4)) == pytest.approx(0.4 * 3)


def test_fronts_come_one_behind_the_other_and_have_every_finite_row_once() -> None:
    rng = np.random.default_rng(0)
    values = [*rng.random((60, 2)).tolist(), [float("nan"), 0.0]]
    found = list(fronts(values, ("max", "min")))
    assert sorted(row for front in found for row in front) == list(range(60))
    left = list(range(60))
    for front in found:
        kept = non_dominated([values[row] for row in left], ("max", "min"))
        assert front == [row for row, good in zip(left, kept, strict=True) if good]
        left = [row for row in left if row not in front]
