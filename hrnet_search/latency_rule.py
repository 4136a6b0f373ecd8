"""What may be concluded from latencies: the one rule for tables, advice, pages and ablations.

A latency whose interval did not close in time (`noisy`) is shown and never advises. Two that
closed differ where their intervals do not overlap, and only under one condition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from hrnet_search.counts import digits
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.trial import TrialResult

PRECISION = 0.01
"""How far, relative to the estimate, its 95% interval may reach to either side when it closes."""

WIDEST = 5 * PRECISION
"""How far, relative to the ratio, a check's interval may reach to a side and still say agreed."""


@dataclass(frozen=True, slots=True)
class AACheck:
    """The reference against a copy of itself: a sound instrument says 1.

    `low` to `high` is the 95% interval of `ratio` over `samples` quads; `agrees` says that it
    holds 1, or that the ratio is 1 within the 1% to which latencies are measured; `undecided`
    that it would, but the interval is too wide to say so. `reference_ms` is the latency that a
    study freezes: the median of both, of the least disturbed of `checks`, or the median of
    `kept` steady latencies from before; 0 in studies from before it was noted.
    """

    ratio: float
    low: float
    high: float
    samples: int
    noisy: bool
    busy: bool
    agrees: bool
    condition: LatencyCondition
    reference_ms: float = 0.0
    undecided: bool = False
    checks: int = 1
    kept: int = 0

    def line(self) -> str:
        """Return what the check says, for people."""
        verdict = "agrees with itself" if self.agrees else "DISAGREES with itself"
        if self.undecided:
            verdict = "is UNDECIDED against itself"
        line = (
            f"A/A check: the reference network {verdict}, ratio {self.ratio:.3f}"
            f" (95% interval {self.low:.3f} to {self.high:.3f}, {self.samples} quads)"
        )
        if self.checks > 1:
            line += f", the steadiest of {self.checks} checks"
        if self.undecided:
            line += f"; an interval that reaches over {WIDEST:.0%} to a side is too wide to say"
        elif self.noisy:
            line += "; the interval did not close within the time"
        return f"{line}; the device is busy with other work" if self.busy else line

    def reference_line(self) -> str:
        """Return, for people, how sure the frozen latency is; empty where nothing is to be said."""
        takes = f"the reference takes {digits(self.reference_ms)} ms"
        if self.kept:
            return f"{takes}, the median of {self.kept} steady latencies kept for this device"
        if not self.noisy:
            return ""
        return f"{takes}, noisy: absolute ms of this study are uncertain, ratios are not"


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


def pooled(latencies: Sequence[Latency]) -> Latency:
    """Return measurements of one network, one or more, as one: means, by the first's condition.

    Its interval holds those of all: beyond a trial's own, what differs between trials counts.
    """
    first = latencies[0]
    same = [one for one in latencies if one.condition == first.condition]
    if len(same) == 1:
        return first
    ms, ratio = fmean(one.ms for one in same), fmean(one.ratio for one in same)
    low, high = zip(*map(interval_ms, same), strict=True)
    by_ratio = ratio / ms if ms > 0 else 0.0
    return replace(
        first,
        ms=ms,
        ratio=ratio,
        ratio_low=min(low) * by_ratio,
        ratio_high=max(high) * by_ratio,
        median_ms=fmean(one.median_ms for one in same),
        p95_ms=fmean(one.p95_ms for one in same),
        low_ms=min(one.low_ms for one in same),
        high_ms=max(one.high_ms for one in same),
        samples=sum(one.samples for one in same),
        reference_median_ms=fmean(one.reference_median_ms for one in same),
        noisy=any(one.noisy for one in same),
        busy=any(one.busy for one in same),
    )


def mean_ms(results: Iterable[TrialResult]) -> float | None:
    """Return the latency of one network's trials as `pooled` has it; None if none measured it."""
    measured = [result.latency for result in results if result.latency is not None]
    return pooled(measured).ms if measured else None


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
