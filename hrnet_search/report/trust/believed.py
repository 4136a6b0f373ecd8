"""What networks would reach by a study's long schedule, by all that the study knows of them.

A Bayesian linear model of all long trainings: what a network reaches is a trend in what the search
saw of it, in its log MACs and its log parameters, and a deviation of its own that none of them
tells; each training adds the noise of its seed. So the few networks that were trained for long tell
what short trainings get wrong about all. Before any was, what the model begins with is all there is
to expect. How well both rank and pick: docs/fidelity.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import scipy  # its parts load where they are used: stats takes a second
from numpy.typing import NDArray

from hrnet_search.order_rule import (
    Bools,
    Seen,
    applies,
    columns_of,
    expected,
    seen_of,
    setting_scale,
)
from hrnet_search.records.accuracy import SOFT_IOU
from hrnet_search.records.schedule import NO_INIT
from hrnet_search.report.likeness import long_inherits
from hrnet_search.report.trust.statistics import Floats
from hrnet_search.report.trust.trials import Trial, seeds_of
from hrnet_search.store.evaluations import TAIL
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, long_ids, search_ids
from hrnet_search.store.study import Snapshot, Study

FEWEST_LONG = 6
"""Networks trained for long from which anything is believed (docs/LOG.md, "believed")."""

SLOPE_SD = 0.3
"""Prior deviation of the slope of what the search saw, around what is expected of it (`expected`).
Without what is expected six long trainings may turn the order around."""

COST_SLOPES_SD = (0.0, 0.1, 0.2)
"""Those of the slopes of costs: all are tried."""

DEVIATIONS = (0.25, 0.4, 0.6, 0.85)
"""What may be left of a network and its seed beside the trend: all are tried."""

SEED_SHARES = (0.2, 0.5, 0.8)
"""The part of the seed in the variance of that: all are tried."""

LASTING = (0.2, 0.6)
"""The part of a network's deviation that is not the noise of the search's seed: all are tried."""

DRAWS = 1000
NOTHING = 1e-9
"""A deviation of long accuracies that is rounding."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a long schedule is expected to give networks [n], in deviations of what it gives.

    `drawn` [draws, n] is what it might give, in single precision. `signal` names what the search
    saw of them.
    """

    networks: tuple[str, ...]
    mean: Floats
    drawn: NDArray[np.float32]
    signal: str = field(default="", kw_only=True)

    def scores(self) -> dict[str, float]:
        """Return the mean of each network, by its id."""
        return dict(zip(self.networks, self.mean.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Believed(Expected):
    """Accuracies by the long schedule as they are believed to be, over many seeds: columns [n].

    `half` is half the width of their 95% intervals. `long` is how many of them were trained by the
    long schedule.
    """

    half: Floats
    long: int

    def by_network(self) -> dict[str, tuple[float, float]]:
        """Return mean and half an interval of each network, by its id."""
        values = zip(self.mean.tolist(), self.half.tolist(), strict=True)
        return dict(zip(self.networks, values, strict=True))


@dataclass(frozen=True, slots=True)
class _Prior:
    """Deviations of intercept and slopes [columns], and of a network and its seed.

    `seed_share` is the seed's part in the variance of the latter, `lasting` that of the network's
    which more seeds of the search would not take away.
    """

    slopes: Floats
    deviation: float
    seed_share: float
    lasting: float


@dataclass(frozen=True, slots=True)
class _Posterior:
    """What one prior makes of the trainings: log evidence, mean and variance [n]."""

    evidence: float
    mean: Floats
    variance: Floats


def front_and_pick(notes: Notes, found: Expected | None) -> str:
    """Return by what a study's front is drawn and its pick is chosen, in words."""
    label = notes.goals.accuracy.label
    if found is None:
        return f"its front and its pick are by {label}"
    if isinstance(found, Believed):
        return f"its front is by {label}, its pick by what the long schedule is believed to reach"
    return f"its front is by {label}, its pick by {seen_and_size(notes, found.signal)} together"


def seen_and_size(notes: Notes, signal: str) -> str:
    """Return by what a pick is chosen before anything is believed, for people."""
    label = "soft IoU" if signal == SOFT_IOU else notes.goals.accuracy.label
    return f"{label} and size"


def foretold(study: Study) -> Expected | None:
    """Return what is believed of the networks of a study, else what is expected, if anything."""
    if isinstance(study, Snapshot):
        return _of_snapshot(study)
    return foretold_of(as_they_count(study.trials(), study.notes), study.notes)


