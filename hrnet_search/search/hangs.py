"""When a process that gives no sign of life is taken for one that hangs."""

from __future__ import annotations

import time
from collections.abc import Callable

from hrnet_search.records.search_options import HANG_S
from hrnet_search.records.trial import TrialProgress, TrialTask

TIMES = 10
"""How many times the longest step seen a process may be silent."""

SELDOM = 10
"""How many times as long where a trial is not between two steps of its training, or its networks
are compiled: what is done once, or for the first time, takes longer than any step seen."""

MOST_A_LOOK_S = 5.0
"""Counted between two looks at most: where whoever looks was itself stopped, nobody was silent."""


class Steps:
    """The longest step that was seen in a study, and what follows from it."""

    def __init__(self, least_s: float = HANG_S) -> None:
        self._least_s, self._longest_s = least_s, 0.0

    def seen(self, seconds: float) -> None:
        self._longest_s = max(self._longest_s, seconds)

    def limit_s(self, seldom: bool) -> float:
        """Return how long a process may give no sign of life in what it does often, or seldom."""
        return max((SELDOM if seldom else 1) * self._least_s, TIMES * self._longest_s)


class Silence:
    """How long a trial's process has given no sign of life, counted from look to look."""

    def __init__(
        self, task: TrialTask, steps: Steps, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self.task = 0.0, task
        self._progress = TrialProgress("build")
        self._steps, self._clock, self._looked = steps, clock, clock()

    @property
    def limit_s(self) -> float:
        return self._steps.limit_s(self._seldom)

    @property
    def _seldom(self) -> bool:
        """Whether the trial does what it does seldom: all before its first step in this process,
        a judgement at a rung and what follows until the next step, the writing of its files."""
        task, progress = self.task, self._progress
        compiled = task.schedule.compile or (task.latency and task.latency.mode == "compile")
        return bool(compiled) or progress.phase != "train" or progress.step in task.rungs

    @property
    def where(self) -> str:
        """Where the trial was when it was heard of last, in a few words."""
        progress = self._progress
        return f"in {progress.phase}, at step {progress.step}"

    def heard(self, progress: TrialProgress | None = None) -> None:
        """Take a sign of life, perhaps with where the trial is."""
        self.look()
        before, self._progress = self._progress, progress or self._progress
        if before.phase == self._progress.phase == "train":
            self._steps.seen(self.seconds)
        self.seconds = 0.0

    def look(self) -> bool:
        """Return whether the silence has lasted too long."""
        now = self._clock()
        self.seconds += min(MOST_A_LOOK_S, now - self._looked)
        self._looked = now
        return self.seconds >= self.limit_s
