"""Spread of repeated latency estimates of one network: plain mean, plain median, our ratio.

    python benchmarks/latency.py --repeats 20 --seconds 3 --background 2

Every repeat spends `seconds` on the network alone, for mean and median, and at most as much on
the network interleaved with the reference, for the ratio, in turns which comes first. Background
processes burn a core each, in random periods on and off.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.evaluate.latency.calls import measuring, prepare, timer
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.reference_network import REFERENCE
from hrnet_search.evaluate.latency.setting import fixed_input
from hrnet_search.evaluate.latency.timing import Comparison, Timer, compare, warm_up
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import LatencyCondition, LatencySpec

MEASURED = Architecture(
    (
        Stage(1, "BOTTLENECK", (2,), (64,)),
        Stage(1, "BASIC", (2, 2), (24, 48)),
        Stage(2, "BASIC", (2, 2, 2), (24, 48, 96)),
        Stage(1, "BASIC", (2, 2, 2, 2), (24, 48, 96, 192)),
    )
)
"""A middling variant, two to three times as slow as the reference."""

BURN = """
import os, random, sys, time
seed, *period = map(float, sys.argv[1:])
rng, parent = random.Random(seed), os.getppid()
while os.getppid() == parent:  # an orphan ends by itself
    time.sleep(rng.uniform(*period))
    end = time.perf_counter() + rng.uniform(*period)
    while time.perf_counter() < end:
        sum(range(10_000))
"""
"""A background process: it uses all of a core in random periods, off and on."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """What one repeat gave: ms of the network timed alone, and the interleaved comparison."""

    alone: NDArray[np.float64]
    interleaved: Comparison


def main() -> None:
    options = parse()
    spec = LatencySpec(
        size=tuple(options.size),
        device=options.device,
        mode=options.mode,
        precision=options.precision,
        threads=options.threads,
    )
    condition = resolve(spec).condition
    with background(options.background, options.seed, options.period):
        repeats = list(measure(spec, options.repeats, options.seconds))
    print(table(repeats, condition, options))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--repeats", type=int, default=20)
    add("--seconds", type=float, default=3.0, help="for each estimate")
    add("--size", type=int, nargs=2, default=(128, 256), metavar=("H", "W"))
    add("--device", default="auto")
    add("--mode", default="auto")
    add("--precision", default="fp32")
    add("--threads", type=int, default=0, help="0: all cores but one")
    add("--background", type=int, default=2, help="processes that burn a core each")
    add("--period", type=float, nargs=2, default=(0.5, 8.0), help="seconds on or off, from, to")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def measure(spec: LatencySpec, repeats: int, seconds: float) -> Iterator[Repeat]:
    """Estimate again and again; neither way of estimating is always the one that comes first."""
    setting = resolve(spec)
    with measuring(setting):
        images = fixed_input(setting)
        reference, measured = (
            timer(prepare(build(architecture), setting), images, setting)
            for architecture in (REFERENCE, MEASURED)
        )
        for number in range(repeats):
            if number % 2:
                alone = time_plainly(measured, seconds)
            found = compare(reference, measured, time.perf_counter, seconds)
            if not number % 2:
                alone = time_plainly(measured, seconds)
            yield Repeat(alone, found)


def time_plainly(timer: Timer, seconds: float) -> NDArray[np.float64]:
    """Do what is usually done: warm up, then time for a while."""
    end = time.perf_counter() + seconds
    warm_up((timer,), time.perf_counter, seconds / 3)
    times = [timer()]
    while time.perf_counter() < end:
        times.append(timer())
    return np.array(times)


def table(repeats: list[Repeat], condition: LatencyCondition, options: argparse.Namespace) -> str:
    """Return centre and coefficient of variation of each estimate over the repeats."""
    estimates = {
        "plain mean, ms": [r.alone.mean() for r in repeats],
        "plain median, ms": [np.median(r.alone) for r in repeats],
        "plain minimum, ms": [r.alone.min() for r in repeats],
        "interleaved ratio": [r.interleaved.ratio for r in repeats],
    }
    low, high = options.period
    lines = [
        str(condition),
        (
            f"{len(repeats)} repeats of {options.seconds} s, {options.background} background"
            f" processes on and off for {low} to {high} s (seed {options.seed})"
        ),
        f"{'estimate':20} {'median':>9} {'least':>9} {'most':>9} {'CV':>7}",
    ]
    for name, values in estimates.items():
        variation = np.std(values, ddof=1) / np.mean(values)
        centre, least, most = np.median(values), min(values), max(values)
        lines.append(f"{name:20} {centre:9.3f} {least:9.3f} {most:9.3f} {variation:7.2%}")
    centre = np.median(estimates["interleaved ratio"])
    held = sum(r.interleaved.low <= centre <= r.interleaved.high for r in repeats)
    noisy = sum(r.interleaved.noisy for r in repeats)
    lines.append(f"{held} of {len(repeats)} intervals hold the median ratio; {noisy} are noisy")
    return "\n".join(lines)


@contextmanager
def background(count: int, seed: int, period: tuple[float, float]) -> Iterator[None]:
    """Run `count` processes that burn a core each, now and then, until the block is left."""
    started = [
        subprocess.Popen([sys.executable, "-c", BURN, str(seed + i), *map(str, period)])
        for i in range(count)
    ]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
