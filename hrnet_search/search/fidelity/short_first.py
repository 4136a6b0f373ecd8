"""`fidelity: short_first`: many variants by a short schedule, then trainings of what they promise.

Trials of the short study have a schedule of their own, so their scores are never taken for those
of whole trainings, and they count as none of a study's trials. What they make one expect is one
more thing to know of a network, whose weight is found out as whole trainings end: as of an
earlier study that is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from hrnet_search.records import COMPLETED, RungResult, Schedule, TrialKey
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.earlier import expectation
from hrnet_search.search.plan import Plan
from hrnet_search.search.problem import Problem
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.trials import SEARCH, SHORT, Costs, Trials
from hrnet_search.store.findings import Learned
from hrnet_search.store.trial_rows import Ask

SHORTER = 3
"""A short schedule has one step in N of the search's, its warm-up too."""

SHORT_TRIALS = 0.4
"""Short trials for each whole one that a study is of."""

FEWEST = 8
"""Networks from which something is learned."""

MakeSampler = Callable[[Problem, int], Sampler]
"""Makes a sampler of a problem for so many trials."""


def short_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule of a search's short study."""
    steps = max(1, schedule.steps // SHORTER)
    return replace(schedule, steps=steps, warmup=min(schedule.warmup // SHORTER, steps - 1))


class ShortFirst:
    """Names the purpose of each trial, and who proposes its point: one sampler a part."""

    def __init__(
        self, plan: Plan, book: AskBook, trials: Trials, problem: Problem, make: MakeSampler
    ) -> None:
        self._plan, self._book, self._trials = plan, book, trials
        self._problem, self._make = problem, make
        self._count = max(FEWEST, round(SHORT_TRIALS * plan.trials))
        self._schedule = short_schedule(plan.schedule).id
        self._short = make(problem, self._count)
        self._none_left = False

    def next(self) -> str | None:
        """Return SHORT until so many were asked for, SEARCH once all of those have ended."""
        if self._over:
            return SEARCH
        return SHORT if self._asks_more else None

    def exhausted(self, purpose: str) -> bool:
        """Take that no point is left for a purpose: after a short study comes the search."""
        self._none_left = self._none_left or purpose == SHORT
        return purpose == SHORT

    def sampler_of(self, purpose: str) -> Sampler | None:
        """Return the short study's sampler, or that of all else, which is made at its end."""
        if purpose == SHORT:
            return self._short
        return self._main if self._over else None

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
        """Whether the short study is: for good, once something was searched.

        More trials, asked for when a study goes on, do not begin it again.
        """
        begun = self._trials.asked(SEARCH) > 0
        return begun or not (self._asks_more or self._trials.runs(SHORT))

    @cached_property
    def _main(self) -> Sampler:
        """The sampler of whole trainings, which learns from the short ones."""
        scores = self._scores()
        problem = self._problem
        if len(scores) >= FEWEST:
            networks = tuple(ask.architecture for ask, _ in scores)
            values = tuple(score for _, score in scores)
            found = Learned("", self._schedule, "", self._plan.signal, networks, values)
            known = expectation(self._plan.space, found)
            problem = replace(problem, earlier=[*problem.earlier, known])
        return self._make(problem, self._plan.trials)

    def _scores(self) -> Sequence[tuple[Ask, float]]:
        """Return the short trials that completed in the order of their numbers, with scores."""
        asks = self._book.asks
        return [
            (asks[number], score)
            for number, result in sorted(self._book.results.items())
            if asks[number].purpose == SHORT and result.status == COMPLETED
            if (score := result.score(self._plan.signal)) is not None
        ]


def short_key(plan: Plan, architecture: str) -> TrialKey:
    """Return the short trial of a network: by the first of the study's seeds."""
    return TrialKey(architecture, short_schedule(plan.schedule).id, plan.seeds[0])
