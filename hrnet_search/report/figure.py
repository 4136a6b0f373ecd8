"""One figure: trials as points, cost against accuracy, with their front."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from hrnet_search.files import write_file
from hrnet_search.pareto import non_dominated

Floats = NDArray[np.float64]

# Blue and vermilion of Okabe and Ito's set, apart in grey and for colour-blind readers too.
TRIAL, FRONT = "#0072B2", "#D55E00"
INK, MUTED, GRID = "#222222", "#5A5A5A", "#E4E4E4"
MOST_WIDTH_TICKS = 12
MOST_SHAPES = 2000
"""Points of an SVG that are shapes; of more, all but the front are one picture inside it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What one figure shows: `x` [n] costs, `y` [n] accuracies, `numbers` [n] of trials.

    Costs are in the unit that `label` names, accuracies are the fractions that `accuracy` names;
    `log` is for the cost axis. `within` [n] says which may be on the front, all if not given.
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


def draw(picture: Picture) -> Figure:
    """Draw one picture of at least one trial; pyplot and its global state stay out."""
    figure = Figure(figsize=(7.2, 4.8), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    on_front = _on_front(picture)
    _frame(axes, picture)
    _cost_axis(axes, picture)
    _points(axes, picture, on_front)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=8.5,
        labelcolor=INK, handletextpad=0.4, columnspacing=1.4, borderaxespad=0.3,
    )  # fmt: skip
    figure.supxlabel(
        picture.caption, x=0.01, ha="left", fontsize=7.5, color=MUTED, parse_math=False
    )
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


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a figure as PNG and SVG; equal figures are equal bytes."""
    with mpl.rc_context({"svg.hashsalt": "hrnet-search"}):
        return (
            write_file(folder / f"{name}.png", _bytes(FigureCanvasAgg(figure).print_png)),
            write_file(
                folder / f"{name}.svg", _bytes(FigureCanvasSVG(figure).print_svg, {"Date": None})
            ),
        )


def _bytes(write: Callable[..., None], metadata: dict[str, None] | None = None) -> bytes:
    """Return what a canvas writes; `savefig` would draw the figure once more for its layout."""
    buffer = io.BytesIO()
    write(buffer, metadata=metadata)
    return buffer.getvalue()


def _frame(axes: Axes, picture: Picture) -> None:
    axes.set_title(picture.title, loc="left", fontsize=11, color=INK, parse_math=False)
    axes.set_xlabel(picture.label, fontsize=9, color=INK, parse_math=False)
    axes.set_ylabel(f"{picture.accuracy} (fraction)", fontsize=9, color=INK, parse_math=False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    low, high = float(picture.y.min()), float(picture.y.max())
    room = max(0.12 * (high - low), 0.01)
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
    rest = ~on_front
    # See-through, so that trials on one spot are darker than one alone.
    axes.scatter(
        picture.x[rest], picture.y[rest], s=30, color=TRIAL, alpha=0.45, linewidths=0,
        label="completed trial", zorder=3, rasterized=bool(rest.sum() > MOST_SHAPES),
    )  # fmt: skip
    order = np.argsort(picture.x[on_front], kind="stable")
    x, y = picture.x[on_front][order], picture.y[on_front][order]
    if not len(x):
        return  # nothing is within the limits
    right = axes.get_xlim()[1]
    # What the best network within a budget reaches: level until the next one can be paid.
    axes.plot([*x, right], [*y, y[-1]], color=FRONT, linewidth=1.4, drawstyle="steps-post")
    axes.plot(
        x, y, "o", color=FRONT, markersize=7, markeredgecolor="white", zorder=4,
        label="front (trial #)",
    )  # fmt: skip


def _labels(axes: Axes, picture: Picture, on_front: NDArray[np.bool_]) -> None:
    """Put trial numbers above left of the front, where no point can be.

    A label without room is left out: summary and front.csv name every member.
    """
    spots: dict[tuple[float, float], list[int]] = {}
    for i in np.flatnonzero(on_front):
        spots.setdefault((picture.y[i], picture.x[i]), []).append(picture.numbers[i])
    taken: list[Bbox] = []
    for (y, x), numbers in sorted(spots.items(), reverse=True):
        text = axes.annotate(
            _names(numbers), (x, y), (-4, 4), textcoords="offset points", ha="right",
            fontsize=8, color=INK,
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
