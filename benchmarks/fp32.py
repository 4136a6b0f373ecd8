"""How CUDA multiplies float32: exactly, or as TF32, which is torch's default for convolutions."""

from __future__ import annotations

import torch

FP32, TF32 = "fp32", "tf32"


def set_fp32(precision: str) -> None:
    """Let CUDA multiply float32 as TF32 where that is asked for, and exactly elsewhere."""
    wanted = TF32 if precision == TF32 else "ieee"
    torch.backends.cudnn.conv.fp32_precision = wanted  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = wanted
