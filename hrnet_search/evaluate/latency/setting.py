"""A condition with the torch objects that it names, and what is called under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hrnet_search.records.latency import LatencyCondition

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}

Call = Callable[[], object]
"""One inference, from images that are there to logits."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A condition with the torch objects that it names.

    `dtype` is that of the images: a runtime other than torch takes them in fp32, whatever it
    computes in.
    """

    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format
    condition: LatencyCondition

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"


def fixed_images(shape: tuple[int, int, int, int]) -> Tensor:
    """Return images [N, 3, H, W] that are the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def fixed_input(setting: Setting) -> Tensor:
    """Return the same random images [N, 3, H, W] every time."""
    condition = setting.condition
    images = fixed_images((condition.batch, 3, *condition.size))
    return images.to(setting.device, setting.dtype, memory_format=setting.memory_format)
