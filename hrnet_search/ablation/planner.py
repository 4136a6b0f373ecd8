"""Before anything runs: how many trainings, which p-value can be reached, what can be found.

Power is counted, not approximated: ablations are drawn from normal seed noise, with the contrasts
of the design and so with what they share, and judged by the test that will judge the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.ablation.arms import Ablation
from hrnet_search.ablation.statistics import (
    EXACT_SEEDS,
    equivalence,
    flips,
    holm,
    least_p,
    max_t,
    moments,
)
from hrnet_search.errors import Fault

Floats = NDArray[np.float64]

DRAWS = 1000
CELLS = 1 << 24
"""Statistics held at once."""

MOST_FLIPS = 512
"""Flips that the planner counts: beyond, a draw of them."""

LEAST_EXTREME = 5
"""Flips as extreme as the result that may be among those of a draw while p is at most alpha."""

POWER = 0.8
ASSUMED_NOISE = 0.01
"""Standard deviation over seeds of a paired mIoU difference where nothing is known.

Of short schedules on small data (docs/LOG.md); full trainings have less.
"""

ASSUMED = "assumed"
MOST_SEEDS = 64
LARGEST_EFFECT = 64.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a design can show with seed noise `noise`: the sd of a paired mIoU difference of arms.

    `source` is where that is from.

    `detectable` is the mIoU difference of an arm (in a factorial of the least sure main effect)
    that is found with a power of 80% while the others are nothing, None where even 64 times the
    noise is not.
    `p_equivalent` is how often an arm that does not differ is found equivalent, None without a
    margin. `seeds_needed` would find what `detect` asks for, 0 where 64 would not.
    """

    noise: float
    source: str
    least_p: float
    detectable: float | None
    p_equivalent: float | None = None
    seeds_needed: int | None = None


def forecast(ablation: Ablation, noise: float | None) -> Forecast:
    """Return what an ablation can show; `noise` is that of finished trials, if there are any."""
    spec, seeds = ablation.spec, len(ablation.spec.seeds)
    source = "ablate.noise" if spec.noise else ASSUMED
    source = source if noise is None else "of finished trials"
    sd = noise if noise is not None else spec.noise or ASSUMED_NOISE
    weights = main_weights(ablation)
    effect = detectable(weights, seeds, spec.alpha) if sd > 0 else 0.0
    needed = None
    if spec.detect is not None and sd > 0:
        needed = seeds
        if power(weights, seeds, spec.detect / sd, spec.alpha) < POWER:
            needed = seeds_for(weights, spec.detect / sd, spec.alpha, seeds + 1)
    equal = None
    if spec.equivalence is not None and sd > 0:
        equal = equivalence_power(weights, seeds, spec.equivalence / sd, spec.alpha)
    return Forecast(
        sd, source, least_p(seeds), None if effect is None else effect * sd, equal, needed
    )


def refusal(ablation: Ablation, found: Forecast) -> Fault | None:
    """Return why a design cannot support what is asked of it, with the number that would do."""
    spec = ablation.spec
    if found.seeds_needed is None or found.seeds_needed == len(spec.seeds):
        return None
    wrong = (
        f"{len(spec.seeds)} seeds find a difference of {spec.detect:g} with less than"
        f" {POWER:.0%} power (seed noise {found.noise:.4f})"
    )
    would = f"{found.seeds_needed} seeds would do" if found.seeds_needed else "64 would not do"
    reach = "" if found.detectable is None else f", or detect {found.detectable:.4f} and more"
    return Fault("ablate.detect", spec.detect, wrong, f"{would}{reach}")


def main_weights(ablation: Ablation) -> Floats:
    """Return the contrasts of arms, or of main effects in a factorial, [m, arms].

    Power is that of the first: in front is one that is over the fewest trainings, as of a factor
    with the most levels. What is found of it is found of the others.
    """
    families = ablation.families()
    family = families[0] if families else ()
    rows = matrix([d.weights for d in family], len(ablation.arms))
    return rows[np.argsort(-(rows**2).sum(axis=1), kind="stable")]


def plan_lines(
    ablation: Ablation, found: Forecast, done: int = 0, seconds: float | None = None
) -> list[str]:
    """Return the plan for people; `seconds` is what a trial takes, None where nothing tells."""
    spec, left = ablation.spec, ablation.trainings - done
    lines = [
        f"{spec.design}: {len(ablation.distinct)} arms x {len(spec.seeds)} seeds ="
        f" {ablation.trainings} trainings" + (f", {done} of them done" if done else ""),
        *_arm_lines(ablation),
        *(f"  {note}" for note in ablation.notes),
        *_alias_lines(ablation),
    ]
    if seconds is not None and left:
        lines.append(f"time: about {left * seconds / 60:.0f} min at {seconds:.0f} s a training")
    sizes = ", ".join(f"{len(f)} ({f[0].kind}s)" for f in ablation.families())
    lines.append(
        f"differences: {sizes}; smallest p-value after correction: {found.least_p:.4g}"
        f" (asked: {spec.alpha:g})"
    )
    reach = "none" if found.detectable is None else f"{found.detectable:.4f}"
    lines.append(
        f"smallest mIoU difference found with {POWER:.0%} power: {reach}, at a seed noise of"
        f" {found.noise:.4f} ({found.source}; sd of a paired difference)"
    )
    if found.p_equivalent is not None:
        lines.append(
            f"an arm that does not differ is found equivalent (within {spec.equivalence:g}) in"
            f" {found.p_equivalent:.0%} of such ablations"
        )
    return lines


