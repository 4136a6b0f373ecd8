"""Memory of a GPU: what a call holds at most, and what happens where there is not enough.

Authority is torch's own allocator; a limit is set by `set_per_process_memory_fraction`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gpu.on_devices import result_of, task
from made_up import network as architecture_of
from torch import Tensor, nn

from hrnet_search.arch.memory import inference_memory
from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency.calls import measuring, peak_memory, prepare
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.latency.one_network import measure
from hrnet_search.evaluate.latency.setting import fixed_input
from hrnet_search.net.hrnet import build
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import COMPLETED, INFEASIBLE

pytestmark = pytest.mark.gpu

SPEC = LatencySpec(size=(256, 512), device="cuda", seconds=0.5, threads=1)
BLOCK = 512
"""Bytes in which torch's allocator counts."""

MIB = 1 << 20
WIDE = architecture_of(32)
DATA = DataSpec("shapes", classes=3, train_images=8, val_images=2, size=(256, 256))
SCHEDULE = Schedule(DATA, steps=2, batch=8, crop=(256, 256))


class Doubled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * 2.0


@contextmanager
def limited(most: int) -> Iterator[None]:
    """Let this process have `most` bytes of the GPU."""
    collect()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(most / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        collect()


def collect() -> None:
    """Give back what nobody holds, the workspaces too that cuBLAS keeps for its next call."""
    gc.collect()
    getattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None)()
    torch.cuda.empty_cache()


def reserved_by(schedule: Schedule) -> int:
    """Return the most bytes that a training takes from the GPU."""
    collect()
    torch.cuda.reset_peak_memory_stats()
    result = result_of(task("cuda", schedule=schedule, architecture=WIDE))
    assert result.status == COMPLETED, result.error
    return torch.cuda.max_memory_reserved()


def test_peak_memory_of_an_elementwise_call_is_its_input_and_output() -> None:
    setting = resolve(SPEC)
    collect()
    with measuring(setting):
        before = torch.cuda.memory_allocated()
        images = fixed_input(setting)
        found = peak_memory(Doubled(), images, setting, before)
    assert found == 2 * -(-images.nbytes // BLOCK) * BLOCK


def test_peak_memory_of_a_network_is_near_the_estimate() -> None:
    """Workspaces of cuDNN come on top of the tensors that the estimate counts."""
    setting, classes = resolve(SPEC), 19
    with measuring(setting):
        before = torch.cuda.memory_allocated()
        images, net = fixed_input(setting), prepare(build(WIDE, classes), setting)
        found = peak_memory(net, images, setting, before)
    estimate = inference_memory(WIDE, SPEC.size, classes)
    assert 0.7 * estimate < found < 2 * estimate + 512 * MIB


def test_a_measurement_leaves_no_memory_behind() -> None:
    collect()
    before = torch.cuda.memory_allocated()
    measure_latency(build(WIDE, 19), SPEC)
    collect()
    assert torch.cuda.memory_allocated() == before


def test_out_of_memory_a_trial_is_taken_in_halves_then_is_infeasible(tmp_path: Path) -> None:
    collect()
    before = torch.cuda.memory_allocated()
    whole = reserved_by(SCHEDULE)
    halves = reserved_by(replace(SCHEDULE, accumulate=2))
    assert halves < 0.85 * whole, "the limit has to lie between the two"
    with limited((whole + halves) // 2):
        result = result_of(task("cuda", tmp_path, schedule=SCHEDULE, architecture=WIDE))
    assert result.status == COMPLETED, result.error
    assert "out of memory: each batch of 8 was taken in 2 parts" in result.notes
    collect()
    assert torch.cuda.memory_allocated() == before
    with limited(halves // 4):
        result = result_of(task("cuda", schedule=SCHEDULE, architecture=WIDE))
    assert (result.status, result.miou) == (INFEASIBLE, None)
    assert "out of memory" in result.error
    collect()
    assert torch.cuda.memory_allocated() == before
    # The same process trains as before.
    assert reserved_by(SCHEDULE) <= 1.2 * whole


def test_out_of_memory_in_a_measurement_is_one_line_and_the_next_one_works() -> None:
    spec = replace(SPEC, size=(1024, 2048), batch=4)
    collect()
    before = torch.cuda.memory_allocated()
    with limited(256 * MIB), pytest.raises(InputError, match="latency: out of memory") as caught:
        measure(WIDE, 19, spec)
    text = str(caught.value)
    del caught  # it holds the frames, and they the tensors
    assert "\n" not in text
    collect()
    assert torch.cuda.memory_allocated() == before
    assert measure(WIDE, 19, SPEC).latency.median_ms > 0


def test_a_network_that_cannot_fit_is_refused_before_it_is_tried() -> None:
    free, _ = torch.cuda.mem_get_info()
    one = inference_memory(WIDE, (1024, 2048), 19, 1)
    spec = replace(SPEC, size=(1024, 2048), batch=2 * free // one)
    with pytest.raises(InputError, match=r"about [\d.]+ GB are needed, [\d.]+ GB are free"):
        measure(WIDE, 19, spec)
