"""What is confirmed with the device time that duels leave: which trials it is spent on.

More seeds for the members of the front, and a long schedule for architectures spread over cost
and accuracy, so that a report can say how far a short schedule and one seed are to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from hrnet_search.duel_rule import MOST_PAIRS
from hrnet_search.goals import Goals
from hrnet_search.pareto import non_dominated
from hrnet_search.records.search_options import CONFIRMED_FROM
from hrnet_search.records.trial import TrialKey

LONG_FEWEST, LONG_MOST = 12, 16
"""Long trainings: fewer say nothing of how short and long schedules rank."""

COST_BINS = 4
SPARE_SEEDS = 4
"""Seeds of a duel that take the place of pairs in which a training did not complete."""

MORE_SEEDS = 4
"""Seeds that a member of the front gets at most beside those of the search."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture that completed: the number of its first ask, and its mean objectives.

    `values` are in the order of the study's objectives; `fits` says that it has every accuracy
    that the limits ask for. `schedule` is the id of the one that it counts by.
    """

    number: int
    architecture: str
    values: tuple[float, ...]
    fits: bool = True
    schedule: str = ""


def confirm_trials(trials: int, share: float, long: int) -> int:
    """Return how many trials of a budget confirm; none of a small one.

    As many as a `share` of device time pays for where each takes `long` trials of the search.
    """
    of_trials = share / (share + long * (1 - share))
    return max(1, round(trials * of_trials)) if share and trials >= CONFIRMED_FROM else 0


def long_trials(room: tuple[int, int], long: int) -> int:
    """Return how many trainings have the long schedule: enough, or none.

    `room` is how many trials there may be, and trainings by the search's schedule that there is
    time for, each `long` of which are one by the other.
    """
    affordable = min(room[0], (room[1] - MORE_SEEDS) // long)
    return min(LONG_MOST, affordable) if affordable >= LONG_FEWEST else 0


def fresh_seeds(seeds: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return seeds that the search never had: for its own schedule, and for the long one.

    With its seed a training has an order of images that no other had: what shares its chance with
    the search would seem to agree with it.
    """
    most = MORE_SEEDS + MOST_PAIRS + SPARE_SEEDS
    fresh = tuple(islice((s for s in count() if s not in seeds), most))
    return fresh[:MORE_SEEDS], fresh[MORE_SEEDS:]


def confirming(
    candidates: Sequence[Candidate],
    goals: Goals,
    seeds: tuple[int, ...],
    long_of: Callable[[str], str],
    room: tuple[int, int],
    long: int,
) -> list[TrialKey]:
    """Return the trials that confirm, in their order.

    `seeds` are those of the search, `long_of` names the long schedule, of `long` times the steps,
    beside that of a candidate; `room` as `long_trials` has it. The long ones come last: they take
    the most time, and the front is confirmed before them.
    """
    if not candidates:
        return []
    fitting = [c for c in candidates if c.fits]
    on_front = non_dominated([c.values for c in fitting], goals.directions)
    front = [c for c, kept in zip(fitting, on_front, strict=True) if kept]
    cost = _cost_column(goals)
    front.sort(key=lambda c: (c.values[cost], c.number))
    repeated, unseen = fresh_seeds(seeds)
    many = long_trials(room, long)
    few = min(room[0] - many, room[1] - many * long)
    trained_long = [
        TrialKey(c.architecture, long_of(c.schedule), unseen[0])
        for c in stratified(candidates, goals, many)
    ]
    repeats = [TrialKey(c.architecture, c.schedule, s) for s in repeated for c in front]
    return [*repeats[:few], *trained_long]


def stratified(candidates: Sequence[Candidate], goals: Goals, count: int) -> list[Candidate]:
    """Return `count` candidates spread over cost, and over accuracy among those of like cost."""
    if count >= len(candidates):
        return list(candidates)
    cost, accuracy = _cost_column(goals), goals.objectives.index(goals.accuracy)
    by_cost = sorted(candidates, key=lambda c: (c.values[cost], c.number))
    chosen: list[Candidate] = []
    bins = np.array_split(np.arange(len(by_cost)), COST_BINS)
    shares = [len(part) for part in np.array_split(np.arange(count), COST_BINS)]
    for rows, share in zip(bins, shares, strict=True):
        ranked = sorted((by_cost[i] for i in rows), key=lambda c: (c.values[accuracy], c.number))
        places = np.linspace(0, len(ranked) - 1, share).round().astype(int)
        chosen += [ranked[i] for i in places]
    return chosen


def _cost_column(goals: Goals) -> int:
    """Return the first objective that is minimised, else the accuracy itself."""
    return goals.objectives.index(next(iter(goals.costs), goals.accuracy))
