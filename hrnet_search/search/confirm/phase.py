"""The last part of a study: duels first, then what `choice.py` makes of the time they leave."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_search.records.search_options import CONFIRMED_FROM
from hrnet_search.records.trial import TrialKey
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.confirm.choice import confirming
from hrnet_search.search.confirm.device_time import DeviceTime
from hrnet_search.search.confirm.duel_phase import DuelPhase
from hrnet_search.search.confirm.rivals import Rivals
from hrnet_search.search.in_time import InTime
from hrnet_search.search.plan import Plan
from hrnet_search.search.trials import Trials
from hrnet_search.store.trial_rows import CONFIRM, SEARCH
from hrnet_search.store.writer import StudyStore

SEARCHED_FROM = CONFIRMED_FROM - 2
"""Trials of the search that are confirmed: as many as the smallest budget of trials leaves it."""


class ConfirmPhase:
    """Asks for the trials that confirm, within their share of the trials and of device time."""

    def __init__(
        self,
        plan: Plan,
        store: StudyStore,
        book: AskBook,
        trials: Trials,
        in_time: InTime,
    ) -> None:
        self._plan, self._book, self._trials = plan, book, trials
        self._rivals, self._in_time = Rivals(plan, book, trials), in_time
        self._time = DeviceTime(plan, book, trials, in_time, self._seconds)
        self._schedules = plan.schedules
        self._duels = DuelPhase(plan, store, book, self._rivals, self._time)
        self.why_none = ""

    def ask_gate(self, keys: Sequence[TrialKey]) -> bool:
        """Commit the next of the trainings that scores by slices are held against; False if none.

        Whatever time they take: without them those scores count for nothing. It is spent of the
        share that confirms.
        """
        key = next((key for key in keys if key not in self._book), None)
        return key is not None and self._commit(key)

    def ask(self) -> bool:
        """Commit the next trial that confirms; False if there is none now, or none left.

        `why_none` says why none is left once nothing runs.
        """
        self.why_none = "there is nothing more to confirm"
        if not self._plan.confirming:
            return False
        if self._too_few:
            self._duels.none(f"fewer than {SEARCHED_FROM} trials of the search ended in time")
            return False
        needed = self._duels.next()
        if needed.key is not None:
            return self._commit(needed.key)
        return not needed.waits and self._ask_others()

    def note_why_no_duel(self) -> None:
        """Note why there is no duel in a study that has all of its trials and chose none.

        So it is where the trainings that slices are held against were all that confirm.
        """
        if self._plan.confirming:
            self._duels.choose()

    def _ask_others(self) -> bool:
        """Commit the next of the trials that duels leave time for; False if there is none."""
        plan = self._plan
        for key in confirming(
            self._trials.candidates(),
            plan.goals,
            plan.seeds,
            self._schedules.long_of,
            self._time.besides(self._duels.keys()),
            plan.long,
        ):
            if key in self._book:
                continue
            if self._time.affords(1, self._time.expected(key)):
                return self._commit(key)
        if self._time.besides(self._book.asked)[1] < 1:
            self.why_none = f"{self._time.share} is used up"
        return False

    @property
    def _too_few(self) -> bool:
        """Whether so few trials have ended in a budget of time that it goes to the search."""
        return self._in_time.budget.bounded and self._trials.asked(SEARCH) < SEARCHED_FROM

    def _seconds(self, key: TrialKey) -> float:
        network = self._rivals.network(key)[1]
        return self._in_time.pace.at_most(network, key.schedule)

    def _commit(self, key: TrialKey) -> bool:
        point, network = self._rivals.network(key)
        return self._book.commit(key, point, network, CONFIRM)
