"""How a network is called and timed under a condition: eager, cudagraph, compile; CPU, CUDA."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from hrnet_search.evaluate.devices import resolve_device
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.machine import cores, cpu_model
from hrnet_search.evaluate.timing import Timer
from hrnet_search.records import LatencyCondition, LatencySpec

MODES = ("auto", "eager", "cudagraph", "compile")
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TF32 = "tf32"
"""The precision in a condition where fp32 was asked for and CUDA convolves in TF32."""

CAPTURE_WARM_UP = 3
"""Calls on a side stream before a CUDA graph is captured, as torch's notes on graphs ask for."""

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Setting:
    """A condition with the torch objects that it names."""

    device: torch.device
    dtype: torch.dtype
    condition: LatencyCondition

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"


def resolve(spec: LatencySpec) -> Setting:
    """Turn a spec into the device that is there and the condition as it will be recorded.

    Raise InputError with every value that is not allowed, or that the device cannot do.
    """
    if faults := _faults(spec):
        raise InputError(faults)
    device = resolve_device(spec.device)
    on_gpu = device.type == "cuda"
    mode = spec.mode if spec.mode != "auto" else "cudagraph" if on_gpu else "eager"
    if mode == "cudagraph" and not on_gpu:
        wrong, allowed = "cudagraph needs a CUDA device", "allowed on the CPU: eager, compile"
        raise InputError(Fault("latency.mode", spec.mode, wrong, allowed))
    condition = LatencyCondition(
        device=torch.cuda.get_device_name(device) if on_gpu else cpu_model(),
        mode=mode,
        precision=_precision(spec.precision, on_gpu),
        batch=spec.batch,
        size=spec.size,
        threads=spec.threads or default_threads(),
        memory_format=spec.memory_format,
    )
    return Setting(device, DTYPES[spec.precision], condition)


def default_threads() -> int:
    """Return all cores but one: with every core taken, each barrier waits for other processes."""
    return max(1, cores() - 1)


@contextmanager
def measuring(setting: Setting) -> Iterator[None]:
    """Hold threads, cuDNN's autotuning, garbage collection and device as measuring wants them."""
    threads, autotune, collects = (
        torch.get_num_threads(),
        torch.backends.cudnn.benchmark,
        gc.isenabled(),
    )
    gpu = torch.cuda.device(setting.device) if setting.on_gpu else nullcontext()
    torch.set_num_threads(setting.condition.threads)
    torch.backends.cudnn.benchmark = True  # the size is fixed, as it is where speed matters
    gc.disable()
    if setting.condition.mode == "compile":
        # Each class of module has a limit of compiled variants; past it, torch runs eagerly.
        torch.compiler.reset()
    try:
        with gpu, torch.inference_mode(), _clear_memory_errors():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = autotune
        if collects:
            gc.enable()
        if setting.on_gpu:
            torch.cuda.empty_cache()


def fixed_input(setting: Setting) -> Tensor:
    """Return the same random images [N, 3, H, W] every time."""
    condition = setting.condition
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(condition.batch, 3, *condition.size, generator=generator)
    memory_format = FORMATS[condition.memory_format]
    return images.to(setting.device, setting.dtype).contiguous(memory_format=memory_format)


def prepare(network: nn.Module, setting: Setting) -> nn.Module:
    """Return a copy of the network for inference under the setting; the network stays as it is."""
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    memory_format = FORMATS[setting.condition.memory_format]
    return prepared.to(setting.device, setting.dtype, memory_format=memory_format)


def timer(network: nn.Module, images: Tensor, setting: Setting) -> Timer:
    """Return what times the prepared network on `images` in the mode of the setting.

    Raise InputError where the device has no kernels for the precision, or cannot compile.
    """
    try:
        network(images)
        call = CALLS[setting.condition.mode](network, images)
    except TorchDynamoException as error:
        wrong = f"compile does not work here: {_first_line(error)}"
        raise InputError(Fault("latency.mode", "compile", wrong)) from error
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        wrong = f"{setting.condition.device} cannot run this: {_first_line(error)}"
        raise InputError(Fault("latency.precision", setting.dtype, wrong)) from error
    return _cuda_timer(call) if setting.on_gpu else _cpu_timer(call)


def peak_memory(network: nn.Module, images: Tensor, setting: Setting, before: int) -> int | None:
    """Return the bytes that one eager call holds at most above `before`; None on the CPU."""
    if not setting.on_gpu:
        return None
    network(images)  # the first call also tries the algorithms of cuDNN, with their workspaces
    torch.cuda.reset_peak_memory_stats(setting.device)
    network(images)
    return torch.cuda.max_memory_allocated(setting.device) - before


def _eager(network: nn.Module, images: Tensor) -> Call:
    return lambda: network(images)


def _compiled(network: nn.Module, images: Tensor) -> Call:
    compiled = torch.compile(network, dynamic=False)
    compiled(images)  # compiles, now rather than in the first sample
    return lambda: compiled(images)


def _cudagraph(network: nn.Module, images: Tensor) -> Call:
    side = torch.cuda.Stream()
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


def _cpu_timer(call: Call) -> Timer:
    def time_ms(calls: int = 1) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) * 1000 / calls

    return time_ms


def _cuda_timer(call: Call) -> Timer:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def time_ms(calls: int = 1) -> float:
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / calls

    return time_ms


def _precision(asked: str, on_gpu: bool) -> str:
    if asked == "fp32" and on_gpu and torch.backends.cudnn.conv.fp32_precision == TF32:
        return TF32
    return asked


def _faults(spec: LatencySpec) -> list[Fault]:
    faults = [
        Fault(f"latency.{key}", value, f"{value!r} is not known", f"allowed: {', '.join(names)}")
        for key, value, names in (
            ("mode", spec.mode, MODES),
            ("precision", spec.precision, tuple(DTYPES)),
            ("memory_format", spec.memory_format, tuple(FORMATS)),
        )
        if value not in names
    ]
    for key, count, least in (
        ("size", min(spec.size), 1),
        ("batch", spec.batch, 1),
        ("threads", spec.threads, 0),
    ):
        if count < least:
            allowed = f"allowed: an integer of at least {least}"
            faults.append(Fault(f"latency.{key}", count, f"{count} is too small", allowed))
    if not spec.seconds > 0:
        wrong = f"{spec.seconds} is too small"
        faults.append(Fault("latency.seconds", spec.seconds, wrong, "allowed: above 0"))
    return faults


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
        raise MemoryError(f"out of memory: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
