"""mIoU against steps of W18-Small-v1 on CamVid at full size, by `benchmarks/camvid_curve.py`."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator

from benchmarks import camvid_curve
from benchmarks.gpu_steps.drawn import draw_camvid
from benchmarks.gpu_steps.results import LeftOut, Row, TimeIsOver
from benchmarks.gpu_steps.step import Given

CURVE = "W18-Small-v1 from scratch"
SIZE, STEPS, RUNGS = (360, 480), 6000, 12
DRY_SIZE, DRY_STEPS, DRY_RUNGS = (32, 64), 4, 2


def run(given: Given) -> None:
    """Train on, and keep the curve as a file beside the results."""
    if not given.data_root and not given.dry:
        raise LeftOut("needs CamVid: --data-root")
    if given.results.has(CURVE):
        return
    options = camvid_curve.parse(words(given))

    def check() -> None:
        try:
            given.left()
        except TimeIsOver:
            raise KeyboardInterrupt from None

    with given.results.row(CURVE) as row:
        try:
            path = camvid_curve.trained(options, check)
        except KeyboardInterrupt:
            raise TimeIsOver from None
        except SystemExit as error:
            raise RuntimeError(str(error)) from None
        shutil.copy(path, given.out / "curve.csv")
        with path.open(newline="", encoding="utf-8") as file:
            row["curve"] = list(csv.DictReader(file))
        row["says"] = f"mIoU {row['curve'][-1]['miou']}"


def words(given: Given) -> list[str]:
    """Return the command line of `camvid_curve.py`."""
    height, width = DRY_SIZE if given.dry else SIZE
    steps, rungs = (DRY_STEPS, DRY_RUNGS) if given.dry else (STEPS, RUNGS)
    root = given.data_root or str(draw_camvid(given.work("camvid"), DRY_SIZE))
    return [
        "--data-root", root, "--steps", str(steps), "--rungs", str(rungs),
        "--size", str(height), str(width), "--precision", "fp32" if given.dry else "bf16",
        "--device", given.device, "--output", str(given.work("curve")),
    ]  # fmt: skip


def findings(rows: dict[str, Row]) -> Iterator[str]:
    """Yield the curve in a line."""
    for row in rows.values():
        if "curve" in row:
            points = (f"{float(p['miou']):.3f} after {p['step']}" for p in row["curve"])
            yield f"{row['key']}: mIoU {', '.join(points)} steps"
