"""Statistics of trust: what repeats, images and longer trainings say of a ranking.

Numbers in, numbers out; `near_front.py` and `evidence.py` take them from a study. Intervals are
95%.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load where they are used: stats takes a second
from numpy.typing import NDArray

from hrnet_search.store.evaluations import TAIL

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST_RANKED = 6
"""Architectures with both trainings, at least: the interval of fewer is the whole range."""

RESAMPLES = 1000
STRONG, USABLE, NOT_TRUSTWORTHY = "strong", "usable", "not trustworthy"
NOT_CHECKED = "not checked"
STRONG_FROM, USABLE_FROM = 0.6, 0.4
"""Lower ends of the interval of partial tau from which a ranking is called so."""

FREE = ("log MACs", "log parameters")
"""What ranks networks without any training, in the order of the columns given to functions."""

DETERMINED = 1e-6
"""What may be left of a tau of 1 by rounding, where others determine a column."""

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

    `tau` is Kendall's tau-b of the two mIoUs, `free` that of each of FREE with the long one.
    `gain` is tau less the better of the free ones: what training told beyond counting. `partial`
    is tau with both free ones held fixed: size alone makes rankings agree. `regret` is (k, mIoU
    lost) by training only the first k of the short ranking for long.
    """

    n: int
    tau: Interval
    free: tuple[Interval, ...]
    gain: Interval
    partial: Interval
    regret: tuple[tuple[int, float], ...]


LIKENESS = "its long trainings inherit weights as well, which ranks likeness to the base"


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
    low, high = (math.sqrt(squares / scipy.stats.chi2.ppf(q, degrees)) for q in (1 - TAIL, TAIL))
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
    margin = float(scipy.stats.t.ppf(1 - TAIL, degrees)) * math.sqrt(variance)
    return Interval(value, value - margin, value + margin)


def chance_on_front(accuracy: Floats, costs: Floats) -> Floats:
    """Return how often each variant is on the front [n].

    `accuracy` [draws, n] are accuracies as they might have been, `costs` [n, m] are certain.
    """
    chances = np.empty(accuracy.shape[1])
    for i, own in enumerate(costs):
        cheaper = (costs <= own).all(axis=1)
        as_expensive = (costs >= own).all(axis=1)
        rivals = accuracy[:, cheaper & ~as_expensive]
        twins = accuracy[:, cheaper & as_expensive]
        beaten = (rivals >= accuracy[:, i, None]).any(axis=1)
        beaten |= (twins > accuracy[:, i, None]).any(axis=1)
        chances[i] = 1 - beaten.mean()
    return chances


