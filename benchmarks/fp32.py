"""How CUDA multiplies float32: exactly, or as TF32, which is torch's default for convolutions."""

from __future__ import annotations

import torch

FP32, TF32 = "fp32", "tf32"


def set_fp32(precision: str) -> None:
    """Let CUDA multiply float32 as TF32 where that is asked for, and exactly elsewhere."""
    wanted = precision == TF32
    # Not `fp32_precision`, which names convolutions alone: where the rest of cuDNN differs from
    # them, torch's exporter refuses to work.
    torch.backends.cudnn.allow_tf32 = wanted
    torch.backends.cuda.matmul.allow_tf32 = wanted
