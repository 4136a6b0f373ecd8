"""A search by slices of shared weights: what is judged by them, and what that singles out.

A judgement is a trial that trains nothing (`Plan.slices`): committed, gone on with and run by
workers as any other. Its schedule is its own, so that its score is never taken for one of a
training, and it counts as none of a study's trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hrnet_search.goals import Goals
from hrnet_search.pareto import fronts
from hrnet_search.records.point import Point
from hrnet_search.records.search_options import GATE
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, TrialKey, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.choice import Candidate, fresh_seeds, stratified
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.trials import Costs, Trials
from hrnet_search.space.generate import SMALL, generate
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.trial_rows import CONFIRM, SEARCH, SLICES

MOST_JUDGED = 2048
"""A space of at most this many networks is judged whole, if its points can be listed."""

BY_MACS = Goals.of(("miou", "macs"))

SAMPLED = 512
"""Networks of a larger space that are judged, as a sampler asks for them."""


def judged_of(space: SearchSpace) -> int:
    """Return how many networks of a space are judged: all of them, or some of more than that."""
    if space.size > SMALL:
        return len(generate(space, SAMPLED))
    there_are = len(generate(space, MOST_JUDGED + 1))
    return there_are if there_are <= MOST_JUDGED else SAMPLED


class Slices:
    """Names the networks that are judged by slices, then those of them that are trained.

    Everything follows from what is committed. `whole` says that all of the space are judged;
    else `sampler`, which is told their scores, asks for some.
    """

    def __init__(
        self, plan: Plan, book: AskBook, trials: Trials, problem: Problem, sampler: Sampler
    ) -> None:
        assert plan.slices, "made for such a plan only"
        self._plan, self._book, self._trials = plan, book, trials
        self._problem, self._sampler = problem, sampler
        self._schedule, self._trained = plan.slices.id, plan.schedule.id
        self._long, self._seed = plan.long_schedule.id, fresh_seeds(plan.seeds)[1][0]
        self._space = _whole(plan, problem)
        self.whole = bool(self._space)
        self._left = iter(self._space)

    def key(self, architecture: str) -> TrialKey:
        """Return the trial that judges a network."""
        return TrialKey(architecture, self._schedule, self._plan.seeds[0])

    def to_judge(self) -> list[Point]:
        """Return the next point that is judged, none at the end."""
        if not self.whole:
            return self._sampler.ask() if self._trials.asked(SLICES) < SAMPLED else []
        decode = self._plan.space.decode
        return next(([p] for p in self._left if self.key(decode(p).id) not in self._book), [])

    def to_train(self) -> list[Point]:
        """Return the next point that is trained, none at the end: the front, then what is nearest.

        Nearest are those that would be on the front without it, and so on; of each such layer
        some of all costs come first.
        """
        seed = self._plan.seeds[0]
        found = self._found()
        for layer in _layers([one.values for one in found], self._trials.goals):
            for row in layer:
                key = TrialKey(found[row].architecture, self._trained, seed)
                if key not in self._book:
                    return [self._book.asks[found[row].number].point]
        return []

    def gate(self) -> list[TrialKey]:
        """Return networks of all sizes to train alone, which scores by slices are held against.

        For those that do not complete as many more, once. What was asked for already stays: other
        judgements, as after failures, would single out others.
        """
        begun = [ask.key for ask in self._book.asks.values() if ask.purpose == CONFIRM]
        named = (TrialKey(name, self._long, self._seed) for name in self._spread())
        of_gate = [key for key in begun if (key.schedule, key.seed) == (self._long, self._seed)]
        keys = list(dict.fromkeys([*of_gate, *named]))
        ended = {r.key: r.status for r in self._book.results.values()}
        lost = sum(ended.get(key, COMPLETED) != COMPLETED for key in keys[:GATE])
        return keys[: GATE + lost]

    def _spread(self) -> Iterator[str]:
        """Yield networks spread over MACs and score; so are the first `GATE` by themselves.

        Unlike predicted latencies MACs never change, so these are the same ones each time.
        """
        found = [
            Candidate(number, result.key.architecture, (score, float(result.cost.macs)))
            for number, result, score in self._judged()
            if result.cost is not None
        ]
        chosen = stratified(found, BY_MACS, GATE)
        more = stratified(found, BY_MACS, 4 * GATE)
        yield from dict.fromkeys(one.architecture for one in (*chosen, *more))

    def _found(self) -> list[Candidate]:
        """Return what was judged and may keep the limits, with scores and costs as objectives.

        Costs are as they were measured where they were, else as predicted. What could not be
        trained, or is over a limit, keeps no other from its place.
        """
        done, asks = self._judged(), self._book.asks
        if not done:
            return []
        points = np.array([asks[number].point for number, _, _ in done], dtype=np.int64)
        costs, kept = self._problem.cost(points), self._problem.promising(points)
        known = self._known()
        found = []
        for (number, _, score), predicted, fits in zip(done, costs.tolist(), kept, strict=True):
            name = asks[number].key.architecture
            own = known.get(name, tuple(predicted) if fits else None)
            if own is not None:
                values = _values(self._trials.goals, score, own)
                found.append(Candidate(number, name, values))
        return found

    def _known(self) -> dict[str, Costs | None]:
        """Return the costs of networks that were trained, by name; None where they cannot be."""
        found: dict[str, Costs | None] = {}
        for number, result in sorted(self._book.results.items()):
            if self._book.asks[number].purpose != SEARCH:
                continue
            name = result.key.architecture
            if result.status in (INFEASIBLE, FAILED):
                found[name] = None
            elif (costs := self._trials.result_costs(result)) is not None:
                found.setdefault(name, costs)
        return found

    def _judged(self) -> list[tuple[int, TrialResult, float]]:
        """Return what was judged, in the order it was asked for, with its score."""
        return [
            (number, result, score)
            for number, result in sorted(self._book.results.items())
            if self._book.asks[number].purpose == SLICES and result.status == COMPLETED
            if (score := result.score(self._plan.signal)) is not None
        ]


def _values(goals: Goals, score: float, costs: Sequence[float]) -> tuple[float, ...]:
    """Return objectives in their order, of which costs are known in theirs."""
    left = iter(costs)
    return tuple(next(left) if one.is_cost else score for one in goals.objectives)


def _whole(plan: Plan, problem: Problem) -> list[Point]:
    """Return a point for each network of a space, none where they are too many."""
    if problem.size > SMALL:
        return []  # draws of which nobody knows when they have them all
    points = problem.enumerate()
    if len(points) > MOST_JUDGED:
        return []
    order = np.random.default_rng(plan.seed).permutation(len(points))
    shuffled: list[Point] = [tuple(points[i].tolist()) for i in order]
    return list({plan.space.decode(point).id: point for point in shuffled}.values())


def _layers(values: Sequence[tuple[float, ...]], goals: Goals) -> Iterator[list[int]]:
    """Yield rows front by front, each time without those before."""
    costs = [i for i, one in enumerate(goals.objectives) if one.is_cost]
    for layer in fronts(values, goals.directions):
        layer.sort(key=lambda row: ([values[row][i] for i in costs], row))
        yield [layer[place] for place in spread_order(len(layer))]


def spread_order(count: int) -> list[int]:
    """Return places 0 to count - 1 so that the first few, however many, are spread evenly."""
    found: dict[int, None] = {}
    parts = 1
    while len(found) < count:
        found |= dict.fromkeys(round(i * (count - 1) / parts) for i in range(parts + 1))
        parts *= 2
    return list(found)
