"""Which results the default sampler learns from, as rows for its surrogates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Floats, Points, Problem
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.history import History, Observation
from hrnet_search.search.samplers.surrogate import Data

LEAST = 3
"""Observations without which nothing is modelled."""

SAMPLE = 20
"""Points that the start sample has at most: the first that were seen."""

FLOOR = 0.1
"""Share of the start sample that is below what counts."""

SPARE = 1 / 3
"""Share of the rows that is chosen evenly over all there are, whatever their accuracy."""


def observations(history: History, most: int) -> list[Observation]:
    """Return what was seen, `most` at most: see `chosen`."""
    seen = history.seen()
    return chosen(seen, history.costs(seen), most) if len(seen) > most else seen


def accuracies(features: Features, rows: Sequence[Observation]) -> Data | None:
    """Return observations as rows; None if they are too few to learn from."""
    if len(rows) < LEAST:
        return None
    points = np.array([o.point for o in rows], dtype=np.int64)
    return Data(
        features(points, fidelity=np.array([o.fidelity for o in rows])),
        raised(np.array([o.accuracy for o in rows])),
        np.array([float(len(o.accuracies)) for o in rows]),
        features.groups,
        features.families,
    )


def raised(accuracy: Floats) -> Floats:
    """Return accuracies with what is below the floor raised to it.

    The floor is what a share of the start sample, of networks of all costs, does not reach, or
    higher, the lower fence of a box plot (Tukey 1977) of all. How far below it a network is
    says little about those that are worth having, and one that collapsed says nothing.
    """
    low, high = np.quantile(accuracy, [0.25, 0.75])
    floor = np.quantile(accuracy[:SAMPLE], FLOOR)
    return np.asarray(np.maximum(accuracy, max(floor, low - 1.5 * (high - low))))


def successes(features: Features, history: History, most: int) -> Data | None:
    """Return whether trainings gave an accuracy, 1 or 0, as rows; None if none has failed.

    Of many, the last failures and the chosen observations, half of the rows each.
    """
    failed = history.failed()[-most // 2 :]
    if not failed:
        return None
    rows = observations(history, most // 2)
    points = array(history.problem, [*failed, *(o.point for o in rows)])
    succeeded = np.repeat([0.0, 1.0], [len(failed), len(rows)])
    return Data(
        features(points), succeeded, np.ones(len(points)), features.groups, features.families
    )


def chosen(seen: Sequence[Observation], costs: Floats, most: int) -> list[Observation]:
    """Return at most `most` observations: the best of every cost, and some of all.

    `costs` [n, m] are theirs. Where there are more, each of some neighbourhoods of cost gives
    its most accurate ones, and the rest is taken evenly in the order of their telling.
    """
    if len(seen) <= most:
        return list(seen)
    accuracy = np.array([o.accuracy for o in seen])
    whole = np.array([o.fidelity == 1 for o in seen])
    best = int(most * (1 - SPARE))
    order = np.lexsort((-accuracy, ~whole))
    rank = np.zeros(len(seen), dtype=np.int64)
    part = _neighbourhoods(costs)
    for number in np.unique(part):
        inside = order[part[order] == number]
        rank[inside] = np.arange(len(inside))
    kept = set(np.lexsort((order.argsort(), rank))[:best].tolist())
    others = [row for row in range(len(seen)) if row not in kept]
    spread = np.linspace(0, len(others) - 1, most - best).round().astype(int)
    kept.update(others[i] for i in spread)
    return [seen[row] for row in sorted(kept)]


def _neighbourhoods(costs: Floats) -> Points:
    """Return a number for each row: of about 30 parts by one cost, of 6 by 6 by two."""
    number = np.zeros(len(costs), dtype=np.int64)
    parts = {0: 1, 1: 30}.get(costs.shape[1], 6)
    for column in costs.T:
        rank = np.argsort(np.argsort(column, kind="stable"), kind="stable")
        number = number * parts + rank * parts // len(rank)
    return number


def array(problem: Problem, points: Sequence[Point]) -> Points:
    """Return points as an array, [n, d]."""
    return np.array(points, dtype=np.int64).reshape(-1, len(problem.axes))
