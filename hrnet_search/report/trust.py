"""Statistics of trust: what repeats, images and longer trainings say of a ranking.

Numbers in, numbers out; `near_front.py` and `evidence.py` take them from a study. Intervals are
95%.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hrnet_search.store.evaluations import TAIL

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_RANKED = 6
"""Architectures with both trainings, at least: the interval of fewer is the whole range."""

RESAMPLES = 1000
STRONG, USABLE, NOT_TRUSTWORTHY = "strong", "usable", "not trustworthy"
STRONG_FROM, USABLE_FROM = 0.6, 0.4
"""Lower ends of the interval of partial tau from which a ranking is called so."""

TIE = 1e-12
PAIRS_AT_ONCE = 4_000_000
"""Bounds what the bootstrap of many architectures takes in memory."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """Standard deviation of mIoU between seeds, pooled over variants that have several."""

    sd: Interval
    degrees: int
    variants: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the search's schedule ranks beside a longer one, over `n` architectures.

    `tau` is Kendall's tau-b of the two mIoUs, `partial` the same with log cost held fixed: size
    alone makes rankings agree. `regret` is (k, mIoU lost) by training only the first k of the
    short ranking for long.
    """

    n: int
    tau: Interval
    partial: Interval
    regret: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The verdict on a ranking, why, and what would change it."""

    verdict: str
    why: str
    change: str


def seed_noise(groups: Sequence[Sequence[float]]) -> SeedNoise | None:
    """Return the noise of seeds from the mIoUs of each variant; None without repeats.

    The interval is that of normal noise (chi squared).
    """
    repeated = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    degrees = sum(len(group) - 1 for group in repeated)
    if not degrees:
        return None
    squares = float(sum(((group - group.mean()) ** 2).sum() for group in repeated))
    low, high = (math.sqrt(squares / stats.chi2.ppf(q, degrees)) for q in (1 - TAIL, TAIL))
    return SeedNoise(Interval(math.sqrt(squares / degrees), low, high), degrees, len(repeated))


def combined(
    value: float, image_sd: float, images: int, noise: SeedNoise | None, share: float
) -> Interval:
    """Return the interval of an mIoU, or a difference of two, over images and seeds.

    `image_sd` is its deviation over resamples of the images (0 where they are not known);
    `share` what part of the variance of one seed is left: 1 / seeds, summed over both sides of a
    difference. Variances add; degrees of freedom are Welch's and Satterthwaite's.
    """
    parts = [(image_sd**2, max(images - 1, 1))]
    if noise:
        parts.append((noise.sd.value**2 * share, noise.degrees))
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return Interval(value, value, value)
    degrees = variance**2 / sum(part**2 / free for part, free in parts)
    margin = float(stats.t.ppf(1 - TAIL, degrees)) * math.sqrt(variance)
    return Interval(value, value - margin, value + margin)


def chance_on_front(accuracy: Floats, costs: Floats) -> Floats:
    """Return how often each variant is on the front [n].

    `accuracy` [draws, n] are accuracies as they might have been, `costs` [n, m] are certain.
    """
    chances = np.empty(accuracy.shape[1])
    for i, own in enumerate(costs):
        cheaper = (costs <= own).all(axis=1)
        dearer_or_equal = (costs >= own).all(axis=1)
        rivals = accuracy[:, cheaper & ~dearer_or_equal]
        twins = accuracy[:, cheaper & dearer_or_equal]
        beaten = (rivals >= accuracy[:, i, None]).any(axis=1)
        beaten |= (twins > accuracy[:, i, None]).any(axis=1)
        chances[i] = 1 - beaten.mean()
    return chances


def rank_agreement(short: Floats, long: Floats, cost: Floats, seed: int = 0) -> Ranking | None:
    """Return how two schedules rank the same architectures [n]; None for too few.

    Raw mIoUs; `cost` positive. Intervals are BCa bootstraps over architectures.
    """
    if len(short) < FEWEST_RANKED:
        return None
    size = np.log(cost)
    by_short = np.argsort(-short, kind="stable")
    regret = tuple((k, float(long.max() - long[by_short[:k]].max())) for k in (1, 3))
    return Ranking(
        n=len(short),
        tau=bca(tau_b, (short, long), seed),
        partial=bca(partial_tau, (short, long, size), seed),
        regret=regret,
    )


def tau_b(x: Floats, y: Floats) -> Floats:
    """Return Kendall's tau-b of `x` and `y` [..., n]; 0 where one of them is constant."""
    first = _signs(x)
    second = _signs(y)
    agree = (first * second).sum(axis=(-1, -2))
    pairs = np.sqrt((first**2).sum(axis=(-1, -2)) * (second**2).sum(axis=(-1, -2)))
    found: Floats = agree / np.maximum(pairs, 1)
    return found


