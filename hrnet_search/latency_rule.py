"""What may be concluded from latencies: the one rule for tables, advice, pages and ablations.

A latency whose interval did not close in time (`noisy`) is shown and never advises. Two that
closed differ where their intervals do not overlap, and only under one condition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from hrnet_search.records import Latency


def closed(*latencies: Latency) -> bool:
    """Return whether anything may be concluded from these latencies together."""
    same = len({latency.condition for latency in latencies}) <= 1
    return same and not any(latency.noisy for latency in latencies)


def is_slower(one: Latency, other: Latency) -> bool:
    """Return whether one latency is above another, beyond the intervals of both."""
    return closed(one, other) and one.ratio_low > other.ratio_high


def interval_ms(latency: Latency) -> tuple[float, float]:
    """Return the 95% interval of `latency.ms`: that of the ratio, or else of the median."""
    if latency.ratio > 0 and latency.ratio_low > 0:
        scale = latency.ms / latency.ratio
        return latency.ratio_low * scale, latency.ratio_high * scale
    scale = latency.ms / latency.median_ms if latency.median_ms > 0 else 1.0
    return latency.low_ms * scale, latency.high_ms * scale


def half_width_ms(latency: Latency) -> float:
    """Return how far the interval of `latency.ms` reaches to its wider side, infinite if noisy."""
    low, high = interval_ms(latency)
    return math.inf if latency.noisy else max(high - latency.ms, latency.ms - low, 0.0)


def noisy_doubt(latencies: Iterable[Latency], of: str) -> str:
    """Return what to say of latencies of which some are noisy; empty if none is."""
    found = list(latencies)
    count = sum(latency.noisy for latency in found)
    if not count:
        return ""
    return (
        f"{count} of {len(found)} latencies {of} are noisy (the interval did not close in time):"
        " which of these networks is faster is not known"
    )
