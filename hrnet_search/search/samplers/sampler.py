"""Sampler: ask for points, tell what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points, Problem
from hrnet_search.search.samplers.history import History

Propose = Callable[[History, np.random.Generator], Iterable[Points]]
"""Offers points [k, d] in order of preference, part by part, known and invalid ones too.

Nothing but the history and the generator may decide what is offered: a sampler that was told
the same then goes on in the same way.
"""


def offer_nothing(history: History, rng: np.random.Generator) -> tuple[Points, ...]:
    """Offer nothing, which leaves the uniform draw: random search."""
    del history, rng
    return ()


class Sampler:
    """Proposes points that are valid and new, whatever its method offers.

    Of what the method offers the first valid point that is neither told nor pending is taken;
    where there is none, a uniform draw from all that are left.
    """

    def __init__(self, problem: Problem, propose: Propose, seed: int = 0) -> None:
        self.history = History(problem)
        self._propose = propose
        self._seed = int(seed)

    def ask(self, count: int = 1) -> list[Point]:
        """Propose up to `count` points; fewer where the space has no more, none at its end."""
        asked: list[Point] = []
        while len(asked) < count and (point := self._next()) is not None:
            self.history.pend(point)
            asked.append(point)
        return asked

    def tell(
        self,
        point: Sequence[int],
        accuracy: float | None,
        fidelity: float = 1.0,
        costs: Sequence[float] | None = None,
    ) -> None:
        """Take what became of a point, in any order, asked for or not.

        `accuracy` is None if it failed, of any scale else; `fidelity` the share of its
        schedule that it ran, in (0, 1]; `costs` [m] measured values in place of predicted
        ones. Telling of a point again adds a repeat, or replaces a lower fidelity. Raise
        InputError for a point that is not on the axes and for costs that cannot be.
        """
        self.history.tell(point, accuracy, fidelity, costs)

    def weights(self) -> tuple[float, ...]:
        """Return how much each of the problem's earlier studies weighs, as a share of all.

        Empty for a method that does not say.
        """
        found = getattr(self._propose, "weights", None)
        return () if found is None else tuple(found(self.history))

    def pend(self, points: Iterable[Sequence[int]]) -> None:
        """Count points as asked for: those that an earlier sampler proposed."""
        points = list(points)
        self.history.meet(points)
        for point in points:
            self.history.pend(point)

    def _next(self) -> Point | None:
        # From how much is known, so that a resumed search draws what this one would have.
        rng = np.random.default_rng([self._seed, len(self.history)])
        for points in self._propose(self.history, rng):
            if fresh := self.history.fresh(points):
                return fresh[0]
        return next(iter(self.history.draw(rng)), None)