def rank_agreement(
    short: Floats, long: Floats, costs: tuple[Floats, Floats], seed: int = 0
) -> Ranking | None:
    """Return how two schedules rank the same architectures [n]; None for too few.

    Raw mIoUs; `costs` are MACs and parameters, positive. Intervals are BCa bootstraps over
    architectures.
    """
    if len(short) < FEWEST_RANKED:
        return None
    free = tuple(np.log(cost) for cost in costs)
    by_short = np.argsort(-short, kind="stable")
    regret = tuple((k, float(long.max() - long[by_short[:k]].max())) for k in (1, 3))
    return Ranking(
        n=len(short),
        tau=bca(tau_b, (short, long), seed),
        free=tuple(bca(tau_b, (column, long), seed) for column in free),
        gain=bca(tau_gain, (short, long, *free), seed),
        partial=bca(partial_tau, (short, long, *free), seed),
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


def tau_gain(x: Floats, y: Floats, *free: Floats) -> Floats:
    """Return by how much x [..., n] ranks y better than the best of `free` does."""
    best: Floats = np.max([tau_b(column, y) for column in free], axis=0)
    return tau_b(x, y) - best


def partial_tau(x: Floats, y: Floats, *given: Floats) -> Floats:
    """Return Kendall's partial tau of x and y with all of `given` held fixed, all [..., n].

    With T the taus of all columns, what is left of T_xy, T_xx and T_yy when `given` is taken out:
    R = T_xy - T_xg T_gg^-1 T_gy, scaled by the other two. For one column it is Kendall's own
    formula (1942). 0 where `given` determines x or y.
    """
    columns = (x, y, *given)
    taus = np.ones((*x.shape[:-1], len(columns), len(columns)))
    for i, j in itertools.combinations(range(len(columns)), 2):
        taus[..., i, j] = taus[..., j, i] = tau_b(columns[i], columns[j])
    across = taus[..., :2, 2:]
    left = taus[..., :2, :2] - across @ np.linalg.pinv(taus[..., 2:, 2:]) @ across.swapaxes(-1, -2)
    scale = np.sqrt(np.maximum(left[..., 0, 0] * left[..., 1, 1], 0))
    return np.where(scale > DETERMINED, left[..., 0, 1] / np.maximum(scale, DETERMINED), 0.0)


def bca(
    statistic: Callable[..., Floats],
    columns: tuple[Floats, ...],
    seed: int = 0,
    level: float = 1 - 2 * TAIL,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return a statistic of paired columns [n] with its BCa bootstrap interval (Efron, 1987).

    `statistic` takes columns [..., n] of resamples at once.
    """
    n = len(columns[0])
    value = float(statistic(*columns))
    with warnings.catch_warnings():
        # Where all resamples give one value there is nothing to correct, and the interval is nan.
        warnings.simplefilter("ignore")
        found = scipy.stats.bootstrap(
            columns,
            lambda *drawn, **_: statistic(*drawn),  # always over the last axis
            paired=True,
            vectorized=True,
            axis=-1,
            confidence_level=level,
            n_resamples=resamples,
            batch=max(1, PAIRS_AT_ONCE // n**2),
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = (value if math.isnan(end) else float(end) for end in (found.low, found.high))
    return Interval(value, min(low, value), max(high, value))


def stamp(
    ranking: Ranking | None,
    latency_doubt: str = "",
    inherited: bool = False,
    slices: bool = False,
) -> Stamp:
    """Return the verdict: how surely the study's schedule ranks as a longer one would.

    A ranking is worth its training only as far as it beats what counting gives for nothing:
    besides the partial tau, the interval of the gain has to lie above 0. `latency_doubt` says
    why latencies that are an objective cannot be relied on, if so. `inherited`: the long
    trainings began with the base's weights too, so they may rank likeness to the base. `slices`:
    what ranks is scores by slices of shared weights.
    """
    if ranking is None:
        return Stamp(
            NOT_CHECKED,
            "fewer than six networks were trained by a longer schedule as well",
            "with more trials or a larger search.confirm, of which duels have the first part,"
            " networks of all sizes are trained by a longer schedule too, which says how far this"
            " ranking is to be trusted",
        )
    verdict, better = _verdict(
        ranking, "shared.steps" if slices else "steps or seeds in the search"
    )
    if latency_doubt and verdict == STRONG:
        verdict, better = USABLE, "latencies measured on a quiet machine"
    if inherited:
        verdict, better = NOT_TRUSTWORTHY, "long trainings from random weights"
        latency_doubt = "; and ".join(filter(None, (LIKENESS, latency_doubt)))
    doubt = f"; and {latency_doubt}" if latency_doubt else ""
    who = "scores by slices of shared weights rank" if slices else "the search ranks"
    return Stamp(verdict, f"{_why(ranking, who)}{doubt}", better)


def by_chance(has: int, networks: int, share: float) -> float:
    """Return the chance, binomial, that `has` of `networks` or more have what a `share` has."""
    return float(scipy.special.bdtrc(has - 1, networks, share))


def _verdict(ranking: Ranking, longer: str) -> tuple[str, str]:
    """Return what a ranking is called, and what would change it: more of something `longer`."""
    low = ranking.partial.low
    more = "more trainings by the long schedule narrow its interval"
    if ranking.gain.low <= 0:
        needed = "a gain over the better of MACs and parameters whose interval is above 0"
        return NOT_TRUSTWORTHY, f"{needed}: {more}, more {longer} raise it"
    if low >= STRONG_FROM:
        return STRONG, f"a partial tau whose interval begins under {STRONG_FROM}"
    bar, better = (STRONG_FROM, STRONG) if low >= USABLE_FROM else (USABLE_FROM, USABLE)
    needed = f"a partial tau whose interval begins at {bar} would make it {better}"
    verdict = USABLE if low >= USABLE_FROM else NOT_TRUSTWORTHY
    return verdict, f"{needed}: {more}, more {longer} raise it"


def _why(ranking: Ranking, who: str) -> str:
    free = ", ".join(
        f"{name} {one.value:.2f}" for name, one in zip(FREE, ranking.free, strict=True)
    )
    return (
        f"over {ranking.n} networks {who} as the long schedule does with a tau of"
        f" {ranking.tau.value:.2f}, where {free} cost no training (gain {_signed(ranking.gain)});"
        f" given both, a partial tau of {ranking.partial.value:.2f} ({ranking.partial.low:.2f} to"
        f" {ranking.partial.high:.2f})"
    )


def _signed(one: Interval) -> str:
    return f"{one.value:+z.2f}, {one.low:+z.2f} to {one.high:+z.2f}"


def _signs(values: Floats) -> Floats:
    found: Floats = np.sign(values[..., :, None] - values[..., None, :])
    return found
