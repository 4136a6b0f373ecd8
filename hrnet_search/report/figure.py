"""One figure: trials as points, cost against accuracy, with their front."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from hrnet_search.files import write_file
from hrnet_search.pareto import non_dominated
from hrnet_search.report.style import Style, styled

Floats = NDArray[np.float64]

INK, MUTED = "#222222", "#5A5A5A"
MOST_WIDTH_TICKS = 8
LEGEND_LINE = 2.1
"""The height of the legend above the axes, in sizes of its text."""

WIDTH_OF_CHARACTER = 0.56
"""Of a line of text, in parts of its size: what lines are broken by."""

MOST_SHAPES = 2000
"""Points of an SVG that are shapes; of more, all but the front are one picture inside it."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Intervals [n] of values [n], from `low` to `high`; NaN where none is known."""

    low: Floats
    high: Floats

    def around(self, values: Floats, chosen: NDArray[np.bool_]) -> Floats:
        """Return the distances [2, k] of the ends from the chosen values, 0 where unknown."""
        sides = np.array([values - self.low, self.high - values])[:, chosen]
        found: Floats = np.nan_to_num(np.maximum(sides, 0.0))
        return found


@dataclass(frozen=True, slots=True)
class Picture:
    """What one figure shows: `x` [n] costs, `y` [n] accuracies, `numbers` [n] of trials.

    Costs are in the unit that `label` names, accuracies are the fractions that `accuracy` names;
    `log` is for the cost axis. `within` [n] says which may be on the front, all if not given.
    `costs` and `accuracies` are the intervals of `x` and `y`, which the front is drawn with.
    """

    name: str
    title: str
    label: str
    x: Floats
    y: Floats
    numbers: tuple[int, ...]
    caption: str
    log: bool = False
    accuracy: str = "mIoU"
    within: NDArray[np.bool_] | None = None
    costs: Ends | None = field(default=None, kw_only=True)
    accuracies: Ends | None = field(default=None, kw_only=True)


def draw(picture: Picture, style: Style | None = None) -> Figure:
    """Draw one picture of at least one trial; pyplot and its global state stay out.

    `style` are settings of matplotlib, by default those of `paper.mplstyle`.
    """
    with styled(style):
        return _draw(picture)


def _draw(picture: Picture) -> Figure:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    on_front = _on_front(picture)
    _frame(axes, picture)
    _cost_axis(axes, picture)
    _points(axes, picture, on_front)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2,
        handletextpad=0.4, columnspacing=1.4, borderaxespad=0.2, borderpad=0.2,
    )  # fmt: skip
    size = points("legend.fontsize")
    caption = broken(picture.caption, figure, size)
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=size, color=MUTED, parse_math=False)
    figure.draw_without_rendering()  # settles the layout, which the labels need
    figure.set_layout_engine("none")  # each format would settle it again
    _labels(axes, picture, on_front)
    return figure


def _on_front(picture: Picture) -> NDArray[np.bool_]:
    both = np.column_stack([picture.x, picture.y])
    within = np.ones(len(both), dtype=np.bool_) if picture.within is None else picture.within
    found = np.zeros(len(both), dtype=np.bool_)
    found[within] = non_dominated(both[within], ("min", "max"))
    return found


def save(
    figure: Figure, folder: Path, name: str, style: Style | None = None
) -> tuple[Path, Path, Path]:
    """Write a figure as PNG, SVG and PDF, text in them as text; equal figures are equal bytes."""
    undated = {"CreationDate": None}
    with styled(style):
        # First, in its own resolution: the other two leave the figure with 72 dots an inch.
        png = _bytes(FigureCanvasAgg(figure).print_png)
        svg = _bytes(FigureCanvasSVG(figure).print_svg, {"Date": None})
        pdf = _bytes(FigureCanvasPdf(figure).print_pdf, undated)
    return (
        write_file(folder / f"{name}.png", png),
        write_file(folder / f"{name}.svg", svg),
        write_file(folder / f"{name}.pdf", pdf),
    )


def points(name: str) -> float:
    """Return a size of text of the style in force, in points: a style may say `small`."""
    settings: Any = mpl.rcParams  # matplotlib types its keys one by one
    return float(FontProperties(size=settings[name]).get_size_in_points())


def two_colours() -> tuple[str, str]:
    """Return the first two colours of the style in force: of trials, and of the front."""
    # A cycle may be of markers alone.
    cycle = [entry.get("color", "black") for entry in mpl.rcParams["axes.prop_cycle"]]
    return cycle[0], cycle[1 % len(cycle)]


def broken(text: str, figure: Figure, size: float, share: float = 1.0) -> str:
    """Break the lines of a text that are longer than a share of the figure's width."""
    most = int(72 * figure.get_figwidth() * share / (WIDTH_OF_CHARACTER * size))
    return "\n".join(textwrap.fill(line, max(most, 20)) for line in text.split("\n"))


def _bytes(write: Callable[..., None], metadata: dict[str, None] | None = None) -> bytes:
    """Return what a canvas writes; `savefig` would draw the figure once more for its layout."""
    buffer = io.BytesIO()
    write(buffer, metadata=metadata)
    return buffer.getvalue()


