"""Earlier studies of a problem's space, more or less like it, that a search may learn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.problems.benchmark import Benchmark
from hrnet_search.search.problem import Floats, Points
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.expectation import Expectation
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.start_sample import start_sample
from hrnet_search.search.samplers.training_rows import accuracies

TRIALS = 100
SHARED = {"alike": 0.95, "partly": 0.8, "unrelated": 0.0}
"""Correlation of the true accuracies of both, given cost."""

NOISE = 0.15
"""Of one training, in deviations of true accuracy."""


class Source:
    """A made-up accuracy over a problem's points: in part that of the problem, in part its own.

    Its own part are effects of levels and of pairs of levels, drawn by `seed`. How accuracy
    goes with cost is as it is in the problem.
    """

    def __init__(self, benchmark: Benchmark, shared: float, seed: int) -> None:
        self._benchmark, self._shared = benchmark, shared
        rng = np.random.default_rng([seed, 7])
        counts = benchmark.problem.counts
        self._effects = [rng.normal(size=n) for n in counts]
        self._pairs = {
            (a, b): rng.normal(0, 0.5, (counts[a], counts[b]))
            for b in range(len(counts))
            for a in range(b)
        }
        sample = benchmark.problem.distinct(benchmark.problem.uniform(rng, 4000))
        self._trend = np.polynomial.Polynomial.fit(
            benchmark.log_costs(sample), self._counting(sample), 3
        )
        parts = self._theirs(sample), self._ours(sample)
        self._scales = [(float(part.mean()), float(part.std())) for part in parts]

    def __call__(self, points: Points) -> Floats:
        """Return true accuracies in the source, [n]."""
        theirs, ours = (
            (part - centre) / spread
            for part, (centre, spread) in zip(
                (self._theirs(points), self._ours(points)), self._scales, strict=True
            )
        )
        mixed = self._shared * theirs + np.sqrt(1 - self._shared**2) * ours
        trend = self._trend(self._benchmark.log_costs(points))
        return np.asarray(trend + self._scales[0][1] * mixed, dtype=np.float64)

    @property
    def noise(self) -> float:
        """The deviation of one training."""
        return NOISE * self._scales[0][1]

    def _theirs(self, points: Points) -> Floats:
        return self._counting(points) - self._trend(self._benchmark.log_costs(points))

    def _counting(self, points: Points) -> Floats:
        """Return true accuracies of the problem, those that do not count at the least that does."""
        return np.maximum(self._benchmark.truth(points), self._benchmark.reference[0])

    def _ours(self, points: Points) -> Floats:
        found: Floats = np.zeros(len(points))
        for axis, effects in enumerate(self._effects):
            found += effects[points[:, axis]]
        for (a, b), joint in self._pairs.items():
            found += joint[points[:, a], points[:, b]]
        return found


def after(benchmark: Benchmark, kind: str, seed: int) -> Benchmark:
    """Return a benchmark whose searches learn from an earlier study of the kind, made anew."""
    expectation = _searched(benchmark, Source(benchmark, SHARED[kind], seed), seed)
    return replace(benchmark, problem=replace(benchmark.problem, earlier=(expectation,)))


def _searched(benchmark: Benchmark, source: Source, seed: int) -> Expectation:
    """Return what a search of the source by other seeds makes one expect."""
    problem = benchmark.problem
    sampler = SAMPLERS["pareto"](problem, seed=seed + 1000, trials=TRIALS)
    noise = np.random.default_rng([seed, 98])
    for _ in range(TRIALS):
        for point in sampler.ask():
            accuracy = float(source(np.array([point]))[0] + noise.normal(0, source.noise))
            sampler.tell(point, accuracy)
    features = Features(problem, start_sample(problem, 20, [], seed).pool)
    data = accuracies(features, sampler.history.seen())
    assert data is not None, "there are enough results"
    return Expectation(data, features)
