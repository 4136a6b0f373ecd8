"""The trials of a study in memory: what was asked for, what came of it, and what that says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from hrnet_search.errors import counted
from hrnet_search.goals import Goals
from hrnet_search.latency_rule import mean_ms
from hrnet_search.pareto import non_dominated
from hrnet_search.records.objective import Objective
from hrnet_search.records.trial import COMPLETED, INFEASIBLE, TrialKey, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.choice import Candidate
from hrnet_search.search.space_problem import LATENCY
from hrnet_search.store.trial_rows import BASE, CONFIRM, SEARCH, SHORT

BESIDE = (BASE, SHORT)
"""Trainings that are not counted; what slices judge is not a training."""

COUNTED = (SEARCH, CONFIRM)

Costs = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """A trial of the search that has ended, with its costs in the order of the objectives."""

    key: TrialKey
    result: TrialResult
    costs: Costs


class Trials:
    """What the asks and results of a search's book say, by what it is to reach."""

    def __init__(self, goals: Goals, book: AskBook) -> None:
        self.goals = goals
        self._book = book
        self._asks, self._results = book.asks, book.results

    @property
    def ended(self) -> int:
        """Trials that have ended and count as such: infeasible ones cost no training.

        Neither what variants start from nor what is judged by slices is one of them.
        """
        results = self._results.items()
        return sum(r.status != INFEASIBLE and self._counts(number) for number, r in results)

    @property
    def base(self) -> TrialResult | None:
        """The result of the trial that variants inherit from, if there is one."""
        asked = (n for n, ask in self._asks.items() if ask.purpose == BASE)
        return self._results.get(next(asked, -1))

    @property
    def trained(self) -> int:
        """Variants' trials that completed: of the search, for others only confirm, or are held
        against slices."""
        asks, results = self._asks, self._results.items()
        return sum(r.status == COMPLETED and asks[n].purpose == SEARCH for n, r in results)

    def _counts(self, number: int) -> bool:
        return self._asks[number].purpose in COUNTED

    def runs(self, purpose: str) -> bool:
        """Whether a trial of a purpose runs, or waits to."""
        asks = self._asks.items()
        return any(self._book.is_open(n) and ask.purpose == purpose for n, ask in asks)

    def has(self, key: TrialKey, status: str) -> bool:
        """Whether a trial has ended so."""
        result = self._book.result_of(key)
        return result is not None and result.status == status

    def open(self, key: TrialKey) -> bool:
        """Whether a trial was asked for and has not ended."""
        return self._book.runs(key)

    def infeasible(self, limit_ms: float | None) -> tuple[int, int]:
        """Return how many networks are over the limit of latency, and how many did not fit memory.

        However many of their seeds: those were asked for together.
        """
        slow, large = set[str](), set[str]()
        for result in self._results.values():
            if result.status == INFEASIBLE:
                over = limit_ms is not None and (result.latency_ms or 0) > limit_ms
                (slow if over else large).add(result.key.architecture)
        return len(slow), len(large)

    def asked(self, purpose: str) -> int:
        """Return how many trials of a purpose were asked for, without infeasible ones."""
        free = {n for n, result in self._results.items() if result.status == INFEASIBLE}
        return sum(a.purpose == purpose for n, a in self._asks.items() if n not in free)

    @property
    def searching(self) -> bool:
        """Whether a trial runs whose result confirming has to wait for."""
        asks = self._asks.items()
        return any(self._book.is_open(n) and ask.purpose != CONFIRM for n, ask in asks)

    def searched(self) -> list[Searched]:
        """Return the trials of the search whose costs are known, in the order they ended."""
        return [
            Searched(self._asks[number].key, result, costs)
            for number, result in self._results.items()
            if self._asks[number].purpose == SEARCH
            and (costs := self.result_costs(result)) is not None
        ]

    def candidates(self) -> list[Candidate]:
        """Return what the search found: architectures, with the means over their seeds.

        Of one that was trained in several ways, by the schedule that served it best.
        """
        found: dict[tuple[str, str], list[tuple[int, TrialResult]]] = {}
        for number, result in sorted(self._results.items()):
            ask = self._asks[number]
            if ask.purpose == SEARCH and result.status == COMPLETED and self.values(result):
                trained = ask.key.architecture, ask.key.schedule
                found.setdefault(trained, []).append((number, result))
        place = self.goals.objectives.index(self.goals.accuracy)
        best: dict[str, Candidate] = {}
        for trained, rows in found.items():
            one = self._candidate(trained, rows[0][0], [result for _, result in rows])
            known = best.get(one.architecture)
            if known is None or one.values[place] > known.values[place]:
                best[one.architecture] = one
        return list(best.values())

    def _candidate(
        self, trained: tuple[str, str], number: int, results: Sequence[TrialResult]
    ) -> Candidate:
        name, schedule = trained
        return Candidate(number, name, self.means(results), self.fits(results), schedule)

    def means(self, results: Sequence[TrialResult]) -> Costs:
        """Return the mean objectives of a network's trials, in their order.

        Of latencies under several conditions those of the first alone.
        """
        ms = mean_ms(results)
        means = _means([self.values(result) for result in results])
        return tuple(
            ms if one.name == LATENCY and ms is not None else mean
            for one, mean in zip(self.goals.objectives, means, strict=True)
        )

    def fits(self, results: Sequence[TrialResult]) -> bool:
        """Return whether the means of a network's trials are known and within all floors."""
        floors = self.goals.floors
        bounded = [self._of(result, [f.objective for f in floors]) for result in results]
        known = [values for values in bounded if values is not None]
        fits = len(known) == len(results) and all(
            floor.keeps(mean) for floor, mean in zip(floors, _means(known), strict=True)
        )
        return fits or not floors

    def front(self) -> list[TrialKey]:
        """Return the completed trials of the search that no other within the limits beats.

        Those by which their architecture does not count are left out.
        """
        counts = {(one.architecture, one.schedule) for one in self.candidates()}
        done = [
            (trial.key, values)
            for trial in self.searched()
            if trial.result.status == COMPLETED
            and (trial.key.architecture, trial.key.schedule) in counts
            and self.goals.keeps_floors(trial.result)
            and (values := self.values(trial.result))
        ]
        kept = non_dominated([values for _, values in done], self.goals.directions)
        return [key for (key, _), good in zip(done, kept, strict=True) if good]

    def values(self, result: TrialResult) -> Costs:
        """Return the objectives of a result in their order; empty if one is not known."""
        return self._of(result, self.goals.objectives) or ()

    def result_costs(self, result: TrialResult) -> Costs | None:
        """Return the cost objectives of a result in their order, None if one is not known."""
        return self._of(result, self.goals.costs)

    def _of(self, result: TrialResult, objectives: Sequence[Objective]) -> Costs | None:
        values = [objective.of(result) for objective in objectives]
        known = tuple(value for value in values if value is not None)
        return known if len(known) == len(values) and result.cost is not None else None


def _means(rows: Sequence[Costs]) -> Costs:
    return tuple(fmean(column) for column in zip(*rows, strict=True))


def have_ended(count: int, asked: int = 0, seeds: int = 1) -> str:
    """Return in words that trials have ended, of as many as were asked for if that is said.

    All `seeds` of the last network are trained, which may be more.
    """
    has = "has" if count == 1 else "have"
    trials = counted(count, "trial")
    if asked < count < asked + seeds and asked:
        return f"{trials} {has} ended: the {asked} asked for, and all seeds of the last network"
    if count > asked > 0:  # fewer are asked for now than were before
        return f"{trials} {has} ended, more than the {asked} asked for"
    return f"{trials} of {asked} {has} ended" if asked else f"{trials} {has} ended"
