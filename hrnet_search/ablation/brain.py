"""The brain of an ablation: a fixed list of trials, seed by seed, each asked once and kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_search.ablation.arms import Ablation, Arm
from hrnet_search.records import (
    FAILED,
    STATUSES,
    LatencySpec,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.failures import Failures
from hrnet_search.store.trial_rows import Ask
from hrnet_search.store.writer import StudyStore

PURPOSE = "ablate"
MOST_GIVEN_BACK = 2
"""Times that a trial whose worker died is tried again."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all trials share: how latency is measured, on which device, where files are kept."""

    latency: LatencySpec | None
    device: str = "auto"
    folder: str = ""


class AblationBrain:
    """Turns an ablation and a store into trials to run, one `ask` and one `tell` each."""

    def __init__(
        self,
        ablation: Ablation,
        store: StudyStore,
        conditions: Conditions,
        reference_ms: float | None,
    ) -> None:
        self.why_ended = ""
        self._store, self._conditions, self._reference_ms = store, conditions, reference_ms
        self._left = deque(trials(ablation))
        self._arms = dict(self._left)
        self._planned = len(self._left)
        self._asks = {ask.number: ask for ask in store.asks()}
        self._ended = {n: result.status for n, result in store.finished()}
        self._waiting = deque(a for n, a in self._asks.items() if n not in self._ended)
        self._given_back: Counter[int] = Counter()
        self._failures = Failures(self._planned)

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by status."""
        found = Counter(self._ended.values())
        return {status: found[status] for status in STATUSES}

    def ask(self) -> TrialTask | None:
        """Return the next trial, committed before it may start; None when there is none left.

        Trials that were cut off come first. `why_ended` says why there is none.
        """
        if len(self._ended) < self._planned and (why := self._failures.why_stop):
            self.why_ended = why
            return None
        ask = self._waiting.popleft() if self._waiting else self._next()
        if ask is None:
            if len(self._ended) == self._planned:
                self.why_ended = f"all {self._planned} trials of the ablation have ended"
            return None
        return self._task(ask)

    def report(self, number: int, progress: TrialProgress) -> bool:
        """Take a trial's progress, commit what a rung showed; arms are never stopped."""
        if progress.rung is not None:
            self._store.rung(number, progress.rung)
        else:
            self._store.heartbeat()
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        """Commit a result; False if the trial had one already, which then stands."""
        first = self._store.finish(number, result)
        if first:
            self._ended[number] = result.status
            self._failures.take(result)
        return first

    def give_back(self, number: int, reason: str) -> TrialResult | None:
        """Put a trial back whose worker died; after the second time it has failed: that result."""
        self._given_back[number] += 1
        if self._given_back[number] <= MOST_GIVEN_BACK:
            self._waiting.appendleft(self._asks[number])
            return None
        error = f"{reason} ({self._given_back[number]} times)"
        result = TrialResult(self._asks[number].key, FAILED, error=error)
        self.tell(number, result)
        return result

    def _next(self) -> Ask | None:
        known = {ask.key for ask in self._asks.values()}
        while self._left:
            key, arm = self._left.popleft()
            if key not in known:
                number = max(self._asks, default=-1) + 1
                ask = Ask(number, key, arm.point, arm.architecture, PURPOSE)
                self._store.ask(ask)
                self._asks[ask.number] = ask
                return ask
        return None

    def _task(self, ask: Ask) -> TrialTask:
        arm, shared = self._arms[ask.key], self._conditions
        return TrialTask(
            number=ask.number,
            key=ask.key,
            architecture=ask.architecture,
            schedule=arm.schedule,
            rungs=arm.rungs,
            latency=shared.latency,
            reference_ms=self._reference_ms,
            device=shared.device,
            folder=shared.folder,
        )


def trials(ablation: Ablation) -> Sequence[tuple[TrialKey, Arm]]:
    """Return every training, all arms of a seed before the next seed: cut off, it stays paired."""
    return [
        (TrialKey(arm.architecture.id, arm.schedule.id, seed), arm)
        for seed in ablation.spec.seeds
        for arm in ablation.distinct
    ]
