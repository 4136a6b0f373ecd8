"""Finished trials of other studies, taken over where their keys are asked for."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_search.files import copy_whole
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import TRAINED_FIRST
from hrnet_search.records.trial import COMPLETED, STOPPED, TAKEN_OVER, TrialKey, TrialResult
from hrnet_search.search.identity import of_same_networks
from hrnet_search.search.plan import Plan
from hrnet_search.store.database import storage
from hrnet_search.store.evaluations import evaluation_path
from hrnet_search.store.kept import weights_path
from hrnet_search.store.schedules import noted_schedules, shares_weights
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import BASE, SLICES


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that another study has completed, and where that is.

    `first` are the trials that the study had trained first, where this one rests on them.
    """

    study: Study
    number: int
    result: TrialResult
    first: tuple[TrialKey, ...] = ()

    @property
    def weights(self) -> Path:
        """Where that study has its weights, if it has."""
        return weights_path(self.study.folder, self.result.key)

    def judged_in_int8(self, spec: LatencySpec) -> bool:
        """Say whether its mIoU in int8 is known, of the runtime that a spec has."""
        latency = self.result.latency
        runtime = latency.condition.runtime if latency else ""
        return self.result.miou_int8 is not None and runtime == spec.runtime

    def starts_in(self, folder: Path) -> bool:
        """Say whether a study in `folder` has the weights that this trial rests on, if any.

        One key does not say so: by another device or version the same training gives others.
        """
        return all(
            _same(weights_path(self.study.folder, key), weights_path(folder, key))
            for key in self.first
        )

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
                copy_whole(kept, copy)


class Reuse:
    """The completed trials of some studies by their keys: the first study that has one counts.

    Shared weights are known by their base and how they are trained, not by the networks that they
    were taught to: with a `plan`, those of a study over other networks do not count, nor what they
    judged or what started from them; nor where the weights themselves, or a base's, are gone, and
    others will be trained, or are not those that the plan's study has or takes from a study before.
    `left_out` are these studies, and why.
    """

    def __init__(self, studies: Sequence[Study] = (), plan: Plan | None = None) -> None:
        self._finished: dict[TrialKey, Finished] = {}
        self.left_out: list[tuple[Study, str]] = []
        sources: dict[TrialKey, Study] = {}
        for study in studies:
            resting, first = _resting(study), _first(study)
            why = _why_not(study, plan, sources) if resting and plan else ""
            if why:
                self.left_out.append((study, why))
            else:
                sources = dict.fromkeys(first, study) | sources
            for ask, result in study.ended():
                if result.status == COMPLETED and not (why and ask.number in resting):
                    rests = first if ask.number in resting and ask.purpose != BASE else ()
                    found = Finished(study, ask.number, result, rests)
                    self._finished.setdefault(ask.key, found)

    def __len__(self) -> int:
        return len(self._finished)

    def get(self, key: TrialKey) -> Finished | None:
        """Return a trial that was completed, None if none of the studies has it."""
        return self._finished.get(key)


def _first(study: Study) -> tuple[TrialKey, ...]:
    """Return the trials that a study trained first, and which ended."""
    return tuple(ask.key for ask, _ in study.ended() if ask.purpose == BASE)


def _why_not(study: Study, plan: Plan, sources: Mapping[TrialKey, Study]) -> str:
    """Return why a plan cannot take over what rests on the weights that a study trained first.

    `sources` are the studies that it takes those of a trial from. Empty if it can.
    """
    shared = shares_weights(study.notes)
    if shared and not of_same_networks(plan, study.notes):
        return "its shared weights were taught other networks"
    whose = "its shared weights" if shared else "the weights of its base"
    for key in _first(study):
        path = weights_path(study.folder, key)
        if not path.is_file():
            return f"{whose} are gone"
        own = weights_path(Path(plan.folder), key)
        if plan.folder and own.is_file():
            if not _same(path, own):
                return f"{whose} are others than this study has"
        elif key in sources and not _same(path, weights_path(sources[key].folder, key)):
            return f"{whose} are others than those of {sources[key].folder}"
    return ""


def _same(path: Path, other: Path) -> bool:
    return path.is_file() and other.is_file() and filecmp.cmp(path, other, shallow=False)


def _resting(study: Study) -> frozenset[int]:
    """Return the trials, by number, that train what others start from, and what rests on it."""
    notes = study.notes
    first = {name for name, one in noted_schedules(notes).items() if one.init in TRAINED_FIRST}
    return frozenset(
        ask.number
        for ask, _ in study.trials()
        if ask.purpose in (BASE, SLICES) or ask.key.schedule in first
    )
