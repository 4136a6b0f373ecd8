"""The page of a training: its curves, its classes, what it decides, and how to train it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_search import __version__
from hrnet_search.class_iou import class_name
from hrnet_search.data.palette import colour_keys
from hrnet_search.errors import shown
from hrnet_search.files import refuse_links, write_file
from hrnet_search.report.commands import training_commands
from hrnet_search.report.page.figures import FRONT, PERCENT, TRIAL, Figure, plain
from hrnet_search.report.page.previews import PreviewRow, preview_rows
from hrnet_search.report.page.render import FILE, fill
from hrnet_search.store.evaluations import miou_interval, read_confusions
from hrnet_search.store.figures import Figures, figures_of
from hrnet_search.store.trainings import (
    BEST,
    CurveRow,
    TrainingRecord,
    TrainingResults,
    evaluation_file,
    read_curve,
    read_record,
    read_results,
)
from hrnet_search.version_rule import spelt

FOLDER = "report"
MOST_SHOWN = 300
"""Characters of a fact."""

MOST_MATRIX = 60
"""Classes up to which a confusion matrix is drawn: more cannot be read."""

FACTS = (
    "steps", "batch", "accumulate", "crop", "long_side", "optimiser", "lr", "momentum",
    "weight_decay", "warmup", "loss", "scale", "flip", "ema", "precision", "init",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingPage:
    """What the page of a training says; `confusion` int64 [K, K] is of its best weights."""

    name: str
    record: TrainingRecord
    results: TrainingResults
    curve: tuple[CurveRow, ...]
    classes: tuple[str, ...]
    figures: Figures | None
    confusion: NDArray[np.int64] | None
    interval: tuple[float, float] | None
    previews: tuple[PreviewRow, ...]
    facts: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]


def write_training_page(folder: str | Path) -> Path:
    """Write the page of a training, finished or not, to FOLDER/report; return where it is.

    Raise StudyError for a folder that is not a training, or a symbolic link in place of the
    page, StorageLostError where it cannot be written.
    """
    place = Path(folder)
    page = gather_training(place)
    refuse_links(place)
    return write_file(place / FOLDER / FILE, training_html(page))


def gather_training(folder: Path) -> TrainingPage:
    """Read a training into what its page says."""
    record, results = read_record(folder), read_results(folder)
    path = evaluation_file(folder, BEST)
    found = read_confusions(path)
    data = record.schedule.schedule.data
    names = [class_name(k, data.names) for k in range(data.classes)]
    fits = found is not None and found.shape[1] == data.classes
    return TrainingPage(
        name=folder.resolve().name,
        record=record,
        results=results,
        curve=tuple(read_curve(folder)),
        classes=tuple(map(shown, names)),
        figures=figures_of(found) if fits and found is not None else None,
        confusion=found.sum(axis=0, dtype=np.int64) if fits and found is not None else None,
        interval=miou_interval(found) if found is not None else None,
        previews=preview_rows({0: path})[1],
        facts=tuple((name, shown(value, MOST_SHOWN)) for name, value in _facts(record, results)),
        commands=training_commands(record, folder),
    )


def training_html(page: TrainingPage) -> bytes:
    """Return the page of a training."""
    found = {
        "loss": _loss(page),
        "lr": _rates(page),
        "miou": _mious(page),
        "classes": _classes(page),
        "confusion": _confusion(page),
    }
    figures = {name: figure for name, figure in found.items() if figure}
    return fill(
        "training.html",
        {"points": None, "figures": figures},
        page=page,
        figures=figures,
        colours=colour_keys(page.classes),
    )


def training_lines(folder: Path) -> Iterator[str]:
    """Yield what the terminal shows of a training."""
    record, results = read_record(folder), read_results(folder)
    steps = record.schedule.schedule.steps
    best, last = results.best, results.rungs[-1] if results.rungs else None
    state = "has ended" if results.ended else "has not ended"
    yield f"{folder}: a training of {steps} steps, it {state}"
    if best and last:
        yield f"best: mIoU {best.miou:.2%} at step {best.step}"
        yield f"last: mIoU {last.miou:.2%} at step {last.step}"


def _facts(record: TrainingRecord, results: TrainingResults) -> Iterator[tuple[str, str]]:
    schedule = record.schedule.schedule
    yield "network", record.architecture.id
    yield from ((name, value) for name, value in record.origin.items() if value)
    for name in FACTS:
        value = getattr(schedule, name)
        where = record.came_from.get(name, "")
        text = str(list(value) if isinstance(value, tuple) else value)
        yield name, f"{text} ({where})" if where else text
    yield "seed", str(record.seed)
    yield "data", f"{schedule.data.kind}, {schedule.data.classes} classes"
    if held := record.data_holds:
        yield "images", f"train {held.train.images}, val {held.val.images}"
    yield "hours", f"{results.wall_s / 3600:.2f}"
    for session in results.sessions:
        what = f"from step {session.step} on {session.device}, {spelt(session.versions)}"
        yield session.began, what
        yield from (("note", note) for note in session.notes)
    yield from (("not obeyed", note) for note in record.notes)
    yield "page written by", f"hrnet-search {__version__}"


def _line(x: list[Any], y: list[Any], name: str, colour: str, hover: str) -> Figure:
    return {
        "x": x, "y": y, "name": name, "mode": "lines", "line": {"color": colour},
        "hovertemplate": hover + "<extra></extra>",
    }  # fmt: skip


def _layout(title: str, **more: Any) -> Figure:
    axes = {"xaxis": {"title": {"text": "step"}}, "yaxis": {"title": {"text": title}, **more}}
    return {"height": 320, **axes}


def _loss(page: TrainingPage) -> Figure | None:
    steps, losses = [row[0] for row in page.curve], [row[2] for row in page.curve]
    rungs = page.results.rungs
    if not steps:
        return None
    data = [_line(steps, losses, "training", TRIAL, "%{y:.4f} at step %{x}")]
    if rungs:
        x, y = [rung.step for rung in rungs], [rung.loss for rung in rungs]
        data.append(_line(x, y, "validation", FRONT, "%{y:.4f} at step %{x}"))
    return {"data": data, "layout": _layout("loss")}


def _rates(page: TrainingPage) -> Figure | None:
    if not page.curve:
        return None
    x, y = [row[0] for row in page.curve], [row[1] for row in page.curve]
    line = _line(x, y, "learning rate", TRIAL, "%{y:.4g} at step %{x}")
    return {"data": [line], "layout": _layout("learning rate")}


def _mious(page: TrainingPage) -> Figure | None:
    rungs = page.results.rungs
    if not rungs:
        return None
    x, y = [rung.step for rung in rungs], [rung.miou for rung in rungs]
    line = _line(x, y, "mIoU", FRONT, "%{y:.2%} at step %{x}")
    return {
        "data": [{**line, "mode": "lines+markers"}],
        "layout": _layout("mIoU", tickformat=PERCENT),
    }


def _classes(page: TrainingPage) -> Figure | None:
    if page.figures is None:
        return None
    order = np.argsort(page.figures.iou)
    names = [plain(page.classes[k], 40) for k in order]
    bar = {
        "type": "bar", "orientation": "h", "x": page.figures.iou[order].tolist(), "y": names,
        "marker": {"color": TRIAL}, "hovertemplate": "%{y}: %{x:.2%}<extra></extra>",
    }  # fmt: skip
    height = 120 + 20 * len(names)
    axes = {
        "xaxis": {"range": [0, 1], "title": {"text": "IoU"}, "tickformat": PERCENT},
        "yaxis": {"type": "category"},
    }
    return {"data": [bar], "layout": {"height": height, **axes}}


def _confusion(page: TrainingPage) -> Figure | None:
    """Draw which share of a class's pixels was taken for which class."""
    matrix = page.confusion
    if matrix is None or len(matrix) > MOST_MATRIX:
        return None
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [plain(f"{k}: {name}", 30) for k, name in enumerate(page.classes)]
    heat = {
        "type": "heatmap", "x": names, "y": names, "z": shares.round(4).tolist(), "zmin": 0,
        "zmax": 1, "colorscale": "Blues", "colorbar": {"tickformat": PERCENT},
        "hovertemplate": "%{y} taken for %{x}: %{z:.2%}<extra></extra>",
    }  # fmt: skip
    axis = {"type": "category", "title": {"text": "predicted"}}
    down = {"type": "category", "autorange": "reversed", "title": {"text": "truth"}}
    layout = {"height": 220 + 22 * len(names), "xaxis": axis, "yaxis": down}
    return {"data": [heat], "layout": layout}
