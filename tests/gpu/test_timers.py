"""Latency on CUDA: timers against events set up by hand, the condition, the instrument itself."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from gpu.on_devices import network
from made_up import network as architecture_of
from torch import Tensor, nn

from benchmarks.fp32 import set_fp32
from hrnet_search.evaluate.latency.calls import CALLS, measuring, prepare, timer
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import aa_check, measure_latency, throughput
from hrnet_search.evaluate.latency.setting import fixed_input
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import LatencySpec

pytestmark = pytest.mark.gpu

SPEC = LatencySpec(size=(128, 256), device="cuda", seconds=1.0, threads=1)
ROUNDS = 30


def eager_by_hand(net: nn.Module, images: Tensor) -> Callable[[], object]:
    return lambda: net(images)


def graph_by_hand(net: nn.Module, images: Tensor) -> Callable[[], object]:
    """As torch's notes on CUDA graphs have it: warm up on a side stream, then capture."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net(images)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        net(images)
    return graph.replay


def compiled_by_hand(net: nn.Module, images: Tensor) -> Callable[[], object]:
    compiled = torch.compile(net, dynamic=False)
    compiled(images)
    return lambda: compiled(images)


BY_HAND = {"eager": eager_by_hand, "cudagraph": graph_by_hand, "compile": compiled_by_hand}


def elapsed_ms(call: Callable[[], object]) -> float:
    """Return what `torch.cuda.Event` says of one call, with the device idle before and after."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


@pytest.mark.parametrize("mode", list(BY_HAND))
def test_a_timer_says_what_cuda_events_around_the_same_calls_say(mode: str) -> None:
    setting = resolve(replace(SPEC, mode=mode))
    with measuring(setting):
        images = fixed_input(setting)
        net = prepare(build(architecture_of(16), 5), setting)
        ours, by_hand = timer(net, images, setting), BY_HAND[mode](net, images)
        for _ in range(10):
            ours(), elapsed_ms(by_hand)
        pairs = [(ours(), elapsed_ms(by_hand)) for _ in range(ROUNDS)]
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    assert 0.8 < ratio < 1.25, pairs


class Keeping(nn.Module):
    """Keeps what a network put out: in a graph that is where each replay writes it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.out = torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        self.out = self.net(images)
        return self.out


@pytest.mark.parametrize("mode", ["eager", "cudagraph"])
def test_what_is_timed_computes_the_network_on_the_images_that_are_there(mode: str) -> None:
    setting = resolve(replace(SPEC, mode=mode))
    with measuring(setting):
        images = fixed_input(setting)
        keeping = Keeping(prepare(build(architecture_of(8), 5), setting))
        call = CALLS[mode](keeping, images)
        images.copy_(torch.randn_like(images))
        call()
        torch.cuda.synchronize()
        found, expected = keeping.out.clone(), keeping.net(images)
    scale = float((expected.max() - expected.min()).abs())
    assert float((found - expected).abs().max()) < 1e-2 * scale  # TF32 and other algorithms


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_latency_is_whole(precision: str) -> None:
    found = measure_latency(network("cpu"), replace(SPEC, precision=precision), classes=3)
    assert found.condition.device == torch.cuda.get_device_name(0)
    assert found.condition.mode == "cudagraph"  # auto
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert found.ratio_low <= found.ratio <= found.ratio_high
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > sum(p.numel() for p in network("cpu").parameters())
    assert {"driver", "temperature_c_before", "sm_clock_mhz_after"} <= set(dict(found.machine))


def test_float32_that_is_convolved_in_tf32_is_recorded_as_such() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        for precision in ("tf32", "fp32"):
            set_fp32(precision)
            assert resolve(SPEC).condition.precision == precision
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def test_the_instrument_agrees_with_itself() -> None:
    found = aa_check(replace(SPEC, seconds=5.0))
    assert found.agrees, found.line()
    assert 0.95 < found.ratio < 1.05


def test_larger_networks_take_longer_and_batches_more_images_a_second() -> None:
    spec = replace(SPEC, size=(512, 1024), seconds=2.0)
    small, large = (build(architecture_of(width), 5) for width in (8, 64))
    assert measure_latency(large, spec).median_ms > measure_latency(small, spec).median_ms
    rates = {batch: throughput(small, replace(spec, size=(64, 64)), batch) for batch in (1, 8)}
    assert rates[8] > 2 * rates[1]
