"""Does a short schedule of its own rank networks as well as a rung of the long one, or all of it?

    python -m benchmarks.tables.paired [--table FILE]

All are of the same networks: those of `equal_macs.csv` that have the truth by both seeds and the
short schedule by both of its own. A short schedule is held against either seed's truth, a rung and
the end of a long training against the truth of the other seed: the same kind of truth for all. Taus
are means over the seeds, intervals percentiles of a bootstrap over networks, the same draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, Row, read_table
from benchmarks.tables.ranking import Floats, Ints
from hrnet_search.report.trust.statistics import tau_b

LENGTHS = (150, 300, 600)
SIGNALS = {"miou": 1, "soft_iou": 1, "cross_entropy": -1}
DRAWS = 600

Key = tuple[str, int, int, int]
"""A network, the steps and the seed of its training, and a step of it."""

Pair = tuple[Floats, Floats]
"""What ranks networks, and a truth of the same networks, [n] each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    rows = read_table(parser.parse_args().table)
    found = {
        (row["variant"], int(row["steps"]), int(row["seed"]), int(row["step"])): row for row in rows
    }
    print("| steps | networks | signal | parameters | own | rung | all steps |", end="")
    print(" rung - own | own - params | rung - params | own - all steps |")
    print("| --: | --: | --- | --: | --: | --: | --: | --- | --- | --- | --- |")
    for steps in LENGTHS:
        for line in about(found, steps):
            print(line)


def about(found: Mapping[Key, Row], steps: int) -> Iterator[str]:
    """Yield a row a signal, over the networks that were trained for so many steps."""
    wanted = [(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    wanted += [(steps, seed, steps) for seed in SHORT_SEEDS]
    networks = sorted({variant for variant, *_ in found})
    networks = [n for n in networks if all((n, *key) in found for key in wanted)]

    def column(trained: int, seed: int, step: int, name: str = "miou") -> Floats:
        return np.array([float(found[n, trained, seed, step][name]) for n in networks])

    truth = [column(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    params = np.log(column(TRUTH, TRUTH_SEEDS[0], TRUTH, "params"))
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(networks), len(networks)) for _ in range(DRAWS)]
    free = Ranking([(params, one) for one in truth], draws)
    for name, sign in SIGNALS.items():
        seeds = [sign * column(steps, seed, steps, name) for seed in SHORT_SEEDS]
        own = Ranking([(score, one) for score in seeds for one in truth], draws)
        rung, whole = (
            Ranking(
                [
                    (sign * column(TRUTH, seed, step, name), other)
                    for seed, other in zip(TRUTH_SEEDS, reversed(truth), strict=True)
                ],
                draws,
            )
            for step in (steps, TRUTH)
        )
        taus = [f"{ranking.tau:.2f}" for ranking in (free, own, rung, whole)]
        pairs = ((rung, own), (own, free), (rung, free), (own, whole))
        ahead = [one.ahead_of(other) for one, other in pairs]
        yield f"| {' | '.join([str(steps), str(len(networks)), name, *taus, *ahead])} |"


class Ranking:
    """The mean tau of some pairs, and what it is in each draw of networks."""

    def __init__(self, pairs: Sequence[Pair], draws: Sequence[Ints]) -> None:
        self._pairs = pairs
        self.tau = self._of(np.arange(len(pairs[0][0])))
        self.drawn = np.array([self._of(some) for some in draws])

    def _of(self, some: Ints) -> float:
        return float(np.mean([tau_b(score[some], truth[some]) for score, truth in self._pairs]))

    def ahead_of(self, other: Ranking) -> str:
        low, high = np.nanpercentile(self.drawn - other.drawn, [2.5, 97.5])
        return f"{self.tau - other.tau:+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
