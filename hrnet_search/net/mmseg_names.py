"""What mmsegmentation calls the tensors of an HRNet, both ways.

With a plain head it is an HRNet and an FCNHead over all scales, with OCR a cascade of the FCNHead
and an OCRHead. The trunk has the official names behind `backbone.`. mmcv's ConvModule has no bias
before a batch norm, so that a tensor of each head has no equal there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

BACKBONE, DECODE_HEAD = "backbone.", "decode_head."
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _unit(conv: str, norm: str, theirs: str) -> dict[str, str]:
    """Return the names of a convolution and its norm, whose ConvModule is called `theirs`."""
    norms = {f"{norm}.{part}": f"{theirs}.bn.{part}" for part in NORM}
    return {f"{conv}.weight": f"{theirs}.conv.weight", **norms}


def _pixel_head(own: str, theirs: str) -> dict[str, str]:
    """Return the names of a head that scores each pixel by itself."""
    found = _unit(f"{own}.0", f"{own}.1", f"{theirs}.convs.0")
    return found | {f"{own}.3.{p}": f"{theirs}.conv_seg.{p}" for p in ("weight", "bias")}


def _ocr(theirs: str) -> dict[str, str]:
    own, block = "ocr_distri_head.object_context_block", f"{theirs}.object_context_block"
    found = _unit("conv3x3_ocr.0", "conv3x3_ocr.1", f"{theirs}.bottleneck")
    for ours, project in (("f_pixel", "query_project"), ("f_object", "key_project")):
        for step in (0, 1):
            unit = f"{block}.{project}.{step}"
            found |= _unit(f"{own}.{ours}.{2 * step}", f"{own}.{ours}.{2 * step + 1}.0", unit)
    for ours, project in (("f_down", "value_project"), ("f_up", "out_project")):
        found |= _unit(f"{own}.{ours}.0", f"{own}.{ours}.1.0", f"{block}.{project}")
    mix = "ocr_distri_head.conv_bn_dropout"
    found |= _unit(f"{mix}.0", f"{mix}.1.0", f"{block}.bottleneck")
    return found | {f"cls_head.{p}": f"{theirs}.conv_seg.{p}" for p in ("weight", "bias")}


PLAIN_NAMES = _pixel_head("last_layer", "decode_head")
OCR_NAMES = _pixel_head("aux_head", "decode_head.0") | _ocr("decode_head.1")
HEAD_NAMES = PLAIN_NAMES | OCR_NAMES

FOLDED = {
    "last_layer.0.bias": "decode_head.convs.0.bn.running_mean",
    "aux_head.0.bias": "decode_head.0.convs.0.bn.running_mean",
    "conv3x3_ocr.0.bias": "decode_head.1.bottleneck.bn.running_mean",
}
"""Biases that ConvModule lacks, and the running means they are taken off: to a norm all biases
before it are alike."""


def mmseg_name(name: str) -> str:
    """Return what mmsegmentation calls a tensor; it has no name for those of FOLDED."""
    return HEAD_NAMES.get(name) or f"{BACKBONE}{name}"


def to_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the same function under mmsegmentation's names.

    The biases of FOLDED go into the running mean that is taken off right behind them: equal in
    evaluation, and without effect in training, where batch norm takes off the batch's own mean.
    """
    folded = [name for name in FOLDED if name in tensors]
    found = {mmseg_name(name): tensor for name, tensor in tensors.items() if name not in FOLDED}
    assert len(found) == len(tensors) - len(folded), "two tensors would have one name"
    for name in folded:
        found[FOLDED[name]] = found[FOLDED[name]] - tensors[name]
    return found


def head_from_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the official head of the same function as mmsegmentation's; empty if it is another.

    `tensors` are those of `decode_head.`. Biases that mmsegmentation has none for are zero.
    """
    for names in (PLAIN_NAMES, OCR_NAMES):
        if head := _renamed(tensors, names):
            return head
    return {}


def _renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    theirs = {name: their for name, their in names.items() if their in tensors}
    needed = {name for name in names if not name.endswith("num_batches_tracked")}
    if not needed <= theirs.keys() or len(theirs) != len(tensors):
        return {}
    mix = tensors[next(iter(names.values()))]
    if mix.shape != (len(mix), len(mix), 1, 1):
        return {}
    found = {name: tensors[their] for name, their in theirs.items()}
    return found | dict(_zero_biases(found))


def _zero_biases(head: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
    for name in FOLDED:
        if (weight := head.get(name.replace("bias", "weight"))) is not None:
            yield name, torch.zeros(len(weight), dtype=weight.dtype, device=weight.device)
