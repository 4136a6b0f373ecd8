"""The pictures of an ablation: forest, interactions, classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hrnet_search.parts import Parts
from hrnet_search.report.figure import FRONT, GRID, INK, MUTED, TRIAL, save
from hrnet_search.store.ablation import AblationRecord, EffectRow, OtherDifference

Floats = NDArray[np.float64]

GREEN = "#009E73"
COLOURS = {"better": TRIAL, "worse": FRONT, "equivalent": GREEN, "undecided": MUTED}
MARKERS = {"better": ">", "worse": "<", "equivalent": "s", "undecided": "o"}
MAIN, INTERACTION = "main effect", "interaction"
SOFT_ABOVE = 0.26
"""How far above its row a difference in soft IoU is drawn."""

MOST_CELLS = 600
"""Cells up to which a map has its numbers written in."""


def write_ablation_plots(record: AblationRecord, folder: Path, parts: Parts) -> tuple[Path, ...]:
    """Write each picture that the record has numbers for as PNG, SVG and PDF."""
    drawn = [e for e in record.effects if e.mean is not None]
    figures: dict[str, Callable[[], Figure]] = {}
    if drawn:
        figures["forest"] = partial(forest, record, drawn)
        if any(c.mean is not None for e in drawn for c in e.classes):
            figures["classes"] = partial(classes, record, drawn)
    for match in dict.fromkeys(e.match for e in drawn if e.kind == INTERACTION):
        name = "interactions" if match == "none" else f"interactions_{match}"
        figures[name] = partial(interactions, record, [e for e in drawn if e.match == match])
    return tuple(
        path for name, draw in figures.items() for path in _written(name, draw, folder, parts)
    )


def _written(name: str, draw: Callable[[], Figure], folder: Path, parts: Parts) -> Sequence[Path]:
    return parts.make(folder / f"{name}.png", lambda: save(draw(), folder, name)) or ()


def forest(record: AblationRecord, effects: Sequence[EffectRow]) -> Figure:
    """Draw each difference with its interval over seeds, the image spread, and the margin."""
    figure = _figure(8.2, 1.9 + 0.36 * len(effects))
    axes = figure.add_subplot()
    if record.margin is not None:
        band = 100 * record.margin
        axes.axvspan(-band, band, color=GRID, zorder=0, label="equivalence margin")
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    for row, effect in enumerate(effects):
        _forest_row(axes, row, effect)
    axes.set_yticks(range(len(effects)), [_plain(e.name) for e in effects], fontsize=8.5)
    axes.set_ylim(len(effects) - 0.4, -0.6)
    soft = any(e.soft for e in effects)
    what = "difference of mIoU, and of soft IoU (hollow)" if soft else "mIoU difference"
    axes.set_xlabel(f"{what} (points of percent), paired by seed", fontsize=9, color=INK)
    # Above the legend, however long the name is.
    title = f"Ablation {_plain(record.name)}"
    axes.set_title(title, loc="left", fontsize=11, color=INK, pad=20)
    _clean(axes)
    _legend(axes, record)
    _caption(
        figure,
        f"thick: {1 - record.alpha:.0%} t interval over {len(record.seeds)} seeds; thin: over"
        f" validation images; verdicts corrected over the family; {record.ended} of"
        f" {record.trainings} trainings",
    )
    return figure


def interactions(record: AblationRecord, effects: Sequence[EffectRow]) -> Figure:
    """Draw main effects on the diagonal and two-factor interactions below it."""
    levels = list(dict.fromkeys(pair for e in effects if e.kind == MAIN for pair in e.changed))
    levels += [p for e in effects for p in e.changed if p not in levels]
    levels = list(dict.fromkeys(levels))
    table = np.full((len(levels), len(levels)), np.nan)
    hatched = []
    aliased = {name for pair in record.aliases for name in pair}
    for effect in effects:
        places = [levels.index(pair) for pair in effect.changed]
        row, column = max(places), min(places)
        table[row, column] = 100 * (effect.mean or 0.0)
        if " x ".join(factor for factor, _ in effect.changed) in aliased:
            hatched.append((row, column))
    figure = _figure(2.6 + 0.95 * len(levels), 2.2 + 0.62 * len(levels))
    axes = figure.add_subplot()
    names = [_plain(f"{factor}={level}") for factor, level in levels]
    _heat(figure, axes, table, names, names)
    for row, column in hatched:
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", edgecolor=MUTED)
        )
    axes.set_title("Main effects (diagonal) and interactions", loc="left", fontsize=11, color=INK)
    text = "points of percent; beyond the sum of both"
    if hatched:
        text += f"; hatched: aliased (resolution {record.resolution}), see ablation.md"
    _caption(figure, text)
    return figure


def classes(record: AblationRecord, effects: Sequence[EffectRow]) -> Figure:
    """Draw the difference in each class's IoU; a dot where its own interval leaves out zero."""
    rows = [e for e in effects if e.kind != INTERACTION] or list(effects)
    names = [_plain(c.name) for c in rows[0].classes]
    table = np.array(
        [[100 * c.mean if c.mean is not None else np.nan for c in e.classes] for e in rows]
    )
    figure = _figure(3.4 + 0.55 * len(names), 2.0 + 0.42 * len(rows))
    axes = figure.add_subplot()
    _heat(figure, axes, table, [_plain(e.name) for e in rows], names)
    for row, effect in enumerate(rows):
        for column, one in enumerate(effect.classes):
            if one.low is not None and one.high is not None and not one.low <= 0 <= one.high:
                axes.plot(column + 0.38, row - 0.36, ".", color=INK, markersize=4)
    axes.set_title("IoU difference by class", loc="left", fontsize=11, color=INK)
    note = f"points of percent; dot: its own {1 - record.alpha:.0%} interval leaves out 0"
    _caption(figure, f"{note} (not corrected over classes)")
    return figure


