"""How the front of a study grew as its trials ended."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from hrnet_search.goals import Goals
from hrnet_search.pareto import hypervolume, non_dominated
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.records.trial import COMPLETED, TrialResult
from hrnet_search.store.trial_rows import CONFIRM, Ask

Trial = tuple[Ask, TrialResult | None]
Reference = tuple[float, float]
"""An accuracy and the log of a cost: nothing counts that is not better in both."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Hypervolume: `trainings` and `hours` so far, `volume` then, all [n].

    After the first training, after each that changed it, and after the last.
    """

    trainings: tuple[int, ...]
    hours: tuple[float, ...]
    volume: tuple[float, ...]
    label: str
    reference: Reference


def growth(
    trials: Sequence[Trial],
    goals: Goals,
    schedules: Container[str],
    reference: Reference | None = None,
) -> Growth | None:
    """Return how the front grew, over accuracy and log of the first cost; None without a point.

    Trials of the search's `schedules`, which are ids, in the order they were asked for; every
    trial's time counts.
    Without a `reference` it is the worst that they have come to.
    """
    cost = next(iter(goals.costs), OBJECTIVES["macs"])
    rows = [
        (r, _point(r, goals, cost) if _counts(ask, r, schedules) else None)
        for ask, r in trials
        if r
    ]
    points = [point for _, point in rows if point]
    if not points:
        return None
    reference = reference or worst(points)
    seen: dict[tuple[str, str], list[Reference]] = {}
    front: list[Reference] = []
    seconds, volume = 0.0, 0.0
    steps: list[tuple[int, float, float]] = []
    number, ends = 0, (rows[0][0], rows[-1][0])
    for result, point in rows:
        number += not result.untrained
        seconds += result.wall_s
        before = front
        if point:
            own = seen.setdefault((result.key.architecture, result.key.schedule), [])
            own.append(point)
            # By the mean of its seeds so far a network may lose its place, and others have it.
            means = [_mean(one) for one in seen.values()] if own[1:] else []
            front = _front(means) if means else _joined(front, point)
        if front != before:
            volume = hypervolume([p[0] for p in front], [p[1] for p in front], reference)
        if front != before or any(result is end for end in ends):
            steps.append((number, seconds / 3600, volume))
    trainings, hours, volumes = zip(*steps, strict=True)
    return Growth(
        trainings, hours, volumes, f"{goals.accuracy.label} x ln({cost.label})", reference
    )


def worst(points: Sequence[Reference]) -> Reference:
    """Return the worst accuracy and a little more than the worst cost of points."""
    return min(p[0] for p in points), max(p[1] for p in points) + 0.05


def _joined(front: list[Reference], point: Reference) -> list[Reference]:
    """Return a front with one point more, if none of it is as good and as cheap."""
    if any(other[0] >= point[0] and other[1] <= point[1] for other in front):
        return front
    left = [p for p in front if not (point[0] >= p[0] and point[1] <= p[1])]
    return sorted([*left, point])


def _front(points: Sequence[Reference]) -> list[Reference]:
    kept = non_dominated(points, ["max", "min"])
    return sorted({point for point, good in zip(points, kept, strict=True) if good})


def _mean(points: Sequence[Reference]) -> Reference:
    return fmean(p[0] for p in points), fmean(p[1] for p in points)


def _counts(ask: Ask, result: TrialResult, schedules: Container[str]) -> bool:
    """Whether the search grows by a trial: what confirms it finds no network."""
    searched = ask.purpose != CONFIRM and result.key.schedule in schedules
    return searched and result.status == COMPLETED


def _point(result: TrialResult, goals: Goals, of: Objective) -> tuple[float, float] | None:
    accuracy, cost = goals.accuracy.of(result), of.of(result)
    if accuracy is None or not cost or not np.isfinite(cost) or not goals.keeps_floors(result):
        return None
    return accuracy, float(np.log(cost))
