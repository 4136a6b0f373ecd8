"""Which precision and memory format pay on a device: a few steps of each, timed side by side."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from hrnet_search.arch.architecture import Architecture
from hrnet_search.evaluate.machine.allocator import keep_freed_memory, out_of_memory
from hrnet_search.evaluate.machine.devices import device_name
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.net.hrnet import build
from hrnet_search.records.schedule import AUTO, MEMORY_FORMATS, Schedule
from hrnet_search.store.findings import Probe

PAYS = 0.9
"""What is less exact, or less usual, has to take at most this share of the time."""

ROUNDS = 3
LONGEST_S = 30.0
"""Seconds after which no further round begins."""

FEATURES = ("avx512_bf16", "amx_bf16", "bf16")
"""Names under which processors say that they multiply bf16."""


def settle(
    schedule: Schedule,
    architecture: Architecture,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> Probe:
    """Settle what a schedule leaves open by training an architecture on noise, for seconds."""
    options = candidates(schedule, device)
    first = options[0]
    if len(options) == 1:
        return Probe(first.precision, first.memory_format, device_name(device), {})
    keep_freed_memory()
    seconds = _seconds(options, architecture, device, clock)
    fastest = min(options, key=seconds.__getitem__)
    best = fastest if seconds[fastest] < PAYS * seconds[first] else first
    # JSON knows no infinity: an option that found no memory has no seconds.
    known = {
        f"{o.precision} {o.memory_format}": seconds[o] for o in options if math.isfinite(seconds[o])
    }
    return Probe(best.precision, best.memory_format, device_name(device), known)


def is_open(schedule: Schedule) -> bool:
    """Return whether a schedule leaves something to be settled."""
    return AUTO in (schedule.precision, schedule.memory_format)


def candidates(schedule: Schedule, device: torch.device) -> tuple[Schedule, ...]:
    """Return the schedules that may come of one, the most exact and usual first."""
    precisions = ("fp32", "bf16") if has_bf16(device) else ("fp32",)
    found = product(
        precisions if schedule.precision == AUTO else (schedule.precision,),
        MEMORY_FORMATS if schedule.memory_format == AUTO else (schedule.memory_format,),
    )
    return tuple(replace(schedule, precision=p, memory_format=m) for p, m in found)


def has_bf16(device: torch.device) -> bool:
    """Return whether the device multiplies bf16 in hardware, and does not imitate it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older versions of torch do not tell; then only what is exact is tried.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in FEATURES)


def _seconds(
    options: tuple[Schedule, ...],
    architecture: Architecture,
    device: torch.device,
    clock: Callable[[], float],
) -> dict[Schedule, float]:
    """Return the median seconds of a step of each option, infinite where memory is too small."""
    times: dict[Schedule, list[float]] = {option: [] for option in options}
    trainers = {}
    end = clock() + LONGEST_S
    for option in options:
        try:
            trainers[option] = _trainer(option, architecture, device)
            trainers[option].advance()  # kernels are chosen and made in the first step
        except Exception as error:
            if not out_of_memory(error):
                raise
            trainers.pop(option, None)
    for _ in range(ROUNDS):
        for option, trainer in trainers.items():
            start = clock()
            trainer.advance()
            times[option].append(clock() - start)
        if clock() > end:
            break
    return {o: statistics.median(found) if found else math.inf for o, found in times.items()}


def _trainer(schedule: Schedule, architecture: Architecture, device: torch.device) -> Trainer:
    generator = torch.Generator().manual_seed(0)
    shape = (schedule.batch, *schedule.crop)
    images = torch.randn((shape[0], 3, *shape[1:]), generator=generator).to(device)
    labels = torch.randint(schedule.data.classes, shape, generator=generator).to(device)
    data = TrainingData(lambda _: (images, labels), lambda: (), images=1)
    network = build(architecture, schedule.data.classes).to(device)
    plain = replace(schedule, steps=ROUNDS + 1, class_weights="none", compile=False)
    return Trainer(network, data, plain)
