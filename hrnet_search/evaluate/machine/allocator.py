"""Memory: how the allocator of the CPU keeps it, and how its end shows."""

from __future__ import annotations

import ctypes

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Names of mallopt's parameters, from glibc's malloc.h."""

ONE_GIB = 1 << 30
MOST = (1 << 31) - 1

SIGNS = (
    "can't allocate memory",  # torch's allocator on the CPU
    "not enough memory",  # the same, on other systems
    "out of memory",  # CUDA, from where it is not an OutOfMemoryError
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What messages of a RuntimeError say when there is no memory left."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next step; False where that cannot be set.

    By default glibc gives blocks above 32 MB back to the system at once, and every step of a
    training gets them anew, page by page and filled with zeros: up to a third of a step.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another system, or another C library
        return False
    return bool(set_option(MMAP_THRESHOLD, ONE_GIB) and set_option(TRIM_THRESHOLD, MOST))


def out_of_memory(error: Exception) -> bool:
    """Return whether an error says that a device, or the machine, has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
