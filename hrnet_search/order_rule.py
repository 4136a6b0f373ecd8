"""In which order a long schedule is expected to put networks, while few were trained by it.

One rule for what a search's duels pick and what a report says.

What the search saw counts most, but a short training is noisy, and shows less than a long one of
what size is worth: so larger networks are expected to gain. How much better that ranks than either
does, on made-up and on real images: docs/fidelity.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_search.records.schedule import NO_INIT, SHARED_INIT

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STARTS = (NO_INIT, SHARED_INIT)
"""What trainings may begin with: what inherits a base's weights ranks likeness to it."""

SLOPE = 0.6
"""Of what the search saw, all columns in their own deviations: half of the variance, with size."""

COST_SLOPES = (0.05, 0.15)
"""Of log MACs and of log parameters, beside that."""


def columns_of(short: Floats, costs: tuple[Floats, Floats], learned: Bools | None = None) -> Floats:
    """Return what is known of networks as columns [n, 3], each in its own deviations.

    `short` is what the search saw of each [n], `costs` are MACs and parameters, positive. Where it
    is known which networks `learned` anything, those that did not set no scale: one of them would
    leave the order of all others to size.
    """
    usual = short if learned is None or not learned.any() else short[learned]
    seen = (short - usual.mean()) / (usual.std() or 1.0)
    return np.column_stack([seen, *map(_standard, map(np.log, costs))])


def applies(init: str, schedules: int) -> bool:
    """Whether the order holds for trainings that begin with `init`, of so many schedules."""
    return init in STARTS and schedules < 2


def expected(columns: Floats) -> Floats:
    """Return what a long schedule is expected to give networks [n], in deviations of what it gives.

    `columns` are those of `columns_of`.
    """
    found: Floats = columns @ np.array([SLOPE, *COST_SLOPES])
    return found


def _standard(column: Floats) -> Floats:
    centred: Floats = column - column.mean()
    return centred / (centred.std() or 1.0)
