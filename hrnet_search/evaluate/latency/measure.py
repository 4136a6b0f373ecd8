"""Measure latency so that it can be defended: interleaved with a fixed reference network.

A machine drifts by more than networks differ (clocks, temperature, other processes). So the
measured network and a reference take turns in the order A B B A; their ratio keeps while both
slow down together. A first call after the other network is not timed. The objective is that
ratio times the reference's latency, frozen once.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from hrnet_search.arch.hrnet_yaml import DEFAULT_CLASSES
from hrnet_search.evaluate.latency.calls import without_collection
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.reference_network import reference_network
from hrnet_search.evaluate.latency.runtimes.table import RUNTIMES
from hrnet_search.evaluate.latency.setting import Setting
from hrnet_search.evaluate.latency.timing import (
    ENOUGH_ROWS,
    FEWEST_ROWS,
    Comparison,
    compare,
    median_interval,
    time_alone,
)
from hrnet_search.evaluate.machine import load as machine
from hrnet_search.latency_rule import PRECISION, WIDEST, AACheck
from hrnet_search.records.latency import Latency, LatencySpec

CALLS_IN_A_ROW = 8
"""Calls a sample of throughput on a GPU: the next is launched before the last has ended."""


def measure_latency(
    network: nn.Module,
    spec: LatencySpec,
    reference_ms: float | None = None,
    *,
    classes: int = DEFAULT_CLASSES,
    fewest: int = FEWEST_ROWS,
) -> Latency:
    """Measure the latency of a network that maps [N, 3, H, W], interleaved with the reference.

    `reference_ms` is the reference's latency frozen at the start of a study (by `aa_check`);
    without it `Latency.ms` is the median as measured. `classes` is that of the reference's head,
    `fewest` how many quads are timed however short the cap.
    A copy is measured, in evaluation mode and with all weights in the precision asked for.
    Raise InputError for what the device or the runtime cannot do, LatencyError for what the runtime
    does not run; torch.OutOfMemoryError on a GPU and MemoryError on the CPU if there is no room.
    """
    setting, runtime = resolve(spec), RUNTIMES[spec.runtime]
    with runtime.session(spec, setting) as session:
        measured = session.prepare(network)
        peak = measured.peak_memory()
        timers = session.prepare(reference_network(classes)).timer(), measured.timer()
        before = _snapshot(setting)
        with without_collection():
            settle, clock = not runtime.a_process_each, time.perf_counter
            found = compare(*timers, clock, spec.seconds, fewest, settle=settle)
        after = _snapshot(setting)
    return _latency(found, reference_ms, setting, peak, before, after)


def throughput(network: nn.Module, spec: LatencySpec, batch: int) -> float:
    """Return images per second at a batch size, calls following one another without a pause."""
    spec = replace(spec, batch=batch)
    setting = resolve(spec)
    calls = CALLS_IN_A_ROW if setting.on_gpu else 1
    with RUNTIMES[spec.runtime].session(spec, setting) as session:
        alone = session.prepare(network).timer()
        with without_collection():
            series = time_alone(alone, time.perf_counter, spec.seconds, calls)
    return 1000 * batch / float(np.median(series.times))


def aa_check(spec: LatencySpec, *, classes: int = DEFAULT_CLASSES) -> AACheck:
    """Measure the reference against itself, as any network is, if need be beyond the cap.

    The interval of a few quads is too narrow to speak of disagreement.
    """
    found = measure_latency(reference_network(classes), spec, classes=classes, fewest=ENOUGH_ROWS)
    low, high = found.ratio_low, found.ratio_high
    is_one = low <= 1 <= high or abs(found.ratio - 1) <= PRECISION
    wide = max(high - found.ratio, found.ratio - low) > WIDEST * found.ratio
    return AACheck(
        ratio=found.ratio,
        low=low,
        high=high,
        samples=found.samples // 2,
        noisy=found.noisy,
        busy=found.busy,
        agrees=is_one and not wide,
        condition=found.condition,
        reference_ms=(found.median_ms + found.reference_median_ms) / 2,
        undecided=is_one and wide,
    )


def _snapshot(setting: Setting) -> machine.Snapshot:
    if not setting.on_gpu:
        return machine.snapshot()
    return machine.snapshot(f"GPU-{torch.cuda.get_device_properties(setting.device).uuid}")


def _latency(
    found: Comparison,
    reference_ms: float | None,
    setting: Setting,
    peak: int | None,
    before: machine.Snapshot,
    after: machine.Snapshot,
) -> Latency:
    median = float(np.median(found.measured))
    low, high = median_interval(found.measured)
    return Latency(
        ms=median if reference_ms is None else found.ratio * reference_ms,
        ratio=found.ratio,
        median_ms=median,
        p95_ms=float(np.quantile(found.measured, 0.95)),
        low_ms=low,
        high_ms=high,
        samples=len(found.measured),
        noisy=found.noisy,
        condition=setting.condition,
        peak_memory_bytes=peak,
        machine=machine.describe(before, after),
        ratio_low=found.low,
        ratio_high=found.high,
        reference_median_ms=float(np.median(found.reference)),
        busy=machine.is_busy(before, after, setting.on_gpu),
    )
