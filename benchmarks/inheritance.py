"""What an inherited start is worth: variants from scratch against variants of a base trained once.

    python benchmarks/inheritance.py --data-root CAMVID

Trains the base (W18-Small-v1) once, then every variant from scratch and from the base's weights,
with every seed, and prints for each the mIoU reached and the steps that the inherited start needs
to the mIoU of training from scratch. An inherited training has a schedule of its own, half as
long. Every rung goes to the CSV as it is seen; what is there already is not trained again.
`--only scratch` (or `inherited`, or a variant's name) does a part, `--table` only prints.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

import torch

from hrnet_search.arch.architecture import Architecture
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.evaluate.training.train import Trainer, train
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import inherit_from
from hrnet_search.net.weights import save_weights
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialProgress
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "search_spaces" / "camvid.yaml"
COLUMNS = (
    "optimiser", "arm", "variant", "seed", "base_steps", "steps", "lr", "step", "miou", "seconds",
)  # fmt: skip
BASE, SCRATCH, INHERITED = "base", "scratch", "inherited"


@dataclass(frozen=True, slots=True)
class Run:
    """One training, as rows are keyed by it; `base_steps` are those of the base it inherits."""

    optimiser: str
    arm: str
    variant: str
    seed: int
    base_steps: int
    steps: int
    lr: float


def variants(base: Architecture) -> dict[str, Architecture]:
    """Return what is compared: the base changed in one way each."""
    return {
        "width 12": _wide(base, 12),
        "width 20": _wide(base, 20),
        "2 modules": _stage(base, 2, modules=2),
        "1 block": _blocks(base, 1),
        "3 blocks": _blocks(base, 3),
        "3 branches": _stage(base, 3, blocks=(2, 2, 2), channels=(16, 32, 64)),
        "CAT": _stage(_stage(_stage(base, 1, fuse="CAT"), 2, fuse="CAT"), 3, fuse="CAT"),
    }


def _stage(base: Architecture, index: int, **changes: object) -> Architecture:
    stages = list(base.stages)
    stages[index] = replace(stages[index], **changes)  # type: ignore[arg-type]
    return replace(base, stages=(stages[0], stages[1], stages[2], stages[3]))


def _wide(base: Architecture, width: int) -> Architecture:
    for index in (1, 2, 3):
        branches = base.stages[index].branches
        base = _stage(base, index, channels=tuple(width * 2**b for b in range(branches)))
    return base


def _blocks(base: Architecture, count: int) -> Architecture:
    for index in (1, 2, 3):
        base = _stage(base, index, blocks=(count,) * base.stages[index].branches)
    return base


class Bench:
    """Data, schedule and the table of what has been seen."""

    def __init__(self, options: argparse.Namespace) -> None:
        file = load_space_file(SPACE, options.data_root)
        self.options = options
        self.base = file.space.base
        self.schedule = file.schedule
        self.path = Path(options.csv)
        name = f"base-{self.schedule.optimiser}-{options.base_steps}.safetensors"
        self.weights = Path(options.weights, name)
        self._stores: list[ImageStore] = []

    def runs(self) -> Iterator[tuple[Run, Architecture]]:
        """Yield all trainings in the order that fills the table soonest: by seed, then variant."""
        given, kind, usual = self.options, self.schedule.optimiser, self.schedule.lr
        yield Run(kind, BASE, BASE, 0, 0, given.base_steps, usual), self.base
        for seed in given.seeds:
            for name, variant in variants(self.base).items():
                yield Run(kind, SCRATCH, name, seed, 0, given.steps, usual), variant
                for share in given.inherited_lr:
                    base, steps, lr = given.base_steps, given.inherited_steps, share * usual
                    yield Run(kind, INHERITED, name, seed, base, steps, lr), variant

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def done(self, run: Run) -> bool:
        if run.arm == BASE and not self.weights.exists():
            return False
        return bool(self.curve(run).get(run.steps))

    def curve(self, run: Run) -> dict[int, float]:
        """Return the mIoU seen at each step."""
        found = [row for row in self.rows() if _run_of(row) == run]
        return {int(row["step"]): float(row["miou"]) for row in found}

    def train(self, run: Run, architecture: Architecture) -> None:
        """Train to the end, with a row for every rung, and keep the base's weights."""
        schedule = replace(self.schedule, steps=run.steps, lr=run.lr)
        network = self._started(run, architecture)
        trainer = Trainer(network, self._data(schedule, run.seed), schedule)
        begin = time.perf_counter()

        def report(progress: TrialProgress) -> bool:
            if progress.rung is not None:
                seconds = time.perf_counter() - begin
                self._write(run, progress.step, progress.rung.miou, seconds)
            return True

        rungs = (run.steps // 2, run.steps)
        train(trainer, (0, *rungs) if run.arm == INHERITED else rungs, report)
        if run.arm == BASE:
            self.weights.parent.mkdir(parents=True, exist_ok=True)
            save_weights(network, self.weights, {"architecture": architecture.id})

    def _started(self, run: Run, architecture: Architecture) -> HighResolutionNet:
        torch.manual_seed(run.seed)
        network = build(architecture, self.schedule.data.classes)
        if run.arm == INHERITED:
            print(f"  {inherit_from(network, self.weights)}")
        return network

    def _data(self, schedule: Schedule, seed: int) -> TrainingData:
        spec = schedule.data
        if not self._stores:
            self._stores = [ImageStore(open_dataset(spec, split)) for split in ("train", "val")]
        batches = Batches(self._stores[0], schedule, seed)
        return TrainingData(
            batch=batches.batch,
            validation=lambda: validation_batches(self._stores[1], spec, 8, "cpu"),
            images=len(self._stores[1]),
        )

    def _write(self, run: Run, step: int, miou: float, seconds: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow((*astuple(run), step, f"{miou:.5f}", f"{seconds:.1f}"))
        print(f"  step {step:<5} mIoU {100 * miou:5.2f} %  {seconds:.0f} s", flush=True)


def table(bench: Bench, lr: float) -> list[str]:
    """Return a line a variant: mIoU in percent, mean and deviation over the seeds that are there.

    A variant has caught up at the first rung whose mean is that of training from scratch.
    """
    given = bench.options
    found: dict[tuple[str, str], list[dict[int, float]]] = {}
    for run, _ in bench.runs():
        curve = bench.curve(run)
        if run.steps in curve and (run.arm != INHERITED or run.lr == lr):
            found.setdefault((run.arm, run.variant), []).append(curve)
    rungs = (0, given.inherited_steps // 2, given.inherited_steps)
    cells = [f"at {rung}" for rung in rungs]
    names = ["variant", f"scratch, {given.steps} steps", *cells, "caught up", "seeds"]
    lines = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for name in variants(bench.base):
        scratch, inherited = (found.get((arm, name), []) for arm in (SCRATCH, INHERITED))
        if not scratch or not inherited:
            continue
        aim = [curve[given.steps] for curve in scratch]
        seen = {rung: [curve[rung] for curve in inherited] for rung in rungs}
        caught = next((str(r) for r in rungs if fmean(seen[r]) >= fmean(aim)), "no")
        row = [name, _cell(aim), *map(_cell, seen.values()), caught]
        lines.append(f"| {' | '.join(row)} | {len(scratch)}, {len(inherited)} |")
    return [*lines, "", *_cost(bench, found)]


def _cost(bench: Bench, found: dict[tuple[str, str], list[dict[int, float]]]) -> list[str]:
    given = bench.options
    base = found.get((BASE, BASE))
    if not base:
        return []
    count = len(variants(bench.base))
    paid = given.base_steps + count * given.inherited_steps
    total = f"{count * given.steps} steps from scratch, {paid} inherited with the base's"
    reached = _cell([base[0][given.base_steps]])
    return [f"base: {given.base_steps} steps, mIoU {reached}; {count} variants: {total}"]


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"


def _run_of(row: dict[str, str]) -> Run:
    seed, base_steps, steps = (int(row[name]) for name in ("seed", "base_steps", "steps"))
    kind, lr = row["optimiser"], float(row["lr"])
    return Run(kind, row["arm"], row["variant"], seed, base_steps, steps, lr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-root", required=True, metavar="CAMVID")
    parser.add_argument("--steps", type=int, default=200, help="from scratch")
    parser.add_argument("--base-steps", type=int, default=600)
    parser.add_argument("--inherited-steps", type=int, default=100)
    shares = "learning rates of inherited starts, as shares of the space's"
    parser.add_argument("--inherited-lr", type=float, nargs="+", default=[0.4], help=shares)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="arms and variants")
    parser.add_argument("--csv", default=str(ROOT / "benchmarks/results/inheritance.csv"))
    parser.add_argument("--weights", default=str(ROOT / "results/inheritance"))
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    return parser.parse_args()


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    for run, architecture in bench.runs():
        wanted = options.only is None or {run.arm, run.variant} & set(options.only)
        if options.table or not wanted or bench.done(run):
            continue
        print(f"{run.arm}, {run.variant}, seed {run.seed}", flush=True)
        bench.train(run, architecture)
    for share in options.inherited_lr:
        print(f"\ninherited at {share:g} times the learning rate from scratch")
        print("\n".join(table(bench, share * bench.schedule.lr)))


if __name__ == "__main__":
    main()
