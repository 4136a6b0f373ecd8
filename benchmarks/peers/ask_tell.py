"""Libraries that are asked for a point and told what came of it, and keep that to themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History

SUGGESTIONS = 16
"""How often a library is asked before a random point is taken instead."""

Suggested = Any
"""A library's own name for a suggestion."""


class Library(Protocol):
    """Minimises two values."""

    def ask(self) -> tuple[Suggested, Point] | None:
        """Return the next suggestion and the point that it is; None if there is none left."""

    def named(self, point: Point) -> Suggested:
        """Return the name of a point that it did not suggest."""

    def tell(self, suggested: Suggested, values: tuple[float, float]) -> None:
        """Take (minus accuracy, log cost)."""

    def tell_failed(self, suggested: Suggested) -> None:
        """Take that a suggestion cannot be trained."""


class AskTell:
    """Offers what a library suggests; what it suggests again it is told again."""

    def __init__(self, problem: Problem, library: Library) -> None:
        self._problem, self._library = problem, library
        self._running: dict[Point, Suggested] = {}
        self._told: dict[Point, tuple[float, float]] = {}

    def __call__(self, history: History, rng: np.random.Generator) -> Iterator[Points]:
        """Tell the library what ended since, then offer its suggestions one by one."""
        del rng
        for seen in history.seen():
            if seen.point not in self._told:
                cost = float(np.log(self._problem.cost(np.array([seen.point]))[0, 0]))
                self._told[seen.point] = (-seen.accuracy, cost)
                suggested = self._running.pop(seen.point, None) or self._library.named(seen.point)
                self._library.tell(suggested, self._told[seen.point])
        for _ in range(SUGGESTIONS):
            asked = self._library.ask()
            if asked is None:
                return
            suggested, levels = asked
            offered = np.array([levels], dtype=np.int64)
            distinct = self._problem.distinct(offered)
            if not len(distinct):
                self._library.tell_failed(suggested)
                continue
            point = tuple(distinct[0].tolist())
            if point in self._told:
                self._library.tell(suggested, self._told[point])
            else:
                self._running[point] = suggested
                yield offered
