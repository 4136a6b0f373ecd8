"""What 80 of 240 steps rank in shapes.csv, beside what costs nothing: MACs and parameters.

    python -m benchmarks.tables.free [--table FILE]

Two ways to count the two seeds: apart (a short training judged by a long one of the other seed,
as a search with one seed has it; the mean of both ways) and the means of both, which share their
seeds. Taus with the mIoU of 240 steps; intervals are 95% bootstraps (BCa) over variants.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hrnet_search.report.trust.statistics import Floats, bca, partial_tau, tau_b

TABLE = Path(__file__).parent / "shapes.csv"
SHORT, LONG = (24, 80), 240
SEEDS = (0, 1)

Judge = Callable[..., Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, default=TABLE)
    costs, trained = read(parser.parse_args().table)
    truth = trained[LONG]
    rows = {f"{steps} steps": trained[steps] for steps in SHORT}
    rows["another 240 steps"] = truth
    rows |= {name: np.array([cost, cost]) for name, cost in costs.items()}
    print(f"{truth.shape[1]} variants: tau with {LONG} steps [95%]\n")
    print("| | seeds apart | given both costs | means of two seeds |\n| --- | --- | --- | --- |")
    for name, scores in rows.items():
        given = () if name in costs else tuple(costs.values())
        partial = _said(_apart, *scores, *truth, *given) if given else ""
        means = "" if scores is truth else _said(tau_b, scores.mean(axis=0), truth.mean(axis=0))
        print(f"| {name} | {_said(_apart, *scores, *truth)} | {partial} | {means} |")
    macs = costs["log MACs"]
    print(f"\n80 steps less log MACs, seeds apart: {_said(_less, *trained[80], *truth, macs)}")


def read(path: Path) -> tuple[dict[str, Floats], dict[int, Floats]]:
    """Return log costs [n] by name, and mIoU [2 seeds, n] by steps, of variants that have all."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(r["architecture"], int(r["steps"]), int(r["seed"])): float(r["miou"]) for r in rows}
    cost = {row["architecture"]: (float(row["macs"]), float(row["params"])) for row in rows}
    lengths = (*SHORT, LONG)
    whole = [a for a in cost if all((a, n, s) in found for n in lengths for s in SEEDS)]
    macs, params = np.log([cost[a] for a in whole]).T
    trained = {n: np.array([[found[a, n, s] for a in whole] for s in SEEDS]) for n in lengths}
    return {"log MACs": macs, "log parameters": params}, trained


def _apart(
    one: Floats, other: Floats, true_one: Floats, true_other: Floats, *given: Floats
) -> Floats:
    """Return the mean tau of each seed's scores with the truth of the other seed."""
    judge: Judge = partial_tau if given else tau_b
    found: Floats = (judge(one, true_other, *given) + judge(other, true_one, *given)) / 2
    return found


def _less(one: Floats, other: Floats, true_one: Floats, true_other: Floats, free: Floats) -> Floats:
    """Return by how much scores rank better than what is free."""
    truths = (true_one, true_other)
    return _apart(one, other, *truths) - _apart(free, free, *truths)


def _said(statistic: Judge, *columns: Floats) -> str:
    found = bca(statistic, columns)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


if __name__ == "__main__":
    main()
