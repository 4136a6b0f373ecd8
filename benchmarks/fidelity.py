"""The pictures of docs/fidelity.md, from committed rows alone.

    python -m benchmarks.fidelity

Reads `benchmarks/tables/equal_macs.csv` and `benchmarks/results/camvid_curve.csv`; writes
`docs/images/fidelity_*.png`, and prints the figures in them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, read_table
from benchmarks.tables.judge import Table, candidates, table_of, tau_with_truth
from hrnet_search.report.figure import INK, MUTED
from hrnet_search.report.trust.statistics import Interval

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
CURVE = ROOT / "benchmarks" / "results" / "camvid_curve.csv"
GRID = "#E4E4E4"
BIN_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7")
TRIAL, FRONT = BIN_COLOURS[0], BIN_COLOURS[4]
SHOWN_SIGNALS = ("log MACs", "log parameters", "miou", "soft_iou")
SHORT_STEPS = 150
SHIPPED_STEPS = 300
"""Steps of search_spaces/camvid.yaml."""


def main() -> None:
    table = table_of(read_table(TABLE))
    drawn = {"ranks": ranks(table), "short_long": short_and_long(table), "curve": curve()}
    for name, figure in drawn.items():
        path = IMAGES / f"fidelity_{name}.png"
        figure.savefig(path, metadata={"Software": None})
        print(path.relative_to(ROOT))


def ranks(table: Table) -> Figure:
    """Draw how well what is free and what is short ranks, as tau with the truth."""
    rows = list(_taus(table))
    figure, axes = _figure(0.45 * len(rows) + 1.3)
    for place, (name, count, tau) in enumerate(rows):
        print(f"{name}: tau {tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}], n = {count}")
        colour = MUTED if name.startswith("log") else TRIAL
        axes.plot([tau.low, tau.high], [place, place], color=colour, linewidth=2.4)
        axes.plot(tau.value, place, "o", color=colour, markersize=7, markeredgecolor="white")
    axes.set_yticks(range(len(rows)), [f"{name}, n = {count}" for name, count, _ in rows])
    axes.invert_yaxis()
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(-0.1, 1)
    axes.set_xlabel(f"tau with {TRUTH:,} steps (95% interval)")
    return figure


def _taus(table: Table) -> Iterator[tuple[str, int, Interval]]:
    """Yield what is free, and short trainings by one seed and by the mean of two."""
    names = {"free": ""}
    for steps in (SHORT_STEPS, 2 * SHORT_STEPS):
        names |= {str(steps): f"{steps} steps, {{}}, one seed"}
        names |= {f"2 x {steps}": f"{steps} steps, {{}}, mean of two seeds"}
    labels = {"miou": "mIoU", "soft_iou": "soft IoU"}
    for one in candidates(table):
        if one.name not in names or one.signal not in SHOWN_SIGNALS:
            continue
        there = one.known()
        tau = tau_with_truth(one.scores[:, there], one.truths[:, there])
        label = labels.get(one.signal, one.signal)
        label = (names[one.name] or "{}").format(label)
        yield label, int(there.sum()), tau


def short_and_long(table: Table) -> Figure:
    """Draw each network by its short and its long training, networks of like MACs in one colour."""
    short, long = table.of(SHORT_STEPS, SHORT_SEEDS[0], SHORT_STEPS), table.truth()
    figure, axes = _figure(4.2)
    for colour, b in zip(BIN_COLOURS, np.unique(table.bins), strict=False):
        inside = (table.bins == b) & ~np.isnan(short) & ~np.isnan(long)
        label = f"{table.macs[table.bins == b].mean() / 1e6:.0f} M MACs"
        axes.plot(100 * short[inside], 100 * long[inside], "o", color=colour, label=label)
    axes.set_xlabel(f"mIoU after {SHORT_STEPS} steps of their own, in percent (one seed)")
    axes.set_ylabel(f"mIoU after {TRUTH:,} steps (other seeds)")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def curve() -> Figure:
    """Draw how far one network goes in a schedule of which the shipped one is a twentieth."""
    with CURVE.open(newline="") as file:
        rows = [(int(row["step"]), float(row["miou"])) for row in csv.DictReader(file)]
    steps, mious = zip(*rows, strict=True)
    figure, axes = _figure(3.4)
    axes.plot(steps, [100 * value for value in mious], "o-", color=TRIAL)
    axes.axvline(SHIPPED_STEPS, color=FRONT, linewidth=1.5, linestyle=":")
    note = f"{SHIPPED_STEPS} steps,\nas search_spaces/camvid.yaml"
    axes.annotate(note, (SHIPPED_STEPS, 55), xytext=(8, 0), textcoords="offset points", color=FRONT)
    axes.set_xlabel("steps of one schedule of 6,000, W18-Small-v1 on CamVid at 96x128")
    axes.set_ylabel("mIoU, in percent")
    axes.set_xlim(0)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


if __name__ == "__main__":
    main()
