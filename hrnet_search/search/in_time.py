"""What of a study is begun within a budget of device time: nothing that would not end in it."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_search.errors import counted
from hrnet_search.records.point import Point
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.pace import Pace
from hrnet_search.search.plan import Plan
from hrnet_search.search.time_budget import TimeBudget
from hrnet_search.store.trial_rows import Ask

MOST_HELD = 8
"""Proposals that would not end in time, after which a search has none that would."""


class InTime:
    """Holds what is asked for against the time that is left; without a bound all has time.

    A proposal that would not end in time is held: it may, when what runs ends early, or where
    confirming leaves time.
    """

    def __init__(self, plan: Plan, book: AskBook, budget: TimeBudget) -> None:
        self.budget, self.pace = budget, Pace(plan, book)
        self._plan, self._book = plan, book
        self._held: list[Point] = []
        self._begun = {number for number in book.asks if book.is_open(number)}

    def begun(self, ask: Ask | None) -> Ask | None:
        """Return an ask whose trial is begun now; None where it has to wait for more time.

        What was cut off goes on in whatever time there is: it ends sooner by it, and what it takes
        from its checkpoint on is not known here.
        """
        if ask is None or not self.budget.bounded:
            return ask
        seconds = self.pace.at_most(ask.architecture, ask.key.schedule)
        goes_on = ask.number in self._begun and self.budget.free > 0
        if goes_on or self.budget.fits(seconds):
            self._begun.add(ask.number)
            self.budget.begin(ask.number, seconds)
            return ask
        self._book.wait(ask)
        return None

    def proposed(self, ask: Callable[[], list[Point]], kept: float) -> list[Point]:
        """Return the next proposal of a sampler that would end in time, none if none would.

        A share of all time is `kept` for later.
        """
        if not self.budget.bounded:
            return ask()
        for point in self._held:
            if self._fits(point, kept):
                self._held.remove(point)
                return [point]
        while len(self._held) < MOST_HELD and (points := ask()):
            if self._fits(points[0], kept):
                return points
            self._held.append(points[0])
        return []

    def why_ended(self, ended: int) -> str:
        """Return that time has ended a study of that many trials; empty if it has not."""
        budget, waits = self.budget, len(self._book.asks) - len(self._book.results)
        if not budget.bounded or not (budget.over or self._held or waits):
            return ""
        if budget.in_hand and not budget.over:
            return ""  # what runs may end early
        said = f"{counted(ended, 'trial')} ended in {budget}"
        if waits:
            said += f"; {counted(waits, 'trial')} wait for more: search.hours, or --hours"
        return said

    def _fits(self, point: Point, kept: float) -> bool:
        network = self._plan.space.decode(point)
        seconds = self.pace.at_most(network, self._plan.schedule.id) * len(self._plan.seeds)
        for ask in self._book.waits:  # what was asked for and may not begin yet has its time
            seconds += self.pace.at_most(ask.architecture, ask.key.schedule)
        return self.budget.fits(seconds, kept)
