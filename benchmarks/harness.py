"""Which share of a trial's time is not training: judging at its rungs, and the harness around it.

    python benchmarks/harness.py --data-root CAMVID --steps 300

W18-Small-v1 on CamVid at 240x320, as one trial of a study: with the store and its commits, two
rungs, checkpoints every 120 s, and progress. The harness is all the time that goes by neither in
a step (its batch included) nor in judging.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

import torch
from rich.console import Console

from hrnet_search.data.batches import ImageStore
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.machine.load import cores
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.progress import PlainProgress
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.trial import TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.space.load import load_space_file
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore

SPACE = Path(__file__).parents[1] / "search_spaces" / "camvid.yaml"


@dataclass(slots=True)
class Clock:
    """Adds up the seconds that go by inside a method."""

    seconds: float = field(default=0.0)

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        def timed(*given: object, **named: object) -> object:
            start = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    machine = f"{device_name(device)}, {options.threads} threads"
    print(f"{machine}, torch {torch.__version__}, {date.today()}", flush=True)
    torch.optim.SGD([torch.zeros(1)])  # the first loads torch's compiler: seconds, once a process
    with tempfile.TemporaryDirectory() as folder:
        print(measure(plan_of(options, Path(folder, "study"))))


def plan_of(options: argparse.Namespace, folder: Path) -> Plan:
    """Return a study of one trial on CamVid."""
    file = load_space_file(SPACE, data_root=options.data_root)
    size = tuple(options.size)
    schedule = replace(
        file.schedule,
        data=replace(file.schedule.data, size=size),
        crop=size,
        steps=options.steps,
        precision=options.precision,
    )
    return Plan(
        space=file.space,
        objectives=("miou", "macs"),
        schedule=schedule,
        seeds=(0,),
        rungs=(options.steps // 3, options.steps),
        latency=LatencySpec(),
        sampler="random",
        seed=0,
        trials=1,
        device=options.device,
        folder=str(folder),
    )


def measure(plan: Plan) -> str:
    """Run the trial and return where its time went."""
    clocks = {"steps": Clock(), "judging": Clock(), "reading data": Clock()}
    methods = ((Trainer, "advance"), (Trainer, "judge"), (ImageStore, "__init__"))
    whole = Clock()

    def run(task: TrialTask, report: Report) -> TrialResult:
        base = replace(task, architecture=plan.space.base, latency=None)
        return Worker().run(base, report)

    StudyStore.create(plan.folder, Notes(name="harness"))
    with StudyStore(plan.folder) as store, ExitStack() as patched:
        for clock, (owner, name) in zip(clocks.values(), methods, strict=True):
            timed = clock.around(getattr(owner, name))
            patched.enter_context(patch.object(owner, name, lambda *a, t=timed, **b: t(*a, **b)))
        view = PlainProgress(1, 0, Console(file=io.StringIO()))
        whole.around(run_inline)(Brain(plan, store, None), run, [view])
        failed = [result.error for _, result in store.finished() if result.error]
    if failed:
        raise SystemExit(failed[0])
    rest = whole.seconds - sum(clock.seconds for clock in clocks.values())
    parts = {name: clock.seconds for name, clock in clocks.items()} | {"harness": rest}
    rows = (f"{name:12} {s:8.2f} s {s / whole.seconds:7.2%}" for name, s in parts.items())
    schedule = plan.schedule
    head = (
        f"{schedule.precision}, {schedule.steps} steps, rungs {plan.rungs}: {whole.seconds:.1f} s"
    )
    return "\n".join((head, *rows))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", required=True, help="CamVid, laid out as search_spaces/camvid.yaml says")
    add("--steps", type=int, default=300)
    add("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    add("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    add("--device", default="auto")
    add("--threads", type=int, default=cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
