"""Finished trials of other studies, taken over where their keys are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.trial import COMPLETED, STOPPED, TAKEN_OVER, TrialKey, TrialResult
from hrnet_search.store.database import storage
from hrnet_search.store.evaluations import evaluation_path
from hrnet_search.store.kept import weights_path
from hrnet_search.store.study import Study


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that another study has completed, and where that is."""

    study: Study
    number: int
    result: TrialResult

    @property
    def weights(self) -> Path:
        """Where that study has its weights, if it has."""
        return weights_path(self.study.folder, self.result.key)

    def judged_in_int8(self, spec: LatencySpec) -> bool:
        """Say whether its mIoU in int8 is known, of the runtime that a spec has."""
        latency = self.result.latency
        runtime = latency.condition.runtime if latency else ""
        return self.result.miou_int8 is not None and runtime == spec.runtime

    def noted(self) -> TrialResult:
        """Return the result, which says where it is from."""
        note = f"{TAKEN_OVER} {self.study.name}, trial {self.number}"
        return replace(self.result, notes=(*self.result.notes, note))

    def paused(self, step: int) -> TrialResult | None:
        """Return what it had shown at a rung, as a trial that stopped there; None if it had none.

        It took no time, and all of it is still to be taken over.
        """
        rungs = [rung for rung in self.result.rungs if rung.step <= step]
        if not rungs or rungs[-1].step != step:
            return None
        shown = replace(self.noted(), status=STOPPED, rungs=tuple(rungs), miou=rungs[-1].miou)
        return replace(shown, miou_int8=None, wall_s=0.0)

    def copy_files(self, folder: Path) -> None:
        """Copy its evaluation and its weights into a study; raise StorageLostError."""
        key = self.result.key
        places = (
            (evaluation_path(self.study.folder, key), evaluation_path(folder, key)),
            (self.weights, weights_path(folder, key)),
        )
        for kept, copy in places:
            if kept.is_file() and not copy.is_file():
                with storage(folder):
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(kept, copy)


class Reuse:
    """The completed trials of some studies by their keys: the first study that has one counts."""

    def __init__(self, studies: Sequence[Study] = ()) -> None:
        self._finished: dict[TrialKey, Finished] = {}
        for study in studies:
            for ask, result in study.ended():
                if result.status == COMPLETED:
                    self._finished.setdefault(ask.key, Finished(study, ask.number, result))

    def __len__(self) -> int:
        return len(self._finished)

    def get(self, key: TrialKey) -> Finished | None:
        """Return a trial that was completed, None if none of the studies has it."""
        return self._finished.get(key)