@lru_cache(maxsize=1)
def _of_snapshot(study: Snapshot) -> Expected | None:
    """Return the same of a study that does not change: every part of a report asks for it."""
    return foretold_of(as_they_count(study.trials(), study.notes), study.notes)


def foretold_of(trials: Sequence[Trial], notes: Notes) -> Expected | None:
    """Return what is believed of networks, else what is expected; `trials` are as they count."""
    return believed_of(trials, notes) or expected_of(trials, notes)


def expected_of(trials: Sequence[Trial], notes: Notes) -> Expected | None:
    """Return what is expected of all networks of a study before any was trained for long.

    `trials` are as they count. None where trainings inherit a base's weights or a file's, or are of
    several schedules, for which that was never measured; of an ablation, whose arms tests compare;
    and of no network.
    """
    init = notes.schedule.schedule.init if notes.schedule else NO_INIT
    unnoted = not notes.schedule and any(result and result.kept is not None for _, result in trials)
    if notes.ablation is not None or unnoted or not applies(init, len(search_ids(notes))):
        return None
    seen = _seen(trials, notes)
    if not seen.networks:
        return None
    found = expect(seen.networks, seen.short, seen.costs, learned=seen.learned)
    return replace(found, signal=seen.signal)


def believed_of(trials: Sequence[Trial], notes: Notes) -> Believed | None:
    """Return what is believed of all networks of a study; None if too few were trained for long.

    `trials` are as they count. None also where long trainings are not of one schedule, since the
    space varies training; and where they inherit weights, and would teach likeness to what they
    began with. Trainings in full count for nothing here: each has a schedule of its own, and the
    pick would change with every one that ends. Nor does what slices say: docs/shared.md.
    """
    if long_inherits(notes) or len(search_ids(notes)) > 1:
        return None
    seen = _seen(trials, notes)
    long = seeds_of(trials, long_ids(notes), notes.goals.accuracy.key)
    scores = [long.get(name, ()) for name in seen.networks]
    given = seen.short, seen.costs, scores, seen.repeats
    return believe(seen.networks, *given, learned=seen.learned)


def order_of(found: Expected | None) -> dict[str, int]:
    """Return the place of each network, 1 the best, by what is believed or expected of it."""
    if found is None:
        return {}
    order = np.argsort(-found.mean, kind="stable")
    return {found.networks[i]: place for place, i in enumerate(order.tolist(), 1)}


def _seen(trials: Sequence[Trial], notes: Notes) -> Seen:
    results = [result for _, result in trials if result is not None]
    return seen_of(results, search_ids(notes), notes.signal, notes.goals.accuracy.key)


def expect(
    networks: Sequence[str],
    short: Floats,
    costs: tuple[Floats, Floats],
    seed: int = 0,
    learned: Bools | None = None,
) -> Expected:
    """Return what is expected of networks [n], one or more, of which none was trained for long.

    Arguments are those of `believe`. What is expected leaves the rest of the variance of what a
    long schedule gives, which is 1 in its own deviations, to the networks themselves.
    """
    mean = expected(columns_of(short, costs, learned))
    rest = math.sqrt(max(0.0, 1 - float(mean[setting_scale(short, learned)].var())))
    drawn = mean + rest * np.random.default_rng(seed).normal(size=(DRAWS, len(mean)))
    return Expected(tuple(networks), mean, drawn.astype(np.float32))


def believe(
    networks: Sequence[str],
    short: Floats,
    costs: tuple[Floats, Floats],
    long: Sequence[Sequence[float]],
    repeats: Sequence[int] | None = None,
    seed: int = 0,
    learned: Bools | None = None,
) -> Believed | None:
    """Return what is believed of networks [n]; None where too few were trained for long.

    `short` is what the search saw of each, the mean of so many `repeats` (one each); `costs` are
    MACs and parameters, positive, `long` the accuracies of each by the long schedule, one a seed,
    of most none: where all are equal nothing is believed. `seed` is that of the draws, `learned`
    says which networks learned anything, if that is known.
    """
    trained = [i for i, scores in enumerate(long) if len(scores)]
    if len(trained) < FEWEST_LONG:
        return None
    columns = columns_of(short, costs, learned)
    rows = np.array([i for i in trained for _ in long[i]])
    scores = np.array([score for i in trained for score in long[i]])
    centre, scale = scores.mean(), scores.std(ddof=1)
    if scale <= NOTHING:
        return None
    of_search = np.ones(len(short)) if repeats is None else np.array(repeats, dtype=np.float64)
    model = _Model(columns, of_search, rows, (scores - centre) / scale)
    rng = np.random.default_rng(seed)
    mean, deviation, drawn = _averaged(model, list(_priors()), rng)
    # How far long accuracies spread is itself known from the few that there are: Student's t.
    degrees = len(trained) - 1
    stretch = np.sqrt(degrees / rng.chisquare(degrees, (DRAWS, 1)))
    # In place, and kept in single precision: of ten thousand networks each copy takes 80 MB.
    drawn -= mean
    drawn *= stretch
    drawn += mean
    drawn *= scale
    drawn += centre
    return Believed(
        networks=tuple(networks),
        mean=centre + scale * mean,
        drawn=drawn.astype(np.float32),
        half=float(scipy.stats.t.ppf(1 - TAIL, degrees)) * scale * deviation,
        long=len(trained),
    )


