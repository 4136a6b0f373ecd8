"""Measure one network for a person who asks, and say in one line what it could not do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost
from hrnet_search.arch.memory import inference_memory
from hrnet_search.errors import Fault, InputError
from hrnet_search.evaluate.counting import cost_by_fvcore
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.kept import is_reused, latency_of
from hrnet_search.evaluate.latency.measure import throughput
from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.evaluate.machine import control_groups
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import Latency, LatencySpec


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
    size, element = setting.condition.size, setting.dtype.itemsize
    batch = max(spec.batch, throughput_batch)
    needed = inference_memory(architecture, size, classes, batch, element)
    with _room("latency", needed, _free_bytes(setting)):
        network = build(architecture, classes)
        found = latency_of(network, spec, classes=classes, again=again)
        images = throughput(network, spec, throughput_batch) if throughput_batch else None
    return Measured(found, images, is_reused(found))


def recounted(architecture: Architecture, classes: int, size: tuple[int, int]) -> Cost:
    """Return what fvcore counts of the built network, which runs once on the CPU.

    Raise InputError for a network that does not fit into memory.
    """
    needed = inference_memory(architecture, size, classes, 1)
    with _room("verify", needed, control_groups.free_bytes()):
        return cost_by_fvcore(build(architecture, classes), size)


@contextmanager
def _room(what: str, needed: int, free: int | None) -> Iterator[None]:
    """Raise InputError before a network that cannot fit makes the system kill this process.

    And where it turns out not to fit.
    """
    if free is not None and needed > free:
        why = f"about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        raise _no_room(what, why)
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        with suppress(RuntimeError):  # a GPU that failed says so again
            torch.cuda.empty_cache()
        raise no_room(what, error) from None


def _free_bytes(setting: Setting) -> int | None:
    if setting.on_gpu:
        return torch.cuda.mem_get_info(setting.device)[0]
    return control_groups.free_bytes()


def no_room(what: str, error: Exception) -> InputError:
    """Return what to raise where a network turned out not to fit into memory."""
    first = next(iter(str(error).splitlines()), "no more is known")
    return _no_room(what, first.removeprefix("out of memory: "))


def _no_room(what: str, why: str) -> InputError:
    allowed = "a smaller size, batch or network"
    return InputError(Fault(what, None, f"out of memory: {why}", allowed))
