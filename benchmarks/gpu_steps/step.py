"""The steps in the order of what they tell, and what each is given."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps.results import Results, TimeIsOver

TORCH = ("torch", "numpy", "yaml", "safetensors")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its share of the time, what it tells, the modules without which it is left out."""

    name: str
    weight: float
    tells: str
    needs: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        return [name for name in self.needs if find_spec(name) is None]

    def run(self, given: Given) -> None:
        """Go on with the step and say what follows; raise TimeIsOver if it is not all done.

        Its module has `run(given)`, and `findings(rows)` in lines for people.
        """
        module: Any = import_module(f"benchmarks.gpu_steps.{self.name}")
        try:
            module.run(given)
        finally:
            given.results.found = list(module.findings(given.results.rows))


STEPS = (
    Step("tests", 5, "every test marked gpu", (*TORCH, "pytest", "PIL")),
    Step(
        "inversions", 6, "latency of all shipped configs and 24 variants; where MACs mislead",
        (*TORCH, "scipy"),
    ),
    Step(
        "training", 4, "images a second beside other loops, and what the GPU waits for",
        (*TORCH, "PIL"),
    ),
    Step(
        "search", 8, "a study on CamVid (else shapes), the same with init: base, and its trust",
        (*TORCH, "PIL", "scipy", "pandas", "sklearn", "threadpoolctl"),
    ),
    Step("curve", 2, "mIoU of W18-Small-v1 on CamVid against steps", (*TORCH, "PIL")),
    Step("table", 4, "more rows for benchmarks/tables, until the time is over", TORCH),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """What a step works with: a device as space files name it, `until` on the monotonic clock.

    `data_root` is CamVid as search_spaces/camvid.yaml has it, empty without it. On the CPU a
    step is a dry run: small, of what has a meaning there.
    """

    out: Path
    device: str
    until: float
    data_root: str
    results: Results

    @property
    def dry(self) -> bool:
        return self.device == "cpu"

    def left(self) -> float:
        """Return the seconds that are left; raise TimeIsOver if none are."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeIsOver
        return left

    def work(self, name: str) -> Path:
        """Return a folder for what is needed to go on, and is not a result."""
        folder = self.out / "work" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def named(names: Iterable[str]) -> list[Step]:
    """Return steps by name, in their order."""
    wanted = set(names)
    return [step for step in STEPS if step.name in wanted]
