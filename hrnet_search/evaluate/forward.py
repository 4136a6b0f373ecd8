"""One forward pass as it is trained and judged: precision, memory format, logits in fp32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hrnet_search.evaluate.latency.setting import DTYPES, FORMATS

Network = Callable[[Tensor], Tensor | tuple[Tensor, ...]]
"""A network in its mode: with an OCR head it has two outputs in training."""


def logits_of(network: Network, images: Tensor, precision: str, memory_format: str) -> Tensor:
    """Return logits float32 [N, K, h, w] of images [N, 3, H, W] on the network's device."""
    return outputs_of(network, images, precision, memory_format)[-1]


def outputs_of(
    network: Network, images: Tensor, precision: str, memory_format: str
) -> tuple[Tensor, ...]:
    """Return all outputs as `logits_of` does, the one that is judged last."""
    images = images.contiguous(memory_format=FORMATS[memory_format])
    kind = images.device.type
    with torch.autocast(kind, DTYPES[precision], enabled=precision != "fp32"):
        found = network(images)
    # The loss and the upsampling before it need more than the 8 bits of bf16, and both are
    # faster on whole planes.
    outputs = found if isinstance(found, tuple) else (found,)
    return tuple(logits.float().contiguous() for logits in outputs)
