"""A space of architectures as the Problem that samplers search."""

from __future__ import annotations

import numpy as np

from hrnet_search.records import OBJECTIVES
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.space.space import SearchSpace, costs

COST_COLUMNS = ("params", "macs", "activations")

LATENCY_STAND_IN = "macs"
"""What orders variants by latency until theirs is measured."""


def cost_objectives(objectives: tuple[str, ...]) -> tuple[str, ...]:
    """Return the objectives that are minimised, in their order."""
    return tuple(name for name in objectives if OBJECTIVES[name].direction == "min")


def problem_of(space: SearchSpace, objectives: tuple[str, ...]) -> Problem:
    """Return the problem of a space: its choices as axes, its exact costs, its exact limits.

    Latency is known only by measuring: its column holds MACs until a measured value is told,
    and its limit is left to the trial.
    """
    columns = [
        COST_COLUMNS.index(name if OBJECTIVES[name].exact else LATENCY_STAND_IN)
        for name in cost_objectives(objectives)
    ]

    def cost(points: Points) -> Floats:
        return costs(space, points)[:, columns].astype(np.float64)

    def valid(points: Points) -> Bools:
        kept = space.valid(points)
        kept[kept] = space.within_limits(points[kept])
        return kept

    axes = tuple(Axis(c.path, c.values, _ordered(c.values)) for c in space.choices)
    return Problem(axes, cost, valid, space.canonical)


def _ordered(values: tuple[object, ...]) -> bool:
    """Say whether levels are numbers that rise or fall: their neighbours are alike."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        return False
    return numbers in (sorted(numbers), sorted(numbers, reverse=True))
