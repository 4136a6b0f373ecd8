"""How well latency is predicted from exact costs: leave-one-out error and tau on this device.

    python benchmarks/screening.py --count 20 --test 20 --size 128 256

Untrained variants of a shipped space, spread over the range of MACs as at the start of a study,
are measured; more, drawn at random, are predicted and then measured too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import aa_check, measure_latency
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import LatencySpec
from hrnet_search.search.screening import Fit, features, fit, start_set
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space

SPACES = Path(__file__).parents[1] / "search_spaces"


def main() -> None:
    options = parse()
    spec = LatencySpec(
        size=tuple(options.size),
        device=options.device,
        mode=options.mode,
        precision=options.precision,
        seconds=options.seconds,
        threads=options.threads,
    )
    space = load_space(SPACES / options.space)
    print(resolve(spec).condition)
    check = aa_check(spec)
    print(check.line())
    known = start_set(space, options.count, options.seed)
    names = {a.id for a in known}
    others = [a for a in generate(space, options.test + 50, 7) if a.id not in names]
    others = others[: options.test]
    learned = measured(known, spec, check.reference_ms)
    true = measured(others, spec, check.reference_ms)
    for count in sorted({8, 12, options.count}):
        chosen = np.unique(np.linspace(0, len(known) - 1, count).astype(int))
        report(fitted([known[i] for i in chosen], learned[chosen], spec), others, true, spec)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", default="width_depth.yaml")
    add("--count", type=int, default=20, help="networks that are learned from")
    add("--test", type=int, default=20, help="networks that are predicted")
    add("--size", type=int, nargs=2, default=(128, 256), metavar=("H", "W"))
    add("--seconds", type=float, default=3.0)
    add("--device", default="auto")
    add("--mode", default="auto")
    add("--precision", default="fp32")
    add("--threads", type=int, default=0)
    add("--seed", type=int, default=0)
    return parser.parse_args()


def measured(
    architectures: list[Architecture], spec: LatencySpec, reference_ms: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return ms of each, by the frozen reference."""
    found = []
    for number, architecture in enumerate(architectures, start=1):
        latency = measure_latency(build(architecture), spec, reference_ms)
        found.append(latency.ms)
        noisy = " noisy" if latency.noisy else ""
        line = f"{number}/{len(architectures)} {architecture.id} {latency.ms:.2f} ms{noisy}"
        print(line, file=sys.stderr, flush=True)
    return np.array(found)


def fitted(
    architectures: list[Architecture],
    ms: np.ndarray[tuple[int], np.dtype[np.float64]],
    spec: LatencySpec,
) -> Fit:
    batch = ArchitectureBatch.of(architectures)
    macs = batch_costs(batch, spec.size, 19)[:, 1].astype(np.float64)
    return fit(features(batch, spec.size, 19), ms, macs)


def report(
    found: Fit,
    others: list[Architecture],
    true: np.ndarray[tuple[int], np.dtype[np.float64]],
    spec: LatencySpec,
) -> None:
    batch = ArchitectureBatch.of(others)
    guesses = features(batch, spec.size, 19) @ found.weights
    macs = batch_costs(batch, spec.size, 19)[:, 1]
    error = np.median(np.abs(guesses / true - 1))
    print(
        f"{found.n} networks: leave-one-out error {found.loo_error:.1%}, tau {found.tau:.2f}"
        f" (MACs: error {found.macs_error:.1%}), margin {np.expm1(found.margin):.1%};"
        f" {len(others)} others: error {error:.1%}, tau {kendalltau(guesses, true).statistic:.2f}"
        f" (MACs: tau {kendalltau(macs, true).statistic:.2f})"
    )


if __name__ == "__main__":
    main()
