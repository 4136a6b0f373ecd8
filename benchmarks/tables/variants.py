"""The variants of `equal_macs.csv` and `camvid.csv`: bins of nearly equal MACs, forms wide apart.

    python benchmarks/tables/variants.py

writes the lists anew. A form is how a network spends its MACs: width, how channels grow from
branch to branch, channels of stage 1, branches, modules, blocks (even, more on high or on low
resolution), SUM or CAT. In a bin the next variant is the one least like those before it, so that
the first n of every bin are spread as widely as n can be, parameters included.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs, operations

HERE = Path(__file__).parent
VARIANTS = HERE / "equal_macs_variants.csv"
SIZE, CLASSES = (64, 64), 8
BINS = (18e6, 23e6, 29e6, 37e6, 47e6, 60e6)
PER_BIN = 18
CAMVID_VARIANTS = HERE / "camvid_variants.csv"
CAMVID_SIZE, CAMVID_CLASSES = (96, 128), 11
CAMVID_BINS = (45e6, 65e6, 95e6)
CAMVID_PER_BIN = 8
WITHIN = 0.04
"""How far the MACs of a variant may be from its bin's, as a share."""
MOST_CONVOLUTIONS = 120
"""The time of a step on images this small is that of its calls: deeper networks cost too much."""

WIDTHS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
STAGE1 = (8, 16, 32, 64)
BLOCKS = ((1, 1, 1, 1), (2, 2, 2, 2), (4, 4, 4, 4), (4, 2, 1, 1), (1, 1, 2, 4))
MODULES = ((1, 1, 1), (1, 2, 1), (1, 3, 2))
BRANCHES = ((2, 2, 2), (2, 2, 3), (2, 3, 3), (2, 3, 4))
GROWTHS = (1.0, 1.5, 2.0)
FUSIONS = ("SUM", "CAT")
COLUMNS = (
    "bin", "place", "variant", "params", "macs", "stage1", "modules", "branches", "blocks",
    "channels", "fuse",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variant:
    """One network of the list; `bin` counts from 0, `place` is its turn within the bin."""

    bin: int
    place: int
    architecture: Architecture
    params: int
    macs: int

    @property
    def id(self) -> str:
        return self.architecture.id


def read_variants(path: Path = VARIANTS) -> list[Variant]:
    """Return the committed list, by place, then bin: the first n are spread over all bins."""
    with path.open(encoding="utf-8", newline="") as file:
        variants = [_read(row) for row in csv.DictReader(file)]
    return sorted(variants, key=lambda v: (v.place, v.bin))


def main() -> None:
    grid = list(forms())
    write(VARIANTS, grid, (SIZE, CLASSES), BINS, PER_BIN)
    write(CAMVID_VARIANTS, grid, (CAMVID_SIZE, CAMVID_CLASSES), CAMVID_BINS, CAMVID_PER_BIN)


def write(
    path: Path,
    grid: list[Architecture],
    images: tuple[tuple[int, int], int],
    bins: tuple[float, ...],
    per_bin: int,
) -> None:
    """Write a list of variants, so many a bin; MACs are at a size and with a number of classes."""
    batch = ArchitectureBatch.of(grid)
    costs = batch_costs(batch, *images)
    convolutions = sum(op.count for op in operations(batch, *images))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, centre in enumerate(bins):
            near = np.abs(costs[:, 1] / centre - 1) <= WITHIN
            there = np.flatnonzero(near & (convolutions <= MOST_CONVOLUTIONS))
            features = np.array([_features(grid[i], costs[i, 0]) for i in there])
            for place, chosen in enumerate(_spread(features, per_bin)):
                index = there[chosen]
                writer.writerow((number, place, *_row(grid[index], costs[index])))


def forms() -> Iterator[Architecture]:
    """Yield every network of the grid once, whatever its cost."""
    levels = (WIDTHS, STAGE1, BLOCKS, MODULES, BRANCHES, GROWTHS, FUSIONS)
    forms = (_form(*level) for level in itertools.product(*levels))
    yield from {form.id: form for form in forms}.values()


def _form(
    width: int,
    stage1: int,
    blocks: tuple[int, ...],
    modules: tuple[int, ...],
    branches: tuple[int, ...],
    growth: float,
    fuse: str,
) -> Architecture:
    def stage(modules: int, branches: int) -> Stage:
        channels = tuple(round(width * growth**branch) for branch in range(branches))
        return Stage(modules, "BASIC", blocks[:branches], channels, fuse)

    first = Stage(1, "BOTTLENECK", (1,), (stage1,))
    second, third, fourth = map(stage, modules, branches)
    return Architecture((first, second, third, fourth))


def _features(form: Architecture, params: int) -> list[float]:
    """Return what two forms are compared by, each with a range of about 1."""
    stages = form.stages[1:]
    last = stages[-1]
    deep = sum(stage.modules * sum(stage.blocks) / stage.branches for stage in stages)
    return [
        np.log10(params),
        np.log2(last.channels[0]) / 3,
        np.log2(form.stages[0].channels[0]) / 3,
        sum(stage.branches for stage in stages) / 3,
        np.log2(deep) / 3,
        np.log2(last.channels[1] / last.channels[0]),
        float(last.blocks[0] < last.blocks[-1]) - float(last.blocks[0] > last.blocks[-1]),
        float(last.fuse == "CAT"),
    ]


def _spread(features: NDArray[np.float64], count: int) -> list[int]:
    """Return the indices of `count` points, each the farthest from those before it."""
    chosen = [int(features[:, 0].argmin())]
    nearest = np.full(len(features), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return chosen


def _row(form: Architecture, costs: NDArray[np.int64]) -> tuple[object, ...]:
    params, macs, _ = costs
    first, *stages = form.stages
    last = stages[-1]
    counts = ([s.modules for s in stages], [s.branches for s in stages], last.blocks, last.channels)
    lists = ("-".join(map(str, numbers)) for numbers in counts)
    return form.id, params, macs, first.channels[0], *lists, last.fuse


def _read(row: dict[str, str]) -> Variant:
    modules, branches, blocks, channels = (
        tuple(map(int, row[key].split("-")))
        for key in ("modules", "branches", "blocks", "channels")
    )
    stages = [
        Stage(count, "BASIC", blocks[:wide], channels[:wide], row["fuse"])
        for count, wide in zip(modules, branches, strict=True)
    ]
    first = Stage(1, "BOTTLENECK", (1,), (int(row["stage1"]),))
    second, third, fourth = stages
    form = Architecture((first, second, third, fourth))
    assert form.id == row["variant"], f"{row['variant']} is not what its columns say"
    return Variant(int(row["bin"]), int(row["place"]), form, int(row["params"]), int(row["macs"]))


if __name__ == "__main__":
    main()
