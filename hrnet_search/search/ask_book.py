"""The asks of a study and what came of them: one book for the brains of searches and ablations."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost
from hrnet_search.records.point import Point
from hrnet_search.records.trial import PAUSED, STATUSES, TrialKey, TrialResult
from hrnet_search.search.deaths import Death, Deaths
from hrnet_search.search.failures import Failures
from hrnet_search.store.rows import trusted
from hrnet_search.store.trial_rows import SHORT, Ask
from hrnet_search.store.writer import StudyStore


class AskBook:
    """What was asked for, what waits to run, what was given back, and when failures end it all.

    `asks` are by number, `results` by number in the order of their commits. Whatever changes is
    committed in the store first, and a book that is opened again goes on from there: trials that
    were cut off wait. `paused` are what trials have shown that wait for somebody to let them go
    on. Deaths and failures are not kept: the death of a driver, and what it
    ended, counts for nothing.
    """

    def __init__(self, store: StudyStore, planned: int, seeds: int = 1) -> None:
        """`planned` is how many trials the study is of, so many `seeds` of each network."""
        self.results = dict(store.finished())
        self.asks = {ask.number: ask for ask in store.asks()}
        self._shown = store.paused()
        self.paused = {n: r for n, r in self._shown.items() if self.asks[n].purpose == SHORT}
        self._store = store
        self._numbers = {ask.key: ask.number for ask in self.asks.values()}
        self._waiting = deque(ask for n, ask in self.asks.items() if self.is_open(n))
        told = {number for ask in self.asks.values() for number in ask.told}
        self._told = [number for number in (*self.results, *self.paused) if number not in told]
        self._deaths = Deaths()
        self._failures = Failures(planned // seeds)

    def __contains__(self, key: TrialKey) -> bool:
        return key in self._numbers

    @property
    def asked(self) -> Collection[TrialKey]:
        """The trials that were asked for."""
        return self._numbers.keys()

    def runs(self, key: TrialKey) -> bool:
        """Whether a trial was asked for and has no result."""
        return key in self._numbers and self.is_open(self._numbers[key])

    def result_of(self, key: TrialKey) -> TrialResult | None:
        """Return what came of a trial; None while nothing has, or if it was not asked for."""
        return self.results.get(self._numbers.get(key, -1))

    def is_open(self, number: int) -> bool:
        """Whether a trial runs or waits to: it has no result and is not paused."""
        return number not in self.results and number not in self.paused

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by status."""
        found = Counter(result.status for result in self.results.values())
        return {status: found[status] for status in STATUSES}

    @property
    def running(self) -> int:
        """Trials that were asked for, have no result and are not paused."""
        return len(self.asks) - len(self.results) - len(self.paused)

    @property
    def why_stop(self) -> str:
        """Why failures end the study, empty if they do not."""
        return self._failures.why_stop

    def waiting(self, begins: Callable[[Ask], bool] = lambda _: True) -> Ask | None:
        """Return the next trial to run that `begins`, which no longer waits then; None if none."""
        found = next((ask for ask in self._waiting if begins(ask)), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    @property
    def waits(self) -> Sequence[Ask]:
        """The trials that wait to run, those that may not begin yet among them."""
        return tuple(self._waiting)

    def wait(self, ask: Ask) -> None:
        """Have a trial that was to run wait, before all others."""
        self._waiting.appendleft(ask)

    def commit(self, key: TrialKey, point: Point, architecture: Architecture, purpose: str) -> bool:
        """Commit one ask, whose trial waits then; False if it was asked for before.

        One that is paused goes on, for this purpose.
        """
        if key in self._numbers:
            return purpose != SHORT and self._thaw(self._numbers[key], purpose)
        number = next(reversed(self.asks), -1) + 1
        ask = Ask(number, key, point, architecture, purpose, tuple(self._told))
        self._store.ask(ask)
        self._told = []
        self.asks[number] = ask
        self._numbers[key] = number
        self._waiting.append(ask)
        return True

    def _thaw(self, number: int, purpose: str) -> bool:
        if number not in self.paused:
            return False
        self._store.thaw(number, purpose)
        del self.paused[number]
        self.asks[number] = replace(self.asks[number], purpose=purpose)
        self._waiting.append(self.asks[number])
        return True

    def pause(self, number: int, result: TrialResult) -> None:
        """Commit what a trial has shown so far, which may go on from its checkpoint."""
        result = trusted(replace(result, status=PAUSED))
        self._store.pause(number, result)
        self.paused[number] = self._shown[number] = result
        self._failures.take(result)
        self._told.append(number)

    def in_order(self) -> list[int]:
        """Return the trials that have shown something, in the order in which they first did.

        What is still in no ask's `told` comes last.
        """
        told = (number for ask in self.asks.values() for number in ask.told)
        known = dict.fromkeys([*told, *self.results, *self._shown])
        return [number for number in known if self.shown(number) is not None]

    def shown(self, number: int) -> TrialResult | None:
        """Return what a trial has shown: its result, or what it had when it was paused."""
        return self.results.get(number) or self._shown.get(number)

    def tell(self, number: int, result: TrialResult) -> bool:
        """Commit a result; False if the trial had one already, which then stands.

        What a paused trial took before it went on is part of what it took: it began so much
        earlier, as if it had never paused, and ended when it did.
        """
        if (before := self._shown.get(number)) is not None and number not in self.results:
            began = None if result.began is None else result.began - before.wall_s
            latency = result.latency or before.latency
            wall_s = before.wall_s + result.wall_s
            result = replace(result, wall_s=wall_s, began=began, latency=latency)
        result = trusted(result)
        first = self._store.finish(number, result)
        if first:
            self.results[number] = result
            self._failures.take(result)
            self._told.append(number)
        return first

    def give_back(self, number: int, death: Death, cost: Cost | None) -> TrialResult | None:
        """Take back a trial whose worker died: it waits again, to go on from its checkpoint.

        If that was too often it has ended, with its exact `cost`: that result is committed and
        returned. A trial that has ended stays as it is.
        """
        if number in self.results:
            return None
        ask = self.asks[number]
        result = self._deaths.result(number, ask.key, death, cost)
        if result is None:
            self._waiting.appendleft(ask)
        else:
            self.tell(number, result)
        return result
