"""The variants of a study as columns, and the axes that they can be drawn against."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrnet_search.goals import Goals
from hrnet_search.latency_rule import interval_ms
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.records.accuracy import MIOU, SOFT_IOU
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.objective import OBJECTIVES
from hrnet_search.report.page.thin import MOST_BEATEN
from hrnet_search.report.page.thin import drawn as thinned
from hrnet_search.report.summary import differences
from hrnet_search.report.trust.evidence import MAY_BELONG, Evidence
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.study import within_limits
from hrnet_search.store.trial_rows import CONFIRM, Ask

MOST_YAMLS = 300
"""Variants whose whole config is in the page: the front, its rivals, then the most accurate."""

BEATEN, MAY_BE, ON_FRONT = 0, 1, 2

Column = tuple[float | None, ...]
Pick = Callable[[Latency], tuple[float, float, float] | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """A cost that variants can be drawn against: `values` [n], with an interval if measured.

    `condition` is what it was measured under, empty if it is exact.
    """

    name: str
    condition: str
    values: Column
    low: Column = ()
    high: Column = ()
    log: bool = True


@dataclass(frozen=True, slots=True)
class Points:
    """Variants that completed: everything that hovering and clicking shows, as columns [n].

    `place` is BEATEN, MAY_BE or ON_FRONT. A config is the joined `blocks` that `yamls` lists,
    empty where it was left out. `accuracy` is the objective, with its interval; `others` are more
    accuracies, by what people call them, of which soft IoU is None where it was not kept. `in_all`
    counts also the variants that are not drawn. `within` says that a network has every accuracy
    that limits ask for: others are on no front, however good they are.
    """

    number: tuple[int, ...]
    architecture: tuple[str, ...]
    accuracy: Column
    accuracy_low: Column
    accuracy_high: Column
    others: tuple[tuple[str, Column], ...]
    seeds: tuple[int, ...]
    chance: Column
    place: tuple[int, ...]
    within: tuple[bool, ...]
    differs: tuple[str, ...]
    yamls: tuple[tuple[int, ...], ...]
    blocks: tuple[str, ...]
    axes: tuple[Axis, ...]
    in_all: int


def points_of(
    variants: pd.DataFrame,
    front: Sequence[int],
    trials: Mapping[int, Trial],
    latencies: Mapping[int, Latency],
    evidence: Evidence,
    writer: ConfigWriter,
    goals: Goals,
    trained: Mapping[str, Mapping[str, Any]] | None = None,
    candidates: Sequence[int] = (),
) -> Points:
    """Return the columns of `variants`; `front`, `trials` and `latencies` are by trial number.

    `trained` are choices of training by path, as each schedule has them, by its id. Networks of
    the trials `candidates` are drawn, and have their configs before others.
    """
    in_all, name = len(variants), goals.accuracy.name
    timed = [latencies.get(int(number)) for number in variants["number"]]
    drawn = _drawn(variants, name, {*front, *candidates}, trials, timed, evidence)
    variants = variants.iloc[drawn]
    fitting = set(within_limits(variants, goals)["number"])
    numbers = [int(n) for n in variants["number"]]
    accuracies = [float(m) for m in variants[name]]
    intervals = [evidence.accuracies.get(n) for n in numbers]
    asks = [trials[n][0] for n in numbers]
    base = writer.base
    members, picks = set(front), set(candidates)
    places = tuple(_place(n, members, evidence) for n in numbers)
    wanted = sorted(
        range(len(numbers)), key=lambda i: (numbers[i] not in picks, -places[i], -accuracies[i])
    )
    yamls, blocks = _yamls(asks, wanted[:MOST_YAMLS], writer)
    return Points(
        number=tuple(numbers),
        architecture=tuple(variants["architecture"]),
        accuracy=tuple(accuracies),
        accuracy_low=tuple(i.low if i else None for i in intervals),
        accuracy_high=tuple(i.high if i else None for i in intervals),
        others=tuple(
            (label, tuple(known(value) for value in variants[column]))
            for column, label in other_accuracies(goals)
        ),
        seeds=tuple(int(s) for s in variants["seeds"]),
        chance=tuple(evidence.chances.get(n) for n in numbers),
        place=places,
        within=tuple(int(n) in fitting for n in numbers),
        differs=tuple(
            differences(ask.architecture, base.architecture, (trained or {}).get(ask.key.schedule))
            if base
            else ask.architecture.id
            for ask in asks
        ),
        yamls=yamls,
        blocks=blocks,
        axes=axes_of(variants, [timed[i] for i in drawn]),
        in_all=in_all,
    )


def other_accuracies(goals: Goals) -> list[tuple[str, str]]:
    """Return the columns of accuracies beside the objective, and what people call them."""
    own = [(one.name, one.label) for one in (OBJECTIVES[MIOU], *goals.accuracies)]
    return [*(row for row in own if row[0] != goals.accuracy.name), (SOFT_IOU, "soft IoU")]


def _drawn(
    variants: pd.DataFrame,
    accuracy: str,
    front: set[int],
    trials: Mapping[int, Trial],
    timed: Sequence[Latency | None],
    evidence: Evidence,
) -> list[int]:
    """Return which rows are drawn: the front, its rivals and what was confirmed are."""
    numbers = [int(n) for n in variants["number"]]
    confirmed = {ask.key.architecture for ask, _ in trials.values() if ask.purpose == CONFIRM}
    kept = [
        _place(number, front, evidence) != BEATEN or architecture in confirmed
        for number, architecture in zip(numbers, variants["architecture"], strict=True)
    ]
    if len(kept) - sum(kept) <= MOST_BEATEN:
        return list(range(len(kept)))
    axes = axes_of(variants, timed)
    heights = [float(m) for m in variants[accuracy]]
    return thinned(heights, [axis.values for axis in axes], kept, MOST_BEATEN)


def axes_of(variants: pd.DataFrame, timed: Sequence[Latency | None]) -> tuple[Axis, ...]:
    """Return what variants can be drawn against; each condition of measuring has its own axis."""
    conditions = sorted({t.condition for t in timed if t}, key=lambda c: -_count(c, timed))
    found = [_measured("latency (ms)", c, timed, _ms) for c in conditions]
    found += [
        Axis("MACs (G) per image", "", _exact(variants, "macs", 1e9)),
        Axis("parameters (M)", "", _exact(variants, "params", 1e6)),
        Axis("activations (M) per image", "", _exact(variants, "activations", 1e6)),
    ]
    found += [_measured("peak memory (MB)", c, timed, _memory) for c in conditions]
    found.append(Axis("width (channels)", "", _exact(variants, "width", 1), log=False))
    return tuple(axis for axis in found if any(v is not None for v in axis.values))


def known(value: float) -> float | None:
    """Return a cell of a table, None where it holds nothing."""
    return float(value) if math.isfinite(value) else None


def condition_line(condition: LatencyCondition) -> str:
    """Return everything that a latency depends on besides the network."""
    height, width = condition.size
    return (
        f"{condition.device}, {condition.how}, {condition.precision}, batch {condition.batch},"
        f" {height}x{width}, {condition.threads} CPU threads, {condition.memory_format}"
    )


def _place(number: int, members: set[int], evidence: Evidence) -> int:
    if number in members:
        return ON_FRONT
    return MAY_BE if evidence.chances.get(number, 0.0) >= MAY_BELONG else BEATEN


def _count(condition: LatencyCondition, timed: Iterable[Latency | None]) -> int:
    return sum(t is not None and t.condition == condition for t in timed)


def _measured(
    name: str, condition: LatencyCondition, timed: Sequence[Latency | None], pick: Pick
) -> Axis:
    found = [pick(t) if t and t.condition == condition else None for t in timed]
    middle, low, high = (tuple(f[i] if f else None for f in found) for i in range(3))
    return Axis(name, condition_line(condition), middle, low, high)


def _ms(latency: Latency) -> tuple[float, float, float] | None:
    if not (math.isfinite(latency.ms) and latency.ms > 0):
        return None
    return (latency.ms, *interval_ms(latency))


def _memory(latency: Latency) -> tuple[float, float, float] | None:
    taken = latency.peak_memory_bytes
    return (taken / 1e6, taken / 1e6, taken / 1e6) if taken else None


def _exact(variants: pd.DataFrame, name: str, unit: float) -> Column:
    values = variants[name].astype("float64").to_numpy() / unit
    return tuple(float(v) if np.isfinite(v) and v > 0 else None for v in values)


def _yamls(
    asks: Sequence[Ask], wanted: Iterable[int], writer: ConfigWriter
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """Return configs as lists of blocks: most of a config is that of all the others."""
    blocks: dict[str, int] = {}
    found: list[tuple[int, ...]] = [()] * len(asks)
    for i in wanted:
        text = writer.write(asks[i].architecture, asks[i].key.schedule).text
        parts = re.split(r"(?m)^(?= *[A-Z0-9_]+:$)", text)
        found[i] = tuple(blocks.setdefault(part, len(blocks)) for part in parts)
    return tuple(found), tuple(blocks)
