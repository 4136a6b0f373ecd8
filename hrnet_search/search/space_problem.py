"""A space of architectures as the Problem that samplers search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.arch.structure import structure
from hrnet_search.records.objective import OBJECTIVES, PLAIN
from hrnet_search.search.by_point import ByPoint
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.search.screening import LatencyScreen
from hrnet_search.space.space import SearchSpace, costs, exact_limits

EXACT = 2
"""Of these, parameters and MACs are what models learn from, whatever the objectives."""

LATENCY = "latency_ms"

MOST_KEPT = 1 << 15
"""Points whose costs are kept."""


def cost_objectives(objectives: Sequence[str]) -> tuple[str, ...]:
    """Return the objectives that are minimised, in their order."""
    return tuple(name for name in objectives if name in PLAIN and PLAIN[name].is_cost)


def latency_matters(space: SearchSpace, objectives: tuple[str, ...]) -> bool:
    """Say whether latency is an objective or has a limit."""
    names = (*cost_objectives(objectives), *(limit.objective for limit in space.limits))
    return any(OBJECTIVES[name].is_measured for name in names)


def structure_of(space: SearchSpace, points: Points) -> Floats:
    """Return what the networks of points [n, d] are made of, [n, 10]."""
    return structure(space.batch(points))


def problem_of(
    space: SearchSpace,
    objectives: tuple[str, ...],
    screen: LatencyScreen | None = None,
    earlier: Sequence[Callable[[Points], Floats]] = (),
) -> Problem:
    """Return the problem of a space: its choices as axes, its exact costs, its exact limits.

    Latency is known only by measuring: until a measured value is told, its column holds what
    `screen` expects at the moment, and points that it expects to be over a limit of latency,
    with the margin of its error, are not asked for. Whether a limit holds is measured.
    `earlier` are expectations from earlier studies.
    """
    screen = screen or LatencyScreen(space)
    names = cost_objectives(objectives)
    counted = [name for name in names if name != LATENCY]
    known = ByPoint(partial(costs, space), MOST_KEPT)
    described = ByPoint(partial(structure_of, space), MOST_KEPT)

    def cost(points: Points) -> Floats:
        found = known(points) if counted else None
        columns = [
            screen.predict(points)
            if found is None or name == LATENCY
            else found[:, COST_NAMES.index(name)]
            for name in names
        ]
        return np.array(columns, dtype=np.float64).reshape(len(names), len(points)).T

    def exact(points: Points) -> Floats:
        return known(points)[:, :EXACT].astype(np.float64)

    def features(points: Points) -> Floats:
        return described(points).astype(np.float64)

    def valid(points: Points) -> Bools:
        kept = space.valid(points)
        if limited and kept.any():
            kept[kept] = space.keeps_limits(known(points[kept]))
        return kept

    limited = bool(exact_limits(space))
    axes = tuple(Axis(c.path, c.values, c.ordered) for c in space.choices)
    at_most = [limit.at_most for limit in space.limits if limit.objective == LATENCY]

    def likely(points: Points) -> Bools:
        return screen.likely(points, min(at_most))

    return Problem(
        axes,
        cost,
        valid,
        space.canonical,
        likely=likely if at_most else None,
        estimated=latency_matters(space, objectives),
        exact=exact,
        features=features,
        earlier=earlier,
    )
