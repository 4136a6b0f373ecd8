"""Does a short schedule of its own rank networks as well as a rung of the long one?

    python -m benchmarks.tables.paired [--table FILE]

Both are of the same length and of the same networks: those of `equal_macs.csv` that have the truth
by both seeds and every short schedule by both of its own. A short schedule is held against either
seed's truth, a rung against the truth of the other seed: the same kind of truth for both. Taus are
means over the seeds, intervals percentiles of a bootstrap over networks, the same draws for both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS, read_table
from benchmarks.tables.ranking import Floats, Ints
from hrnet_search.report.trust.statistics import tau_b

LENGTHS = (150, 300, 600)
SIGNALS = {"miou": 1, "soft_iou": 1, "cross_entropy": -1}
DRAWS = 600

Pair = tuple[Floats, Floats]
"""What ranks networks, and a truth of the same networks, [n] each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE, help="the file of rows")
    rows = read_table(parser.parse_args().table)
    found = {
        (row["variant"], int(row["steps"]), int(row["seed"]), int(row["step"])): row for row in rows
    }
    wanted = [(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    wanted += [(steps, seed, steps) for steps in LENGTHS for seed in SHORT_SEEDS]
    networks = sorted({row["variant"] for row in rows})
    networks = [n for n in networks if all((n, *key) in found for key in wanted)]

    def column(steps: int, seed: int, step: int, name: str = "miou") -> Floats:
        return np.array([float(found[n, steps, seed, step][name]) for n in networks])

    truth = [column(TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS]
    params = np.log(column(TRUTH, TRUTH_SEEDS[0], TRUTH, "params"))
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(networks), len(networks)) for _ in range(DRAWS)]
    free = Ranking([(params, one) for one in truth], draws)
    print(f"{len(networks)} networks; log parameters {free.tau:.2f}\n")
    print("| steps | signal | own | rung | rung - own | own - params | rung - params |")
    print("| --: | --- | --: | --: | --- | --- | --- |")
    for steps in LENGTHS:
        for name, sign in SIGNALS.items():
            seeds = [sign * column(steps, seed, steps, name) for seed in SHORT_SEEDS]
            own = Ranking([(score, one) for score in seeds for one in truth], draws)
            at = [sign * column(TRUTH, seed, steps, name) for seed in TRUTH_SEEDS]
            rung = Ranking(list(zip(at, reversed(truth), strict=True)), draws)
            ahead = " | ".join(a.ahead_of(b) for a, b in ((rung, own), (own, free), (rung, free)))
            print(f"| {steps} | {name} | {own.tau:.2f} | {rung.tau:.2f} | {ahead} |")


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
