"""Hold the statistics of ablations to what they promise, on results whose effects are known.

    python benchmarks/ablation.py [--ablations 2000] [--seed 0] [--csv FILE] [--statistic]

One line a setting: a design, seeds, noise, and 2,000 simulated ablations for each question. The
promises: intervals cover at 93 to 97%, at most 5.5% of ablations without an effect call one, and
the planner's power is right within 5 points. The last two columns are of equivalence: how often an
arm without effect is found equivalent within the detectable difference, and how often any of a
family of arms exactly at that margin is.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.ablation_simulation import NOISES, Held, simulate
from hrnet_search.ablation.design import ARM, MAIN, design
from hrnet_search.ablation.statistics import flips, max_t

DESIGNS = {
    "one-factor, 3 arms": ("one-factor", (2, 2, 2)),
    "one-factor, 6 arms": ("one-factor", (2, 3, 2, 3)),
    "factorial 2x2x2": ("factorial", (2, 2, 2)),
    "fractional 2^(5-1)": ("fractional", (2,) * 5),
}
SEEDS = (6, 8, 9)
MISSING = 0.1
HEADER = ("design", "seeds", "noise", "missing", "covered", "wrong", "effect", "power", "predicted",
          "equal", "at margin", "kept")  # fmt: skip


def settings() -> list[tuple[str, int, str, float]]:
    """Return every setting: all noises on one-factor designs, normal noise on the others."""
    found = [
        (name, seeds, noise, 0.0)
        for name in DESIGNS
        for seeds in SEEDS
        for noise in NOISES
        if noise == "normal" or name.startswith("one-factor")
    ]
    return [*found, *((name, seeds, "normal", MISSING) for name in list(DESIGNS)[:2]
                      for seeds in (8, 9))]  # fmt: skip


def run(name: str, seeds: int, noise: str, missing: float, count: int, seed: int) -> Held:
    kind, shape = DESIGNS[name]
    planned = design(kind, shape)
    family = [c.weights for c in planned.contrasts if c.kind in (ARM, MAIN)]
    return simulate(family, len(planned.runs), seeds, noise, missing, count, seed)


def kept(held: Held, noise: str, missing: float) -> str:
    """Name the promises that were broken; power is promised for the planner's own noise."""
    broken = []
    if not 0.93 <= held.covered <= 0.97:
        broken.append("coverage")
    if held.wrong > 0.055:
        broken.append("error")
    if noise == "normal" and not missing and abs(held.found - held.predicted) > 0.05:
        broken.append("power")
    return ", ".join(broken) or "yes"


def compare_statistics(count: int, seed: int) -> None:
    """Print the power of the joint test with the mean and with the t statistic.

    Six arms, the first with an effect of 2 sd; noise equal, or rising threefold to the last arm.
    """
    arms, effect = 6, 2.0
    print("seeds | noise | mean | t")
    for seeds in SEEDS:
        for most in (1.0, 3.0):
            rng = np.random.default_rng(seed)
            noise = rng.normal(size=(count, arms, seeds)) * np.linspace(1, most, arms)[:, None]
            drawn = (noise - rng.normal(size=(count, 1, seeds))) / np.sqrt(2)
            drawn[:, 0] += effect
            signs = flips(seeds)
            by_mean = (max_t(drawn, signs)[1][:, 0] <= 0.05).mean()
            # t grows with mean / root mean square, which flips leave as it is.
            scaled = drawn / np.sqrt((drawn**2).mean(axis=-1, keepdims=True))
            by_t = (max_t(scaled, signs)[1][:, 0] <= 0.05).mean()
            print(f"{seeds} | 1 to {most:g} | {by_mean:.1%} | {by_t:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--ablations", type=int, default=2000, help="a setting (2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="also write the table here")
    parser.add_argument("--statistic", action="store_true", help="compare mean and t, and end")
    options = parser.parse_args()
    if options.statistic:
        compare_statistics(options.ablations, options.seed)
        return
    rows = []
    print(" | ".join(HEADER), flush=True)
    for name, seeds, noise, missing in settings():
        held = run(name, seeds, noise, missing, options.ablations, options.seed)
        verdict = kept(held, noise, missing)
        rows.append({"design": name, "seeds": seeds, "noise": noise, "missing": missing,
                     **asdict(held), "kept": verdict})  # fmt: skip
        print(
            f"{name} | {seeds} | {noise} | {missing:.0%} | {held.covered:.1%} | {held.wrong:.1%} |"
            f" {held.effect:.2f} | {held.found:.1%} | {held.predicted:.1%} | {held.equal:.1%} |"
            f" {held.not_equal:.1%} | {verdict}",
            flush=True,
        )
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
