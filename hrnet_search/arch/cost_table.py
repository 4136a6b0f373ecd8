"""The cost of one architecture by stage, branch and kind of operation, and what is beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Operation, Size, architecture_operations, attention_macs


@dataclass(frozen=True, slots=True)
class CostRow:
    """What a stage spends on one branch in one kind of operation, per image.

    `stage` is 0 for the stem, 5 for the head; `branch` that of the output; `kind` stem, blocks,
    transition, fuse or head. `convolutions` counts them, `params`, `macs` and `activations` are
    those of `Cost`. `norm`, `upsampling` and `addition` are the elements that batch norm,
    bilinear upsampling and additions put out, which no MACs are counted for; `attention` the MACs
    of the matrix products of an OCR head, which are no convolutions.
    """

    stage: int
    branch: int
    kind: str
    convolutions: int
    params: int
    macs: int
    activations: int
    norm: int
    upsampling: int
    addition: int
    attention: int = 0

    def __add__(self, other: CostRow) -> CostRow:
        """Return the sum of the counts, under this row's name."""
        counts = zip(_counts(self), _counts(other), strict=True)
        return CostRow(self.stage, self.branch, self.kind, *(a + b for a, b in counts))


_counts = attrgetter(*CostRow.__slots__[3:])


def cost_table(architecture: Architecture, size: Size, classes: int) -> tuple[CostRow, ...]:
    """Return a row for each stage, branch and kind that the network has, in its order.

    The rows add up to `cost` exactly, and their `attention` to `attention_macs`. Raises what
    `cost` raises.
    """
    rows: dict[tuple[int, int, str], CostRow] = {}
    for op in architecture_operations(architecture, size, classes):
        if op.count[0]:
            key = (op.stage, op.branch, op.kind)
            rows[key] = rows[key] + _row(op) if key in rows else _row(op)
    head = rows[5, 0, "head"]
    rows[5, 0, "head"] = replace(head, attention=attention_macs(architecture, size, classes))
    order = {"stem": 0, "transition": 1, "blocks": 2, "fuse": 3, "head": 4}
    return tuple(sorted(rows.values(), key=lambda row: (row.stage, order[row.kind], row.branch)))


def total(rows: tuple[CostRow, ...]) -> CostRow:
    """Return the sum of all rows, named `total`."""
    return sum(rows, CostRow(0, 0, "total", *(0,) * 8))


def by_stage(rows: tuple[CostRow, ...]) -> tuple[CostRow, ...]:
    """Return a row a stage, the sum of its own, named `total`."""
    stages = sorted({row.stage for row in rows})
    return tuple(
        sum((row for row in rows if row.stage == stage), CostRow(stage, 0, "total", *(0,) * 8))
        for stage in stages
    )


def _row(op: Operation) -> CostRow:
    counts = (
        op.count, op.params, op.macs, op.activations, op.normed, op.upsamplings, op.additions,
    )  # fmt: skip
    return CostRow(op.stage, op.branch, op.kind, *(int(count[0]) for count in counts))