def _arm_lines(ablation: Ablation) -> list[str]:
    width = max(len(arm.name) for arm in ablation.arms)
    return [
        f"  {arm.name.ljust(width)}  {arm.ratio:7.1%} MACs" + (f"  {arm.note}" if arm.note else "")
        for arm in ablation.arms
    ]


def _alias_lines(ablation: Ablation) -> list[str]:
    design, factors = ablation.design, ablation.spec.factors
    if not design.resolution:
        return []
    pairs = [
        " = ".join(" x ".join(factors[f].name for f in effect) for effect in pair)
        for pair in design.aliases
    ]
    first = f"resolution {design.resolution}; cannot be separated:"
    return [first, *(f"  {pair}" for pair in pairs)]


def power(
    weights: Floats, seeds: int, effect: float, alpha: float = 0.05, draws: int = DRAWS,
    seed: int = 0,
) -> float:  # fmt: skip
    """Return how often the first contrast's effect is found significant in its family.

    `weights` [m, arms] are the contrasts of one family, `effect` is in standard deviations of
    a paired difference of two arms; the other effects are nothing.
    """
    return _share(_noise(weights, seeds, draws, seed), seeds, effect, alpha)


def detectable(
    weights: Floats, seeds: int, alpha: float = 0.05, draws: int = DRAWS, seed: int = 0
) -> float | None:
    """Return the smallest effect with a power of 80%, in the same unit; None if none has it."""
    noise = _noise(weights, seeds, draws, seed)
    low, high = 0.0, 1.0
    while _share(noise, seeds, high, alpha) < POWER:
        low, high = high, 2 * high
        if high > LARGEST_EFFECT:
            return None
    while high - low > 0.02 * high:
        middle = (low + high) / 2
        if _share(noise, seeds, middle, alpha) < POWER:
            low = middle
        else:
            high = middle
    return high


def equivalence_power(
    weights: Floats, seeds: int, margin: float, alpha: float = 0.05, draws: int = DRAWS,
    seed: int = 0,
) -> float:  # fmt: skip
    """Return how often a contrast whose effect is nothing is found equivalent, on average."""
    noise = _noise(weights, seeds, draws, seed)
    found = [(holm(equivalence(*moments(one), margin)) <= alpha).mean() for one in noise]
    return float(np.mean(found))


def seeds_for(weights: Floats, effect: float, alpha: float, least: int) -> int:
    """Return the fewest seeds, from `least` on, that find an effect with a power of 80%.

    0 where 64 would not do.
    """
    count = least
    while count <= MOST_SEEDS:
        if power(weights, count, effect, alpha) >= POWER:
            return count
        count += 1 if count < EXACT_SEEDS else 4
    return 0


def pooled_noise(differences: Floats) -> float | None:
    """Return the sd over seeds of paired differences [m, n], pooled.

    None if none has two seeds, or if they differ by nothing: that no noise was seen does not say
    that there is none.
    """
    n, _, sd = moments(differences)
    known = n > 1
    if not known.any():
        return None
    freedom = n[known] - 1
    return math.sqrt(float((freedom * sd[known] ** 2).sum() / freedom.sum())) or None


def matrix(contrasts: Sequence[Sequence[tuple[int, float]]], arms: int) -> Floats:
    """Return contrasts given as (arm, weight) as an array [m, arms]."""
    found = np.zeros((len(contrasts), arms))
    for row, weights in zip(found, contrasts, strict=True):
        for arm, weight in weights:
            row[arm] += weight
    return found


def _noise(weights: Floats, seeds: int, draws: int, seed: int) -> Floats:
    """Return drawn differences [draws, m, seeds], of sd 1 for a difference of two arms."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=math.sqrt(0.5), size=(draws, weights.shape[1], seeds))
    return np.asarray(np.einsum("ma,dan->dmn", weights, values), dtype=np.float64)


def _share(noise: Floats, seeds: int, effect: float, alpha: float) -> float:
    signs = flips(seeds)
    most = max(MOST_FLIPS, math.ceil(LEAST_EXTREME / alpha))  # of 512 no p is below .002
    if len(signs) > most:
        rng = np.random.default_rng(1)
        signs = np.concatenate([signs[:1], signs[rng.integers(1, len(signs), most - 1)]])
    shifted = noise.copy()
    shifted[:, 0] += effect
    step = max(1, CELLS // (len(signs) * noise.shape[1]))
    found = [
        max_t(shifted[i : i + step], signs)[1][:, 0] <= alpha for i in range(0, len(noise), step)
    ]
    return float(np.concatenate(found).mean())
