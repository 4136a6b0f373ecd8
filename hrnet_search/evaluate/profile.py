"""Measure one network for a person who asks, and say in one line what it could not do."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.memory import inference_memory
from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate import machine
from hrnet_search.evaluate.allocator import out_of_memory
from hrnet_search.evaluate.condition import Setting, resolve
from hrnet_search.evaluate.kept_latencies import is_reused, latency_of
from hrnet_search.evaluate.latency import throughput
from hrnet_search.net.hrnet import build
from hrnet_search.records import Latency, LatencySpec


@dataclass(frozen=True, slots=True)
class Measured:
    """A latency, images a second if asked for, and whether the latency was measured before."""

    latency: Latency
    images_per_s: float | None
    reused: bool


def measure(
    architecture: Architecture,
    classes: int,
    spec: LatencySpec,
    throughput_batch: int = 0,
    again: bool = False,
) -> Measured:
    """Return latency, and throughput at a batch of its own if that is not 0.

    Raise InputError for what the device cannot do and for a network that does not fit into it.
    """
    setting = resolve(spec)
    _check_room(architecture, classes, setting, max(spec.batch, throughput_batch))
    try:
        network = build(architecture, classes)
        found = latency_of(network, spec, classes=classes, again=again)
        images = throughput(network, spec, throughput_batch) if throughput_batch else None
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        with suppress(RuntimeError):  # a GPU that failed says so again
            torch.cuda.empty_cache()
        first = next(iter(str(error).splitlines()), "no more is known")
        raise _no_room(first.removeprefix("out of memory: ")) from None
    return Measured(found, images, is_reused(found))


def _check_room(architecture: Architecture, classes: int, setting: Setting, batch: int) -> None:
    """Raise InputError before a network that cannot fit makes the system kill this process."""
    size, element = setting.condition.size, setting.dtype.itemsize
    needed = inference_memory(architecture, size, classes, batch, element)
    free = _free_bytes(setting)
    if free is not None and needed > free:
        raise _no_room(f"about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def _free_bytes(setting: Setting) -> int | None:
    return torch.cuda.mem_get_info(setting.device)[0] if setting.on_gpu else machine.free_bytes()


def _no_room(why: str) -> InputError:
    allowed = "allowed: a smaller size, batch or network"
    return InputError(Fault("latency", None, f"out of memory: {why}", allowed))