def _frame(axes: Axes, picture: Picture) -> None:
    figure, size = axes.get_figure(root=True), points("axes.labelsize")
    assert figure is not None, "axes are made in a figure"
    # Above the legend, which has a line of its own.
    title = broken(picture.title, figure, points("axes.titlesize"))
    axes.set_title(title, pad=LEGEND_LINE * points("legend.fontsize"), parse_math=False)
    axes.set_xlabel(broken(picture.label, figure, size, 0.85), parse_math=False)
    height = figure.get_figheight() / figure.get_figwidth()
    accuracy = broken(f"{picture.accuracy} (%)", figure, size, 0.75 * height)
    axes.set_ylabel(accuracy, parse_math=False)
    low, high = 100 * float(picture.y.min()), 100 * float(picture.y.max())
    room = max(0.12 * (high - low), 1.0)
    axes.set_ylim(low - room, high + 1.4 * room)


def _cost_axis(axes: Axes, picture: Picture) -> None:
    low, high = float(picture.x.min()), float(picture.x.max())
    if not picture.log:
        room = max(0.07 * (high - low), 1.0)
        axes.set_xlim(low - room, high + room)
        widths = sorted(set(picture.x.tolist()))
        few = len(widths) <= MOST_WIDTH_TICKS
        axes.xaxis.set_major_locator(FixedLocator(widths) if few else MaxNLocator(integer=True))
        return
    axes.set_xscale("log")
    room = max((high / low) ** 0.07, 1.05)
    axes.set_xlim(low / room, high * room)
    # Under a decade a logarithmic locator would leave hardly any tick.
    narrow = high / low < 10
    steps = MaxNLocator(6, steps=[1, 2, 5, 10]) if narrow else LogLocator(subs=(1.0, 2.0, 5.0))
    axes.xaxis.set_major_locator(steps)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _points(axes: Axes, picture: Picture, on_front: NDArray[np.bool_]) -> None:
    rest, y_all = ~on_front, 100 * picture.y
    trial, front = two_colours()
    size = mpl.rcParams["lines.markersize"]
    # See-through, so that trials on one spot are darker than one alone.
    axes.scatter(
        picture.x[rest], y_all[rest], s=0.8 * size**2, color=trial, alpha=0.45, linewidths=0,
        label="completed trial", zorder=3, rasterized=bool(rest.sum() > MOST_SHAPES),
    )  # fmt: skip
    order = np.argsort(picture.x[on_front], kind="stable")
    x, y = picture.x[on_front][order], y_all[on_front][order]
    if not len(x):
        return  # nothing is within the limits
    right = axes.get_xlim()[1]
    # What the best network within a budget reaches: level until the next one can be paid.
    axes.plot([*x, right], [*y, y[-1]], color=front, drawstyle="steps-post")
    _intervals(axes, picture, on_front, front)
    axes.plot(
        x, y, "o", color=front, markeredgecolor="white", markeredgewidth=0.6, zorder=4,
        label="front (trial #)",
    )  # fmt: skip


def _intervals(axes: Axes, picture: Picture, on_front: NDArray[np.bool_], colour: str) -> None:
    """Draw the intervals of the front, as the page does; they may widen the axis of accuracy."""
    across, up = picture.costs, picture.accuracies
    x, y = picture.x[on_front], 100 * picture.y[on_front]
    upwards = 100 * up.around(picture.y, on_front) if up else None
    sideways = across.around(picture.x, on_front) if across else None
    if upwards is None and sideways is None:
        return
    axes.errorbar(
        x, y, yerr=upwards, xerr=sideways, fmt="none", ecolor=colour, elinewidth=0.7, zorder=3.5
    )
    if upwards is not None:
        low, high = axes.get_ylim()
        axes.set_ylim(
            min(low, (y - upwards[0]).min() - 0.5), max(high, (y + upwards[1]).max() + 0.5)
        )


def _labels(axes: Axes, picture: Picture, on_front: NDArray[np.bool_]) -> None:
    """Put trial numbers above left of the front, where no point can be.

    A label without room is left out: summary and front.csv name every member.
    """
    spots: dict[tuple[float, float], list[int]] = {}
    for i in np.flatnonzero(on_front):
        spots.setdefault((100 * picture.y[i], picture.x[i]), []).append(picture.numbers[i])
    taken: list[Bbox] = []
    for (y, x), numbers in sorted(spots.items(), reverse=True):
        text = axes.annotate(
            _names(numbers), (x, y), (-3, 3), textcoords="offset points", ha="right",
            fontsize=points("legend.fontsize"),
        )  # fmt: skip
        text.set_in_layout(False)
        box = text.get_window_extent()
        if box.count_overlaps(taken):
            text.remove()
        else:
            taken.append(box)


def _names(numbers: Iterable[int]) -> str:
    first, *more = sorted(numbers)
    return f"#{first} and {len(more)} more" if more else f"#{first}"
