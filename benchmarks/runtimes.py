"""How rankings differ by what runs the networks: MACs, torch, ONNX Runtime and OpenVINO, here.

    python -m benchmarks.runtimes --variants 40 --size 128 256 --out runtimes.csv
    python -m benchmarks.runtimes --table runtimes.csv

Variants of a shipped space, drawn at random, are timed in every runtime that is installed, each
beside the reference network in the same runtime. A row a variant and way is written as it comes,
and a run goes on where the last one ended. The table has Kendall's tau of every two ways, its 95%
interval (bootstrap of variants), and how many pairs of variants they order the other way round
although the intervals of neither way overlap: of latencies that closed to 1% in time, and of all.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmarks.rows import Row, add, read
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.latency.runtimes import exported
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import Latency, LatencySpec
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space

SPACES = Path(__file__).parents[1] / "search_spaces"
CLASSES, RESAMPLES = 19, 2000
MACS = "MACs"
WAYS = (
    ("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "fp32"),
    ("openvino", "int8"),
)  # fmt: skip
COLUMNS = ("architecture", "macs", "way", "version", "ms", "ratio", "low", "high", "noisy", "load")

Floats = NDArray[np.float64]


def main() -> None:
    options = parse()
    if options.table:
        print("\n".join(table(read(options.table))))
        return
    # Once a variant for all ways: writing it takes longer than timing it.
    exported.onnx_content = lru_cache(maxsize=2)(exported.onnx_content)
    known = {(row["architecture"], row["way"]) for row in read(options.out)}
    specs = dict(possible(options))
    for architecture in generate(load_space(SPACES / options.space), options.variants, 0):
        network = build(architecture, CLASSES)
        for way, spec in specs.items():
            if (architecture.id, way) not in known:
                found = measure_latency(network, spec, classes=CLASSES)
                values = values_of(architecture, spec, way, found)
                add(options.out, COLUMNS, dict(zip(COLUMNS, values, strict=True)))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--space", default="width_depth.yaml")
    add("--variants", type=int, default=40)
    add("--size", type=int, nargs=2, default=(128, 256), metavar=("H", "W"))
    add("--seconds", type=float, default=5.0)
    add("--threads", type=int, default=1)
    add("--out", type=Path, default=Path("runtimes.csv"))
    add("--table", type=Path, metavar="CSV")
    return parser.parse_args()


def possible(options: argparse.Namespace) -> Iterator[tuple[str, LatencySpec]]:
    """Yield the ways that are installed here; say which are not."""
    for runtime, precision in WAYS:
        spec = LatencySpec(
            size=tuple(options.size),
            device="cpu",
            precision=precision,
            seconds=options.seconds,
            threads=options.threads,
            runtime=runtime,
        )
        try:
            resolve(spec)
        except InputError as error:
            print(error, flush=True)
        else:
            yield f"{runtime} {precision}", spec


def values_of(
    architecture: Architecture, spec: LatencySpec, way: str, found: Latency
) -> list[object]:
    """Return the values of a row, in the order of COLUMNS."""
    macs, load = cost(architecture, spec.size, CLASSES).macs, f"{os.getloadavg()[0]:.1f}"
    ratios = found.ratio, found.ratio_low, found.ratio_high
    version, ms = found.condition.version, found.median_ms
    return [architecture.id, macs, way, version, ms, *ratios, found.noisy, load]


def table(rows: Sequence[Row]) -> list[str]:
    """Return the matrix as markdown, of the variants that every way has timed."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    by_key = {(row["architecture"], row["way"]): row for row in rows}
    names = [n for n in dict.fromkeys(r["architecture"] for r in rows)
             if all((n, way) in by_key for way in ways)]  # fmt: skip
    values = {MACS: np.array([float(by_key[n, ways[0]]["macs"]) for n in names])}
    values |= {w: np.array([float(by_key[n, w]["ratio"]) for n in names]) for w in ways}
    noisy = (f"{w} {sum(by_key[n, w]['noisy'] == 'True' for n in names)}" for w in ways)
    lines = [f"{len(names)} variants; noisy latencies of each way: {', '.join(noisy)}"]
    lines += ["", f"| tau | {' | '.join(values)} |", f"| --- |{' --- |' * len(values)}"]
    for one in values:
        cells = [tau(values[one], values[other]) if one != other else "" for other in values]
        lines.append(f"| {one} | {' | '.join(cells)} |")
    lines += ["", "| two ways | pairs apart, closed | turned | pairs apart, all | turned |",
              "| --- | --: | --: | --: | --: |"]  # fmt: skip
    for pair in combinations(values, 2):
        cells = []
        for closed in (True, False):
            told, turned = inversions(*(bounds(way, names, by_key, closed) for way in pair))
            cells += [str(told), str(turned)]
        lines.append(f"| {', '.join(pair)} | {' | '.join(cells)} |")
    return lines


def tau(one: Floats, other: Floats) -> str:
    """Return Kendall's tau with its 95% interval by a bootstrap of variants."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(one), (RESAMPLES, len(one)))
    found = [kendalltau(one[draw], other[draw]).statistic for draw in draws]
    low, high = np.nanquantile(found, (0.025, 0.975))
    return f"{kendalltau(one, other).statistic:.2f} [{low:.2f}, {high:.2f}]"


def bounds(
    way: str, names: Sequence[str], rows: dict[tuple[str, str], Row], closed: bool
) -> tuple[Floats, Floats]:
    """Return the least and the most of each variant; anything where only what `closed` counts."""
    if way == MACS:
        by_name = {name: float(row["macs"]) for (name, _), row in rows.items()}
        macs = np.array([by_name[name] for name in names])
        return macs, macs
    found = [rows[n, way] for n in names]
    noisy = np.array([closed and row["noisy"] == "True" for row in found])
    low, high = (np.array([float(row[key]) for row in found]) for key in ("low", "high"))
    return np.where(noisy, -np.inf, low), np.where(noisy, np.inf, high)


def inversions(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> tuple[int, int]:
    """Return how many pairs differ in both ways, and how many of those in opposite orders."""
    slower = [low[:, None] > high[None, :] for low, high in (first, second)]
    told = (slower[0] | slower[0].T) & (slower[1] | slower[1].T)
    turned = slower[0] & slower[1].T
    return int(told.sum()) // 2, int(turned.sum())


if __name__ == "__main__":
    main()
