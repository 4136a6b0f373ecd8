"""Latencies: how they are measured, under which condition, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hrnet_search.records.schedule import PRECISIONS

TORCH, COMMAND, ONNX_FILE = "torch", "command", "{onnx}"
INT8 = "int8"

RUNTIMES = {
    TORCH: PRECISIONS,
    "onnxruntime": ("fp32", INT8),
    "openvino": ("fp32", "fp16", INT8),
    "tensorrt": ("fp32", "fp16", INT8),
    COMMAND: ("fp32",),
}
"""What runs a network whose latency is measured, and the precisions that it has there."""


@dataclass(frozen=True, slots=True)
class LatencySpec:
    """How latency is measured: the `latency` section of a space file.

    `size` is (height, width), `seconds` the cap on one measurement; `device` is one of
    DEVICES, `mode` auto, eager, cudagraph or compile, `precision` one of those that the runtime
    has in RUNTIMES, `threads` those of the CPU (0: all cores this process may use but one),
    `memory_format` contiguous or channels_last. `runtime` runs the networks; modes and memory
    formats are torch's. `command` is what `runtime: command` runs, each run for `seconds` at most.
    """

    size: tuple[int, int] = (512, 1024)
    batch: int = 1
    device: str = "auto"
    mode: str = "auto"
    precision: str = "fp32"
    seconds: float = 5.0
    threads: int = 0
    memory_format: str = "contiguous"
    runtime: str = TORCH
    command: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What of it may not change while a study lasts; a runtime only where it is not torch."""
        keys = ["size", "batch", "mode", "precision"]
        if self.runtime != TORCH:
            keys.append("runtime")
        if self.runtime == COMMAND:
            keys.append("command")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True, slots=True)
class LatencyCondition:
    """Under which a latency was measured; two conditions never share an axis.

    `size` is (height, width); `device` names the device as found, not as asked for. `mode` is how
    torch calls the network (eager, cudagraph, compile), or the runtime that runs it instead: its
    `version` is then noted, and its `provider`, what computes for it.
    """

    device: str
    mode: str
    precision: str
    batch: int
    size: tuple[int, int]
    threads: int
    memory_format: str = "contiguous"
    version: str = ""
    provider: str = ""

    @property
    def runtime(self) -> str:
        """What ran the network."""
        return self.mode if self.mode in RUNTIMES else TORCH

    @property
    def how(self) -> str:
        """How the network was run, for people: the mode of torch, or the whole runtime."""
        words = (self.mode, self.version, f"({self.provider})" if self.provider else "")
        return " ".join(filter(None, words))

    @property
    def plain(self) -> dict[str, Any]:
        """What it says, by field; conditions of torch as before there were other runtimes."""
        unset = {key for key in ("version", "provider") if not getattr(self, key)}
        return {key: value for key, value in asdict(self).items() if key not in unset}


@dataclass(frozen=True, slots=True)
class Latency:
    """A measured latency, in milliseconds, with its spread and its conditions.

    `ms` is what counts as the objective: `ratio` to the reference network times the
    reference's latency frozen at the start of the study. `median_ms`, `p95_ms` and the 95%
    interval `low_ms` to `high_ms` of the median are as measured, over `samples` timings;
    `ratio_low` to `ratio_high` is the 95% interval of the ratio, and `noisy` says that it did
    not close in time. `reference_median_ms` is the reference as measured beside it.
    `machine` is what the machine was doing, as name and value; `busy` says that others used
    the device. `peak_memory_bytes` is of one eager call, weights and images included: what the
    GPU's allocator gave, on a CPU the tensors alive.
    """

    ms: float
    ratio: float
    median_ms: float
    p95_ms: float
    low_ms: float
    high_ms: float
    samples: int
    noisy: bool
    condition: LatencyCondition
    peak_memory_bytes: int | None = None
    machine: tuple[tuple[str, str], ...] = ()
    ratio_low: float = 0.0
    ratio_high: float = 0.0
    reference_median_ms: float = 0.0
    busy: bool = False

    def by(self, reference_ms: float) -> Latency:
        """Return it in milliseconds of a study: its ratio to the reference network counts."""
        return replace(self, ms=self.ratio * reference_ms)


def command_problem(command: Sequence[str]) -> tuple[str, str] | None:
    """Return what is wrong with a latency command, and what is allowed; None if nothing is."""
    example = f'like [ssh, board, ./bench, "{ONNX_FILE}"]'
    if not command:
        return "is missing", example
    if not any(ONNX_FILE in part for part in command[1:]):
        return f"names no {ONNX_FILE} behind the program, which stands for the file", example
    return None
