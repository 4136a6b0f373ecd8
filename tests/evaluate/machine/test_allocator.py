"""What the end of memory looks like, and that freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from hrnet_search.evaluate.machine.allocator import out_of_memory

FAULTS = """
import resource, sys, torch
from hrnet_search.evaluate.machine.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
torch.set_num_threads(1)
for i in range(18):
    if i == 8:
        start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000).add(1)  # two blocks of 48 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_blocks_that_were_freed_are_used_again_without_new_pages() -> None:
    faults = {
        mode: int(subprocess.check_output([sys.executable, "-c", FAULTS, mode], text=True))
        for mode in ("kept", "given back")
    }
    assert faults["kept"] < faults["given back"] / 10


def test_a_real_failure_to_allocate_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (torch.OutOfMemoryError("any"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_only_the_end_of_memory_is(error: Exception, known: bool) -> None:
    assert out_of_memory(error) is known
