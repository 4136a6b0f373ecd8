"""Latency against width, W16 to W48 in steps: where fewer MACs are slower, device by device.

    python benchmarks/inversions.py --size 512 1024 --precision bf16 --modes eager cudagraph compile

The full W18 (or, with --base, another config) at every width; each mode is a table of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.cost import cost
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.commands.profile_table import Profile, table
from hrnet_search.errors import InputError
from hrnet_search.evaluate.latency.one_network import measure
from hrnet_search.records.latency import LatencySpec

CONFIGS = Path(__file__).parents[1] / "configs"
CLASSES = 19


def main() -> None:
    options = parse()
    base = read_config(next(CONFIGS.glob(f"{options.base}*.yaml"))).architecture
    widths = range(options.widths[0], options.widths[1] + 1, options.step)
    size = (options.size[0], options.size[1])
    for mode in options.modes:
        spec = LatencySpec(
            size=size,
            batch=options.batch,
            device=options.device,
            mode=mode,
            precision=options.precision,
            seconds=options.seconds,
            threads=options.threads,
        )
        profiles = list(measured(base, widths, spec))
        print(table(profiles, size, options.batch, 1), "\n", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--base", default="seg_hrnet_w18_sgd", help="how the name of a shipped config begins")
    add("--widths", type=int, nargs=2, default=(16, 48), metavar=("FROM", "TO"))
    add("--step", type=int, default=2)
    add("--size", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    add("--batch", type=int, default=1)
    add("--device", default="auto")
    add("--modes", nargs="+", default=["auto"], help="auto, eager, cudagraph, compile")
    add("--precision", default="fp32")
    add("--seconds", type=float, default=5.0)
    add("--threads", type=int, default=0)
    return parser.parse_args()


def measured(base: Architecture, widths: range, spec: LatencySpec) -> Iterator[Profile]:
    """Yield the profile of each width; what the device cannot do is said and passed over."""
    for width in widths:
        try:
            yield profiled(f"W{width}", widened(base, width), spec)
        except InputError as error:
            print(f"width {width}, {spec.mode}: {error}")


def profiled(
    name: str, architecture: Architecture, spec: LatencySpec, throughput_batch: int = 0
) -> Profile:
    """Measure a network by a spec, and images a second at a batch of its own if that is not 0.

    Raise InputError for what the device cannot do.
    """
    seen = measure(architecture, CLASSES, spec, throughput_batch)
    return Profile(
        config=name,
        name=name,
        architecture=architecture,
        cost=cost(architecture, spec.size, CLASSES),
        inference_bytes=inference_memory(architecture, spec.size, CLASSES, spec.batch),
        training_bytes=training_memory(architecture, spec.size, CLASSES, 1),
        latency=seen.latency,
        images_per_s=seen.images_per_s,
        reused=seen.reused,
    )


def widened(base: Architecture, width: int) -> Architecture:
    """Return the base with width * 2**b channels in branch b of stages 2 to 4."""

    def stage(old: Stage) -> Stage:
        return replace(old, channels=tuple(width * 2**b for b in range(old.branches)))

    first, *rest = base.stages
    second, third, fourth = map(stage, rest)
    return replace(base, stages=(first, second, third, fourth))


if __name__ == "__main__":
    main()