def _averaged(
    model: _Model, priors: Sequence[_Prior], rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Return means and deviations [n] over all priors by their evidence, and draws [draws, n]."""
    found = [model.posterior(prior) for prior in priors]
    evidence = np.array([one.evidence for one in found])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    means = np.array([one.mean for one in found])
    mean = weights @ means
    # Of a mixture: within the priors and between them.
    variance = weights @ np.array([one.variance for one in found]) + weights @ (means - mean) ** 2
    counts = rng.multinomial(DRAWS, weights)
    drawn = np.empty((DRAWS, len(mean)))
    ends = np.cumsum(counts)
    for prior, count, end in zip(priors, counts, ends, strict=True):
        if count:
            drawn[end - count : end] = model.draws(prior, count, rng)
    return mean, np.sqrt(variance), drawn


class _Model:
    """Trainings by the long schedule: of `rows` of the networks, with `scores` [trainings]."""

    def __init__(
        self, columns: Floats, seeds: Floats, rows: NDArray[np.int64], scores: Floats
    ) -> None:
        self._seeds = seeds
        self._expected = expected(columns)
        self._design = np.column_stack([np.ones(len(columns)), columns])  # [n, 1 + columns]
        self._own = np.arange(len(columns))[:, None] == rows  # [n, trainings]
        self._rows, self._scores = rows, scores

    def posterior(self, prior: _Prior) -> _Posterior:
        """Return what the trainings make of a prior."""
        across, factor = self._covariances(prior)
        off = self._scores - self._expected[self._rows]
        evidence = -np.log(np.diag(factor[0])).sum() - off @ scipy.linalg.cho_solve(factor, off) / 2
        design = self._design * prior.slopes
        before = (design**2).sum(axis=1) + self._of_networks(prior)
        told = (across * scipy.linalg.cho_solve(factor, across.T).T).sum(axis=1)
        mean = self._expected + across @ scipy.linalg.cho_solve(factor, off)
        return _Posterior(float(evidence), mean, np.maximum(before - told, 0.0))

    def draws(self, prior: _Prior, count: int, rng: np.random.Generator) -> Floats:
        """Return accuracies as they might be [count, n] (Matheron's rule)."""
        across, factor = self._covariances(prior)
        design = self._design * prior.slopes
        own = np.sqrt(self._of_networks(prior))
        seeds = prior.deviation * math.sqrt(prior.seed_share)
        found: Floats = rng.normal(size=(count, design.shape[1])) @ design.T + self._expected
        found += own * rng.normal(size=found.shape)
        seen = found[:, self._rows] + seeds * rng.normal(size=(count, len(self._rows)))
        found += (across @ scipy.linalg.cho_solve(factor, (self._scores - seen).T)).T
        return found

    def _of_networks(self, prior: _Prior) -> Floats:
        """Return the variance [n] of networks about the trend: more seeds in the search, less."""
        lasting = prior.lasting + (1 - prior.lasting) / self._seeds
        own: Floats = (1 - prior.seed_share) * prior.deviation**2 * lasting
        return own

    def _covariances(self, prior: _Prior) -> tuple[Floats, tuple[Floats, bool]]:
        """Return those of networks with trainings [n, trainings], and a factor of trainings'."""
        design = self._design * prior.slopes
        across = design @ design[self._rows].T
        across += self._of_networks(prior)[:, None] * self._own
        seeds = prior.seed_share * prior.deviation**2 * np.eye(len(self._rows))
        return across, scipy.linalg.cho_factor(across[self._rows] + seeds)


def _priors() -> Iterator[_Prior]:
    for *of_costs, deviation, share, lasting in itertools.product(
        COST_SLOPES_SD, COST_SLOPES_SD, DEVIATIONS, SEED_SHARES, LASTING
    ):
        yield _Prior(np.array([1.0, SLOPE_SD, *of_costs]), deviation, share, lasting)
