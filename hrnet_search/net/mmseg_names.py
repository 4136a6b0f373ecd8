"""What mmsegmentation calls the tensors of an HRNet with an FCNHead over all scales, both ways.

The trunk has the official names behind `backbone.`. mmcv's ConvModule has no bias before a batch
norm, so that one tensor of the head has no equal there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BACKBONE, DECODE_HEAD = "backbone.", "decode_head."
HEAD_NAMES = {
    "last_layer.0.weight": "decode_head.convs.0.conv.weight",
    "last_layer.3.weight": "decode_head.conv_seg.weight",
    "last_layer.3.bias": "decode_head.conv_seg.bias",
} | {
    f"last_layer.1.{part}": f"decode_head.convs.0.bn.{part}"
    for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
}
FOLDED = "last_layer.0.bias"
"""The bias that ConvModule lacks: the batch norm behind it takes any off again."""

FOLDED_INTO = HEAD_NAMES["last_layer.1.running_mean"]


def mmseg_name(name: str) -> str:
    """Return what mmsegmentation calls a tensor; it has none for FOLDED."""
    return HEAD_NAMES.get(name) or f"{BACKBONE}{name}"


def to_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the same function under mmsegmentation's names.

    The head's first bias goes into the running mean that is taken off right behind it: equal in
    evaluation, and without effect in training, where batch norm takes off the batch's own mean.
    """
    found = {mmseg_name(name): tensor for name, tensor in tensors.items() if name != FOLDED}
    assert len(found) == len(tensors) - 1, "two tensors would have one name"
    found[FOLDED_INTO] = found[FOLDED_INTO] - tensors[FOLDED]
    return found


def head_from_mmseg(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the official head of the same function as an FCNHead; empty if it is another head.

    `tensors` are those of `decode_head.`. The bias that mmsegmentation has none for is zero.
    """
    theirs = {name: their for name, their in HEAD_NAMES.items() if their in tensors}
    needed = {name for name in HEAD_NAMES if not name.endswith("num_batches_tracked")}
    if not needed <= theirs.keys() or len(theirs) != len(tensors):
        return {}
    mix = tensors[HEAD_NAMES["last_layer.0.weight"]]
    if mix.shape != (len(mix), len(mix), 1, 1):
        return {}
    return {name: tensors[their] for name, their in theirs.items()} | {
        FOLDED: torch.zeros(len(mix), dtype=mix.dtype, device=mix.device)
    }
