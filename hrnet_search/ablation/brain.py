"""The brain of an ablation: a fixed list of trials, seed by seed, each asked once and kept."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_search.ablation.arms import Ablation, Arm
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialResult, TrialTask
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.deaths import Death
from hrnet_search.store.trial_rows import ABLATE, Ask
from hrnet_search.store.writer import StudyStore


class AblationBrain:
    """Turns an ablation and a store into trials to run, one `ask` and one `tell` each."""

    def __init__(
        self,
        ablation: Ablation,
        store: StudyStore,
        latency: LatencySpec,
        reference_ms: float | None,
    ) -> None:
        self.why_ended = ""
        self._store, self._latency, self._reference_ms = store, latency, reference_ms
        self._arms = dict(trials(ablation))
        self._left = iter(self._arms.items())
        self._book = AskBook(store, len(self._arms), len({key.seed for key in self._arms}))

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by status."""
        return self._book.counts

    def ask(self) -> TrialTask | None:
        """Return the next trial, committed before it may start; None when there is none left.

        Trials that were cut off come first. `why_ended` says why there is none.
        """
        ended, planned = len(self._book.results), len(self._arms)
        self.why_ended = self._book.why_stop if ended < planned else ""
        ask = None if self.why_ended else self._book.waiting() or self._new()
        if ask is None and ended == planned:
            self.why_ended = f"all {planned} trials of the ablation have ended"
        return self._task(ask) if ask else None

    def report(self, number: int, progress: TrialProgress) -> bool:
        """Take a trial's progress, commit what a rung showed; arms are never stopped."""
        if progress.rung is not None:
            self._store.rung(number, progress.rung)
        else:
            self._store.heartbeat()
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        """Commit a result; False if the trial had one already, which then stands."""
        return self._book.tell(number, result)

    def give_back(self, number: int, death: Death) -> TrialResult | None:
        """Take back a trial whose worker died; its result if that was once too often."""
        return self._book.give_back(number, death, self._arms[self._book.asks[number].key].cost)

    def _new(self) -> Ask | None:
        """Return the next trial that was not asked for before, None if all were."""
        for key, arm in self._left:
            if self._book.commit(key, arm.point, arm.architecture, ABLATE):
                return self._book.waiting()
        return None

    def _task(self, ask: Ask) -> TrialTask:
        arm = self._arms[ask.key]
        return TrialTask(
            number=ask.number,
            key=ask.key,
            architecture=ask.architecture,
            schedule=arm.schedule,
            rungs=arm.rungs,
            latency=self._latency,
            reference_ms=self._reference_ms,
            device=self._latency.device,
            folder=str(self._store.folder),
        )


def trials(ablation: Ablation) -> Sequence[tuple[TrialKey, Arm]]:
    """Return every training, all arms of a seed before the next seed: cut off, it stays paired."""
    return [
        (TrialKey(arm.architecture.id, arm.schedule.id, seed), arm)
        for seed in ablation.spec.seeds
        for arm in ablation.distinct
    ]
