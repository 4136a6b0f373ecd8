"""The problems by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.problems.benchmark import Benchmark
from benchmarks.problems.grids import dtlz2, interactions, zdt3
from benchmarks.problems.hrnet_shaped import hrnet_shaped
from benchmarks.problems.tabulated import nasbench201, own_table

TABLES = Path(__file__).parents[1] / "tables"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of problems are: the folder of NAS-Bench-201, and one for caches."""

    nasbench: Path | None
    cache: Path


def _given(folder: Path | None) -> Path:
    if folder is None:
        raise SystemExit("nasbench201 needs --nasbench DIR with its cifar100.npz")
    return folder


def _own(path: Path) -> Callable[[Places], Benchmark]:
    return lambda _: own_table(path)


PROBLEMS: dict[str, Callable[[Places], Benchmark]] = {
    "nasbench201": lambda places: nasbench201(_given(places.nasbench)),
    "hrnet-shaped": lambda places: hrnet_shaped(places.cache),
    "interactions": lambda _: interactions(),
    "dtlz2": lambda _: dtlz2(),
    "zdt3": lambda _: zdt3(),
    **{path.stem: _own(path.with_suffix(".csv")) for path in sorted(TABLES.glob("*.yaml"))},
}
