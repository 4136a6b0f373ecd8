"""The pictures of an ablation: forest, interactions, classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hrnet_search.parts import Parts
from hrnet_search.report.figure import (
    INK,
    LEGEND_LINE,
    MUTED,
    WIDTH_OF_CHARACTER,
    broken,
    points,
    save,
    two_colours,
)
from hrnet_search.report.style import Style, style_of, styled
from hrnet_search.store.ablation import AblationRecord, EffectRow, OtherDifference

Floats = NDArray[np.float64]

GREEN = "#009E73"
VERDICTS = ("better", "worse", "equivalent", "undecided")
MARKERS = {"better": ">", "worse": "<", "equivalent": "s", "undecided": "o"}
LEGEND_COLUMNS = 3
MAIN, INTERACTION = "main effect", "interaction"
SOFT_ABOVE = 0.26
"""How far above its row a difference in soft IoU is drawn."""

NAMES = 0.38
"""Share of a figure's width that names of rows may take before they are broken."""

CELL, ROW = 0.34, 0.26
"""The least width of a cell of a map, and the height of a row of anything, in inches: for text of
seven points, and in proportion for larger."""

MOST_CELLS = 600
"""Cells up to which a map has its numbers written in."""


def write_ablation_plots(
    record: AblationRecord, folder: Path, parts: Parts, style: Style | None = None
) -> tuple[Path, ...]:
    """Write each picture that the record has numbers for as PNG, SVG and PDF.

    `style` are settings of matplotlib, by default those of `paper.mplstyle`.
    """
    look = style or style_of()
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
        path for name, draw in figures.items() for path in _written(name, draw, folder, parts, look)
    )


def _written(
    name: str, draw: Callable[[], Figure], folder: Path, parts: Parts, style: Style
) -> Sequence[Path]:
    def make() -> Sequence[Path]:
        with styled(style):
            return save(draw(), folder, name, style)

    return parts.make(folder / f"{name}.png", make) or ()


def forest(record: AblationRecord, effects: Sequence[EffectRow]) -> Figure:
    """Draw each difference with its interval over seeds, the image spread, and the margin.

    By the style that is in force, as the other pictures are.
    """
    figure, names = _figure(_plain(e.name) for e in effects)
    axes = figure.add_subplot()
    if record.margin is not None:
        band = 100 * record.margin
        axes.axvspan(-band, band, color=_grid(), zorder=0, label="equivalence margin")
    axes.axvline(0, color=MUTED, linewidth=0.6, zorder=1)
    for row, effect in enumerate(effects):
        _forest_row(axes, row, effect)
    axes.set_yticks(range(len(effects)), names)
    axes.set_ylim(len(effects) - 0.4, -0.6)
    soft = any(e.soft for e in effects)
    what = "difference of mIoU, and of soft IoU (hollow)" if soft else "mIoU difference"
    label = f"{what} (points of percent), paired by seed"
    # From the right: it is longer than the axes are wide, and there is room below the names.
    axes.set_xlabel(broken(label, figure, points("axes.labelsize"), 0.85), loc="right")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    lines = _legend(axes, record)
    # Above the legend, however long the name is.
    _title(axes, f"Ablation {_plain(record.name)}", LEGEND_LINE * lines)
    _caption(
        figure,
        f"thick: {record.confidence} t interval over {len(record.seeds)} seeds; thin: over"
        f" validation images; {'interim ' if record.interim else ''}verdicts corrected over the"
        f" family; {record.ended} of"
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
    columns = [_plain(f"{factor}={level}") for factor, level in levels]
    figure, names = _figure(columns, cells=len(columns), below=columns)
    axes = figure.add_subplot()
    _heat(figure, axes, table, names, columns)
    for row, column in hatched:
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", edgecolor=MUTED)
        )
    _title(axes, "Main effects (diagonal) and interactions")
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
    figure, broken_names = _figure((_plain(e.name) for e in rows), cells=len(names), below=names)
    axes = figure.add_subplot()
    _heat(figure, axes, table, broken_names, names)
    for row, effect in enumerate(rows):
        for column, one in enumerate(effect.classes):
            if one.low is not None and one.high is not None and not one.low <= 0 <= one.high:
                axes.plot(column + 0.38, row - 0.36, ".", color=INK, markersize=3)
    _title(axes, "IoU difference by class")
    note = f"points of percent; dot: its own {record.confidence} interval leaves out 0"
    _caption(figure, f"{note} (not corrected over classes)")
    return figure


def _colours() -> dict[str, str]:
    """Return the colours of verdicts: the first two are those of the style in force."""
    better, worse = two_colours()
    return dict(zip(VERDICTS, (better, worse, GREEN, MUTED), strict=True))