def partial_tau(x: Floats, y: Floats, given: Floats) -> Floats:
    """Return Kendall's partial tau of `x` and `y` with `given` held fixed, all [..., n].

    (tau_xy - tau_xz tau_yz) / sqrt((1 - tau_xz^2)(1 - tau_yz^2)); Kendall, 1942.
    """
    both, first, second = tau_b(x, y), tau_b(x, given), tau_b(y, given)
    rest = np.sqrt(np.maximum((1 - first**2) * (1 - second**2), 0))
    found: Floats = np.where(rest > TIE, (both - first * second) / np.maximum(rest, TIE), 0.0)
    return np.clip(found, -1, 1)


def bca(statistic: Callable[..., Floats], columns: tuple[Floats, ...], seed: int = 0) -> Interval:
    """Return a statistic of paired columns [n] with its BCa bootstrap interval (Efron, 1987)."""
    n = len(columns[0])
    rows = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    value = float(statistic(*columns))
    parts = np.array_split(rows, math.ceil(RESAMPLES * n * n / PAIRS_AT_ONCE))
    drawn = np.concatenate([statistic(*(column[part] for column in columns)) for part in parts])
    below = float((drawn < value).mean() + (drawn == value).mean() / 2)
    bias = stats.norm.ppf(min(max(below, 1 / RESAMPLES), 1 - 1 / RESAMPLES))
    left_out = np.array([statistic(*(np.delete(c, i) for c in columns)) for i in range(n)])
    away = left_out.mean() - left_out
    skew = float((away**3).sum() / (6 * (away**2).sum() ** 1.5 + TIE))
    ends = [bias + stats.norm.ppf(q) for q in (TAIL, 1 - TAIL)]
    shares = [float(stats.norm.cdf(bias + z / (1 - skew * z))) for z in ends]
    low, high = np.quantile(drawn, shares)
    return Interval(value, min(float(low), value), max(float(high), value))


def stamp(ranking: Ranking | None, latency_doubt: str = "") -> Stamp:
    """Return the verdict: how surely the study's schedule ranks as a longer one would.

    `latency_doubt` says why latencies that are an objective cannot be relied on, if so.
    """
    if ranking is None:
        return Stamp(
            NOT_TRUSTWORTHY,
            "no ranking by a longer schedule stands beside the search's own",
            "a study of 80 trials or more (search.confirm 0.2) trains at least 12 architectures by"
            " a longer schedule; where the interval of their partial tau begins at 0.4 or more,"
            " this says usable",
        )
    low = ranking.partial.low
    verdict = STRONG if low >= STRONG_FROM else USABLE if low >= USABLE_FROM else NOT_TRUSTWORTHY
    why = (
        f"given cost, the short and the long schedule agree with a partial tau of"
        f" {ranking.partial.value:.2f} ({low:.2f} to {ranking.partial.high:.2f},"
        f" {ranking.n} architectures)"
    )
    if latency_doubt and verdict == STRONG:
        return Stamp(USABLE, f"{why}; but {latency_doubt}", "latencies measured on a quiet machine")
    return Stamp(verdict, f"{why}{f'; and {latency_doubt}' if latency_doubt else ''}", _next(low))


def _next(low: float) -> str:
    if low >= STRONG_FROM:
        return (
            "a lower end of that interval under 0.6 would make it usable: more long trainings show"
            " whether it holds"
        )
    bar, better = (STRONG_FROM, STRONG) if low >= USABLE_FROM else (USABLE_FROM, USABLE)
    return (
        f"a lower end of at least {bar} would make it {better}: more trainings by the long schedule"
        " narrow the interval, more steps in the search's own schedule raise it"
    )


def _signs(values: Floats) -> Floats:
    found: Floats = np.sign(values[..., :, None] - values[..., None, :])
    return found
