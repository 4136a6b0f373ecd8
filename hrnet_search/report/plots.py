"""Which pictures a study has: width, MACs and latency against accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hrnet_search.counts import UNITS
from hrnet_search.errors import shown
from hrnet_search.latency_rule import interval_ms
from hrnet_search.parts import Parts
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.latency import LatencyCondition
from hrnet_search.records.trial import COMPLETED
from hrnet_search.report.figure import Ends, Picture, draw, save
from hrnet_search.report.standing import Standing, standing
from hrnet_search.report.style import Style, style_of
from hrnet_search.report.trust.evidence import Evidence
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.study import Study, within_limits


@dataclass(frozen=True, slots=True)
class Seen:
    """What pictures have upwards: a column and its label, the trials within the limits, and what
    is known of their intervals."""

    column: str
    label: str
    within: frozenset[int]
    evidence: Evidence | None


WIDTH = "width (channels of the last stage's first branch)"


def write_plots(
    study: Study,
    folder: Path,
    parts: Parts,
    evidence: Evidence | None = None,
    style: Style | None = None,
) -> tuple[Path, ...]:
    """Write each picture as PNG, SVG and PDF, width against mIoU first; none without results.

    `evidence` has the intervals of accuracies that they are drawn with, those of the page.
    """
    look = style or style_of()
    found = parts.make(folder / "plots", lambda: pictures(study, evidence)) or ()
    return tuple(path for picture in found for path in _written(picture, folder, parts, look))


def _written(picture: Picture, folder: Path, parts: Parts, style: Style) -> Sequence[Path]:
    name = folder / f"{picture.name}.png"
    return parts.make(name, lambda: save(draw(picture, style), folder, picture.name, style)) or ()


def pictures(study: Study, evidence: Evidence | None = None) -> list[Picture]:
    """Return what there is to draw: completed trials, one latency picture a condition."""
    latencies = latencies_of(study.trials(), study.notes)
    done, accuracy = study.variants(), study.notes.goals.accuracy
    within = frozenset(within_limits(done, study.notes.goals)["number"])
    suffix = "miou" if accuracy.key == MIOU else "iou"
    seen = Seen(accuracy.name, _plain(accuracy.label), within, evidence)
    by_condition: dict[LatencyCondition, list[int]] = {}
    for number, latency in latencies.items():
        by_condition.setdefault(latency.condition, []).append(number)
    factor, unit = _unit(done["macs"])
    macs = f"MACs{unit} per image{_of_size(by_condition)}, logarithmic"
    caption = f"{_plain(study.name)}. {_caption(standing(study))}"
    found = [
        _picture(f"width_{suffix}", "width", seen, WIDTH, done, "width", caption),
        _picture(f"macs_{suffix}", "MACs", seen, macs, done, "macs", caption, factor),
    ]
    for i, (condition, numbers) in enumerate(by_condition.items(), start=1):
        file = f"latency_{suffix}" if i == 1 else f"latency_{suffix}_{i}"
        axis = f"latency (ms), logarithmic\n{condition_text(condition)}"
        part = done[done["number"].isin(numbers)]
        picture = _picture(file, "latency", seen, axis, part, "latency_ms", caption)
        drawn = picture.numbers
        noisy = sum(latencies[number].noisy for number in drawn)
        note = f"{caption}. Timings drawn: {len(drawn)}, of which noisy: {noisy}"
        picture = replace(picture, caption=note)
        spans = [interval_ms(latencies[number]) for number in picture.numbers]
        found.append(replace(picture, costs=_ends(spans)))
    return [picture for picture in found if len(picture.x)]


def condition_text(condition: LatencyCondition) -> str:
    """Return everything that a latency depends on besides the network, in two lines."""
    height, width = condition.size
    return (
        f"{_plain(condition.device)}, {condition.how}, {condition.precision}, "
        f"batch {condition.batch}, {height} x {width} pixels\n"
        f"CPU threads: {condition.threads}, memory format: {condition.memory_format}"
    )


def _picture(
    file: str, against: str, seen: Seen, label: str, rows: pd.DataFrame, column: str, caption: str,
    factor: float = 1.0,
) -> Picture:  # fmt: skip
    rows = rows[rows[column].notna() & rows[seen.column].notna()]
    numbers = tuple(rows["number"].astype(int))
    known = seen.evidence.accuracies if seen.evidence else {}
    intervals = [known.get(number) for number in numbers]
    return Picture(
        name=file,
        title=f"{seen.label} against {against}",
        label=label,
        x=rows[column].to_numpy("float64") / factor,
        y=rows[seen.column].to_numpy("float64"),
        numbers=numbers,
        accuracy=seen.label,
        within=rows["number"].isin(seen.within).to_numpy(bool),
        caption=caption,
        log=column != "width",
        accuracies=_ends([(i.low, i.high) if i else (np.nan, np.nan) for i in intervals]),
    )


def _ends(pairs: Sequence[tuple[float, float]]) -> Ends:
    low, high = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Ends(low, high)


def _caption(stand: Standing) -> str:
    text = f"Trials completed: {dict(stand.counts).get(COMPLETED, 0)}"
    missing = ", ".join(f"{count} {name}" for name, count in stand.counts if name != COMPLETED)
    return f"{text}; not drawn: {missing}" if missing else text


def _unit(values: pd.Series[int]) -> tuple[float, str]:
    largest = values.max() if values.notna().any() else 0
    factor, letter = next((unit for unit in UNITS if largest >= unit[0]), (1.0, ""))
    return factor, f" ({letter})" if letter else ""


def _of_size(conditions: Iterable[LatencyCondition]) -> str:
    """Name the image size, which is that of the timings, where there is exactly one."""
    sizes = {condition.size for condition in conditions}
    return " of {} x {} pixels".format(*sizes.pop()) if len(sizes) == 1 else ""


def _plain(text: str) -> str:
    """Return text that every font has."""
    return shown(text).encode("ascii", "replace").decode()