def _forest_row(axes: Axes, row: int, effect: EffectRow) -> None:
    colour, line = _colours()[effect.verdict], mpl.rcParams["lines.linewidth"]
    if effect.image_low is not None and effect.image_high is not None:
        ends = [100 * effect.image_low, 100 * effect.image_high]
        axes.plot(ends, [row + 0.22] * 2, color=colour, linewidth=0.7 * line, alpha=0.7)
    if effect.low is not None and effect.high is not None:
        ends = [100 * effect.low, 100 * effect.high]
        axes.plot(ends, [row] * 2, color=colour, linewidth=1.8 * line)
    axes.plot(
        100 * (effect.mean or 0.0), row, MARKERS[effect.verdict], color=colour,
        markeredgecolor="white", markeredgewidth=0.6, zorder=4,
    )  # fmt: skip
    if effect.soft is not None and effect.soft.mean is not None:
        _soft_row(axes, row - SOFT_ABOVE, effect.soft)


def _soft_row(axes: Axes, height: float, soft: OtherDifference) -> None:
    """Draw a difference in soft IoU above that in mIoU: hollow, with its own interval."""
    colour, line = _colours()[soft.verdict], mpl.rcParams["lines.linewidth"]
    if soft.low is not None and soft.high is not None:
        axes.plot([100 * soft.low, 100 * soft.high], [height] * 2, color=colour, linewidth=line)
    axes.plot(
        100 * (soft.mean or 0.0), height, MARKERS[soft.verdict], color=colour,
        markersize=0.75 * mpl.rcParams["lines.markersize"], markerfacecolor="white", zorder=4,
    )  # fmt: skip


def _legend(axes: Axes, record: AblationRecord) -> int:
    """Draw the legend above the axes; return how many lines it has."""
    drawn = [e for e in record.effects if e.mean is not None]
    used = {e.verdict for e in drawn} | {e.soft.verdict for e in drawn if e.soft is not None}
    for verdict, colour in _colours().items():
        if verdict in used:
            axes.plot([], [], MARKERS[verdict], color=colour, label=verdict)
    count = len(axes.get_legend_handles_labels()[1])
    columns = min(count, LEGEND_COLUMNS)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns,
        handletextpad=0.4, columnspacing=1.2, borderaxespad=0.2, borderpad=0.2,
    )  # fmt: skip
    return -(-count // columns)


def _heat(
    figure: Figure, axes: Axes, table: Floats, rows: Sequence[str], columns: Sequence[str]
) -> None:
    most = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 0.0
    most = most or 1.0
    image = axes.imshow(table, cmap="RdBu", norm=TwoSlopeNorm(0, -most, most), aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if table.size <= MOST_CELLS:
        size = points("xtick.labelsize")
        for row, column in np.argwhere(np.isfinite(table)):
            value = table[row, column]
            ink = "white" if abs(value) > 0.6 * most else INK
            text = f"{value:+z.1f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)


def _figure(
    names: Iterable[str], cells: int = 0, below: Sequence[str] = ()
) -> tuple[Figure, list[str]]:
    """Return a figure as wide as the style's, or as its cells need, with room for rows of `names`.

    The names come back with their lines broken; `below` stand askew under the columns.
    """
    size = points("ytick.labelsize")
    scale, width = size / 7, mpl.rcParams["figure.figsize"][0]
    longest = WIDTH_OF_CHARACTER * size / 72
    named = list(names)
    beside = min(longest * max(map(len, named), default=0), NAMES * width)
    width = max(width, beside + cells * CELL * scale + 0.9)
    figure = Figure(figsize=(width, 1), layout="constrained")
    FigureCanvasAgg(figure)
    shown = [broken(name, figure, size, NAMES) for name in named]
    lines = max((name.count("\n") + 1 for name in shown), default=1)
    row = max(ROW * scale, (lines + 0.5) * 1.2 * size / 72)
    under = 0.65 * longest * max(map(len, below), default=0)
    figure.set_figheight(1.35 * scale + row * len(shown) + under)
    return figure, shown


def _grid() -> str:
    return str(mpl.rcParams["grid.color"])


def _title(axes: Axes, text: str, above: float = 0.0) -> None:
    """Say what is shown, above the axes and `above` lines of the legend."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are made in a figure"
    pad = above * points("legend.fontsize") + (not above) * mpl.rcParams["axes.titlepad"]
    axes.set_title(broken(text, figure, points("axes.titlesize"), 1 - NAMES), pad=pad)


def _caption(figure: Figure, text: str) -> None:
    size = points("legend.fontsize")
    lines = broken(text, figure, size)
    figure.supxlabel(lines, x=0.01, ha="left", fontsize=size, color=MUTED, parse_math=False)


def _plain(text: str) -> str:
    """Return text that every font has and that is never read as mathematics."""
    return text.encode("ascii", "replace").decode().replace("$", r"\$")
