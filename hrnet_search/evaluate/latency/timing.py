"""How latency is estimated from timings: warm-up, interleaving, paired ratios, intervals.

Pure numpy over a timer and a clock that are handed in, so that every rule can be tested on a
machine that does not exist. Times are milliseconds, clocks and caps seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hrnet_search import heartbeat
from hrnet_search.latency_rule import PRECISION

Array = NDArray[np.float64]
Clock = Callable[[], float]

CONFIDENCE = 0.95
RESAMPLES = 500
FEWEST_ROWS = 2
"""Rows that are drawn however short the cap: one alone has no spread."""

ENOUGH_ROWS = 10
"""Rows below which an interval is never called closed: the bootstrap of fewer is too narrow."""

LOOK_AGAIN = 1.25
"""Rows grow by this factor between two looks; looking after each would stop on lucky streaks."""

WARM_UP_SHARE = 1 / 3
"""Of the cap, what warming up may take at most."""

WINDOW = 5
STEADY = 0.02
"""Relative change of the running median, from one window to the next, that is not drift."""


class Timer(Protocol):
    """Run something and say how long it took."""

    def __call__(self, calls: int = 1) -> float:
        """Return milliseconds a call, over `calls` calls in a row."""


@dataclass(frozen=True, slots=True)
class Series:
    """Timings of one network alone, in ms, and whether their median was still uncertain."""

    times: Array
    noisy: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Interleaved timings of a reference and a measured network, in ms.

    `ratio` is the median over the quads of measured to reference time, `low` to `high` its
    95% interval; `noisy` says that it did not close within PRECISION.
    """

    reference: Array
    measured: Array
    ratio: float
    low: float
    high: float
    noisy: bool


def compare(
    reference: Timer,
    measured: Timer,
    clock: Clock,
    seconds: float,
    fewest: int = FEWEST_ROWS,
    *,
    settle: bool = True,
) -> Comparison:
    """Time two networks interleaved A B B A until the interval of their ratio closes.

    At least `fewest` quads are timed, however short the cap of `seconds`. Whatever slows the
    machine down for longer than one quad slows both, and its ratio keeps; the order A B B A
    cancels a linear drift within the quad as well. With `settle` the first call after a change of
    networks is not timed: it pays for what the other left in the caches, and the smaller
    network pays more.
    """

    def quad() -> tuple[float, ...]:
        first = reference()
        if settle:
            measured()
        middle = measured(), measured()
        if settle:
            reference()
        return first, *middle, reference()

    end = clock() + seconds
    warm_up((reference, measured), clock, WARM_UP_SHARE * seconds)
    if settle:
        reference()  # warming up ended with the other
    quads, closed = _collect(quad, quad_ratios, clock, end, fewest)
    ratios = quad_ratios(quads)
    low, high = median_interval(ratios)
    return Comparison(
        quads[:, (0, 3)].ravel(),
        quads[:, (1, 2)].ravel(),
        float(np.median(ratios)),
        low,
        high,
        not closed,
    )


def time_alone(timer: Timer, clock: Clock, seconds: float, calls: int = 1) -> Series:
    """Time one network until the interval of its median closes, `calls` calls a sample."""
    end = clock() + seconds
    warm_up((timer,), clock, WARM_UP_SHARE * seconds)
    rows, closed = _collect(lambda: (timer(calls),), lambda rows: rows[:, 0], clock, end)
    return Series(rows[:, 0], not closed)


def warm_up(timers: Sequence[Timer], clock: Clock, seconds: float) -> int:
    """Call the timers in turn until no running median drifts, or time is up; return the turns."""
    end = clock() + seconds
    turns: list[tuple[float, ...]] = []
    while not turns or clock() < end:
        turns.append(tuple(timer() for timer in timers))
        heartbeat.beat()
        if all(is_steady(times) for times in zip(*turns, strict=True)):
            break
    return len(turns)


def is_steady(times: Sequence[float]) -> bool:
    """Return whether the running median of `times` stayed within STEADY over two windows."""
    if len(times) < 2 * WINDOW:
        return False
    now, before = np.median(times[-WINDOW:]), np.median(times[-2 * WINDOW : -WINDOW])
    return bool(abs(now - before) <= STEADY * before)


def quad_ratios(quads: Array) -> Array:
    """Return measured to reference time of each quad: [n, 4] in order A B B A to [n]."""
    ratios: Array = (quads[:, 1] + quads[:, 2]) / (quads[:, 0] + quads[:, 3])
    return ratios


def median_interval(values: Array, seed: int = 0) -> tuple[float, float]:
    """Return the bootstrap 95% interval of the median of `values` [n], n at least 1."""
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(values[draws], axis=1), (tail, 1 - tail))
    return float(low), float(high)


def is_closed(values: Array) -> bool:
    """Return whether the interval of the median of `values` lies within PRECISION of it."""
    if len(values) < ENOUGH_ROWS:
        return False
    low, high = median_interval(values)
    middle = float(np.median(values))
    return max(high - middle, middle - low) <= PRECISION * middle


def _collect(
    draw: Callable[[], tuple[float, ...]],
    value: Callable[[Array], Array],
    clock: Clock,
    end: float,
    fewest: int = FEWEST_ROWS,
) -> tuple[Array, bool]:
    """Draw rows until the median of their values is known or the clock says `end`."""
    rows: list[tuple[float, ...]] = []
    look = ENOUGH_ROWS
    while True:
        rows.append(draw())
        heartbeat.beat()  # between two samples, and in none
        late = len(rows) >= fewest and clock() >= end
        if late or len(rows) >= look:
            table = np.array(rows)
            closed = is_closed(value(table))
            if late or closed:
                return table, closed
            look = math.ceil(LOOK_AGAIN * len(rows))
