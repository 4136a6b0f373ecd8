"""Problems by formula: pairwise interactions, and DTLZ and ZDT functions on integer grids."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from benchmarks.problems.benchmark import Benchmark, area, deviations, numbered, with_noise
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem

LEVELS, DIMENSIONS = 11, 8
COST_SHIFT = 0.1
"""Added to the first function: costs are positive, and their logarithms bounded."""


def all_valid(points: Points) -> Bools:
    """Say that every point is valid."""
    return np.ones(len(points), dtype=np.bool_)


def interactions() -> Benchmark:
    """Return 640,000 points, half nominal axes, whose levels act together in pairs.

    Like Kauffman's NK landscapes: each level has an effect, each pair of levels of two axes
    too, and size saturates. A limit cuts off about a third, and where the last axis is 0 the
    one before it is not read.
    """
    counts = (4, 4, 4, 4, 4, 5, 5, 5, 5)
    rng = np.random.default_rng(20)
    price = [np.sort(rng.uniform(0.0, 0.9, n)) if n == 5 else rng.uniform(0.0, 0.6, n)
             for n in counts]  # fmt: skip
    effect = [rng.normal(0.0, 0.8, n) for n in counts]
    pairs = {p: rng.normal(0.0, 0.45, (counts[p[0]], counts[p[1]]))
             for p in combinations(range(len(counts)), 2)}  # fmt: skip

    def canonical(points: Points) -> Points:
        same = points.copy()
        same[points[:, 8] == 0, 7] = 0
        return same

    def size(points: Points) -> Floats:
        same = canonical(points)
        return np.asarray(sum(table[same[:, i]] for i, table in enumerate(price)), dtype=float)

    def truth(points: Points) -> Floats:
        same = canonical(points)
        score = 70.0 + 9.0 * (1 - np.exp(-size(points) / 1.5))
        for axis, table in enumerate(effect):
            score += table[same[:, axis]]
        for (a, b), joint in pairs.items():
            score += joint[same[:, a], same[:, b]]
        return np.asarray(score + deviations(numbered(same, counts), 0.3, seed=3), dtype=float)

    axes = [Axis(f"x{i}", n, ordinal=n == 5) for i, n in enumerate(counts)]
    problem = Problem(axes, lambda p: np.exp(size(p))[:, None], lambda p: size(p) <= 3.2, canonical)
    every = problem.at(range(problem.size))
    every = every[problem.representatives(every)]
    reference = (74.0, float(np.exp(3.2)))
    best = area(truth(every), size(every), reference)
    return Benchmark(
        "interactions", problem, truth, with_noise(truth, 0.5),
        lambda p: 0.5 + np.exp(size(p)) / np.exp(2.2), reference, best,
    )  # fmt: skip


def dtlz2() -> Benchmark:
    """Return DTLZ2 with two objectives (Deb et al. 2002) on a grid of 11 levels and 8 axes.

    The first function is the cost, the second, turned round, the accuracy.
    """

    def functions(first: Floats, distance: Floats) -> tuple[Floats, Floats]:
        angle = first * np.pi / 2
        return (1 + distance) * np.cos(angle), (1 + distance) * np.sin(angle)

    return _by_distance(
        "dtlz2", functions, lambda rest: (rest - 0.5) ** 2, floor=-1.1, most=1 + 7 / 4
    )


def zdt3() -> Benchmark:
    """Return ZDT3 (Zitzler et al. 2000), whose front is in pieces, on the same grid."""

    def functions(first: Floats, distance: Floats) -> tuple[Floats, Floats]:
        g = 1 + 9 * distance / (DIMENSIONS - 1)
        ratio = first / g
        return first, g * (1 - np.sqrt(ratio) - ratio * np.sin(10 * np.pi * first))

    return _by_distance("zdt3", functions, lambda rest: rest, floor=-2.0, most=1.0)


def _by_distance(name: str, functions, part, floor: float, most: float) -> Benchmark:  # type: ignore[no-untyped-def]
    """Return a problem of a first axis and of a distance, the sum of a part of all others."""
    levels = np.linspace(0, 1, LEVELS)
    spread = 0.02

    def both(points: Points) -> tuple[Floats, Floats]:
        x = levels[points]
        found: tuple[Floats, Floats] = functions(x[:, 0], part(x[:, 1:]).sum(axis=1))
        return found

    def cost(points: Points) -> Floats:
        return both(points)[0][:, None] + COST_SHIFT

    def truth(points: Points) -> Floats:
        return -both(points)[1]

    # Every distance that sums of parts can reach, with every first level, holds the front.
    sums = np.zeros(1)
    for _ in range(DIMENSIONS - 1):
        sums = np.unique(np.round(np.add.outer(sums, part(levels)), 9))
    first, second = functions(*(a.ravel() for a in np.meshgrid(levels, sums)))
    reference = (floor, most + COST_SHIFT)
    best = area(-second, np.log(first + COST_SHIFT), reference)
    axes = [Axis(f"x{i}", LEVELS, ordinal=True) for i in range(DIMENSIONS)]
    return Benchmark(
        name, Problem(axes, cost, all_valid), truth, with_noise(truth, spread),
        lambda p: 0.5 + cost(p)[:, 0], reference, best,
    )  # fmt: skip
