"""Our cost against fvcore's count on the same variants, and a million variants on one core.

    python benchmarks/cost.py --variants 20 --million width_depth.yaml

Variants of a shipped space are counted both ways at random sizes. fvcore has to build and trace
each; its time is given with and without the building. Speed is that of `costs` over many points.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hrnet_search import Architecture, build, costs, generate, load_space
from hrnet_search.arch.cost import cost
from hrnet_search.evaluate.counting import conv_activations_by_fvcore, conv_macs_by_fvcore
from hrnet_search.evaluate.machine.load import cpu_model

SPACES = Path(__file__).parents[1] / "search_spaces"
LARGEST = max(SPACES.glob("*.yaml"), key=lambda path: load_space(path).size)


@dataclass(frozen=True, slots=True)
class Count:
    """Whether both counts of a variant are equal, and the seconds that fvcore took for MACs."""

    equal: bool
    building_s: float
    counting_s: float


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    space = load_space(SPACES / options.space)
    rng = np.random.default_rng(options.seed)
    variants = generate(space, options.variants, options.seed)
    sizes = rng.integers(32, options.largest, size=(len(variants), 2)).tolist()
    counts = [counted(a, (h, w)) for a, (h, w) in zip(variants, sizes, strict=True)]
    ours, points = million(options.million, options.points, options.seed)
    building = float(np.median([c.building_s for c in counts]))
    counting = float(np.median([c.counting_s for c in counts]))
    print(f"{cpu_model()}, one thread, {options.space} and {options.million}")
    agree = sum(c.equal for c in counts)
    print(f"equal to fvcore: {agree} of {len(counts)} variants (parameters, MACs, activations)")
    print(f"fvcore: {counting:.3f} s a variant, {building:.3f} s more to build it")
    print(f"costs: {points:,} variants in {ours:.1f} s, {1e6 * ours / points:.2f} us a variant")
    ratios = (points / ours * seconds for seconds in (counting, building + counting))
    print("costs is {:,.0f} times as fast a variant, {:,.0f} with building".format(*ratios))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--variants", type=int, default=20, help="counted both ways")
    add("--space", default="width_depth.yaml", help="that these variants are drawn from")
    add("--largest", type=int, default=256, help="largest side of a random image size")
    add("--million", default=LARGEST.name, help="space that many points are drawn from")
    add("--points", type=int, default=1_000_000)
    add("--seed", type=int, default=0)
    return parser.parse_args()


def counted(architecture: Architecture, size: tuple[int, int]) -> Count:
    """Count one variant both ways."""
    start = time.perf_counter()
    network = build(architecture, 19)
    built = time.perf_counter()
    macs = conv_macs_by_fvcore(network, size)
    done = time.perf_counter()
    found = cost(architecture, size, 19)
    params = sum(p.numel() for p in network.parameters())
    other = (params, macs, conv_activations_by_fvcore(network, size))
    return Count(
        (found.params, found.macs, found.activations) == other, built - start, done - built
    )


def million(name: str, points: int, seed: int) -> tuple[float, int]:
    """Cost random points of a space; return seconds and how many there were."""
    space = load_space(SPACES / name)
    drawn = np.random.default_rng(seed).integers(0, space.shape, (points, len(space.shape)))
    start = time.perf_counter()
    found = costs(space, drawn)
    return time.perf_counter() - start, len(found)


if __name__ == "__main__":
    main()
