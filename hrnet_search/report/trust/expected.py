"""In which order a long schedule is expected to put networks, before any was trained by it.

What the search saw counts most, but a short training is noisy, and shows less than a long one of
what size is worth: so larger networks are expected to gain. Slices of shared weights, where a study
has them, know what a short training does not, and count as much as it. How much better all that
ranks than each does: docs/fidelity.md, docs/shared.md.
"""

from __future__ import annotations

import numpy as np

from hrnet_search.report.trust.statistics import Floats

SLOPE = 0.6
"""Of what the search saw, all columns in their own deviations: half of the variance, with size."""

COST_SLOPES = (0.05, 0.15)
"""Of log MACs and of log parameters, beside that."""


SLOPE_BESIDE_SLICES = 0.35
"""Of what the search saw where slices say something too, and of what they say."""


def columns_of(short: Floats, costs: tuple[Floats, Floats], slices: Floats | None = None) -> Floats:
    """Return what is known of networks as columns [n, 3 or 4], each in its own deviations.

    `short` is what the search saw of each [n], `costs` are MACs and parameters, positive; `slices`
    is what slices of shared weights say of each, the last column, if anything.
    """
    seen = (short, *map(np.log, costs), *([] if slices is None else [slices]))
    return np.column_stack([_standard(one) for one in seen])


def expected(columns: Floats) -> Floats:
    """Return what a long schedule is expected to give networks [n], in deviations of what it gives.

    `columns` are those of `columns_of`.
    """
    slopes = [SLOPE, *COST_SLOPES]
    if columns.shape[1] > len(slopes):
        slopes = [SLOPE_BESIDE_SLICES, *COST_SLOPES, SLOPE_BESIDE_SLICES]
    found: Floats = columns @ np.array(slopes)
    return found


def _standard(column: Floats) -> Floats:
    centred: Floats = column - column.mean()
    return centred / (centred.std() or 1.0)
