"""What confirming may take: trials, and seconds of them as they were committed.

Seconds are those that the store holds, so that a study that goes on reckons as it would have. What
was taken over from another study counts as what it would take here, once that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from statistics import fmean

from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.in_time import InTime
from hrnet_search.search.plan import Plan
from hrnet_search.search.trials import Trials
from hrnet_search.store.trial_rows import CONFIRM, SEARCH, Ask

ROUNDING = 1e-9


class DeviceTime:
    """The share of a study's device time that confirms, and what is left of it."""

    def __init__(
        self,
        plan: Plan,
        book: AskBook,
        trials: Trials,
        in_time: InTime,
        seconds: Callable[[TrialKey], float],
    ) -> None:
        """`seconds` is what a training will hardly exceed, for a budget that is one of time."""
        self._plan, self._book, self._trials = plan, book, trials
        self._budget, self._pace, self._at_most = in_time.budget, in_time.pace, seconds
        self._schedules = plan.schedules  # kept, for they are asked for with every trial

    @property
    def allowed(self) -> float:
        """Seconds that confirming may take: its share of those of all trials.

        Of a budget of time, what nothing else has taken.
        """
        if self._budget.bounded:
            own = self._seconds(lambda ask: ask.purpose == CONFIRM) + self._budget.running
            return self._budget.total - (self._budget.spent - own)
        share = self._plan.confirm
        others = self._seconds(lambda ask: ask.purpose != CONFIRM)
        return others * share / (1 - share) * (1 + ROUNDING)

    @property
    def share(self) -> str:
        """What it is of, for people."""
        if self._budget.bounded:
            return f"what is left of {self._budget.hours:g} device-hours"
        return f"the {100 * self._plan.confirm:.0f}% of device time that confirms"

    @property
    def source(self) -> str:
        """Which key gives it, for people: it follows how much is left."""
        if self._budget.bounded:
            return f"of the {self._budget.hours:g} device-hours of search.hours"
        share = 100 * self._plan.confirm
        return f"of the {share:.0f}% of device time that search.confirm gives"

    @property
    def left(self) -> float:
        """Seconds of them that are neither spent nor expected of trials that run."""
        if self._budget.bounded:
            return self._budget.free
        running = sum(
            self.expected(ask.key)
            for number, ask in self._book.asks.items()
            if number not in self._book.results and ask.purpose == CONFIRM
        )
        return self.allowed - self._seconds(lambda ask: ask.purpose == CONFIRM) - running

    @property
    def trials_left(self) -> int:
        """How many trials that confirm may still be asked for, whatever they take."""
        plan, asked = self._plan, self._trials.asked
        if self._budget.bounded:
            return plan.confirming
        return min(plan.confirming, plan.trials - asked(SEARCH)) - asked(CONFIRM)

    def affords(self, trials: int, seconds: float) -> bool:
        """Whether `trials` more, which take `seconds` together, may be asked for."""
        return trials <= self.trials_left and seconds <= self.left

    def expected(self, key: TrialKey) -> float:
        """Return the seconds that a training should take.

        What its network took by the same schedule, else by the search's, else what trials of the
        search took on average. 0 where none has completed. Where time is the budget, what it will
        hardly exceed.
        """
        if self._budget.bounded and key.architecture:
            return self._at_most(key)
        ended = self._ended()
        done = [(ask.key, self._took(ask, r)) for ask, r in ended if r.status == COMPLETED]
        searching = self._schedules.search  # no choice of training changes what a step takes
        is_short = key.schedule in searching
        alike = [(k, s) for k, s in done if (k.schedule in searching) == is_short]
        if own := [s for k, s in alike if k.architecture == key.architecture]:
            return fmean(own)
        short = [(k, s) for k, s in done if k.schedule in searching]
        own = [s for k, s in short if k.architecture == key.architecture]
        times = 1 if is_short else self._plan.long
        return times * fmean(own or [s for _, s in short] or [0.0])

    def besides(self, keys: Collection[TrialKey]) -> tuple[int, int]:
        """Return what confirming may take besides some trials, as if it had taken no others.

        That is trials, and trainings by the search's schedule that there is time for.
        """

        def one_of_them(ask: Ask) -> bool:
            return ask.purpose == CONFIRM and ask.key in keys

        trials = self._plan.confirming - sum(one_of_them(ask) for ask, _ in self._ended())
        left = self.allowed - self._seconds(one_of_them)
        each = self.expected(TrialKey("", self._plan.schedule.id, 0))
        return trials, int(left / each) if each else trials

    def _seconds(self, counts: Callable[[Ask], bool]) -> float:
        return sum(self._took(ask, result) for ask, result in self._ended() if counts(ask))

    def _took(self, ask: Ask, result: TrialResult) -> float:
        return (self._pace.here(ask, result) if result.taken_over else 0.0) or result.wall_s

    def _ended(self) -> list[tuple[Ask, TrialResult]]:
        asks = self._book.asks
        return [(asks[number], result) for number, result in self._book.results.items()]
