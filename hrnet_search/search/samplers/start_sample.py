"""The start sample: what is thought good, and points of every cost that are unlike each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.samplers.believed import believed_front, evenly
from hrnet_search.search.samplers.columns import log_exact
from hrnet_search.search.samplers.history import History

POOL = 2048
BELIEVED = 0.6
"""Share of the start that is what earlier studies hold to be the front, where there are any."""

CLIMBS = 64
"""Most steps of a walk to the cheapest or most expensive points."""


@dataclass(frozen=True, slots=True)
class Start:
    """The points to begin with, in order.

    `pool` [n, d] are the points that they were chosen from, which span the range of the exact
    costs; `costliest` [k, d] a point at the end of each.
    """

    points: Points
    pool: Points
    costliest: Points


def start_sample(problem: Problem, count: int, anchors: Sequence[Point], seed: int) -> Start:
    """Return up to `count` points: the anchors that are valid, then one for each part of cost.

    Where earlier studies are learned from, a share of the points is what they hold to be the
    front, and comes before all others: what they say may be wrong here, so it is never all.
    The parts are equal on average over the range of log costs and over how many points there
    are; of a part the point is taken that is least like those before it.
    """
    rng = np.random.default_rng([seed, count])
    # Estimates change: what depends on them could not be found again by a search that goes on.
    known = problem.distinct(np.array(anchors, dtype=np.int64).reshape(-1, len(problem.axes)))
    enough = 0 if len(known) else 1
    drawn = History(replace(problem, likely=None)).draw(rng, POOL, enough)
    points = np.array(drawn, dtype=np.int64).reshape(-1, len(problem.axes))
    points = points if len(points) >= count else _around(problem, np.concatenate([known, points]))
    if not len(points):
        return Start(points, points, points)
    cheapest, costliest = (_climb(problem, points, sign) for sign in (-1, 1))
    points = problem.distinct(np.concatenate([points, cheapest, costliest]))
    costs = log_exact(problem, points)
    front, room = points[:0], count
    if problem.earlier:
        front = believed_front(problem, points, round(BELIEVED * count))
        room = (count - len(front)) // 2
    if len(known):
        known = known[np.argsort(log_exact(problem, known).sum(axis=1), kind="stable")]
        known = known[evenly(len(known), room)]
    known = problem.distinct(np.concatenate([front, known]))
    chosen = _stratified(problem, points, costs, known, count, rng)
    return Start(chosen, points, costliest)


def _around(problem: Problem, points: Points) -> Points:
    """Return the distinct valid points among these, and those that single steps from them reach.

    Where valid points are too rare to be drawn they are found beside each other.
    """
    found, before = problem.distinct(points), 0
    while before < len(found) < POOL:
        before = len(found)
        found = problem.distinct(np.concatenate([found, problem.neighbours(found)]))
    return found[:POOL]


def likeness(problem: Problem, points: Points, other: Points) -> Floats:
    """Return the share of axes in which each point agrees with another, near levels in part."""
    counts = np.array(problem.counts)
    ordinal = np.array([axis.ordinal for axis in problem.axes], dtype=np.bool_)
    away = np.abs(points - other) / np.maximum(counts - 1, 1)
    return np.asarray(1 - np.where(ordinal, away, points != other).mean(axis=1))


def _stratified(
    problem: Problem,
    points: Points,
    costs: Floats,
    known: Points,
    count: int,
    rng: np.random.Generator,
) -> Points:
    """Return the known points and others, one for each part of cost that they leave open."""
    chosen = list(known)
    likest = np.zeros(len(points))
    for point in known:
        likest = np.maximum(likest, likeness(problem, points, point))
    part = _parts(costs, count)
    taken = _parts_of_known(problem, known, costs, part)
    order = [number for number in rng.permutation(count) if number not in taken]
    # Parts without a point, of which small spaces have some, leave places to fill at the end.
    for number in [*order, *[None] * count]:
        rows = np.arange(len(points)) if number is None else np.flatnonzero(part == number)
        rows = rng.permutation(rows[likest[rows] < 1])  # 1 is a point that was chosen
        if len(chosen) == count or not len(rows):
            continue
        row = rows[np.argmin(likest[rows])]
        chosen.append(points[row])
        likest = np.maximum(likest, likeness(problem, points, points[row]))
    return np.array(chosen, dtype=np.int64).reshape(-1, len(problem.axes))


def _parts(costs: Floats, count: int) -> Points:
    """Return the part of cost that each point is in, [n], 0 to count - 1."""
    if not costs.shape[1]:
        return np.arange(len(costs)) % count
    total = costs.sum(axis=1)
    share = np.argsort(np.argsort(total, kind="stable"), kind="stable") / max(len(total) - 1, 1)
    height = (total - total.min()) / max(float(np.ptp(total)), 1e-12)
    part = ((share + height) / 2 * count).astype(np.int64)
    return np.asarray(np.minimum(part, count - 1))


def _parts_of_known(problem: Problem, known: Points, costs: Floats, part: Points) -> set[int]:
    """Return the parts that known points stand for: those of the points nearest in cost."""
    if not len(known):
        return set()
    total, ours = costs.sum(axis=1), log_exact(problem, known).sum(axis=1)
    return {int(part[np.argmin(np.abs(total - c))]) for c in ours}


def _climb(problem: Problem, points: Points, sign: int) -> Points:
    """Return the points at one end of each cost that small steps lead to, one at least."""
    found = []
    for column in range(log_exact(problem, points[:1]).shape[1]):
        height = sign * log_exact(problem, points)[:, column]
        here, best = points[[np.argmax(height)]], float(height.max())
        for _ in range(CLIMBS):
            near = problem.distinct(problem.neighbours(here))
            if not len(near):
                break
            height = sign * log_exact(problem, near)[:, column]
            if height.max() <= best:
                break
            here, best = near[[np.argmax(height)]], float(height.max())
        found.append(here)
    return np.concatenate(found) if found else points[:1]
