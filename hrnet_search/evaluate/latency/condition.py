"""Under which condition a latency is measured: what was asked for, held against what is there."""

from __future__ import annotations

import torch

from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.latency.runtimes.table import RUNTIMES
from hrnet_search.evaluate.latency.setting import DTYPES, FORMATS, Setting
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.machine.load import cores
from hrnet_search.records.latency import RUNTIMES as HAS
from hrnet_search.records.latency import TORCH, LatencyCondition, LatencySpec
from hrnet_search.records.schedule import AUTO, PRECISIONS

MODES = ("auto", "eager", "cudagraph", "compile")


def resolve(spec: LatencySpec) -> Setting:
    """Turn a spec into the device that is there and the condition as it will be recorded.

    Raise InputError with every value that is not allowed, or that the device or the runtime
    cannot do, and for a runtime that is not installed.
    """
    if faults := _faults(spec):
        raise InputError(faults)
    device = resolve_device(spec.device)
    facts = RUNTIMES[spec.runtime].facts(spec, device)
    condition = LatencyCondition(
        device=facts.device or device_name(device),
        mode=facts.mode,
        precision=facts.precision,
        batch=spec.batch,
        size=spec.size,
        threads=0 if facts.device else spec.threads or default_threads(),
        memory_format=spec.memory_format,
        version=facts.version,
        provider=facts.provider,
    )
    dtype = DTYPES[spec.precision] if spec.runtime == TORCH else torch.float32
    return Setting(device, dtype, FORMATS[spec.memory_format], condition)


def default_threads() -> int:
    """Return all cores but one: with every core taken, each barrier waits for other processes."""
    return max(1, cores() - 1)


def _faults(spec: LatencySpec) -> list[Fault]:
    own = spec.runtime == TORCH
    faults = [
        Fault(f"latency.{key}", value, f"{value!r} is not known", ", ".join(names))
        for key, value, names in (
            ("runtime", spec.runtime, tuple(RUNTIMES)),
            ("mode", spec.mode, MODES if own else (AUTO,)),
            ("precision", spec.precision, HAS.get(spec.runtime, PRECISIONS)),
            ("memory_format", spec.memory_format, tuple(FORMATS) if own else ("contiguous",)),
        )
        if value not in names
    ]
    for key, count, least in (
        ("size", min(spec.size), 1),
        ("batch", spec.batch, 1),
        ("threads", spec.threads, 0),
    ):
        if count < least:
            allowed = f"an integer of at least {least}"
            faults.append(Fault(f"latency.{key}", count, f"{count} is too small", allowed))
    if not spec.seconds > 0:
        wrong = f"{spec.seconds} is too small"
        faults.append(Fault("latency.seconds", spec.seconds, wrong, "above 0"))
    return faults
