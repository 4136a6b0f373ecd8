"""The tensors of an mmsegmentation model, read off its config alone.

Follows `mmseg/models/backbones/hrnet.py`, `decode_heads/fcn_head.py` and mmcv's `ConvModule`
(mmsegmentation 1.x), and knows nothing of how this package names its own, so that what is
converted can be held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

Shapes = dict[str, tuple[int, ...]]
Entry = tuple[str, tuple[int, ...]]

EXPANSION = {"BASIC": 1, "BOTTLENECK": 4}
KERNELS = {"BASIC": (3, 3), "BOTTLENECK": (1, 3, 1)}
STEM = 64
RGB = 3


def model_tensors(model: dict[str, Any]) -> Shapes:
    """Return names and shapes of the state dict of `model`: HRNet with an FCNHead, or a cascade
    of it and an OCRHead.
    """
    heads = model["decode_head"]
    cascade = enumerate(heads) if isinstance(heads, list) else ()
    parts = {f"decode_head.{number}": head for number, head in cascade} or {"decode_head": heads}
    named = [(f"backbone.{name}", shape) for name, shape in _backbone(model["backbone"]["extra"])]
    for part, head in parts.items():
        entries = _ocr_head(head) if head.get("type") == "OCRHead" else _head(head)
        named += [(f"{part}.{name}", shape) for name, shape in entries]
    shapes = dict(named)
    assert len(shapes) == len(named), "two tensors have one name"
    return shapes


def _backbone(extra: dict[str, Any]) -> Iterator[Entry]:
    yield from _unit("conv1", "bn1", RGB, STEM, 3)
    yield from _unit("conv2", "bn2", STEM, STEM, 3)
    first = extra["stage1"]
    kind, channels = first["block"], first["num_channels"][0]
    yield from _row("layer1", kind, STEM, channels, first["num_blocks"][0])
    stages = [extra[f"stage{number}"] for number in (2, 3, 4)]
    widths = [[channels * EXPANSION[kind]], *(_widths(stage) for stage in stages)]
    for number, (before, after) in enumerate(pairwise(widths), start=1):
        yield from _transition(f"transition{number}", before, after)
    for number, stage in enumerate(stages, start=2):
        for module in range(stage["num_modules"]):
            yield from _module(f"stage{number}.{module}", stage)


def _head(head: dict[str, Any]) -> Iterator[Entry]:
    inputs, channels, kernel = sum(head["in_channels"]), head["channels"], head["kernel_size"]
    yield from _unit("convs.0.conv", "convs.0.bn", inputs, channels, kernel)
    yield "conv_seg.weight", (head["num_classes"], channels, 1, 1)
    yield "conv_seg.bias", (head["num_classes"],)


def _ocr_head(head: dict[str, Any]) -> Iterator[Entry]:
    """Follow `decode_heads/ocr_head.py` and `utils/self_attention_block.py`."""
    channels, keys = head["channels"], head["ocr_channels"]
    yield from _unit("bottleneck.conv", "bottleneck.bn", sum(head["in_channels"]), channels, 3)
    block = "object_context_block"
    units = [
        (f"{project}.{step}", channels if step == 0 else keys, keys)
        for project in ("key_project", "query_project")
        for step in (0, 1)
    ]
    units += [("value_project", channels, keys), ("out_project", keys, channels)]
    for name, inputs, out in (*units, ("bottleneck", 2 * channels, channels)):
        yield from _unit(f"{block}.{name}.conv", f"{block}.{name}.bn", inputs, out, 1)
    yield "conv_seg.weight", (head["num_classes"], channels, 1, 1)
    yield "conv_seg.bias", (head["num_classes"],)


def _widths(stage: dict[str, Any]) -> list[int]:
    return [channels * EXPANSION[stage["block"]] for channels in stage["num_channels"]]


def _module(name: str, stage: dict[str, Any]) -> Iterator[Entry]:
    widths = _widths(stage)
    rows = zip(widths, stage["num_channels"], stage["num_blocks"], strict=True)
    for branch, (width, channels, count) in enumerate(rows):
        yield from _row(f"{name}.branches.{branch}", stage["block"], width, channels, count)
    for target in range(len(widths)):
        for source in range(len(widths)):
            edge = f"{name}.fuse_layers.{target}.{source}"
            if source > target:
                yield from _unit(f"{edge}.0", f"{edge}.1", widths[source], widths[target], 1)
            for step in range(target - source):
                out = widths[target] if step == target - source - 1 else widths[source]
                part = f"{edge}.{step}"
                yield from _unit(f"{part}.0", f"{part}.1", widths[source], out, 3)


def _transition(name: str, before: Sequence[int], after: Sequence[int]) -> Iterator[Entry]:
    for branch, width in enumerate(after):
        part = f"{name}.{branch}"
        if branch < len(before):
            if before[branch] != width:
                yield from _unit(f"{part}.0", f"{part}.1", before[branch], width, 3)
            continue
        steps = branch + 1 - len(before)
        for step in range(steps):
            out = width if step == steps - 1 else before[-1]
            yield from _unit(f"{part}.{step}.0", f"{part}.{step}.1", before[-1], out, 3)


def _row(name: str, kind: str, inputs: int, channels: int, count: int) -> Iterator[Entry]:
    width = channels * EXPANSION[kind]
    for block in range(count):
        part = f"{name}.{block}"
        received = inputs if block == 0 else width
        before = received
        for number, kernel in enumerate(KERNELS[kind], start=1):
            out = width if number == len(KERNELS[kind]) else channels
            yield from _unit(f"{part}.conv{number}", f"{part}.bn{number}", before, out, kernel)
            before = out
        if received != width:
            down = f"{part}.downsample"
            yield from _unit(f"{down}.0", f"{down}.1", received, width, 1)


def _unit(conv: str, norm: str, inputs: int, out: int, kernel: int) -> Iterator[Entry]:
    """Yield a convolution without bias and the batch norm behind it."""
    yield f"{conv}.weight", (out, inputs, kernel, kernel)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}", (out,)
    yield f"{norm}.num_batches_tracked", ()
