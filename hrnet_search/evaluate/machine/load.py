"""What the machine was doing while something was timed: load, clocks, temperature, others.

Only reads. GPU figures come from NVML (the package `nvidia-ml-py`); without a driver, or where
NVML does not tell, they are left out.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSY_SHARE = 0.05
"""Of all cores, what other processes may use before a CPU counts as busy."""

SHORTEST_WINDOW_S = 0.5
"""Below it the kernel's counters, which tick at 100 Hz, say nothing."""

BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
"""Of `cpu` in /proc/stat: user, nice, system, irq, softirq, steal."""

CONSTANT = ("driver",)
"""Readings of a GPU that do not change while something runs."""

PROC = Path("/proc")

Reading = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The machine at one moment; None and empty where it does not tell.

    `load` is the load average over a minute; `all_cpu_s` and `own_cpu_s` count seconds of CPU
    time used by everybody and by this process; `gpu` holds names and values of NVML,
    `gpu_others` how many other processes compute on the GPU.
    """

    at_s: float
    load: float | None
    all_cpu_s: float | None
    own_cpu_s: float
    gpu: Reading = ()
    gpu_others: int | None = None


def snapshot(gpu_uuid: str | None = None) -> Snapshot:
    """Read the machine, and the GPU with this uuid (`GPU-...`) if one is given."""
    gpu, others = read_gpu(gpu_uuid) if gpu_uuid else ((), None)
    return Snapshot(time.monotonic(), _load(), _all_cpu_s(), _own_cpu_s(), gpu, others)


def _own_cpu_s() -> float:
    """Return the CPU time of this process, and of programs that it started and that ended."""
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + started.ru_utime + started.ru_stime


def others_share(before: Snapshot, after: Snapshot) -> float | None:
    """Return the share of all cores that other processes used in between, None if unknown."""
    window = after.at_s - before.at_s
    if before.all_cpu_s is None or after.all_cpu_s is None or window < SHORTEST_WINDOW_S:
        return None
    used = after.all_cpu_s - before.all_cpu_s - (after.own_cpu_s - before.own_cpu_s)
    return max(0.0, used / window / cores())


def is_busy(before: Snapshot, after: Snapshot, on_gpu: bool) -> bool:
    """Return whether others used the device: processes on the GPU, or CPU time.

    Where CPU time of others is not known, the load average at the start decides; it holds
    what this process did before, so it is the worse witness.
    """
    if on_gpu:
        return max(before.gpu_others or 0, after.gpu_others or 0) > 0
    share = others_share(before, after)
    if share is None:
        return before.load is not None and before.load > cores() / 2
    return share > BUSY_SHARE


def describe(before: Snapshot, after: Snapshot) -> Reading:
    """Return what is known of the machine as names and values, for the record."""
    share = others_share(before, after)
    rows = [("cpu", cpu_model()), ("cores", str(cores())), ("system", platform.platform())]
    rows += [(name, value) for name, value in after.gpu if name in CONSTANT]
    for when, at in (("before", before), ("after", after)):
        if at.load is not None:
            rows.append((f"load_{when}", f"{at.load:.2f}"))
        rows += [(f"{name}_{when}", value) for name, value in at.gpu if name not in CONSTANT]
    if share is not None:
        rows.append(("cpu_share_of_others", f"{share:.3f}"))
    if after.gpu_others is not None:
        rows.append(("gpu_processes_of_others", str(after.gpu_others)))
    return tuple(rows)


def cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Return the CPU's name as the system gives it."""
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def read_gpu(uuid: str) -> tuple[Reading, int | None]:
    """Return what NVML says of a GPU and how many other processes compute on it."""
    try:
        import pynvml
    except ImportError:
        return (), None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), None
    try:
        gpu = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return _gpu_reading(pynvml, gpu), _gpu_others(pynvml, gpu)
    except pynvml.NVMLError:
        return (), None
    finally:
        pynvml.nvmlShutdown()


def _gpu_reading(nvml: Any, gpu: Any) -> Reading:
    queries: dict[str, Callable[[], object]] = {
        "driver": nvml.nvmlSystemGetDriverVersion,
        "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
        "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    }
    rows = []
    for name, query in queries.items():
        try:
            rows.append((name, str(query())))
        except nvml.NVMLError:  # not every device tells everything
            continue
    return tuple(rows)


def _gpu_others(nvml: Any, gpu: Any) -> int | None:
    try:
        found = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    except nvml.NVMLError:
        return None
    # In a container the ids are those of the host, so this process is counted out, not found.
    return max(0, len(found) - 1)


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):  # AttributeError: Windows has none
        return None


def _all_cpu_s() -> float | None:
    try:
        ticks = (PROC / "stat").read_text().splitlines()[0].split()[1:]
        return sum(int(ticks[i]) for i in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return None
