"""The two sides of duels: what the search found, and the networks that people know."""

from __future__ import annotations

from functools import cached_property

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.latency_rule import mean_ms
from hrnet_search.records.point import Point
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.duels import Found, Known
from hrnet_search.search.plan import Plan
from hrnet_search.search.scores import scores_of
from hrnet_search.search.space_problem import LATENCY
from hrnet_search.search.trials import Trials
from hrnet_search.space.published import designs
from hrnet_search.space.space import exact_limits


class Rivals:
    """Says of both what they cost, and how accurate the search saw or expects them."""

    def __init__(self, plan: Plan, book: AskBook, trials: Trials) -> None:
        self._plan, self._book, self._trials = plan, book, trials

    @cached_property
    def _designs(self) -> dict[str, tuple[Architecture, Cost]]:
        """The known networks that may stand for what the study looks for, by name."""
        plan = self._plan
        counted = {
            name: (network, cost(network, plan.latency.size, plan.schedule.data.classes))
            for name, network in designs(plan.space).items()
        }
        return {name: pair for name, pair in counted.items() if _fits(*pair, plan)}

    def found(self, name: str) -> list[Found]:
        """Return what the search found, with the cost of a name."""
        latencies, scores = self._latencies(), scores_of(self._plan, self._book)
        goals, found = self._trials.goals, []
        place = goals.objectives.index(goals.accuracy)
        for one in self._trials.candidates():
            exact = self._book.results[one.number].cost
            value = latencies.get(one.architecture) if name == LATENCY else getattr(exact, name)
            if value is not None:
                score = scores.get(one.architecture, one.values[place])
                network = one.number, one.architecture
                long = self._plan.schedules.long_of(one.schedule)
                found.append(Found(*network, float(value), score, one.fits, long))
        return found

    def known(self, name: str) -> list[Known]:
        """Return the base and the published networks whose cost is known."""
        seen = {one.architecture: one.score for one in self.found(name)}
        found = []
        for title, (network, exact) in self._designs.items():
            value = self.latency(network.id) if name == LATENCY else getattr(exact, name)
            if value is not None:
                base = network.id == self._plan.space.base.id
                score = seen.get(network.id)
                found.append(Known(title, network.id, float(value), exact.macs, score, base))
        return found

    def latency(self, architecture: str) -> float | None:
        """Return the mean latency in ms of a network's trials, None where it has none."""
        return self._latencies().get(architecture)

    def network(self, key: TrialKey) -> tuple[Point, Architecture]:
        """Return the network of a trial with its point: none where the search asked for none.

        That is a network that the search did not try, or not by this schedule or its short one.
        """
        network, schedules = None, self._plan.schedules
        for ask in self._book.asks.values():
            if ask.key.architecture != key.architecture:
                continue
            network = ask.architecture
            own = schedules.of(ask.point)
            if ask.point and key.schedule in (own, schedules.long_of(own)):
                return ask.point, network
        known = (n for n, _ in self._designs.values() if n.id == key.architecture)
        return (), network or next(known)

    def _latencies(self) -> dict[str, float]:
        measured: dict[str, list[TrialResult]] = {}
        for _, result in sorted(self._book.results.items()):
            if result.status == COMPLETED and result.latency is not None:
                measured.setdefault(result.key.architecture, []).append(result)
        found = {architecture: mean_ms(results) for architecture, results in measured.items()}
        return {architecture: ms for architecture, ms in found.items() if ms is not None}


def _fits(network: Architecture, exact: Cost, plan: Plan) -> bool:
    """Whether a network may stand for what a study looks for; its base always does."""
    if plan.schedule.untrainable(max(stage.branches for stage in network.stages)):
        return False
    return network.id == plan.space.base.id or all(
        getattr(exact, limit.objective) <= limit.at_most for limit in exact_limits(plan.space)
    )
