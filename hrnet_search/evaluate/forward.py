"""One forward pass as it is trained and judged: precision, memory format, logits in fp32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hrnet_search.evaluate.latency.setting import DTYPES, FORMATS


def logits_of(
    network: Callable[[Tensor], Tensor], images: Tensor, precision: str, memory_format: str
) -> Tensor:
    """Return logits float32 [N, K, h, w] of images [N, 3, H, W] on the network's device."""
    images = images.contiguous(memory_format=FORMATS[memory_format])
    kind = images.device.type
    with torch.autocast(kind, DTYPES[precision], enabled=precision != "fp32"):
        logits = network(images)
    # The loss and the upsampling before it need more than the 8 bits of bf16, and both are
    # faster on whole planes.
    return logits.float().contiguous()
