"""Duels on made-up differences: how often a network is called better that is not, and is.

    python -m benchmarks.duels            # the rule alone: 10,000 families of duels a row
    python -m benchmarks.duels --studies  # whole studies, 400 of them without a difference
    python -m benchmarks.duels --levels   # the table in hrnet_search/duel_rule.py

Accuracies are normal around a network's own, with the deviation of one seed by 2,400 steps
(.015, benchmarks/tables); a pair's is 1.41 times that where nothing is shared by its trainings.
"""

from __future__ import annotations

import argparse
from collections import Counter
from math import floor

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from hrnet_search.duel_rule import (
    ABOVE,
    BELOW,
    BETTER,
    FEWEST_PAIRS,
    MOST_DUELS,
    MOST_PAIRS,
    OPEN,
    WORSE,
    Verdict,
    verdicts,
)

Floats = NDArray[np.float64]

TAILS = (*(BELOW / duels for duels in range(1, MOST_DUELS + 1)), ABOVE)
SAMPLES, CHUNK, KEPT = 4_000_000, 250_000, 0.06
FAMILIES = 10_000


def print_levels(seed: int = 1) -> None:
    """Print the nominal levels by which the chance to cross at any look is a tail."""
    rng, pairs = np.random.default_rng(seed), np.arange(FEWEST_PAIRS, MOST_PAIRS + 1)
    least: list[list[Floats]] = [[] for _ in pairs]
    for _ in range(SAMPLES // CHUNK):
        chances = np.minimum.accumulate(_chances(rng.standard_normal((CHUNK, MOST_PAIRS))), axis=1)
        for column, most in enumerate(pairs):
            scaled = np.sort(chances[:, column] * most)[: int(KEPT * CHUNK)]
            least[column].append(scaled.astype(np.float32))
    for tail in TAILS:
        place = int(tail * SAMPLES)
        found = [np.partition(np.concatenate(rows), place)[place] for rows in least]
        found[0] = tail  # the only look there is
        print(f"    {tail!r}: ({', '.join(f'{floor(1e5 * one) / 1e5:.5f}' for one in found)}),")


def _chances(differences: Floats) -> Floats:
    """Return the one-sided p-values [n, looks] of Student's t at each look, over its pairs."""
    count = np.arange(1, MOST_PAIRS + 1)
    means = differences.cumsum(axis=1) / count
    squares = (differences**2).cumsum(axis=1) - count * means**2
    found = [
        stdtr(k - 1, -means[:, k - 1] / np.sqrt(squares[:, k - 1] / (k - 1) / k)) / k
        for k in range(FEWEST_PAIRS, MOST_PAIRS + 1)
    ]
    return np.stack(found, axis=1)


def print_rule(seed: int = 2) -> None:
    """Print what families of duels end as, by the rule alone."""
    rng = np.random.default_rng(seed)
    print(f"{FAMILIES} families a row")
    print("truth, points | duels | pairs at most | deviation of a pair | any better | first better")
    print("  | first worse | pairs of the first | intervals of the first that hold the truth")
    rows = [
        *((0.0, duels, most, 0.02) for duels in (1, 2, 3) for most in (2, 4, 8, 12)),
        *((0.02, 1, most, sd) for most in (2, 4, 6, 8, 12) for sd in (0.015, 0.02, 0.0212)),
        *((0.02, 3, 12, sd) for sd in (0.015, 0.02, 0.0212)),
    ]
    for truth, duels, most, sd in rows:
        ended = [_family(rng, truth, duels, most, sd) for _ in range(FAMILIES)]
        first = [family[0] for family in ended]
        called = Counter(one.called for one in first)
        shares = [
            sum(any(one.called == BETTER for one in family) for family in ended),
            called[BETTER],
            called[WORSE],
        ]
        holds = np.mean([one.low <= truth <= one.high for one in first])
        pairs = np.mean([one.pairs for one in first])
        cells = [f"{100 * count / FAMILIES:.1f}%" for count in shares]
        head = (f"{100 * truth:g}", str(duels), str(most), f"{sd:g}")
        print(" | ".join((*head, *cells, f"{pairs:.1f}", f"{100 * holds:.1f}%")))


def _family(
    rng: np.random.Generator, truth: float, duels: int, most: int, sd: float
) -> list[Verdict]:
    """Return how duels end that are fought one after the other, as a study fights them."""
    drawn = rng.normal(truth, sd, (duels, most)).tolist()
    counts = [0] * duels
    for current in range(duels):
        while (found := _said(drawn, counts, most))[current].called == OPEN:
            counts[current] += 1
    return found


def _said(drawn: list[list[float]], counts: list[int], most: int) -> list[Verdict]:
    return verdicts([(most, row[:count]) for row, count in zip(drawn, counts, strict=True)])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", action="store_true")
    options = parser.parse_args()
    if options.levels:
        print_levels()
    else:
        print_rule()


if __name__ == "__main__":
    main()
