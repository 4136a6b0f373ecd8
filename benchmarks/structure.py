"""Whether what networks are made of helps to rank real trainings that a model has not seen.

    python -m benchmarks.structure

The default sampler's model of accuracy, with and without those columns, is fitted to all networks
of a table but one, each by one training, and asked for that one. What it says is held against the
other training (the same one, where there is only one): Kendall's tau over networks, with a 95%
bootstrap interval (BCa), and that of the difference. Tables are shapes.csv, whose choices are those
of shapes.yaml, and equal_macs.csv, whose choices are those of its list of variants.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.fill import TRUTH
from benchmarks.tables.variants import CLASSES, SIZE, Variant, read_variants
from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs
from hrnet_search.arch.structure import structure
from hrnet_search.report.trust.statistics import bca, tau_b
from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.fits import COLD
from hrnet_search.search.samplers.surrogate import Belief, Data, fitted
from hrnet_search.space.load import load_space

TABLES = Path(__file__).parent / "tables"


@dataclass(frozen=True, slots=True)
class Trained:
    """Networks of a table as points of their choices, what each had, and what it is judged by."""

    name: str
    axes: tuple[Axis, ...]
    points: Points
    networks: Sequence[Architecture]
    seen: Floats
    truth: Floats


def main() -> None:
    print("| table | networks | without | with | difference |\n| --- | --: | --- | --- | --- |")
    for table in (shapes(), equal_macs()):
        without, told = (left_out(table, problem_of(table, made)) for made in (False, True))
        cells = [
            _interval(tau_b, without, table.truth),
            _interval(tau_b, told, table.truth),
            _interval(_gain, without, told, table.truth),
        ]
        print(f"| {table.name} | {len(table.truth)} | " + " | ".join(cells) + " |")


def shapes() -> Trained:
    """Return the variants of shapes.csv, 240 steps: mIoU by one seed, judged by the other."""
    space = load_space(TABLES / "shapes.yaml")
    found: dict[tuple[int, ...], dict[int, float]] = defaultdict(dict)
    for row in _rows(TABLES / "shapes.csv"):
        if row["steps"] == "240":
            point = tuple(map(int, row["point"].split("-")))
            found[point][int(row["seed"])] = float(row["miou"])
    both = {point: seeds for point, seeds in found.items() if len(seeds) == 2}
    axes = tuple(Axis(c.path, c.values, c.ordered) for c in space.choices)
    points = np.array(list(both))
    networks = [space.decode(point) for point in both]
    seen, truth = (np.array([seeds[s] for seeds in both.values()]) for s in (0, 1))
    return Trained("shapes.csv", axes, points, networks, seen, truth)


def equal_macs() -> Trained:
    """Return the variants of equal_macs.csv with a whole training: soft IoU of the first seed."""
    scores = {
        row["variant"]: float(row["soft_iou"])
        for row in _rows(TABLES / "equal_macs.csv")
        if row["steps"] == row["step"] == str(TRUTH) and row["seed"] == "0"
    }
    variants = [variant for variant in read_variants() if variant.id in scores]
    axes, columns = zip(*(_axis(*choice, variants) for choice in CHOICES), strict=True)
    seen = np.array([scores[variant.id] for variant in variants])
    networks = [variant.architecture for variant in variants]
    return Trained("equal_macs.csv", axes, np.stack(columns, axis=1), networks, seen, seen)


Level = Callable[[Variant], Any]

CHOICES: tuple[tuple[str, bool, Level], ...] = (
    ("width", True, lambda v: v.architecture.stages[3].channels[0]),
    ("stage 1", True, lambda v: v.architecture.stages[0].channels[0]),
    ("growth", True, lambda v: round(2 * v.architecture.stages[3].channels[1]
                                     / v.architecture.stages[3].channels[0])),
    ("blocks", False, lambda v: v.architecture.stages[3].blocks),
    ("modules", False, lambda v: tuple(s.modules for s in v.architecture.stages)),
    ("branches", False, lambda v: tuple(s.branches for s in v.architecture.stages)),
    ("fuse", False, lambda v: v.architecture.stages[3].fuse),
)  # fmt: skip
"""How the variants of equal MACs differ: by name, whether ordered, and the level of one."""


def _axis(name: str, ordered: bool, of: Level, variants: Sequence[Variant]) -> tuple[Axis, Points]:
    levels = sorted({of(variant) for variant in variants})
    return Axis(name, levels, ordered), np.array([levels.index(of(v)) for v in variants])


def problem_of(table: Trained, made_of: bool) -> Problem:
    """Return a table as a problem, with what its networks are made of or without."""
    rows = {tuple(point): row for row, point in enumerate(table.points.tolist())}
    batch = ArchitectureBatch.of(table.networks)
    costs = batch_costs(batch, SIZE, CLASSES)[:, :2].astype(np.float64)
    columns = structure(batch)

    def row(points: Points) -> list[int]:
        return [rows[tuple(point)] for point in points.tolist()]

    problem = Problem(
        table.axes, lambda p: costs[row(p)], lambda p: np.ones(len(p), dtype=np.bool_)
    )
    return replace(
        problem, features=lambda p: columns[row(p)] if made_of else np.zeros((len(p), 0))
    )


def left_out(table: Trained, problem: Problem) -> Floats:
    """Return what the model expects of each network from all others, [n]."""
    features = Features(problem, table.points)
    rows = features(table.points)
    expected = np.empty(len(rows))
    for number in range(len(rows)):
        others = np.arange(len(rows)) != number
        data = Data(
            rows[others], table.seen[others], np.ones(others.sum()), features.groups,
            features.families,
        )  # fmt: skip
        belief = Belief(data, fitted(data, None, COLD))
        expected[number] = belief.mean(rows[[number]])[0]
    return expected


def _gain(without: Floats, told: Floats, truth: Floats) -> Floats:
    return np.asarray(tau_b(told, truth) - tau_b(without, truth))


def _interval(statistic: Callable[..., Floats], *columns: Floats) -> str:
    found = bca(statistic, columns)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
