"""What a profiled training waited for, from the trace that torch's profiler writes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of what a GPU does, as Kineto names them."""

WINDOW, DATA = "window", "data"
"""Ranges that `record_function` marks: what is judged, and in it the waits for a batch."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the window's time: the GPU works, the loop waits for data, the host waits.

    `kernels` is how many were run in the window.
    """

    gpu: float
    data: float
    host_waits: float
    kernels: int


def shares_of(path: Path) -> Shares:
    """Read a trace that `export_chrome_trace` wrote."""
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return shares([event for event in events if event.get("ph") == "X"])


def shares(events: list[Event]) -> Shares:
    """Return the shares of the one range named WINDOW among complete events."""
    marks = [e for e in events if e.get("cat") == "user_annotation"]
    (window,) = (e for e in marks if e["name"] == WINDOW)
    begin, length = window["ts"], window["dur"]
    inside = [e for e in events if begin <= e["ts"] < begin + length]
    gpu = [e for e in inside if e.get("cat") in ON_GPU]
    data = [e for e in inside if e.get("cat") == "user_annotation" and e["name"] == DATA]
    waits = [e for e in inside if e.get("cat") == "cuda_runtime" and "Synchronize" in e["name"]]
    return Shares(
        gpu=covered(gpu, begin + length) / length,
        data=covered(data, begin + length) / length,
        host_waits=covered(waits, begin + length) / length,
        kernels=sum(e.get("cat") == "kernel" for e in gpu),
    )


def covered(events: Iterable[Event], end: float) -> float:
    """Return the time in which at least one of the events lasts, up to `end`."""
    total, reached = 0.0, float("-inf")
    for event in sorted(events, key=lambda e: e["ts"]):
        last = min(event["ts"] + event["dur"], end)
        total += max(0.0, last - max(event["ts"], reached))
        reached = max(reached, last)
    return float(total)
