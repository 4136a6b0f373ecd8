"""What each target runs as it was searched: the rules stand here once, for one and for a million.

A target is what an exporter writes for: the HRNet library, mmsegmentation, ONNX. Each has reasons
against networks; a reason is a text and which rows of a batch it holds of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import FINAL_KERNELS, MAX_BRANCHES, Architecture
from hrnet_search.arch.batch import ArchitectureBatch, Bools
from hrnet_search.arch.cost import operations

Reason = tuple[str, Bools]
Reasons = Callable[[ArchitectureBatch, int], Iterator[Reason]]

HRNET, MMSEG, ONNX, ANY = "hrnet", "mmseg", "onnx", "any"
LARGEST_ONNX = 2**31 - 1
"""Bytes that one ONNX file can have: protobuf's limit."""

_SMALL = (32, 32)
"""Weights do not depend on the size of images."""


def target_problems(target: str, architecture: Architecture, classes: int = 19) -> list[str]:
    """Return why a target would run something else or stop on a network; empty if it would not."""
    batch = ArchitectureBatch.of([architecture])
    return [why for why, rows in TARGETS[target](batch, classes) if rows[0]]


def crossed_transitions(architecture: Architecture) -> list[str]:
    """Return the transitions that pytorch-v1.1, and mmsegmentation, feed from a wrong branch.

    They give every transition the last branch before it, also one that only changes the
    channels of its own branch. For transition 1 and the last branch that is the same.
    """
    return [why for why, rows in _crossed(ArchitectureBatch.of([architecture])) if rows[0]]


def weight_bytes(batch: ArchitectureBatch, classes: int) -> NDArray[np.float64]:
    """Return the bytes in fp32 of each network's state dict, [N], batch norm's statistics too."""
    total = np.zeros(len(batch))
    for op in operations(batch, _SMALL, classes):
        kernel = np.asarray(op.kernel, dtype=np.float64)
        each = kernel**2 * op.inputs * op.outputs + op.bias * op.outputs
        # Of a batch norm: weight, bias, mean and variance a channel, and how many batches it saw.
        total += op.count * (each + op.norm * (4.0 * op.outputs + 1))
    return 4 * total


def _most_bytes(batch: ArchitectureBatch, classes: int) -> float:
    """Return bytes that no state dict of a batch is above: of one with the most of everything.

    Where all stages have all branches there are fewer transitions than where branches come later:
    twelve convolutions a stage, as wide as the widest, are more than there can be.
    """
    widest = float((batch.channels * batch.expansion[:, :, None]).max())
    return float(weight_bytes(batch.most(), classes).max()) + 4 * 3 * 12 * (
        9 * widest**2 + 4 * widest + 1
    )


def _hrnet(batch: ArchitectureBatch, _: int) -> Iterator[Reason]:
    """It stores FUSE_METHOD and never reads it, and its head takes exactly four branches."""
    yield from _fused_as_sum(batch)
    for branches in range(1, MAX_BRANCHES):
        why = f"its head crashes on {branches} branches in STAGE4, it needs 4"
        yield why, batch.branches[:, 3] == branches


def _mmseg(batch: ArchitectureBatch, _: int) -> Iterator[Reason]:
    yield from _fused_as_sum(batch)
    if batch.align_corners:
        fused = np.asarray(_fused(batch).any(axis=1), dtype=np.bool_)
        yield "ALIGN_CORNERS true: its HRNet fuses with align_corners False only", fused
    for kernel in FINAL_KERNELS:
        if kernel != 1:
            why = f"FINAL_CONV_KERNEL {kernel}: its heads classify with a 1x1 convolution only"
            yield why, (batch.final_kernel == kernel) & (batch.ocr == 0)
    yield from _crossed(batch)


def _onnx(batch: ArchitectureBatch, classes: int) -> Iterator[Reason]:
    why = "its weights are over 2 GiB, which one ONNX file cannot hold"
    if not len(batch) or _most_bytes(batch, classes) <= LARGEST_ONNX:
        yield why, np.zeros(len(batch), dtype=np.bool_)
        return
    yield why, np.asarray(weight_bytes(batch, classes) > LARGEST_ONNX, dtype=np.bool_)


def _fused(batch: ArchitectureBatch) -> Bools:
    """Return which of stages 2 to 4 add or concatenate anything, [N, 3]."""
    return np.asarray((batch.branches[:, 1:] > 1) & (batch.modules[:, 1:] > 0), dtype=np.bool_)


def _fused_as_sum(batch: ArchitectureBatch) -> Iterator[Reason]:
    fused = _fused(batch) & (batch.cat[:, 1:] == 1)
    for column, number in enumerate((2, 3, 4)):
        yield f"STAGE{number}.FUSE_METHOD CAT runs as SUM there", fused[:, column]


def _crossed(batch: ArchitectureBatch) -> Iterator[Reason]:
    widths = batch.channels * batch.expansion[:, :, None]
    for number in (2, 3):
        before, after = number - 1, number  # stages, from 0
        for branches in range(2, MAX_BRANCHES + 1):
            for branch in range(branches - 1):
                changed = widths[:, before, branch] != widths[:, after, branch]
                why = (
                    f"transition{number} changes the channels of branch {branch}, and is fed from"
                    f" branch {branches - 1} there"
                )
                yield why, changed & (batch.branches[:, before] == branches)


TARGETS: dict[str, Reasons] = {HRNET: _hrnet, MMSEG: _mmseg, ONNX: _onnx, ANY: lambda *_: iter(())}
