"""Under which condition a latency is measured: what was asked for, held against what is there."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.machine.load import cores
from hrnet_search.records import LatencyCondition, LatencySpec

MODES = ("auto", "eager", "cudagraph", "compile")
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
TF32 = "tf32"
"""The precision in a condition where fp32 was asked for and CUDA convolves in TF32."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A condition with the torch objects that it names."""

    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format
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
        device=device_name(device),
        mode=mode,
        precision=_precision(spec.precision, on_gpu),
        batch=spec.batch,
        size=spec.size,
        threads=spec.threads or default_threads(),
        memory_format=spec.memory_format,
    )
    return Setting(device, DTYPES[spec.precision], FORMATS[spec.memory_format], condition)


def default_threads() -> int:
    """Return all cores but one: with every core taken, each barrier waits for other processes."""
    return max(1, cores() - 1)


def _precision(asked: str, on_gpu: bool) -> str:
    if asked == "fp32" and on_gpu and torch.backends.cudnn.conv.fp32_precision == TF32:  # type: ignore[attr-defined]
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
