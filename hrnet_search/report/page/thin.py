"""What is drawn of many networks: all that matter, and of the others those that are seen apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MOST_BEATEN = 2000
"""Networks drawn of those that are neither on the front, nor near it, nor confirmed."""

CELLS = 100
"""Cells that the picture has each way: points in one cell cover each other."""


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` of the numbers below `count`, evenly spread, first and last too."""
    places = np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
    return [int(place) for place in np.unique(places)]


def drawn(
    heights: Sequence[float | None],
    axes: Sequence[Sequence[float | None]],
    kept: Sequence[bool],
    most: int = MOST_BEATEN,
) -> list[int]:
    """Return which of n networks are drawn, in their order: all `kept`, at most `most` others.

    A cell of each picture (`heights` against one of the `axes`) gives its first network before any
    gives its second; of those that come equally late, some are taken evenly.
    """
    others = np.flatnonzero(~np.asarray(kept, dtype=np.bool_))
    if len(others) > most:
        up = _cells(np.array(heights, dtype=np.float64)[others])
        turns = [_turn(_cells(_logs(axis)[others]) * CELLS + up) for axis in axes]
        others = others[
            _earliest(np.min([*turns, np.full(len(others), len(others))], axis=0), most)
        ]
    return sorted([*np.flatnonzero(kept).tolist(), *others.tolist()])


def _earliest(turn: Ints, most: int) -> Ints:
    """Return the places of at most `most` that have the earliest turns."""
    order = np.argsort(turn, kind="stable")
    last = turn[order[most - 1]]
    sure, level = np.flatnonzero(turn < last), np.flatnonzero(turn == last)
    return np.concatenate([sure, level[spread(len(level), most - len(sure))]])


def _turn(cells: Ints) -> Ints:
    """Return how many before each have its cell, [n]."""
    order = np.argsort(cells, kind="stable")
    _, first, counts = np.unique(cells[order], return_index=True, return_counts=True)
    turn = np.empty(len(cells), dtype=np.int64)
    turn[order] = np.arange(len(cells)) - np.repeat(first, counts)
    return turn


def _cells(values: NDArray[np.float64]) -> Ints:
    """Return the cell that each value is in, 0 to CELLS - 1; the first if it is not known."""
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    share = np.where(finite, values - low, 0.0) / ((high - low) or 1.0)
    return np.minimum((share * CELLS).astype(np.int64), CELLS - 1)


def _logs(axis: Sequence[float | None]) -> NDArray[np.float64]:
    values = np.array([np.nan if v is None or v <= 0 else v for v in axis], dtype=np.float64)
    return np.asarray(np.log(values))
