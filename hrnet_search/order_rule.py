"""In which order a long schedule is expected to put networks, while few were trained by it.

One rule for what a search's duels pick and what a report says.

What the search saw counts most, but a short training is noisy, and shows less than a long one of
what size is worth: so larger networks are expected to gain. How much better that ranks than either
does, on made-up and on real images: docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from hrnet_search.learned_rule import learned_something
from hrnet_search.records.schedule import NO_INIT, SHARED_INIT
from hrnet_search.records.trial import COMPLETED, TrialResult

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STARTS = (NO_INIT, SHARED_INIT)
"""What trainings may begin with: what inherits a base's weights ranks likeness to it."""

SLOPE = 0.6
"""Of what the search saw, all columns in their own deviations: half of the variance, with size."""

COST_SLOPES = (0.05, 0.15)
"""Of log MACs and of log parameters, beside that."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a search saw of networks [n] by a signal, by how many seeds each, and what they cost.

    `costs` are MACs and parameters, `learned` says which of them learned anything.
    """

    networks: tuple[str, ...]
    short: Floats
    costs: tuple[Floats, Floats]
    repeats: list[int]
    learned: Bools
    signal: str


def seen_of(
    results: Iterable[TrialResult], schedules: Container[str], signal: str, accuracy: str
) -> Seen:
    """Return what completed trials by some schedules show of the networks whose costs are known.

    `schedules` are ids; the signals are those of `scores_seen`.
    """
    counting = [one for one in results if _counts(one, schedules)]
    signal, scores = scores_seen(counting, schedules, signal, accuracy)
    costs = {one.key.architecture: one.cost for one in reversed(counting) if one.cost}
    learned = {one.key.architecture for one in counting if learned_something(one)}
    known = [(n, costs[n]) for n in scores if n in costs and min(costs[n].macs, costs[n].params)]
    return Seen(
        networks=tuple(name for name, _ in known),
        short=np.array([fmean(scores[name]) for name, _ in known]),
        costs=(_column([cost.macs for _, cost in known]), _column([c.params for _, c in known])),
        repeats=[len(scores[name]) for name, _ in known],
        learned=np.array([name in learned for name, _ in known], dtype=np.bool_),
        signal=signal,
    )


def scores_seen(
    results: Iterable[TrialResult], schedules: Container[str], signal: str, accuracy: str
) -> tuple[str, dict[str, list[float]]]:
    """Return by which signal a search saw its networks, and the scores of each, one a seed.

    All by one: by `signal`, which it learned from, where all that have an accuracy have it, else by
    that `accuracy`.
    """
    found: dict[str, dict[str, list[float]]] = {signal: {}, accuracy: {}}
    for result in results:
        for name, scores in found.items() if _counts(result, schedules) else ():
            if (score := result.score(name)) is not None:
                scores.setdefault(result.key.architecture, []).append(score)
    by = signal if found[signal].keys() >= found[accuracy].keys() else accuracy
    return by, found[by]


def columns_of(short: Floats, costs: tuple[Floats, Floats], learned: Bools | None = None) -> Floats:
    """Return what is known of networks as columns [n, 3], each in its own deviations.

    `short` is what the search saw of each [n], `costs` are MACs and parameters, positive. Where it
    is known which networks `learned` anything, those that did not set no scale: one of them would
    leave the order of all others to size. Nor are they better than any other to the search, whose
    signal may be of one class alone.
    """
    usual = setting_scale(short, learned)
    seen = (short - short[usual].mean()) / (short[usual].std() or 1.0)
    seen[~usual] = seen[~usual].clip(max=seen[usual].min())
    return np.column_stack([seen, *map(_standard, map(np.log, costs))])


def setting_scale(short: Floats, learned: Bools | None) -> Bools:
    """Return which networks [n] say how widely they differ: those that learned, if most did."""
    every = np.ones(len(short), dtype=np.bool_)
    return every if learned is None or 2 * learned.sum() <= len(short) else learned


def applies(init: str, schedules: int) -> bool:
    """Whether the order holds for trainings that begin with `init`, of so many schedules."""
    return init in STARTS and schedules < 2


def expected(columns: Floats) -> Floats:
    """Return what a long schedule is expected to give networks [n], in deviations of what it gives.

    `columns` are those of `columns_of`.
    """
    found: Floats = columns @ np.array([SLOPE, *COST_SLOPES])
    return found


def _counts(result: TrialResult, schedules: Container[str]) -> bool:
    return result.status == COMPLETED and result.key.schedule in schedules


def _column(costs: Sequence[float]) -> Floats:
    return np.array(costs, dtype=np.float64)


def _standard(column: Floats) -> Floats:
    centred: Floats = column - column.mean()
    return centred / (centred.std() or 1.0)
