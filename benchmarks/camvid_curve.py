"""mIoU against steps: W18-Small-v1 on CamVid from scratch, judged at rungs of one schedule.

    python benchmarks/camvid_curve.py --data-root CAMVID --steps 2000 --rungs 10 -o results/curve

Killed, the same command goes on from the last checkpoint. The curve is written as CSV beside the
checkpoint, rung by rung.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hrnet_search.data.dataset import fingerprint
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialProgress, TrialTask
from hrnet_search.space.load import load_space_file

SPACE = Path(__file__).parents[1] / "search_spaces" / "camvid.yaml"
COLUMNS = ("step", "miou", "miou_present", "loss", "seconds")


def main() -> None:
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(trained(options))


def trained(options: argparse.Namespace, check: Callable[[], object] = lambda: None) -> Path:
    """Train to the end and return the curve's file; goes on where it was.

    `check` is called at every step: what it raises as KeyboardInterrupt leaves a checkpoint.
    Raise SystemExit if the training failed.
    """
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    task = task_of(options, folder)
    curve = folder / f"{task.key}.csv"
    start = time.perf_counter()

    def report(progress: TrialProgress) -> bool:
        check()
        if progress.rung:
            rung = progress.rung
            seconds = f"{time.perf_counter() - start:.1f}"
            row = (rung.step, f"{rung.miou:.4f}", f"{rung.miou_present:.4f}", f"{rung.loss:.4f}")
            write(curve, (*map(str, row), seconds))
        return True

    result = Worker().run(task, report)
    if result.status != COMPLETED:
        raise SystemExit(f"{result.status}: {result.error}")
    print("; ".join(result.notes))
    return curve


def task_of(options: argparse.Namespace, folder: Path) -> TrialTask:
    """Return the trial: the shipped space's schedule for longer, its base for a network."""
    file = load_space_file(SPACE, data_root=options.data_root)
    size = (options.size[0], options.size[1])
    data = replace(file.schedule.data, size=size)
    schedule = replace(
        file.schedule,
        data=data,
        fingerprint=fingerprint(data),
        steps=options.steps,
        batch=options.batch,
        crop=size,
        precision=options.precision,
        init=options.init,
    )
    key = TrialKey(file.space.base.id, schedule.id, options.seed)
    count = options.rungs
    rungs = sorted({max(1, options.steps * (i + 1) // count) for i in range(count)})
    return TrialTask(
        number=0,
        key=key,
        architecture=file.space.base,
        schedule=schedule,
        rungs=tuple(rungs),
        device=options.device,
        folder=str(folder),
    )


def write(path: Path, row: tuple[str, ...]) -> None:
    """Add a rung to the curve; one that was judged again replaces what stood there."""
    rows: dict[str, tuple[str, ...]] = {}
    if path.exists():
        with path.open(newline="") as file:
            rows = {found[0]: tuple(found) for found in csv.reader(file) if found}
    rows = {**rows, COLUMNS[0]: COLUMNS, row[0]: row}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows.pop(COLUMNS[0]))
        writer.writerows(rows.values())
    print(
        "  ".join(f"{name} {value}" for name, value in zip(COLUMNS, row, strict=True)), flush=True
    )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-root", required=True, help="CamVid, laid out as search_spaces/camvid.yaml says")
    add("--steps", type=int, default=2000)
    add("--rungs", type=int, default=10)
    add("--batch", type=int, default=8)
    add("--size", type=int, nargs=2, default=(96, 128), metavar=("H", "W"))
    add("--precision", default="fp32", choices=("fp32", "bf16", "fp16"))
    add("--init", default="none", help="weights to start from")
    add("--seed", type=int, default=0)
    add("--device", default="auto")
    add("--threads", type=int, default=0, help="0: torch's own choice")
    add("-o", "--output", default="results/camvid_curve", help="folder of checkpoint and curve")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
