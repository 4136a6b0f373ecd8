"""What is kept by point is what would be worked out again."""

from __future__ import annotations

import numpy as np

from hrnet_search.search.by_point import ByPoint, Points


class Counted:
    """Sums and products of points, and how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, points: Points) -> Points:
        self.asked += len(points)
        return np.stack([points.sum(axis=1), points.prod(axis=1)], axis=1)


def test_each_point_is_worked_out_once_and_comes_back_the_same() -> None:
    counted, rng = Counted(), np.random.default_rng(0)
    kept = ByPoint(counted, 10_000)
    for _ in range(20):
        points = rng.integers(0, 4, size=(50, 4))
        # A slice that is not contiguous in memory has the same keys.
        assert (kept(points[:, ::-1]) == Counted()(points[:, ::-1])).all()
    assert counted.asked <= 4**4 < 20 * 50


def test_no_more_are_kept_than_there_is_room_for() -> None:
    counted, points = Counted(), np.arange(40).reshape(20, 2)
    kept = ByPoint(counted, 12)
    for part in (points[:8], points[8:16], points[:8], points):
        assert (kept(part) == Counted()(part)).all()
    assert len(kept._rows) <= 12
