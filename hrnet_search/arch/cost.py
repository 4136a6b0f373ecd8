"""Exact cost without building: parameters, MACs, activations, one or a million at a time.

`operations` describes the network once, layer by layer; every total, table and feature is a sum
over it. Structure after the official `lib/models/seg_hrnet.py` and `seg_hrnet_ocr.py`; MACs as
its `lib/utils/modelsummary.py` counts them: those of convolutions, without bias, batch norm,
upsampling and additions. The matrix products of OCR's attention, which no counter of convolutions
sees, are counted apart (`attention_macs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from hrnet_search.arch.architecture import MAX_BRANCHES, STEM_CHANNELS, Architecture
from hrnet_search.arch.batch import ARRAYS, ArchitectureBatch, Ints
from hrnet_search.errors import Fault, InputError, shown

Size = tuple[int, int]
INT64_SAFE = 2.0**62


@dataclass(frozen=True, slots=True)
class Cost:
    """What is exactly known without building, per image; counts of convolutions alone.

    `params` counts all parameters (batch norm's too), `macs` multiply-accumulates,
    `activations` elements put out by convolutions.
    """

    params: int
    macs: int
    activations: int


COST_NAMES = tuple(field.name for field in fields(Cost))
"""The columns of `batch_costs`, in their order."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`count` equal convolutions of each architecture of a batch, and where they stand.

    `kind` is stem, blocks, transition, fuse or head; `branch` that of the output, from 0.
    `count`, `inputs` and `outputs` (channels) are [N]; `size` is the output's (height, width),
    the same for all. `added` and `upsampled` [N] are the channels, over all `count`, of the maps
    that an addition puts out after them, and of those that are upsampled for them. At the end
    of an edge of a fusion these maps have the size `fused`, that of the edge's target.
    """

    stage: int
    branch: int
    kind: str
    kernel: int | Ints
    count: Ints
    inputs: Ints
    outputs: Ints
    size: Size
    norm: bool = True
    bias: bool = False
    added: int | Ints = 0
    upsampled: int | Ints = 0
    fused: Size | None = None

    @property
    def weights(self) -> Ints:
        """Weights of all `count` kernels together, [N]."""
        return self.count * self.inputs * self.outputs * self.kernel * self.kernel

    @property
    def params(self) -> Ints:
        return self.weights + self.count * self.outputs * (2 * self.norm + self.bias)

    @property
    def macs(self) -> Ints:
        return self.weights * (self.size[0] * self.size[1])

    @property
    def activations(self) -> Ints:
        return self.count * self.outputs * (self.size[0] * self.size[1])

    @property
    def normed(self) -> Ints:
        """Elements that batch norm puts out, [N]."""
        return self.activations * self.norm

    @property
    def additions(self) -> Ints:
        """Elements that additions put out, [N]."""
        return self._beside(self.added)

    @property
    def upsamplings(self) -> Ints:
        """Elements that bilinear upsampling puts out, [N]."""
        return self._beside(self.upsampled)

    def _beside(self, channels: int | Ints) -> Ints:
        height, width = self.fused or self.size
        return (0 * self.count + channels) * (height * width)


def cost(architecture: Architecture, size: Size = (1024, 2048), classes: int = 19) -> Cost:
    """Return the exact cost of one architecture for images of `size` = (height, width).

    Raises ArchitectureError for an invalid architecture, InputError for a size or class count
    that is not positive.
    """
    batch = _counted_exactly(architecture, size, classes)
    params, macs, activations = _totals(batch, size, classes)[0]
    return Cost(int(params), int(macs), int(activations))


def architecture_operations(
    architecture: Architecture, size: Size, classes: int
) -> Iterator[Operation]:
    """Yield the operations of one architecture, in Python's integers; raises what `cost` raises."""
    return operations(_counted_exactly(architecture, size, classes), size, classes)


def attention_macs(architecture: Architecture, size: Size, classes: int) -> int:
    """Return the MACs of the three matrix products of an OCR head per image; 0 for a plain one.

    They are no convolutions, and part of no `Cost`. Raises what `cost` raises.
    """
    batch = _counted_exactly(architecture, size, classes)
    return int(batch_attention_macs(batch, size, classes)[0])


def batch_attention_macs(batch: ArchitectureBatch, size: Size, classes: int) -> Ints:
    """Return the MACs of the matrix products of each OCR head, [N], per image of `size`.

    Pixels are gathered to class centres (over MID_CHANNELS), compared with them and given their
    context (over KEY_CHANNELS each).
    """
    height, width = halved(size, 2)
    channels = batch.mid_channels + 2 * batch.key_channels
    return batch.ocr * channels * (classes * height * width)


def batch_costs(batch: ArchitectureBatch, size: Size, classes: int, safe: bool = False) -> Ints:
    """Return parameters, MACs and activations of each architecture, int64 [N, 3].

    Rows that are not valid give numbers without meaning. Raises InputError where a number
    exceeds 64 bits; `safe` says that none of them can, by `fit_64_bits`.
    """
    check_input(size, classes)
    if not len(batch):
        return np.zeros((0, 3), dtype=np.int64)
    if not (safe or fit_64_bits(batch, size, classes)):
        wrong = "networks of this size cannot be counted in 64 bits"
        raise InputError(Fault("size", size, wrong, "smaller counts or a smaller size"))
    return _totals(batch, size, classes)


def fit_64_bits(batch: ArchitectureBatch, size: Size, classes: int) -> bool:
    """Return whether 64 bits hold every number of any mixture of these architectures."""
    return _largest(batch, size, classes) <= INT64_SAFE


def check_input(size: Size, classes: int) -> None:
    """Raise InputError unless size is two positive integers, and class count is one."""
    if not isinstance(size, Sequence) or len(size) != 2:
        raise InputError(Fault("size", size, f"{shown(size)} is no size", "(height, width)"))
    for key, value in (("size", size[0]), ("size", size[1]), ("classes", classes)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            wrong = f"{shown(value)} is not a {'number of pixels' if key == 'size' else 'count'}"
            raise InputError(Fault(key, value, wrong, "a positive integer"))


def operations(batch: ArchitectureBatch, size: Size, classes: int) -> Iterator[Operation]:
    """Yield every convolution of the networks, those that are equal and neighbours as one.

    An operation that some of the batch lack has count 0 there. `size` is (height, width) of
    the input image.
    """
    sizes = _branch_sizes(size)
    widths = batch.channels * batch.expansion[:, :, None]
    yield from _stem(batch, size)
    yield from _layer1(batch, sizes[0])
    for s in range(1, 4):
        yield from _transitions(batch, widths, s, sizes)
        for b in range(MAX_BRANCHES):
            yield from _branch_blocks(batch, widths, s, b, sizes[b])
        yield from _fusions(batch, widths, s, sizes)
    yield from _head(batch, widths, sizes[0], classes)


def halved(size: Size, times: int = 1) -> Size:
    """Return the size after `times` convolutions 3x3 of stride 2 and padding 1."""
    for _ in range(times):
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    return size


def _branch_sizes(size: Size) -> list[Size]:
    return [halved(size, 2 + b) for b in range(MAX_BRANCHES)]


def _stem(batch: ArchitectureBatch, size: Size) -> Iterator[Operation]:
    one, stem = _fill(batch, 1), _fill(batch, STEM_CHANNELS)
    yield Operation(0, 0, "stem", 3, one, _fill(batch, 3), stem, halved(size))
    yield Operation(0, 0, "stem", 3, one, stem, stem, halved(size, 2))


def _layer1(batch: ArchitectureBatch, size: Size) -> Iterator[Operation]:
    """Stage 1: the first block takes the stem's width, through a downsample where they differ."""
    blocks, channels, expansion = batch.blocks[:, 0, 0], batch.channels[:, 0, 0], batch.expansion
    width, stem = channels * expansion[:, 0], _fill(batch, STEM_CHANNELS)
    basic = expansion[:, 0] == 1
    one = _fill(batch, 1)
    yield Operation(1, 0, "blocks", 3, one * basic, stem, channels, size)
    yield Operation(1, 0, "blocks", 1, one * ~basic, stem, channels, size)
    yield Operation(1, 0, "blocks", 1, one * (width != stem), stem, width, size)
    yield Operation(
        1, 0, "blocks", 3, (2 * blocks - 1) * basic, channels, channels, size,
        added=blocks * channels * basic,
    )  # fmt: skip
    yield Operation(1, 0, "blocks", 1, (blocks - 1) * ~basic, width, channels, size)
    yield Operation(1, 0, "blocks", 3, blocks * ~basic, channels, channels, size)
    last, added = blocks * ~basic, blocks * width * ~basic
    yield Operation(1, 0, "blocks", 1, last, channels, width, size, added=added)


def _branch_blocks(
    batch: ArchitectureBatch, widths: Ints, s: int, b: int, size: Size
) -> Iterator[Operation]:
    here = batch.branches[:, s] > b
    blocks = batch.modules[:, s] * batch.blocks[:, s, b] * here
    basic = batch.expansion[:, s] == 1
    channels, width = batch.channels[:, s, b], widths[:, s, b]
    added = blocks * width
    twice = 2 * blocks * basic
    yield Operation(s + 1, b, "blocks", 3, twice, channels, channels, size, added=added * basic)
    yield Operation(s + 1, b, "blocks", 1, blocks * ~basic, width, channels, size)
    yield Operation(s + 1, b, "blocks", 3, blocks * ~basic, channels, channels, size)
    last = blocks * ~basic
    yield Operation(s + 1, b, "blocks", 1, last, channels, width, size, added=added * ~basic)


def _transitions(
    batch: ArchitectureBatch, widths: Ints, s: int, sizes: list[Size]
) -> Iterator[Operation]:
    """A changed width is one convolution; a new branch a chain down from the last old one."""
    old, new = batch.branches[:, s - 1], batch.branches[:, s]
    one = _fill(batch, 1)
    for b in range(MAX_BRANCHES):
        before, after = widths[:, s - 1, b], widths[:, s, b]
        changed = (b < old) & (b < new) & (before != after)
        yield Operation(s + 1, b, "transition", 3, one * changed, before, after, sizes[b])
        for last in range(b):  # the last old branch
            here = one * ((old == last + 1) & (new > b))
            source = widths[:, s - 1, last]
            for step in range(last + 1, b):
                yield Operation(s + 1, b, "transition", 3, here, source, source, sizes[step])
            yield Operation(s + 1, b, "transition", 3, here, source, after, sizes[b])


def _fusions(
    batch: ArchitectureBatch, widths: Ints, s: int, sizes: list[Size]
) -> Iterator[Operation]:
    """Every branch sends to every branch: 1x1 going up, a chain of 3x3 stride 2 going down."""
    branches, modules = batch.branches[:, s], batch.modules[:, s]
    for to in range(MAX_BRANCHES):
        target = widths[:, s, to]
        for source in range(MAX_BRANCHES):
            here = modules * (branches > max(to, source))
            width = widths[:, s, source]
            sent = here * target
            added = sent * (1 - batch.cat[:, s])  # one less than what is received
            if source > to:
                yield Operation(
                    s + 1, to, "fuse", 1, here, width, target, sizes[source],
                    added=added, upsampled=sent, fused=sizes[to],
                )  # fmt: skip
            elif source < to:
                for step in range(source + 1, to):
                    yield Operation(s + 1, to, "fuse", 3, here, width, width, sizes[step])
                yield Operation(
                    s + 1, to, "fuse", 3, here, width, target, sizes[to],
                    added=added, fused=sizes[to],
                )  # fmt: skip
        here = modules * batch.cat[:, s] * (branches > max(to, 1))
        both = branches * target
        yield Operation(s + 1, to, "fuse", 1, here, both, target, sizes[to], norm=False)


def _head(batch: ArchitectureBatch, widths: Ints, size: Size, classes: int) -> Iterator[Operation]:
    here = np.arange(MAX_BRANCHES) < batch.branches[:, 3, None]
    total = (widths[:, 3] * here).sum(axis=1)
    one, out = _fill(batch, 1), _fill(batch, classes)
    kernel = batch.final_kernel + batch.ocr * (1 - batch.final_kernel)
    lower = total - widths[:, 3, 0]
    # The plain head, and OCR's auxiliary one, which is the same but for its kernel.
    yield Operation(5, 0, "head", 1, one, total, total, size, bias=True, upsampled=lower)
    yield Operation(5, 0, "head", kernel, one, total, out, size, norm=False, bias=True)
    yield from _ocr(batch, total, size, classes)


def _ocr(batch: ArchitectureBatch, total: Ints, size: Size, classes: int) -> Iterator[Operation]:
    """What OCR has beside its auxiliary head; each class is a pixel of what it attends to."""
    here, mid, key = batch.ocr, batch.mid_channels, batch.key_channels
    objects = (classes, 1)
    yield Operation(5, 0, "head", 3, here, total, mid, size, bias=True)
    yield Operation(5, 0, "head", 1, here, mid, key, size)
    yield Operation(5, 0, "head", 1, here, key, key, size)
    yield Operation(5, 0, "head", 1, 2 * here, mid, key, objects)  # keys and values
    yield Operation(5, 0, "head", 1, here, key, key, objects)
    yield Operation(5, 0, "head", 1, here, key, mid, size)
    yield Operation(5, 0, "head", 1, here, 2 * mid, mid, size)
    out = _fill(batch, classes)
    yield Operation(5, 0, "head", 1, here, mid, out, size, norm=False, bias=True)


def _totals(batch: ArchitectureBatch, size: Size, classes: int) -> Ints:
    sums = np.zeros((len(batch), 3), dtype=batch.final_kernel.dtype)
    for op in operations(batch, size, classes):
        weights = op.weights
        area = op.size[0] * op.size[1]
        put_out = op.count * op.outputs
        sums[:, 0] += weights + put_out * (2 * op.norm + op.bias)
        sums[:, 1] += weights * area
        sums[:, 2] += put_out * area
    return sums


def _largest(batch: ArchitectureBatch, size: Size, classes: int) -> float:
    """Return a bound on every number of `_totals`, in floating point."""
    most = _as_type(batch.most(), float)
    # Twice: a BOTTLENECK has fewer weights than a BASIC block of as many channels, and equal
    # widths need no transition.
    convolutions = 2 * float(_totals(most, size, classes).max())
    return max(convolutions, float(batch_attention_macs(most, size, classes).max()))


def _counted_exactly(architecture: Architecture, size: Size, classes: int) -> ArchitectureBatch:
    """Return a batch of one in Python's integers: no architecture is too large to be counted."""
    architecture.check()
    check_input(size, classes)
    return _as_type(ArchitectureBatch.of([architecture]), object)


def _as_type(batch: ArchitectureBatch, kind: type) -> ArchitectureBatch:
    return replace(batch, **{name: getattr(batch, name).astype(kind) for name in ARRAYS})


def _fill(batch: ArchitectureBatch, value: int) -> Ints:
    return np.full(len(batch), value, dtype=batch.final_kernel.dtype)
