"""Paired statistics of a family of differences over a handful of seeds.

Differences [m, n] hold one row a contrast and one column a seed; nan where a seed is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load where they are used: stats takes a second
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_SEEDS = 14
"""Seeds up to which every flip is counted; above, the result and 9,999 random ones."""

RANDOM_FLIPS = 10_000
TIE = 1e-9
"""Share of the largest difference within which two statistics are equal: sums are rounded."""

NOTHING = 1e-12
"""Differences of mIoU below this are 0, and rounding of sums."""

WORSE, BETTER, EQUIVALENT, UNDECIDED = "worse", "better", "equivalent", "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One difference over `n` seeds: its mean, standard deviation, interval and p-values.

    `low` to `high` is the paired t interval of confidence 1 - alpha, for this difference alone.
    `p` is of its own sign-flip test, `p_family` that of the family. `p_equivalent` is of two
    one-sided t tests against the margin, corrected over the family; None without a margin.
    Intervals are infinite where fewer than two seeds are there. In a family in which nothing
    differs at any seed there is no noise to judge with, nor for a difference that is the same at
    every seed and not 0: as without a margin, infinite, and undecided.

    A difference of so few seeds that no result could reach alpha is in no family, and its own
    `p_family` is 1: how many seeds there are says nothing of a result, and it would hide others.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float
    p_family: float
    p_equivalent: float | None
    verdict: str


def compare(
    differences: Floats, alpha: float = 0.05, margin: float | None = None
) -> list[Comparison]:
    """Judge a family of differences [m, n]; nan where a seed is missing."""
    if not len(differences):
        return []
    n, mean, sd = moments(differences)
    nothing = nothing_differs(differences)
    if nothing:  # and what rounding left must not look like a difference
        differences = np.where(np.isfinite(differences), 0.0, np.nan)
    flat = (sd < NOTHING) & (nothing | (np.abs(mean) >= NOTHING))
    signs = flips(differences.shape[1])
    own, family = max_t(differences, signs)
    judged = np.array([can_differ(count, alpha) for count in n])
    if not judged.all():
        family = np.ones(len(differences))
        if judged.any():
            family[judged] = max_t(differences[judged], signs)[1]
    half = np.where(flat | nothing, np.inf, half_widths(n, sd, 1 - alpha))
    equal = None
    if margin is not None:
        equal = holm(np.where(flat, 1.0, equivalence(n, mean, sd, margin)), n > 1)
    found = []
    for i in range(len(differences)):
        same = None if equal is None or flat[i] or nothing else float(equal[i])
        verdict = UNDECIDED
        if not flat[i]:  # of fewer than two seeds every p-value is 1
            verdict = _verdict(float(mean[i]), float(family[i]), same, alpha)
        found.append(
            Comparison(
                n=int(n[i]),
                mean=float(mean[i]),
                sd=float(sd[i]),
                low=float(mean[i] - half[i]),
                high=float(mean[i] + half[i]),
                p=float(own[i]),
                p_family=float(family[i]),
                p_equivalent=same,
                verdict=verdict,
            )
        )
    return found


def nothing_differs(differences: Floats) -> bool:
    """Return whether every difference that is there is 0; False if none is."""
    here = differences[np.isfinite(differences)]
    return bool(len(here) and (np.abs(here) < NOTHING).all())


def flips(seeds: int, seed: int = 0) -> Floats:
    """Return signs [flips, seeds], the result as it is in front.

    The first seed is never flipped: a flip and its negation are equally extreme. All flips up
    to 14 seeds, above that 10,000 of them.
    """
    if seeds <= EXACT_SEEDS:
        rows = np.arange(1 << max(seeds - 1, 0))[:, None]
        bits = (rows >> np.arange(seeds)[::-1]) & 1
        return np.where(bits, -1.0, 1.0)
    rng = np.random.default_rng(seed)
    signs = np.where(rng.integers(2, size=(RANDOM_FLIPS, seeds)), -1.0, 1.0)
    signs[0] = 1.0
    return signs


def max_t(differences: Floats, signs: Floats) -> tuple[Floats, Floats]:
    """Return sign-flip p-values [..., m] of differences [..., m, n]: their own, the family's.

    The statistic is the absolute mean difference, in mIoU: dividing by a standard deviation of
    six values costs more power than it brings (docs/ablation.md). A flip turns whole seeds, all
    contrasts at once, so that what they share stays as it is; of each flip counts the largest
    statistic (Westfall & Young 1993, free step-down). A row that does not differ has p = 1. A row
    with nan at some seeds is the mean over the others.
    """
    here = np.isfinite(differences)
    count = np.maximum(here.sum(axis=-1), 1)
    sums = np.where(here, differences, 0.0) @ signs.T
    statistics = np.moveaxis(np.abs(sums) / count[..., None], -1, -2)  # [..., flips, m]
    seen = statistics[..., :1, :]
    bar = seen - TIE * np.maximum(seen.max(axis=-1, keepdims=True), np.finfo(float).tiny)
    own = (statistics >= bar).mean(axis=-2)
    order = np.argsort(-seen)
    ranked = np.take_along_axis(statistics, order, axis=-1)
    largest_left = np.maximum.accumulate(ranked[..., ::-1], axis=-1)[..., ::-1]
    stepwise = (largest_left >= np.take_along_axis(bar, order, axis=-1)).mean(axis=-2)
    family = np.empty_like(own)
    np.put_along_axis(family, order[..., 0, :], np.maximum.accumulate(stepwise, axis=-1), axis=-1)
    return own, family


def least_p(seeds: int) -> float:
    """Return the smallest p-value of a paired sign-flip test, also of a family's largest."""
    return 1.0 / len(flips(seeds))


