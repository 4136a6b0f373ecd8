"""Estimates of memory: what inference and a training step hold at their peak, in bytes.

Estimates, unlike the exact `cost`: they follow the tensors that are alive at the moments where
most of them are, and leave out what libraries take for themselves (workspaces, fragments, CUDA's
context). `benchmarks/memory.py` measures their error.
"""

from __future__ import annotations

from hrnet_search.arch.architecture import STEM_CHANNELS, Architecture
from hrnet_search.arch.cost import Operation, Size, architecture_operations, halved

IN_A_BLOCK = 3
"""Maps of a block's width alive at once: what came in, what is added, and the sum."""

JOINED, IN_THE_HEAD = 2, 3
"""Maps as wide as all branches alive at once: apart and joined; joined, convolved and normed."""

IN_OCR = 6
"""Maps of MID_CHANNELS alive at once: pixels, context, both joined, convolved and normed."""

ON_THE_WAY_BACK = 2
"""Maps of scores at full size alive as the backward pass begins, beside each output's log-softmax:
the gradients of the first output's scores and of their log-softmax."""

OF_EVERY_WEIGHT = 3
"""Numbers a weight that SGD with momentum holds: itself, its gradient, its momentum."""


def inference_memory(
    architecture: Architecture,
    size: Size,
    classes: int,
    batch: int = 1,
    element: int = 4,
) -> int:
    """Estimate the peak of bytes that one eager forward pass holds, weights and images included.

    `size` is (height, width) of the images, `element` the bytes of a number. Raises what
    `cost` raises.
    """
    operations = tuple(architecture_operations(architecture, size, classes))
    quarter = _area(halved(size, 2))
    widths = [stage.widths for stage in architecture.stages]
    stem = 2 * STEM_CHANNELS * _area(halved(size))
    block = (STEM_CHANNELS + IN_A_BLOCK * widths[0][0]) * quarter
    stages = max(_module_maps(w, size) for w in widths[1:])
    total = sum(widths[3])
    # What the stem puts out is held until the scales are joined.
    after_stem = (STEM_CHANNELS + JOINED * total) * quarter
    head = IN_THE_HEAD * total * quarter
    if architecture.has_ocr:
        head = max(head, (total + classes + IN_OCR * architecture.mid_channels) * quarter)
    maps = max(stem, block, STEM_CHANNELS * quarter + stages, after_stem, head) + 3 * _area(size)
    return element * (_weights(operations) + batch * maps)


def training_memory(architecture: Architecture, size: Size, classes: int, batch: int) -> int:
    """Estimate the peak of bytes of a training step in fp32 with SGD and momentum.

    `size` is (height, width) of the crops. Raises what `cost` raises.
    """
    operations = tuple(architecture_operations(architecture, size, classes))
    saved = sum(_saved(op) for op in operations)
    for stage in architecture.stages[1:]:
        if stage.branches > 1 and stage.fuse == "SUM":
            saved += stage.modules * _branch_maps(stage.widths, size)
    if architecture.has_ocr:
        saved += _attended(architecture, size, classes)
    outputs = 2 if architecture.has_ocr else 1
    loss = (outputs + ON_THE_WAY_BACK) * classes * _area(size)
    weights = OF_EVERY_WEIGHT * _weights(operations)
    return 4 * (weights + batch * (saved + loss + 3 * _area(size)))


def _saved(op: Operation) -> int:
    """Return the elements kept of an operation for the way back.

    Batch norm keeps what it is given, and the next convolution what it is given. At the end of an
    edge of a fusion that is only the sum, which is counted a module; CAT's projection keeps what
    was joined for it.
    """
    if op.fused:
        return int(op.normed[0])
    kept = op.normed + op.activations
    if op.kind == "fuse" and not op.norm:
        kept = kept + op.count * op.inputs * _area(op.size)
    return int(kept[0])


def _attended(architecture: Architecture, size: Size, classes: int) -> int:
    """Return the elements kept of an OCR head beside its convolutions.

    Pixels and context joined, context before it is widened, what dropout leaves; shares of pixels
    and of classes.
    """
    channels = 3 * architecture.mid_channels + architecture.key_channels + 2 * classes
    return channels * _area(halved(size, 2))


def _weights(operations: tuple[Operation, ...]) -> int:
    return sum(int(op.params[0]) for op in operations)


def _branch_maps(widths: tuple[int, ...], size: Size) -> int:
    """Return the elements of one map of each branch."""
    return sum(width * _area(halved(size, 2 + b)) for b, width in enumerate(widths))


def _module_maps(widths: tuple[int, ...], size: Size) -> int:
    """Return the elements alive in a fusion into the first branch: two maps a branch, and sums."""
    if len(widths) == 1:
        return IN_A_BLOCK * widths[0] * _area(halved(size, 2))
    return 2 * _branch_maps(widths, size) + IN_A_BLOCK * widths[0] * _area(halved(size, 2))


def _area(size: Size) -> int:
    return size[0] * size[1]
