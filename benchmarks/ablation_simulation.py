"""Ablations with known effects and noise: what the statistics are held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.ablation.planner import detectable, matrix, power
from hrnet_search.ablation.statistics import (
    BETTER,
    EQUIVALENT,
    WORSE,
    apply,
    compare,
    flips,
    max_t,
)

Floats = NDArray[np.float64]
Weights = Sequence[Sequence[tuple[int, float]]]
Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]

CHUNK = 500
"""Ablations judged at once."""

WITHOUT = 5
"""Times as many ablations without an effect: a share near 5% needs them to be told from 5.5%."""

SHARED_SD = 3.0
"""What a seed does to all arms alike, in sd of a paired difference: pairing takes it out."""


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return rng.normal(size=shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.asarray(rng.standard_t(5, size=shape) / math.sqrt(5 / 3), dtype=np.float64)


def _skewed(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """As accuracies are: a ceiling above, now and then a bad training below (skewness -1)."""
    return np.asarray(2 - rng.gamma(4.0, 0.5, size=shape), dtype=np.float64)


def _unequal(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """The last arm has twice the noise of the first."""
    spread = np.linspace(1.0, 2.0, shape[0])[:, None]
    return np.asarray(rng.normal(size=shape) * spread, dtype=np.float64)


NOISES: dict[str, Noise] = {
    "normal": _normal,
    "heavy tails": _heavy,
    "skewed": _skewed,
    "unequal": _unequal,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What came of `count` simulated ablations of one setting, as shares.

    `covered` of all intervals hold their true difference; in `wrong` of `WITHOUT` times as many
    ablations without any effect at least one difference was called; `found` of those with one
    effect of the size `effect` (sd of a paired difference) called it, and `predicted` was the
    planner's figure. `equal` of arms without effect were found equivalent within `effect`,
    `not_equal` of ablations with every arm at that margin found one of them so.
    """

    count: int
    covered: float
    wrong: float
    effect: float
    found: float
    predicted: float
    equal: float
    not_equal: float


def simulate(
    weights: Weights,
    arms: int,
    seeds: int,
    noise: str = "normal",
    missing: float = 0.0,
    count: int = 2000,
    seed: int = 0,
    alpha: float = 0.05,
) -> Held:
    """Simulate one family of contrasts, `count` ablations for each question.

    `missing` is the share of trials that failed, at random. The effect is the smallest that the
    planner says is found with 80% power.
    """
    rng = np.random.default_rng(seed)
    table = matrix(weights, arms)
    effect = detectable(table, seeds, alpha)
    assert effect is not None, "a setting in which nothing can be found"
    predicted = power(table, seeds, effect, alpha, draws=4000, seed=seed + 1)
    means = _means(table, effect)

    def one(values_mean: Floats) -> Floats:
        values = values_mean[:, None] + NOISES[noise](rng, (arms, seeds)) * math.sqrt(0.5)
        values += SHARED_SD * rng.normal(size=seeds)
        values[rng.random(values.shape) < missing] = np.nan
        return np.array([apply(w, values) for w in weights])

    wrong = _called(np.array([one(np.zeros(arms)) for _ in range(WITHOUT * count)]), alpha)
    covered, equal, found, not_equal = [], [], [], []
    for _ in range(count):
        null = compare(one(np.zeros(arms)), alpha, effect)
        covered += [c.low <= 0 <= c.high for c in null if c.n > 1]
        equal += [c.verdict == EQUIVALENT for c in null]
        hit = compare(one(means), alpha)
        covered += [
            c.low <= true <= c.high for c, true in zip(hit, table @ means, strict=True) if c.n > 1
        ]
        found.append(hit[0].verdict in (BETTER, WORSE))
        edge = compare(one(_all_at(table, effect)), alpha, effect)
        not_equal.append(any(c.verdict == EQUIVALENT for c in edge))
    shares = [float(np.mean(s)) for s in (covered, found, equal, not_equal)]
    return Held(count, shares[0], wrong, effect, shares[1], predicted, shares[2], shares[3])


def _called(differences: Floats, alpha: float) -> float:
    """Return in which share of ablations [count, m, n] any difference is significant."""
    signs = flips(differences.shape[-1])
    chunks = np.array_split(differences, max(1, len(differences) // CHUNK))
    return float(
        np.mean(
            np.concatenate([(max_t(chunk, signs)[1] <= alpha).any(axis=-1) for chunk in chunks])
        )
    )


def _means(table: Floats, effect: float) -> Floats:
    """Return arm means with which the first contrast has the effect and the others nothing."""
    wanted = np.zeros(len(table))
    wanted[0] = effect
    return _with_contrasts(table, wanted)


def _all_at(table: Floats, effect: float) -> Floats:
    return _with_contrasts(table, np.full(len(table), effect))


def _with_contrasts(table: Floats, wanted: Floats) -> Floats:
    found = np.asarray(np.linalg.lstsq(table, wanted, rcond=None)[0], dtype=np.float64)
    assert np.allclose(table @ found, wanted), "contrasts that cannot have these values at once"
    return found
