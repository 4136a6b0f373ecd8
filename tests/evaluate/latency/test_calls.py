"""Calls: what is timed is a copy, under settings that are put back, in the mode asked for."""

from __future__ import annotations

import gc
import math
import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency import calls
from hrnet_search.evaluate.latency.calls import measuring, peak_memory, prepare, timer
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.setting import Setting, fixed_input
from hrnet_search.records.latency import LatencySpec


def setting(**changed: Any) -> Setting:
    return resolve(LatencySpec(size=(16, 24), device="cpu", threads=1, **changed))


class Counting(nn.Module):
    """Counts how often it is called, and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.error = error
        self.called = 0

    def forward(self, images: Tensor) -> Tensor:
        self.called += 1
        if self.error:
            raise self.error
        out: Tensor = self.convolution(images)
        return out


def test_settings_hold_while_measuring_and_are_put_back() -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark, gc.isenabled()
    with measuring(setting()):
        assert torch.get_num_threads() == 1
        assert torch.backends.cudnn.benchmark
        assert not gc.isenabled()
        assert torch.is_inference_mode_enabled()
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark, gc.isenabled()) == before
    with pytest.raises(ValueError, match="broken"), measuring(setting()):
        raise ValueError("broken")
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark, gc.isenabled()) == before


def test_what_was_compiled_before_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    resets = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(1))
    with measuring(setting()):
        pass
    with measuring(setting(mode="compile")):
        pass
    assert len(resets) == 1


def test_no_room_is_a_memory_error_of_one_line() -> None:
    out_of_memory = pytest.raises(MemoryError, match=r"^out of memory: .*allocate")
    with out_of_memory as caught, measuring(setting()):
        torch.empty(1 << 55, dtype=torch.uint8)
    assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="something else"), measuring(setting()):
        raise RuntimeError("something else")


def test_the_input_is_the_same_every_time_and_as_the_condition_says() -> None:
    first, second = fixed_input(setting(batch=2)), fixed_input(setting(batch=2))
    assert torch.equal(first, second)
    assert first.shape == (2, 3, 16, 24)
    last = fixed_input(setting(memory_format="channels_last", precision="bf16"))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert last.dtype == torch.bfloat16


def test_a_copy_is_measured() -> None:
    network = Counting().train()
    copy = prepare(network, setting(precision="bf16"))
    assert (network.training, copy.training) == (True, False)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.dtype for p in copy.parameters()} == {torch.bfloat16}
    assert all(p.requires_grad for p in network.parameters())
    assert not any(p.requires_grad for p in copy.parameters())


def test_a_sample_is_the_mean_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.6])
    network = Counting()
    time_ms = timer(network, fixed_input(setting()), setting())
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    before = network.called
    assert time_ms(3) == pytest.approx(200)
    assert network.called - before == 3


def test_a_precision_without_kernels_is_bad_input() -> None:
    network = Counting(RuntimeError("\"conv\" not implemented for 'Half'\nand a trace"))
    with pytest.raises(InputError, match=r"latency.precision: .* cannot run this in fp16") as bad:
        timer(network, fixed_input(setting()), setting(precision="fp16"))
    assert "trace" not in str(bad.value)
    with pytest.raises(RuntimeError, match="wrong shape"):
        timer(Counting(RuntimeError("wrong shape")), fixed_input(setting()), setting())


def test_a_compiler_that_does_not_work_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    broken = Counting(TorchDynamoException("no C++ compiler\nlong trace"))
    monkeypatch.setattr(torch, "compile", lambda network, **_: broken)
    with pytest.raises(InputError, match=r"latency.mode: compile does not work here: no C\+\+"):
        timer(Counting(), fixed_input(setting()), setting(mode="compile"))


def test_compiling_happens_before_the_first_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = Counting()
    monkeypatch.setattr(torch, "compile", lambda network, **_: compiled)
    time_ms = timer(Counting(), fixed_input(setting()), setting(mode="compile"))
    assert compiled.called == 1
    time_ms()
    assert compiled.called == 2


def test_a_gpu_is_timed_by_events_around_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            said.append("record")

        def synchronize(self) -> None:
            said.append("synchronize")

        def elapsed_time(self, _: object) -> float:
            return 12.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert calls._cuda_timer(lambda: said.append("call"))(3) == 4.0
    assert said == ["record", "call", "call", "call", "record", "synchronize"]


def test_memory_of_a_call_is_weights_images_and_what_is_alive() -> None:
    network = prepare(Counting(), setting())
    images = fixed_input(setting())
    with measuring(setting()):
        found = peak_memory(network, images, setting(), before=0)
    assert found == 4 * (3 * 4 * 9 + 4 + 3 * 16 * 24 + 4 * 14 * 22)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "cudagraph"])
def test_on_a_gpu_modes_compute_and_take_time(mode: str) -> None:
    spec = LatencySpec(size=(64, 64), device="cuda", mode=mode)
    on_gpu = resolve(spec)
    with measuring(on_gpu):
        network, images = prepare(Counting(), on_gpu), fixed_input(on_gpu)
        assert peak_memory(network, images, on_gpu, torch.cuda.memory_allocated()) > 0
        taken = timer(network, images, on_gpu)()
    assert 0 < taken < math.inf
