"""Fronts and hypervolume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def non_dominated(values: ArrayLike, directions: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows of `values` [n, m] no other row beats in every objective, [n].

    `directions` is max or min for each column. A row with a value that is not finite is never
    on the front; rows that are equal stay together.
    """
    table = np.array(values, dtype=np.float64).reshape(-1, len(directions))
    table[:, [d == "max" for d in directions]] *= -1
    kept = np.asarray(np.isfinite(table).all(axis=1), dtype=np.bool_)
    order = np.lexsort(table.T[::-1])
    front: list[NDArray[np.float64]] = []
    for row in order[kept[order]]:
        # Whatever beats a row comes before it in this order.
        beaten = bool(front) and bool(
            ((np.array(front) <= table[row]).all(axis=1) & (front != table[row]).any(axis=1)).any()
        )
        kept[row] = not beaten
        if not beaten:
            front.append(table[row])
    return kept


def hypervolume(accuracy: ArrayLike, cost: ArrayLike, reference: tuple[float, float]) -> float:
    """Return the area that (accuracy max, cost min) points dominate above a reference point.

    `reference` is (accuracy, cost); points that do not beat it in both add nothing.
    """
    points = np.column_stack([np.asarray(accuracy, float), np.asarray(cost, float)])
    points = points[np.isfinite(points).all(axis=1)]
    points = points[(points[:, 0] > reference[0]) & (points[:, 1] < reference[1])]
    area, best = 0.0, reference[0]
    for value, price in points[np.argsort(points[:, 1], kind="stable")]:
        if value > best:
            area += (value - best) * (reference[1] - price)
            best = value
    return float(area)


def fronts(values: Sequence[Sequence[float]], directions: Sequence[str]) -> Iterator[list[int]]:
    """Yield rows front by front, each time without those before; rows that are not finite never."""
    left = list(range(len(values)))
    while left:
        kept = non_dominated([values[row] for row in left], directions)
        front = [row for row, good in zip(left, kept, strict=True) if good]
        if not front:
            return
        yield front
        left = [row for row, good in zip(left, kept, strict=True) if not good]
