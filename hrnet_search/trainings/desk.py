"""Where the workers of a training and its driver leave word for each other, on Ray or not."""

from __future__ import annotations

from hrnet_search.errors import ClusterLostError, HrnetSearchError, TrainingError
from hrnet_search.records.trial import TrialProgress

SMALLER = (
    "the same command goes on where there is more room; in another folder (-o) --accumulate N takes"
    " each batch in N parts, --batch and --crop make it smaller"
)

MOST_DEATHS = 3
"""A training ends when its workers died so often in a row and came no further in between."""

NOWHERE = -1
"""Before the first step is reported."""


class Desk:
    """What has been said so far; `most_parts` is in how many parts a batch may be taken."""

    def __init__(self, parts: int, most_parts: int) -> None:
        self._parts, self._most_parts = parts, most_parts
        self._said: list[TrialProgress] = []
        self._furthest, self._before, self._idle = NOWHERE, NOWHERE - 1, 0
        self._leaving = self._left = False
        self._error: HrnetSearchError | None = None

    def begin(self) -> int | None:
        """Let workers start, for the first time or after one of them died.

        Return in how many parts they take a batch; None: it is over.
        """
        if self._error or self._left:
            return None
        self._idle = 0 if self._furthest > self._before else self._idle + 1
        self._before = self._furthest
        if self._idle == MOST_DEATHS:
            far = f"{MOST_DEATHS} times, and came no further than step {max(0, self._furthest)}"
            why = "logs/ray and logs/train.log may say why; run the same command again"
            self._error = ClusterLostError(f"a worker died {far}: {why}")
            return None
        return self._parts

    def say(self, progress: TrialProgress) -> bool:
        """Take in how far it is; return whether to leave."""
        self._said.append(progress)
        self._furthest = max(self._furthest, progress.step)
        return self._leaving

    def heard(self) -> list[TrialProgress]:
        """Return what was said since the last call."""
        said, self._said = self._said, []
        return said

    def leave(self) -> None:
        """Ask the workers to save where they are and to end."""
        self._leaving = True

    def left(self) -> None:
        """Note that they have."""
        self._left = True

    def failed(self, error: HrnetSearchError) -> None:
        """Note why the training cannot go on: the first error is the one that counts."""
        self._error = self._error or error

    def out_of_memory(self, why: str) -> None:
        """Take each batch in twice as many parts from now on, or give up."""
        if 2 * self._parts > self._most_parts:
            self.failed(TrainingError(f"{why}; {SMALLER}"))
            return
        self._parts = self._most_parts = 2 * self._parts
        self._furthest, self._before, self._idle = NOWHERE, NOWHERE - 1, 0

    def ending(self) -> tuple[HrnetSearchError | None, bool]:
        """Return what ended the training before its end: an error, or that it was left."""
        return self._error, self._left
