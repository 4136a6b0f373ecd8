"""What is worked out once for each point, however often a search asks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]


class ByPoint:
    """A function of points [n, d] that keeps its rows [n, k], and forgets all when there are many.

    `compute` has to give a point the same row whatever points are beside it. Candidates near a
    front are those of the last proposal but for a few, and each is asked about several times.
    """

    def __init__(self, compute: Callable[[Points], NDArray[np.generic]], most: int) -> None:
        self._compute = compute
        self._most = most
        self._rows: dict[bytes, NDArray[np.generic]] = {}

    def __call__(self, points: Points) -> NDArray[np.generic]:
        """Return the rows of points, of which there is one at least."""
        if len(points) > self._most:
            return self._compute(points)
        keys = [point.tobytes() for point in np.ascontiguousarray(points)]
        rows = {key: row for row, key in enumerate(keys)}
        unknown = [key for key in rows if key not in self._rows]
        if len(self._rows) + len(unknown) > self._most:
            self._rows.clear()
            unknown = list(rows)
        if unknown:
            found = self._compute(points[[rows[key] for key in unknown]])
            self._rows.update(zip(unknown, found, strict=True))
        return np.array([self._rows[key] for key in keys])
