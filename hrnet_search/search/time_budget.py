"""A budget of device time: what of it is spent, and whether something more would end in it.

A second counts once for every trial that runs in it, and once where none does: between two trials
the device of a study waits for it. A trial runs from its first report on: until then its worker
starts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from hrnet_search.counts import digits

HOUR = 3600.0
OVER = 1.05
"""Times a budget that a study may have taken by its last step alone."""

NOTED_S = 30.0
"""Seconds between two notes of what is spent: so much of each trial is lost to a kill."""

Clock = Callable[[], float]


class TimeSpentError(KeyboardInterrupt):
    """The device time of a study is spent: a trial that hears it saves where it is, and ends.

    As an interruption, it is none of the errors of a trial.
    """


@dataclass(frozen=True, slots=True)
class _Running:
    expected: float
    began: float | None = None


class TimeBudget:
    """Counts the device seconds of a study that may take `hours` of them; 0 bounds nothing.

    `spent` are the seconds before this run; `note` is told now and then how many there are.
    """

    def __init__(
        self,
        hours: float = 0.0,
        spent: float = 0.0,
        note: Callable[[float], None] = lambda _: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.hours = hours
        self._clock, self._note = clock, note
        self._spent, self._noted_at = spent, -math.inf
        self._now = clock()
        self._running: dict[int, _Running] = {}

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return self.hours > 0

    @property
    def total(self) -> float:
        """All device seconds, infinite without a bound."""
        return self.hours * HOUR if self.bounded else math.inf

    @property
    def spent(self) -> float:
        """Device seconds that are spent."""
        self._count()
        return self._spent

    @property
    def over(self) -> bool:
        """Whether all are spent."""
        return self.bounded and self.spent >= self.total

    @property
    def in_hand(self) -> int:
        """How many trials run."""
        return len(self._running)

    @property
    def running(self) -> float:
        """Device seconds of trials that run, up to now."""
        now = self._clock()
        return sum(now - one.began for one in self._running.values() if one.began is not None)

    @property
    def free(self) -> float:
        """Device seconds that are neither spent nor expected of trials that run."""
        now = self._clock()
        began = ((one, now if one.began is None else one.began) for one in self._running.values())
        rest = (one.expected - (now - since) for one, since in began)
        return self.total - self.spent - sum(max(0.0, left) for left in rest)

    def fits(self, seconds: float, kept: float = 0.0) -> bool:
        """Whether so much more would end in time, with a share of all `kept` for later."""
        if not self.bounded:
            return True
        left = self.free - kept * self.total
        return left > 0 and seconds <= left

    def begin(self, number: int, expected: float) -> None:
        """Count a trial that is begun, which should take `expected` seconds."""
        self.note_now()
        self._running[number] = _Running(expected)

    def heard(self, number: int) -> None:
        """Count the seconds of a trial from now on, if this is its first report."""
        one = self._running.get(number)
        if self.bounded and one is not None and one.began is None:
            self._count()  # up to now without it
            self._running[number] = _Running(one.expected, self._clock())

    def end(self, number: int) -> None:
        """Count a trial no longer; what is spent is to be noted once its result is committed.

        Noted before, the result would count as one that came since.
        """
        self._count()
        self._running.pop(number, None)

    def check(self) -> None:
        """Raise TimeSpentError once all is spent; note what is, if it is time to."""
        if not self.bounded:
            return
        if self._clock() - self._noted_at >= NOTED_S:
            self.note_now()
        if self.over:
            self.note_now()
            raise TimeSpentError

    def note_now(self) -> None:
        """Note what is spent, where there is a bound."""
        spent = self.spent
        if self.bounded:
            self._noted_at = self._clock()
            self._note(spent)

    def _count(self) -> None:
        """Add the seconds since this was asked last."""
        now = self._clock()
        reporting = sum(one.began is not None for one in self._running.values())
        self._spent += (now - self._now) * max(1, reporting)
        self._now = now

    def __str__(self) -> str:
        if self.spent > OVER * self.total:  # fewer are asked for now than were before
            return (
                f"{digits(self.spent / HOUR)} device-hours, more than the {self.hours:g} asked for"
            )
        left = max(0.0, self.total - self.spent)
        rest = f"nothing more would end in the {spelt(left)} that are left" if left else "all spent"
        return f"{self.hours:g} device-hours, {rest}"


def spelt(seconds: float) -> str:
    """Return seconds in a unit that suits them."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
