"""How a network is called and timed under a condition: eager, cudagraph, compile; CPU, CUDA."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from hrnet_search.errors import Fault, InputError, first_line
from hrnet_search.evaluate.latency.setting import Call, Setting
from hrnet_search.evaluate.latency.timing import Timer
from hrnet_search.evaluate.machine.live_tensors import live_peak

CAPTURE_WARM_UP = 3
"""Calls on a side stream before a CUDA graph is captured, as torch's notes on graphs ask for."""


@contextmanager
def measuring(setting: Setting) -> Iterator[None]:
    """Hold threads, cuDNN's autotuning, garbage collection and device as measuring wants them.

    Raise MemoryError, of one line, where the CPU's allocator fails.
    """
    threads, autotune = torch.get_num_threads(), torch.backends.cudnn.benchmark
    gpu = torch.cuda.device(setting.device) if setting.on_gpu else nullcontext()
    try:
        torch.set_num_threads(setting.condition.threads)
        torch.backends.cudnn.benchmark = True  # the size is fixed, as it is where speed matters
        if setting.condition.mode == "compile":
            # A class of modules may be compiled a few times only; past that, torch runs it eagerly.
            torch.compiler.reset()
        with gpu, torch.inference_mode(), _clear_memory_errors(), without_collection():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = autotune
        if setting.on_gpu:
            torch.cuda.empty_cache()


@contextmanager
def without_collection() -> Iterator[None]:
    """Let no garbage be collected, which takes as long as some networks."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def prepare(network: nn.Module, setting: Setting) -> nn.Module:
    """Return a copy of the network for inference under the setting; the network stays as it is."""
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    # torch documents this form of Module.to, its type stubs lack it.
    prepared.to(setting.device, setting.dtype, memory_format=setting.memory_format)  # type: ignore[call-overload]
    return prepared


def timer(network: nn.Module, images: Tensor, setting: Setting) -> Timer:
    """Return what times the prepared network on `images` in the mode of the setting.

    Raise InputError where the device has no kernels for the precision, or cannot compile.
    """
    try:
        network(images)
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        precision, device = setting.condition.precision, setting.condition.device
        wrong = f"{device} cannot run this in {precision}: {first_line(error)}"
        raise InputError(Fault("latency.precision", precision, wrong)) from error
    call = CALLS[setting.condition.mode](network, images)
    return _cuda_timer(call) if setting.on_gpu else wall_timer(call)


def wall_timer(call: Call) -> Timer:
    """Return what times calls that have ended when they return."""

    def time_ms(calls: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) * 1000 / calls

    return time_ms


def peak_memory(network: nn.Module, images: Tensor, setting: Setting, before: int) -> int:
    """Return the bytes that one eager call holds at most, weights and images included.

    On a GPU what its allocator gave above `before`; on the CPU, which nobody asks, the tensors
    that are alive, without what kernels take for themselves.
    """
    if not setting.on_gpu:
        held = (images, *network.parameters(), *network.buffers())
        return live_peak(lambda: network(images)) + sum(t.nbytes for t in held)
    network(images)  # the first call also tries the algorithms of cuDNN, with their workspaces
    torch.cuda.reset_peak_memory_stats(setting.device)
    network(images)
    return torch.cuda.max_memory_allocated(setting.device) - before


def _eager(network: nn.Module, images: Tensor) -> Call:
    return lambda: network(images)


def _compiled(network: nn.Module, images: Tensor) -> Call:
    # Loading the compiler takes as long as loading torch, and only this mode needs it.
    from torch._dynamo.exc import TorchDynamoException

    compiled = torch.compile(network, dynamic=False)
    try:
        compiled(images)  # compiles, now rather than in the first sample
    except TorchDynamoException as error:
        wrong = f"compile does not work here: {first_line(error)}"
        raise InputError(Fault("latency.mode", "compile", wrong)) from error
    return lambda: compiled(images)


def _cudagraph(network: nn.Module, images: Tensor) -> Call:
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(CAPTURE_WARM_UP):
            network(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(images)
    return graph.replay


CALLS: dict[str, Callable[[nn.Module, Tensor], Call]] = {
    "eager": _eager,
    "cudagraph": _cudagraph,
    "compile": _compiled,
}


def _cuda_timer(call: Call) -> Timer:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def time_ms(calls: int = 1) -> float:
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / calls

    return time_ms


@contextmanager
def _clear_memory_errors() -> Iterator[None]:
    """Turn torch's report of a failed CPU allocation into a MemoryError of one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise MemoryError(f"out of memory: {first_line(error)}") from error
