"""A first study trains many variants in part; what it shows informs the search that follows.

Its trials have the purpose SHORT and count as none of a study's trials. What they make one expect
is one more thing to know of a network, whose weight is found out as whole trainings end: as of an
earlier study that is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from hrnet_search.records.trial import RungResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.earlier import expectation
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.trials import Costs, Trials
from hrnet_search.store.findings import Learned
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import SEARCH, SHORT, Ask
from hrnet_search.store.writer import StudyStore

FEWEST = 8
"""Networks from which something is learned."""

MakeSampler = Callable[[Problem, int], Sampler]
"""Makes a sampler of a problem for that many trials."""


def first_trials(share: float, trials: int) -> int:
    """Return how many trials a first study is of, with `share` of them for each whole one."""
    return max(FEWEST, round(share * trials))


class FirstStudy:
    """Names the purpose of each trial, and who proposes its point: one sampler a part.

    First are `share` trials for each whole one, and what their `step` shows is learned from.
    """

    share: float

    def __init__(
        self,
        plan: Plan,
        store: StudyStore,
        book: AskBook,
        trials: Trials,
        problem: Problem,
        make: MakeSampler,
    ) -> None:
        self._plan, self._store, self._book, self._trials = plan, store, book, trials
        self._problem, self._make = problem, make
        self._count = first_trials(self.share, plan.trials)
        self._first = make(problem, self._count)
        self._none_left = False
        self._learned = store.notes().first_trials is not None

    @property
    def step(self) -> int:
        """The step after which the first trials are judged."""
        raise NotImplementedError

    def next(self) -> str | None:
        """Return SHORT until that many were asked for, SEARCH once none of those runs."""
        if self._over:
            return SEARCH
        return SHORT if self._asks_more else None

    def exhausted(self, purpose: str) -> bool:
        """Take that no point is left for a purpose: after a first study comes the search."""
        self._none_left = self._none_left or purpose == SHORT
        return purpose == SHORT

    def sampler_of(self, purpose: str) -> Sampler | None:
        """Return the first study's sampler, or that of all else, which is made at its end."""
        if purpose == SHORT:
            return self._first
        return self._main if self._over else None

    def begins(self, ask: Ask) -> bool:  # noqa: ARG002
        """Return that every trial does."""
        return True

    def goes_on(self, ask: Ask, rung: RungResult, costs: Costs | None) -> bool:  # noqa: ARG002
        """Return that every trial does."""
        return True

    def conclude(self) -> None:
        """Note nothing."""

    @property
    def _asks_more(self) -> bool:
        return not self._none_left and self._trials.asked(SHORT) < self._count

    @property
    def _over(self) -> bool:
        """Whether the first study is: for good, once something was learned from it, or searched.

        More trials, asked for when a study goes on, do not begin it again.
        """
        begun = self._learned or self._trials.asked(SEARCH) > 0
        return begun or not (self._asks_more or self._trials.runs(SHORT))

    @cached_property
    def _main(self) -> Sampler:
        """The sampler of whole trainings, which learns from the first study."""
        scores = self._scores()
        problem = self._problem
        if len(scores) >= FEWEST:
            networks = tuple(ask.architecture for ask, _ in scores)
            values = tuple(score for _, score in scores)
            found = Learned("", "", "", self._plan.signal, networks, values)
            known = expectation(self._plan.space, found)
            problem = replace(problem, earlier=[*problem.earlier, known])
        return self._make(problem, self._plan.networks)

    def _scores(self) -> Sequence[tuple[Ask, float]]:
        """Return the first trials that showed something in the order of their numbers.

        Which those are is noted, and what they showed: a trial that goes on is one of the search,
        and one that then fails shows nothing any more.
        """
        notes = self._store.notes()
        numbers, scores = notes.first_trials, notes.first_scores
        if numbers is None:
            asks = self._book.asks.values()
            numbers = tuple(ask.number for ask in asks if ask.purpose == SHORT)
        if scores is None:
            scores = tuple(map(self._score, numbers))
            self._store.note(Notes(first_trials=numbers, first_scores=scores))
        self._learned = True
        pairs = zip(numbers, scores, strict=True)
        return [(self._book.asks[n], score) for n, score in pairs if score is not None]

    def _score(self, number: int) -> float | None:
        result = self._book.shown(number)
        rungs = result.rungs if result is not None else ()
        seen = (rung.score(self._plan.signal) for rung in rungs if rung.step == self.step)
        return next(seen, None)
