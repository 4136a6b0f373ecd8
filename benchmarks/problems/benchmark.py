"""What a sampler is measured on: a problem whose true accuracies and best hypervolume are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.pareto import hypervolume
from hrnet_search.search.problem import Floats, Points, Problem

Observe = Callable[[Points, np.random.Generator], float]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A problem with one cost and everything a judge knows.

    `truth(points[n, d])` is the true mean accuracy, [n]; `observe(point[1, d], rng)` one noisy
    training of it; `hours(points)` what trainings take, [n]; `reference` (accuracy, cost) and
    `best` the hypervolume of the true front in (accuracy, log cost) above it.
    """

    name: str
    problem: Problem
    truth: Callable[[Points], Floats]
    observe: Observe
    hours: Callable[[Points], Floats]
    reference: tuple[float, float]
    best: float

    def log_costs(self, points: Points) -> Floats:
        """Return the logarithm of the cost of points, [n]."""
        return np.log(np.asarray(self.problem.cost(points), dtype=np.float64)[:, 0])


def area(accuracy: Floats, log_cost: Floats, reference: tuple[float, float]) -> float:
    """Return the hypervolume in (accuracy, log cost) above a reference (accuracy, cost)."""
    # Millions are cut down to those that no cheaper one reaches: a loop goes over the rest.
    order = np.lexsort((-accuracy, log_cost))
    best = np.maximum.accumulate(accuracy[order])
    rises = order[np.concatenate([[True], best[1:] > best[:-1]])]
    limit = (reference[0], float(np.log(reference[1])))
    return hypervolume(accuracy[rises], log_cost[rises], limit)


def with_noise(truth: Callable[[Points], Floats], sigma: float) -> Observe:
    """Return trainings whose accuracy is the true one and a seed's deviation of `sigma`."""

    def observe(point: Points, rng: np.random.Generator) -> float:
        return float(truth(point)[0] + rng.normal(0.0, sigma))

    return observe


def deviations(numbers: Points, sigma: float, seed: int) -> Floats:
    """Return what cannot be foreseen of each number: a fixed normal deviate of `sigma`, [n].

    Two rounds of the finaliser of splitmix64 (Steele et al. 2014) make the uniforms, the
    transform of Box and Muller the normals, so that millions take a second.
    """
    first, second = (_mixed(numbers.astype(np.uint64), seed + k) for k in (0, 1))
    normal: Floats = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
    return sigma * normal


def _mixed(numbers: NDArray[np.uint64], seed: int) -> Floats:
    with np.errstate(over="ignore"):
        z = (numbers + np.uint64(seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
        for _ in range(2):
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
    uniform: Floats = (z >> np.uint64(11)).astype(np.float64) + 0.5
    return uniform / 2**53


def numbered(points: Points, counts: tuple[int, ...]) -> Points:
    """Return the number of each point in the order of `Problem.at`, [n]."""
    return np.asarray(np.ravel_multi_index(tuple(points.T), counts), dtype=np.int64)
