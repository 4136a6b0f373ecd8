"""Latency of all shipped configs and 24 variants by condition: where fewer MACs are slower.

The variants: the full W18 at widths between the published ones, and what `width_depth.yaml`
draws. A condition is done for all networks before the next begins; compiling, which takes
minutes a network, comes last.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.gpu_steps.results import Row
from benchmarks.gpu_steps.step import Given
from benchmarks.inversions import CLASSES, CONFIGS, profiled, widened
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import cost
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.arch.memory import inference_memory, training_memory
from hrnet_search.commands.profile_table import Profile, inversions, table
from hrnet_search.files import write_whole
from hrnet_search.latency_rule import closed
from hrnet_search.records.latency import Latency, LatencySpec
from hrnet_search.report.trust.statistics import bca, tau_b
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space
from hrnet_search.store.rows import from_json, to_json

SPACE = Path(__file__).parents[2] / "search_spaces" / "width_depth.yaml"
BETWEEN = (16, 20, 22, 24, 26, 28, 34, 36, 38, 42, 44, 46)
"""Widths of the full W18 that no shipped config has."""

DRAWN = 12
SIZES, DRY_SIZES = ((512, 1024), (1024, 2048)), ((32, 64),)
PRECISIONS, DRY_PRECISIONS = ("bf16", "fp32"), ("fp32",)
MODES, DRY_MODES = ("cudagraph", "eager"), ("eager",)
SECONDS, DRY_SECONDS = 2.0, 0.2
THROUGHPUT_BATCH, DRY_BATCH = 8, 2
FEWEST = 5
"""Networks from which a tau is given."""


def run(given: Given) -> None:
    """Measure network by network."""
    try:
        _measure_all(given)
    finally:
        _write_tables(given)


def _measure_all(given: Given) -> None:
    for spec, (name, architecture) in itertools.product(specs(given), networks(given.dry).items()):
        key = f"{name}, {spelled(spec)}"
        if not given.results.has(key):
            given.left()
            _measure(given, key, name, architecture, spec)


def networks(dry: bool) -> dict[str, Architecture]:
    """Return the shipped configs and the variants by name; of each kind one where it is dry."""
    shipped = {_short(path): read_config(path).architecture for path in sorted(CONFIGS.glob("*"))}
    full = shipped["w18"]
    between = {f"w18 at {width}": widened(full, width) for width in BETWEEN}
    space = load_space(SPACE)
    drawn = {f"drawn {i}": found for i, found in enumerate(generate(space, DRAWN, seed=0))}
    if dry:
        return {"w18_small_v1": shipped["w18_small_v1"], "drawn 0": drawn["drawn 0"]}
    return {**shipped, **between, **drawn}


def specs(given: Given) -> Iterator[LatencySpec]:
    """Yield the conditions, those first that tell most for their time."""
    whole = itertools.product(SIZES, PRECISIONS, MODES)
    compiled = itertools.product(SIZES, PRECISIONS, ("compile",))
    dry = itertools.product(DRY_SIZES, DRY_PRECISIONS, DRY_MODES)
    plain = LatencySpec(device=given.device, seconds=DRY_SECONDS if given.dry else SECONDS)
    for size, precision, mode in dry if given.dry else itertools.chain(whole, compiled):
        yield replace(plain, size=size, precision=precision, mode=mode)


def spelled(spec: LatencySpec) -> str:
    return f"{spec.size[0]}x{spec.size[1]} {spec.precision} {spec.mode}"


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield a line a condition: how many pairs MACs order wrongly, and tau of MACs and latency."""
    for condition, profiles in by_condition(rows.values()).items():
        steady = [p for p in profiles if p.latency and closed(p.latency)]
        pairs = len(steady) * (len(steady) - 1) // 2
        line = f"{condition}: {len(steady)} of {len(profiles)} networks steady"
        line += f", {len(inversions(profiles))} of {pairs} pairs inverted beyond their intervals"
        if len(steady) >= FEWEST:
            macs = np.log([p.cost.macs for p in steady])
            ms = np.array([p.latency.ms for p in steady if p.latency])
            tau = bca(tau_b, (macs, ms))
            line += f", tau of MACs {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}]"
        yield line


def by_condition(rows: Iterable[Row]) -> dict[str, list[Profile]]:
    """Return what was measured, by condition, as `profile` has it."""
    found: dict[str, list[Profile]] = {}
    for row in rows:
        if "latency" in row:
            found.setdefault(row["condition"], []).append(_profile(row))
    return found


def _measure(
    given: Given, key: str, name: str, architecture: Architecture, spec: LatencySpec
) -> None:
    first, many = (DRY_MODES[0], DRY_BATCH) if given.dry else (MODES[0], THROUGHPUT_BATCH)
    with given.results.row(key) as row:
        row |= {"network": name, "condition": spelled(spec)}
        batch = many if spec.mode == first else 0
        seen = profiled(name, architecture, spec, batch)
        assert seen.latency is not None
        row |= {
            "params": seen.cost.params,
            "macs": seen.cost.macs,
            "latency": json.loads(to_json(seen.latency)),
            "images_per_s": seen.images_per_s,
            "says": f"{seen.latency.ms:.3f} ms{' noisy' if seen.latency.noisy else ''}",
        }


@cache
def _all_networks() -> dict[str, Architecture]:
    return networks(dry=False)


def _profile(row: Row) -> Profile:
    latency: Latency = from_json(Latency, json.dumps(row["latency"]))
    architecture, size = _all_networks()[row["network"]], latency.condition.size
    return Profile(
        config=row["network"],
        name=row["network"],
        architecture=architecture,
        cost=cost(architecture, size, CLASSES),
        inference_bytes=inference_memory(architecture, size, CLASSES, latency.condition.batch),
        training_bytes=training_memory(architecture, size, CLASSES, 1),
        latency=latency,
        images_per_s=row["images_per_s"],
    )


def _write_tables(given: Given) -> None:
    """Write the tables that `profile` shows, one a condition, with what follows from each."""
    parts = []
    for condition, profiles in by_condition(given.results.rows.values()).items():
        latency = profiles[0].latency
        assert latency is not None
        size, batch = latency.condition.size, latency.condition.batch
        parts.append(f"## {condition}\n\n```\n{table(profiles, size, batch, 1)}\n```\n")
    write_whole(given.out / "inversions.md", "\n".join(parts).encode())


def _short(path: Path) -> str:
    """Return w18_small_v1 for seg_hrnet_w18_small_v1_sgd_..."""
    found = re.match(r"seg_hrnet_(w\d+(_small_v\d)?)_", path.name)
    assert found, f"{path.name} does not say which HRNet it is"
    return found[1]
