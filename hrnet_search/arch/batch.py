"""Many architectures as integer arrays, one row each: what a million variants are counted with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import (
    EXPANSION,
    FINAL_KERNELS,
    HEADS,
    MAX_BRANCHES,
    MAX_COUNT,
    Architecture,
    Stage,
)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ARRAYS = (
    "modules", "expansion", "branches", "blocks", "channels", "cat", "final_kernel", "ocr",
    "mid_channels", "key_channels",
)  # fmt: skip
"""Fields of a batch with a row an architecture."""

BLOCK_OF = {expansion: block for block, expansion in EXPANSION.items()}


@dataclass(frozen=True, slots=True)
class ArchitectureBatch:
    """N architectures with one align_corners.

    `modules`, `expansion` (1 BASIC, 4 BOTTLENECK), `branches` and `cat` (0 SUM, 1 CAT) are
    [N, 4], by stage; `blocks` and `channels` [N, 4, 4], by stage and branch; `final_kernel`,
    `ocr` (0 plain head, 1 OCR), `mid_channels` and `key_channels` [N]. Entries of branches that
    a stage does not have are not read, nor what another head reads.
    """

    modules: Ints
    expansion: Ints
    branches: Ints
    blocks: Ints
    channels: Ints
    cat: Ints
    final_kernel: Ints
    ocr: Ints
    mid_channels: Ints
    key_channels: Ints
    align_corners: bool = False

    def __len__(self) -> int:
        return len(self.final_kernel)

    @classmethod
    def of(cls, architectures: Sequence[Architecture]) -> ArchitectureBatch:
        """Return architectures as arrays; align_corners is that of the first."""
        stages = [a.stages for a in architectures]
        rows = [[_padded(s) for s in four] for four in stages]
        return cls(
            modules=_ints([[s.modules for s in four] for four in stages]),
            expansion=_ints([[EXPANSION[s.block] for s in four] for four in stages]),
            branches=_ints([[s.branches for s in four] for four in stages]),
            blocks=_ints([[blocks for blocks, _ in four] for four in rows]),
            channels=_ints([[channels for _, channels in four] for four in rows]),
            cat=_ints([[int(s.fuse == "CAT") for s in four] for four in stages]),
            final_kernel=_ints([a.final_kernel for a in architectures]),
            ocr=_ints([int(a.has_ocr) for a in architectures]),
            mid_channels=_ints([a.mid_channels for a in architectures]),
            key_channels=_ints([a.key_channels for a in architectures]),
            align_corners=architectures[0].align_corners,
        )

    def taken(self, rows: Bools) -> ArchitectureBatch:
        """Return the architectures of some rows [N], in their order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})

    def most(self) -> ArchitectureBatch:
        """Return two architectures that have the most of everything, one with each head."""
        two: dict[str, Any] = {
            name: np.repeat(getattr(self, name).max(axis=0)[None], 2, axis=0) for name in ARRAYS
        }
        return replace(self, **{**two, "ocr": _ints([0, self.ocr.max()])})

    def architecture(self, row: int) -> Architecture:
        """Return one row as an Architecture, valid or not."""
        stages = tuple(self._stage(row, s) for s in range(4))
        ocr = int(self.ocr[row])
        widths = (int(self.mid_channels[row]), int(self.key_channels[row])) if ocr else ()
        kernel = int(self.final_kernel[row])
        return Architecture(stages, HEADS[ocr], kernel, self.align_corners, *widths)  # type: ignore[arg-type]

    def _stage(self, row: int, s: int) -> Stage:
        n = int(self.branches[row, s])
        return Stage(
            modules=int(self.modules[row, s]),
            block=BLOCK_OF[int(self.expansion[row, s])],
            blocks=tuple(int(b) for b in self.blocks[row, s, :n]),
            channels=tuple(int(c) for c in self.channels[row, s, :n]),
            fuse="CAT" if self.cat[row, s] else "SUM",
        )

    def valid(self) -> Bools:
        """Return which rows `Architecture.problems` finds nothing in, [N]."""
        here = self.present()
        counts = np.stack([self.blocks, self.channels])
        good = ((counts >= 1) & (counts <= MAX_COUNT) | ~here).all(axis=(0, 2, 3))
        good &= (np.diff(self.branches, axis=1) >= 0).all(axis=1)
        good &= (self.branches[:, 0] == 1) & (self.branches[:, 3] <= MAX_BRANCHES)
        least = np.array([1, 0, 0, 0])
        good &= ((self.modules >= least) & (self.modules <= MAX_COUNT)).all(axis=1)
        good &= np.isin(self.final_kernel, FINAL_KERNELS)
        for widths in (self.mid_channels, self.key_channels):
            good &= (self.ocr == 0) | (widths >= 1) & (widths <= MAX_COUNT)
        return np.asarray(good, dtype=np.bool_)

    def present(self) -> Bools:
        """Return which branches exist, [N, 4, 4]."""
        return np.arange(MAX_BRANCHES) < self.branches[:, :, None]

    def rows(self) -> Ints:
        """Return what is read of each architecture, [N, 48]: equal rows, equal computation.

        The converse holds but for modules that could as well stand in the next stage; only
        ids are equal then.
        """
        here = self.present()
        runs = self.modules > 0
        blocks = np.where(here & runs[:, :, None], self.blocks, 0)
        widths = np.where(here, self.channels * self.expansion[:, :, None], 0)
        fused = runs & (self.branches > 1)
        # Blocks of a branch alone count together: nothing stands between its modules.
        alone = (self.branches == 1) & runs
        blocks[:, :, 0] = np.where(alone, blocks[:, :, 0] * self.modules, blocks[:, :, 0])
        modules = np.where(alone, 1, self.modules)
        expansion = np.where(runs, self.expansion, 0)
        parts = [modules, expansion, np.where(fused, self.cat, 0), blocks, widths]
        flat = [p.reshape(len(self), -1) for p in parts]
        plain, ocr = self.final_kernel * (1 - self.ocr), self.ocr
        head = [plain, ocr, ocr * self.mid_channels, ocr * self.key_channels]
        return np.concatenate([*flat, np.stack(head, axis=1)], axis=1)


def _padded(stage: Stage) -> tuple[list[int], list[int]]:
    spare = [0] * (MAX_BRANCHES - stage.branches)
    return [*stage.blocks, *spare], [*stage.channels, *spare]


def _ints(values: object) -> Ints:
    return np.array(values, dtype=np.int64)