def can_differ(seeds: int, alpha: float) -> bool:
    """Return whether some result of so many seeds could reach alpha."""
    return least_p(seeds) <= alpha


def moments(differences: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return count, mean and standard deviation of each row over the seeds it has.

    The mean of none is nan, the standard deviation of fewer than two is infinite.
    """
    here = np.isfinite(differences)
    n = here.sum(axis=-1)
    filled = np.where(here, differences, 0.0)
    mean = np.where(n > 0, filled.sum(axis=-1) / np.maximum(n, 1), np.nan)
    squares = np.where(here, (filled - np.nan_to_num(mean)[..., None]) ** 2, 0.0).sum(axis=-1)
    sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.inf)
    return n, mean, sd


def half_widths(n: NDArray[np.int64], sd: Floats, confidence: float) -> Floats:
    """Return half the width of the two-sided t interval of each mean."""
    quantile = scipy.stats.t.ppf(0.5 + confidence / 2, np.maximum(n - 1, 1))
    half: Floats = quantile * sd / np.sqrt(np.maximum(n, 1))
    return half


def equivalence(n: NDArray[np.int64], mean: Floats, sd: Floats, margin: float) -> Floats:
    """Return the p-values of two one-sided t tests of |difference| < margin (Schuirmann 1987)."""
    found = np.ones(len(n))
    for i in range(len(n)):
        if n[i] < 2:
            continue
        error = sd[i] / math.sqrt(n[i])
        room = margin - abs(mean[i])
        if error > 0:
            found[i] = scipy.stats.t.sf(room / error, n[i] - 1)
        else:
            found[i] = 0.0 if room > 0 else 1.0
    return found


def holm(p: Floats, judged: NDArray[np.bool_] | None = None) -> Floats:
    """Return p-values corrected over their family (Holm 1979); 1 for those not `judged` at all."""
    found = np.ones_like(p)
    family = np.flatnonzero(np.ones(len(p), bool) if judged is None else judged)
    order = family[np.argsort(p[family])]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return found


def apply(weights: Sequence[tuple[int, float]], values: Floats) -> Floats:
    """Return a contrast's difference at each seed [n] of values [arms, n].

    A seed at which any arm that counts is missing (nan) is missing.
    """
    total = np.zeros(values.shape[1:])
    for arm, weight in weights:
        total = total + weight * values[arm]
    return total


def _verdict(mean: float, p_family: float, p_same: float | None, alpha: float) -> str:
    if p_same is not None and p_same <= alpha:
        return EQUIVALENT
    if p_family <= alpha:
        return BETTER if mean > 0 else WORSE
    return UNDECIDED
