"""How often the pick within a budget is the best there, beside the chance that a report states.

    python -m benchmarks.picks [--studies 400] [--long 12 | --measured]

Studies are made up: accuracy rises with log MACs and log parameters, networks differ from that
line by a deviation of their own, and a training from its network by that of a seed. Six of the
front get two more seeds, as the last part of a search gives them. The pick is by what is expected,
or as it was measured. With `--long` so many are trained by a long schedule too, half of them spread
over parameters and half the best, and the pick is by what is believed. The budget is one that a
random variant just keeps, of a random cost.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.tables.ranking import for_long
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.report.trust import candidates as rule
from hrnet_search.report.trust.believed import Expected, believe, expect
from hrnet_search.report.trust.statistics import Floats, SeedNoise, seed_noise

ACCURACY = OBJECTIVES["miou"]
SEED = 0.012
"""Deviation of a seed; networks differ by 0.5, 1 and 2 times that."""

SPREADS, SIZES = (0.5, 1.0, 2.0), (20, 60)
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
Said = tuple[float, bool]


def made_up_study(
    variants: int, spread: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, SeedNoise, np.ndarray]:
    """Return variants as a study has them, the noise that its seeds show, and what is true [n]."""
    macs = np.exp(rng.uniform(0, 2.5, variants)) * 1e9
    params = macs / 1e3 * np.exp(rng.normal(0, 0.4, variants))
    true = 0.4 + 0.02 * np.log(macs / 1e9) + 0.01 * np.log(params / 1e6)
    true += rng.normal(0, spread * SEED, variants)
    scores = [[one + rng.normal(0, SEED)] for one in true]
    table = pd.DataFrame(
        {
            "number": range(variants),
            "architecture": [str(number) for number in range(variants)],
            "macs": macs,
            "params": params,
            "activations": macs / 40 * np.exp(rng.normal(0, 0.1, variants)),
            "latency_ms": macs / 2e8 * np.exp(rng.normal(0, 0.2, variants)),
        }
    )
    best_first = sorted(range(variants), key=lambda i: -scores[i][0] + 0.02 * np.log(macs[i]))
    for i in best_first[:6]:
        scores[i] += [true[i] + rng.normal(0, SEED) for _ in range(2)]
    table["miou"] = [float(np.mean(one)) for one in scores]
    table["seeds"] = [len(one) for one in scores]
    noise = seed_noise(scores)
    assert noise is not None, "six networks have three seeds"
    return table, noise, true


def foretold(
    table: pd.DataFrame, true: Floats, long: int, rng: np.random.Generator
) -> rule.Candidates:
    """Return the candidates by what is expected, or believed after so many long trainings."""
    names, short = table["architecture"].tolist(), table["miou"].to_numpy()
    costs = table["macs"].to_numpy(dtype=float), table["params"].to_numpy(dtype=float)
    repeats = table["seeds"].tolist()
    found: Expected | None = expect(names, short, costs)
    if long:
        chosen = for_long(costs[1], short, long, rng)
        scores = [[one + rng.normal(0, SEED)] if i in chosen else [] for i, one in enumerate(true)]
        found = believe(names, short, costs, scores, repeats)
    assert found is not None, f"{long} are too few"
    return rule.foretold_candidates(table, found, ACCURACY.name)


def stated(variants: int, spread: float, studies: int, long: int, measured: bool) -> Iterator[Said]:
    """Yield the chance that is stated of a pick, and whether it is the best within its budget."""
    rng = np.random.default_rng(1)
    for _ in range(studies):
        table, noise, true = made_up_study(variants, spread, rng)
        if measured:
            found = rule.ranked_candidates(
                table, ACCURACY, noise, lambda row: rule.unseen(row, ACCURACY.name)
            )
        else:
            found = foretold(table, true, long, rng)
        for _ in range(3):
            cost = str(rng.choice(rule.COSTS))
            budget = {cost: float(table[cost].iloc[rng.integers(variants)])}
            inside = np.flatnonzero(table[cost] <= budget[cost])
            pick = found.pick(budget)
            if pick is None or len(inside) < 2:
                continue
            best = int(inside[np.argmax(true[inside])])
            yield found.chances(budget)[pick], found.numbers[pick] == best


def table_of(rows: list[Said]) -> Iterator[str]:
    """Yield a line a bin of stated chances: how many, their mean, and how often they were right."""
    binned: dict[int, list[Said]] = defaultdict(list)
    for chance, right in rows:
        binned[min(int(np.searchsorted(BINS, chance, "right")) - 1, len(BINS) - 2)].append(
            (chance, right)
        )
    for at, found in sorted(binned.items()):
        said, was = (float(np.mean([row[i] for row in found])) for i in (0, 1))
        error = 1.96 * (max(was * (1 - was), 1e-3) / len(found)) ** 0.5
        yield (
            f"| {BINS[at]:.0%} to {BINS[at + 1]:.0%} | {len(found)} | {said:.0%} |"
            f" {was:.0%} +- {error:.0%} |"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400, help="of each kind")
    parser.add_argument("--long", type=int, default=0, help="networks trained for long (none)")
    parser.add_argument("--measured", action="store_true", help="picks by measured accuracies")
    options = parser.parse_args()
    everything: list[Said] = []
    for spread in SPREADS:
        for variants in SIZES:
            given = options.studies, options.long, options.measured
            rows = list(stated(variants, spread, *given))
            everything += rows
            said, was = (float(np.mean([row[i] for row in rows])) for i in (0, 1))
            print(f"{variants} variants, spread {spread}: said {said:.1%}, was {was:.1%}")
    print("\n| stated | picks | mean | right |\n| --- | --: | --: | --: |")
    print("\n".join(table_of(everything)))


if __name__ == "__main__":
    main()
