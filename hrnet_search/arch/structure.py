"""What networks are made of, in a few numbers: depth and weights of each scale, exchanges, width.

A description that any two architectures share, whatever space they are of: two spellings that do
much the same (a block more in each of two modules, or one module more) are near each other in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import MAX_BRANCHES
from hrnet_search.arch.batch import ArchitectureBatch

Floats = NDArray[np.float64]

STRUCTURE = (
    *(f"log_blocks_{branch}" for branch in range(MAX_BRANCHES)),
    *(f"log_weights_{branch}" for branch in range(MAX_BRANCHES)),
    "log_exchanges",
    "log_width",
)
"""Names of the columns, in their order; scales by branch, from the finest."""

BASIC, BOTTLENECK = 2 * 9, 4 + 9 + 4
"""Weights of a block over its squared channels: two 3x3; 1x1, 3x3 and 1x1."""


def structure(batch: ArchitectureBatch) -> Floats:
    """Return the columns of STRUCTURE for architectures, [n, 10]: natural logarithms.

    Blocks and weights are those of a scale in stages 2 to 4, exchanges the modules that fuse
    branches; one is added to each, for what is not there. Width is that of the finest branch of
    stage 4.
    """
    here = batch.present()[:, 1:]
    blocks = np.where(here, batch.modules[:, 1:, None] * batch.blocks[:, 1:], 0)
    each = np.where(batch.expansion[:, 1:] == 1, BASIC, BOTTLENECK)
    weights = blocks * batch.channels[:, 1:].astype(np.float64) ** 2 * each[:, :, None]
    fused = np.where(batch.branches > 1, batch.modules, 0)
    columns = [
        np.log1p(blocks.sum(axis=1)),
        np.log1p(weights.sum(axis=1)),
        np.log1p(fused.sum(axis=1))[:, None],
        np.log(batch.channels[:, 3, :1]),
    ]
    return np.concatenate(columns, axis=1)
