"""Fronts and hypervolume, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_search.pareto import hypervolume, non_dominated


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


def test_an_empty_table_has_an_empty_front() -> None:
    assert non_dominated(np.zeros((0, 2)), ["max", "min"]).tolist() == []


def test_the_hypervolume_is_the_area_that_is_dominated() -> None:
    assert hypervolume([0.5, 0.8], [1, 3], (0, 4)) == pytest.approx(0.5 * 3 + 0.3 * 1)
    assert hypervolume([0.5, 0.4], [1, 2], (0, 4)) == pytest.approx(0.5 * 3)
    assert hypervolume([0.5, np.nan], [5, 1], (0, 4)) == 0
