"""Samplers that are not in the package, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History
from hrnet_search.search.samplers.sampler import Propose

NOT_CALLABLE = 3


def near_the_best(problem: Problem, *, seed: int, **_: Any) -> Propose:
    """Offer the neighbours of the best so far in any order; else what is drawn."""
    del seed

    def propose(history: History, rng: np.random.Generator) -> Iterator[Points]:
        if seen := history.seen():
            best = max(seen, key=lambda observation: observation.accuracy)
            yield rng.permutation(problem.neighbours(np.array([best.point])))

    return propose


HEARD: list[float] = []


def remembering(problem: Problem, **_: Any) -> Propose:
    """Note what accuracies it was told."""
    del problem

    def propose(history: History, rng: np.random.Generator) -> tuple[Points, ...]:
        del rng
        HEARD[:] = [observation.accuracy for observation in history.seen()]
        return ()

    return propose


def of_five_axes(problem: Problem, **_: Any) -> Propose:
    del problem
    return lambda _history, _rng: [np.zeros((1, 5), dtype=np.int64)]


def of_floats(problem: Problem, **_: Any) -> Propose:
    floats: Any = np.zeros((1, len(problem.axes)))
    return lambda _history, _rng: [floats]


def off_the_axes(problem: Problem, **_: Any) -> Propose:
    return lambda _history, _rng: [np.full((1, len(problem.axes)), 99)]


def raising(problem: Problem, **_: Any) -> Propose:
    del problem

    def propose(history: History, rng: np.random.Generator) -> Iterator[Points]:
        raise ZeroDivisionError("of the user's own")

    return propose


def of_nothing(problem: Problem, **_: Any) -> None:
    del problem


def with_other_arguments(space: object) -> None:
    del space
