"""Whether a budget of device time is kept, and whether what `run --plan` says beforehand holds.

    python -m benchmarks.budgets run --minutes 20 --out budgets.csv --data-root CAMVID
        [--spaces quickstart camvid] [--workers 1]
    python -m benchmarks.budgets table --out budgets.csv

`run` forecasts and then searches each of the spaces below within so many device-minutes, with one
worker and with two, and adds a row a search; a search that has its row is not made again. What is
over the budget is to be less than a step of training and the judging after it. The forecast is of
how many trials end in that time; a trial that confirms counts as one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hrnet_search
from benchmarks.rows import Row, add, read
from hrnet_search.commands.forecasting import Asked, forecast_of
from hrnet_search.commands.space_file import load_search
from hrnet_search.search.probe import PROBE_S
from hrnet_search.search.run import spent_of
from hrnet_search.search.time_budget import HOUR

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
COLUMNS = (
    "space", "workers", "budget_s", "spent_s", "wall_s", "trials", "confirming", "least", "most",
)  # fmt: skip

DRAWN = """\
data: {kind: shapes, size: [64, 64], train: 512, val: 64}
schedule: {steps: 120, batch: 8, crop: [64, 64], optimiser: adamw, warmup: 10}
tracking: {mlflow: off}
"""
BY_MACS = f"""\
name: by-macs
base: {CONFIGS}/seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary:
  width: [4, 6, 8, 10, 12, 14, 16]
  STAGE3.NUM_BRANCHES: [2, 3]
  STAGE3.NUM_MODULES: [1, 2, 3]
  "STAGE*.NUM_BLOCKS": [[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]
objectives: {{miou: max, macs: min}}
latency: {{size: [64, 64], seconds: 0.2}}
{DRAWN}"""
WITH_OCR = f"""\
name: with-ocr
base: {CONFIGS}/seg_hrnet_ocr_w18_sgd_lr5e-2_wd1e-4_bs32_x100.yaml
vary:
  width: [4, 6, 8, 10, 12, 16]
  HEAD: [plain, ocr]
  STAGE4.NUM_BRANCHES: [3, 4]
  "STAGE*.NUM_BLOCKS": [[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]
objectives: {{miou: max, params: min}}
latency: {{size: [64, 64], seconds: 0.2}}
{DRAWN}"""


@dataclass(frozen=True)
class Case:
    """A search: of a space file, with so many workers."""

    name: str
    space: Path
    workers: int
    data_root: Path | None = None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, help="CamVid, for a fourth space")
    parser.add_argument("--spaces", nargs="+", help="these alone, by name (all)")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    options = parser.parse_args()
    if options.what == "table":
        print("\n".join(table(read(options.out))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), options.data_root):
            asked = case.workers in options.workers and case.name in (options.spaces or [case.name])
            known = {(row["space"], row["workers"]) for row in read(options.out)}
            if asked and (case.name, str(case.workers)) not in known:
                add(options.out, COLUMNS, searched(case, options.minutes, Path(folder)))


def cases(folder: Path, data_root: Path | None) -> Iterator[Case]:
    """Yield every space with one worker and with two."""
    spaces: list[tuple[Path, Path | None]] = [(ROOT / "search_spaces" / "quickstart.yaml", None)]
    for text in (BY_MACS, WITH_OCR):
        name = text.splitlines()[0].removeprefix("name: ")
        (folder / f"{name}.yaml").write_text(text)
        spaces.append((folder / f"{name}.yaml", None))
    if data_root is not None:
        spaces.append((ROOT / "search_spaces" / "camvid.yaml", data_root))
    for workers in (1, 2):
        for space, root in spaces:
            yield Case(space.stem, space, workers, root)


def searched(case: Case, minutes: float, folder: Path) -> dict[str, object]:
    """Forecast a search, make it, and return its row."""
    hours = minutes * 60 / HOUR
    place = folder / f"{case.name}-{case.workers}"
    file = load_search(case.space, case.data_root, print)
    said = forecast_of(file, place, Asked(hours=hours, workers=case.workers), print, PROBE_S)
    least, expected, most = said.seconds
    began = time.monotonic()
    study = hrnet_search.run(
        case.space, place, hours=hours, workers=case.workers, data_root=case.data_root
    )
    wall = time.monotonic() - began
    ended = study.ended()
    searching = {ask.key.seed for ask, _ in ended[:1]}
    return {
        "space": case.name,
        "workers": case.workers,
        "budget_s": round(hours * HOUR),
        "spent_s": round(spent_of((result for _, result in ended), study.notes), 1),
        "wall_s": round(wall, 1),
        "trials": len(ended),
        "confirming": sum(ask.key.seed not in searching for ask, _ in ended),
        "least": int(said.trials * expected / most),
        "most": int(said.trials * expected / least),
    }


def table(rows: list[Row]) -> list[str]:
    """Return the rows for people."""
    lines = [
        "| space | workers | budget, s | spent, s | wall, s | trials, confirming | said | held |",
        "| --- | --: | --: | --: | --: | --: | --: | --- |",
    ]
    for row in rows:
        held = int(row["least"]) <= int(row["trials"]) <= int(row["most"])
        lines.append(
            f"| {row['space']} | {row['workers']} | {row['budget_s']} | {row['spent_s']} |"
            f" {row['wall_s']} | {row['trials']}, {row['confirming']} |"
            f" {row['least']} to {row['most']} | {'yes' if held else 'no'} |"
        )
    return lines


if __name__ == "__main__":
    main()
