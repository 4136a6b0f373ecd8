"""The figures of a page as plotly's own JSON; colours and fonts come from the page's theme.

Plotly reads text as a small HTML: all text of users passes through `plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_search.class_iou import class_name
from hrnet_search.errors import shown
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.records.trial import STOPPED
from hrnet_search.report.compare import ComparedFront, Comparison
from hrnet_search.report.page.choices import Effect
from hrnet_search.report.page.content import Page

Figure = dict[str, Any]

TRIAL, FRONT, DOUBT, BAD = "#4C78A8", "#E4572E", "#F2A65A", "#9D4EDD"
PERCENT = ".2~%"
"""How plotly writes a fraction on an axis: in percent, without digits that say nothing."""

MOST_EFFECTS = 12
MOST_LEVELS = 12
"""Levels of a choice that are named beside its axis: every second, third, ... of more."""

ACROSS = 3
"""Choices drawn side by side."""


def figures_of(page: Page) -> dict[str, Figure]:
    """Return every figure that there is something to draw for, by name."""
    found = {
        "growth": _growth(page),
        "shares": _shares(page),
        "pairs": _pairs(page),
        "curves": _curves(page),
        "importance": _importance(page),
        "effects": _effects(page),
        "parallel": _parallel(page),
        "classes": _classes(page),
        "neighbours": _neighbours(page),
        "schedules": _schedules(page),
    }
    return {name: figure for name, figure in found.items() if figure}


def comparison_figure(found: Comparison) -> Figure:
    """Return both fronts on one pair of axes."""
    cost = OBJECTIVES[found.cost]
    where = f": {found.condition}" if found.condition else ""
    title = plain(f"{cost.label}{f' ({cost.unit})' if cost.unit else ''}{where}", 160)
    sides = zip((found.first, found.second), (TRIAL, FRONT), strict=True)
    label = plain(found.accuracy)
    return {
        "data": [_compared(front, colour, label) for front, colour in sides],
        "layout": {
            "height": 460, "xaxis": {"type": "log", "title": {"text": title}},
            "yaxis": _percent(label),
        },
    }  # fmt: skip


def _percent(title: str) -> Figure:
    """Return an axis of fractions, in percent as tables have them."""
    return {"title": {"text": title}, "tickformat": PERCENT}


def _compared(front: ComparedFront, colour: str, accuracy: str) -> Figure:
    return {
        "name": plain(front.name), "x": front.costs, "y": front.accuracies, "mode": "lines+markers",
        "line": {"shape": "hv", "color": colour}, "marker": {"size": 9},
        "text": [f"#{number}" for number in front.numbers],
        "hovertemplate": f"%{{text}}: {accuracy} %{{y:.2%}} at %{{x:.4g}}<extra></extra>",
    }  # fmt: skip


def plain(text: object, limit: int = 80) -> str:
    """Return text that plotly shows as it is."""
    safe = shown(str(text), limit)
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _growth(page: Page) -> Figure | None:
    growth = page.history.growth
    if growth is None or len(growth.volume) < 2:
        return None
    line = {"mode": "lines", "line": {"color": FRONT, "shape": "hv"}, "y": growth.volume}
    hover = "%{y:.4g} after %{x:.4g}<extra></extra>"
    return {
        "data": [
            {**line, "x": growth.trainings, "hovertemplate": hover},
            {**line, "x": growth.hours, "xaxis": "x2", "hovertemplate": hover},
        ],
        "layout": {
            "height": 300, "showlegend": False,
            "xaxis": {"title": {"text": "trials ended"}, "domain": [0, 0.47]},
            "xaxis2": {"title": {"text": "hours of trials"}, "domain": [0.53, 1]},
            "yaxis": {"title": {"text": plain(growth.label)}, "rangemode": "tozero"},
        },
    }  # fmt: skip


def _curves(page: Page) -> Figure | None:
    members = {m.number for m in page.members}
    kinds: dict[str, list[Any]] = {"completed": [], "stopped": [], "front": []}
    for curve in page.history.curves:
        on_front = curve.number in members
        kind = "front" if on_front else "stopped" if curve.status == STOPPED else "completed"
        kinds[kind].append(curve)
    looks = {"completed": (TRIAL, 0.35), "stopped": (BAD, 0.7), "front": (FRONT, 1.0)}
    data = []
    for kind, curves in kinds.items():
        x: list[int | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for curve in curves:
            x += [*curve.steps, None]
            y += [*curve.accuracies, None]
            text += [f"trial {curve.number}"] * (len(curve.steps) + 1)
        colour, opacity = looks[kind]
        if curves:
            data.append({
                "x": x, "y": y, "text": text, "name": kind, "mode": "lines+markers",
                "line": {"color": colour, "width": 1.2}, "marker": {"size": 4},
                "opacity": opacity,
                "hovertemplate": "%{text}: %{y:.2%} at step %{x}<extra></extra>",
            })  # fmt: skip
    label = plain(page.accuracy)
    axes = {"xaxis": {"title": {"text": "steps"}}, "yaxis": _percent(label)}
    return {"data": data, "layout": {"height": 360, **axes}} if data else None


def _importance(page: Page) -> Figure | None:
    model = page.choices.model
    if model is None:
        return None
    effects = sorted(model.effects, key=lambda e: e.share)
    return {
        "data": [{
            "type": "bar", "orientation": "h", "marker": {"color": TRIAL},
            "x": [e.share for e in effects], "y": [plain(e.path) for e in effects],
            "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
        }],
        "layout": {
            "height": 120 + 24 * len(effects),
            "xaxis": {"title": {"text": "predicted share of variance that is lost without it"}},
            "yaxis": {"type": "category"},
        },
    }  # fmt: skip


def _shares(page: Page) -> Figure | None:
    found = page.choices.anova
    if found is None:
        return None
    pairs = [
        (" and<br>".join(plain(p, 30) for p in pair.paths), pair.share) for pair in found.pairs
    ]
    parts = [(plain(part.path), part.share) for part in found.parts]
    rows = sorted([*parts, *pairs], key=lambda row: row[1])
    together = {name for name, _ in pairs}
    return {
        "data": [{
            "type": "bar", "orientation": "h", "x": [share for _, share in rows],
            "y": [name for name, _ in rows],
            "marker": {"color": [FRONT if name in together else TRIAL for name, _ in rows]},
            "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
        }],
        "layout": {
            "height": 120 + 24 * len(rows),
            "xaxis": {"title": {"text": "share of the model's variance over the space"}},
            "yaxis": {"type": "category"},
        },
    }  # fmt: skip


def _pairs(page: Page) -> Figure | None:
    found = page.choices.anova
    if found is None or not found.pairs:
        return None
    down = -(-len(found.pairs) // ACROSS)
    layout: Figure = {"height": 110 + 240 * down, "coloraxis": {"colorscale": "Viridis"}}
    layout["coloraxis"]["colorbar"] = {
        "title": {"text": plain(page.accuracy)}, "thickness": 12, "tickformat": PERCENT,
    }  # fmt: skip
    layout["grid"] = {"rows": down, "columns": ACROSS, "pattern": "independent", "ygap": 0.45}
    data = []
    for place, pair in enumerate(found.pairs, start=1):
        number = "" if place == 1 else str(place)
        for axis, path in zip(("yaxis", "xaxis"), pair.paths, strict=True):
            layout[f"{axis}{number}"] = {"type": "category", "title": {"text": plain(path, 30)}}
        rows, columns = map(_apart, pair.levels)
        data.append({
            "type": "heatmap", "coloraxis": "coloraxis", "x": columns, "y": rows,
            "z": [[round(value, 5) for value in row] for row in pair.table],
            "xaxis": f"x{number}", "yaxis": f"y{number}",
            "hovertemplate": "%{y} with %{x}: %{z:.2%} expected<extra></extra>",
        })  # fmt: skip
    return {"data": data, "layout": layout}


def _apart(levels: Sequence[str]) -> list[str]:
    """Return names of levels that fit below an axis, on which equal names are one place."""
    names = [plain(level, 20) for level in levels]
    return [
        f"{place}: {name}" if names.count(name) > 1 else name
        for place, name in enumerate(names, start=1)
    ]


def _effects(page: Page) -> Figure | None:
    model = page.choices.model
    if model is None:
        return None
    effects = sorted(model.effects, key=lambda e: -e.share)[:MOST_EFFECTS]
    down = -(-len(effects) // ACROSS)
    layout: Figure = {"height": 90 + 190 * down, "showlegend": False, "annotations": []}
    layout["grid"] = {"rows": down, "columns": ACROSS, "pattern": "independent", "ygap": 0.45}
    for i, effect in enumerate(effects, start=1):
        number = "" if i == 1 else str(i)
        layout[f"xaxis{number}"] = {"type": "category", "title": {"text": plain(effect.path, 30)}}
    return {
        "data": [_effect(e, i, plain(page.accuracy)) for i, e in enumerate(effects, start=1)],
        "layout": layout,
    }


def _effect(effect: Effect, place: int, accuracy: str) -> Figure:
    number = "" if place == 1 else str(place)
    return {
        "x": _apart(effect.levels),
        "y": [100 * added for added in effect.adds],
        "error_y": {"array": [200 * e for e in effect.errors], "color": TRIAL, "thickness": 1},
        "customdata": effect.seen,
        "mode": "lines+markers", "line": {"color": TRIAL},
        "xaxis": f"x{number}", "yaxis": f"y{number}",
        "hovertemplate": f"%{{x}}: %{{y:+.2f}} points of {accuracy}, %{{customdata}} variants"
        "<extra></extra>",
    }  # fmt: skip


def _parallel(page: Page) -> Figure | None:
    paths, levels = page.choices.paths, page.choices.levels
    points = [p for p in page.choices.front if len(p) == len(paths)]
    if not paths or not points:
        return None
    names = [*(plain(p, 24) for p in paths), plain(page.accuracy)]
    seen = [m.accuracy for m in page.members]
    low, span = min(seen), (max(seen) - min(seen)) or 1.0
    data = []
    for member, point in zip(page.members, points, strict=False):
        heights = [k / max(len(levels[i]) - 1, 1) for i, k in enumerate(point)]
        texts = [plain(levels[i][k], 24) for i, k in enumerate(point)]
        quality = (member.accuracy - low) / span
        data.append({
            "x": names, "y": [*heights, quality], "mode": "lines+markers",
            "text": [*texts, f"{member.accuracy:.2%}"], "name": f"#{member.number}",
            "line": {"width": 2}, "hovertemplate": "%{x}: %{text}<extra>%{fullData.name}</extra>",
        })  # fmt: skip
    return {"data": data, "layout": {
        "height": 380, "yaxis": {"visible": False}, "xaxis": {"type": "category"},
        "annotations": _levels(names[:-1], levels),
    }}  # fmt: skip


def _levels(names: Sequence[str], levels: Sequence[Sequence[str]]) -> list[Figure]:
    return [
        {"x": name, "y": k / max(len(own) - 1, 1), "text": plain(level, 14), "showarrow": False,
         "xanchor": "left", "xshift": 5, "font": {"size": 10}}
        for name, own in zip(names, levels, strict=True)
        for k, level in enumerate(own)
        if k % (1 + (len(own) - 1) // MOST_LEVELS) == 0
    ]  # fmt: skip


def _classes(page: Page) -> Figure | None:
    ious = page.evidence.ious
    members = [m for m in page.members if m.number in ious]
    if not members:
        return None
    count = len(ious[members[0].number])
    names = [class_name(k, page.classes) for k in range(count)]
    return {
        "data": [{
            "type": "heatmap", "colorscale": "Viridis", "zmin": 0, "zmax": 1,
            "z": [[round(v, 4) for v in ious[m.number]] for m in members],
            "x": [f"{k}: {plain(name, 30)}" for k, name in enumerate(names)],
            "y": [f"#{m.number}" for m in members],
            "hovertemplate": "%{y}, %{x}: IoU %{z:.2%}<extra></extra>",
            "colorbar": {"title": {"text": "IoU"}, "thickness": 12, "tickformat": PERCENT},
        }],
        "layout": {
            "height": 170 + 26 * len(members),
            "yaxis": {"type": "category", "autorange": "reversed"},
            "xaxis": {"type": "category", "tickangle": -40},
        },
    }  # fmt: skip


def _neighbours(page: Page) -> Figure | None:
    pairs = page.evidence.pairs
    if not pairs:
        return None
    colours = [FRONT if pair.apart else DOUBT for pair in pairs]
    values = [100 * pair.better.value for pair in pairs]
    return {
        "data": [{
            "x": values, "y": [f"#{p.second} over #{p.first}" for p in pairs], "mode": "markers",
            "marker": {"color": colours, "size": 9},
            "error_x": {
                "type": "data", "symmetric": False, "thickness": 1.5, "color": TRIAL,
                "array": [100 * (p.better.high - p.better.value) for p in pairs],
                "arrayminus": [100 * (p.better.value - p.better.low) for p in pairs],
            },
            "hovertemplate": "%{y}: %{x:+.2f} points<extra></extra>",
        }],
        "layout": {
            "height": 130 + 26 * len(pairs), "yaxis": {"type": "category", "autorange": "reversed"},
            "xaxis": {"title": {"text": f"points of {plain(page.accuracy)}, 95% interval"}},
            "shapes": [{"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1,
                        "line": {"dash": "dot", "width": 1, "color": BAD}}],
        },
    }  # fmt: skip


def _schedules(page: Page) -> Figure | None:
    both = page.long_short
    if len(both) < 2:
        return None
    label = plain(page.accuracy)
    by = "slices" if page.evidence.judged else "the search's schedule"
    return {
        "data": [{
            "x": [b.short for b in both], "y": [b.long for b in both], "mode": "markers",
            "text": [f"#{b.number}" for b in both], "marker": {"color": TRIAL, "size": 9},
            "hovertemplate": "%{text}: short %{x:.2%}, long %{y:.2%}<extra></extra>",
        }],
        "layout": {
            "height": 340, "xaxis": _percent(f"{plain(page.learned)} by {by}"),
            "yaxis": _percent(f"{label} by the long schedule"),
        },
    }  # fmt: skip
