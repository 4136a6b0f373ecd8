"""What trainings of a study should take, by what those that have ended took."""

from __future__ import annotations

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.records.trial import TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.plan import Plan
from hrnet_search.store.trial_rows import Ask


class Pace:
    """Predicts seconds from exact costs, and learns with every result in the book."""

    def __init__(self, plan: Plan, book: AskBook) -> None:
        self._plan, self._book = plan, book
        known = {**plan.schedules.search, **plan.schedules.long}
        self._steps = {name: schedule.steps for name, schedule in known.items()}
        if plan.base:
            self._steps[plan.base.id] = plan.base.steps
        self._costs: dict[str, Cost] = {}
        self._fitted, self._durations = 0, Durations(())

    def at_most(self, network: Architecture, schedule: str) -> float:
        """Return the seconds that a training will hardly exceed; 0 while none has ended."""
        return self.durations.at_most(self.cost(network), self._steps.get(schedule, 0))

    def here(self, ask: Ask, result: TrialResult) -> float:
        """Return the seconds that a training which was taken over should take here.

        0 while nothing was trained here.
        """
        steps = result.rungs[-1].step if result.rungs else 0
        base = self._plan.base
        together = base.networks if base and self._plan.teaches_many(ask.purpose) else 1
        return together * self.durations.expected(self.cost(ask.architecture), steps)

    @property
    def durations(self) -> Durations:
        """What the trainings of this study that have ended say."""
        results = self._book.results
        if len(results) != self._fitted:
            found = (self._took(number, result) for number, result in results.items())
            self._durations = Durations([one for one in found if one is not None])
            self._fitted = len(results)
        return self._durations

    def cost(self, network: Architecture) -> Cost:
        """Return the exact cost of a network, at the size that latency is measured at."""
        if network.id not in self._costs:
            plan = self._plan
            counted = cost(network, plan.latency.size, plan.schedule.data.classes)
            self._costs[network.id] = counted
        return self._costs[network.id]

    def _took(self, number: int, result: TrialResult) -> Took | None:
        """Return what a training took; None of what was not trained, here or at all."""
        if not result.rungs or result.taken_over:
            return None
        ask = self._book.asks[number]
        if self._plan.teaches_many(ask.purpose):
            return None
        return Took(self.cost(ask.architecture), result.rungs[-1].step, result.wall_s)