def _forest_row(axes: Axes, row: int, effect: EffectRow) -> None:
    colour = COLOURS[effect.verdict]
    if effect.image_low is not None and effect.image_high is not None:
        ends = [100 * effect.image_low, 100 * effect.image_high]
        axes.plot(ends, [row + 0.22] * 2, color=colour, linewidth=0.9, alpha=0.7)
    if effect.low is not None and effect.high is not None:
        axes.plot([100 * effect.low, 100 * effect.high], [row] * 2, color=colour, linewidth=2.4)
    axes.plot(
        100 * (effect.mean or 0.0), row, MARKERS[effect.verdict], color=colour, markersize=7,
        markeredgecolor="white", zorder=4,
    )  # fmt: skip
    if effect.soft is not None and effect.soft.mean is not None:
        _soft_row(axes, row - SOFT_ABOVE, effect.soft)


def _soft_row(axes: Axes, height: float, soft: OtherDifference) -> None:
    """Draw a difference in soft IoU above that in mIoU: hollow, with its own interval."""
    colour = COLOURS[soft.verdict]
    if soft.low is not None and soft.high is not None:
        axes.plot([100 * soft.low, 100 * soft.high], [height] * 2, color=colour, linewidth=1.2)
    axes.plot(
        100 * (soft.mean or 0.0), height, MARKERS[soft.verdict], color=colour, markersize=5,
        markerfacecolor="white", zorder=4,
    )  # fmt: skip


def _legend(axes: Axes, record: AblationRecord) -> None:
    used = {e.verdict for e in record.effects if e.mean is not None}
    for verdict in COLOURS:
        if verdict in used:
            axes.plot([], [], MARKERS[verdict], color=COLOURS[verdict], label=verdict)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, frameon=False, fontsize=8,
        labelcolor=INK, handletextpad=0.4, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def _heat(
    figure: Figure, axes: Axes, table: Floats, rows: Sequence[str], columns: Sequence[str]
) -> None:
    most = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 0.0
    most = most or 1.0
    image = axes.imshow(table, cmap="RdBu", norm=TwoSlopeNorm(0, -most, most), aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    if table.size <= MOST_CELLS:
        for row, column in np.argwhere(np.isfinite(table)):
            value = table[row, column]
            ink = "white" if abs(value) > 0.6 * most else INK
            axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=7, color=ink)
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.ax.tick_params(labelsize=7.5, length=0)
    bar.outline.set_visible(False)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _clean(axes: Axes) -> None:
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)


def _caption(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=MUTED, parse_math=False)


def _plain(text: str) -> str:
    """Return text that every font has and that is never read as mathematics."""
    return text.encode("ascii", "replace").decode().replace("$", r"\$")
