"""An ablation from a space file to a finished study: plan, create or resume, drive, judge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from hrnet_search.ablation.analysis import analyse, paired_noise
from hrnet_search.ablation.arms import MACS, NONE, Ablation, settle
from hrnet_search.ablation.brain import AblationBrain, trials
from hrnet_search.ablation.planner import forecast, plan_lines, refusal
from hrnet_search.data.dataset import contents_of, fingerprint, inspect_data
from hrnet_search.errors import SpaceError, counted
from hrnet_search.inventory import Inventory
from hrnet_search.paths import absolute
from hrnet_search.records.trial import (
    COMPLETED,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.begin import notes_of, take_up
from hrnet_search.search.driver import Driver, Listener
from hrnet_search.search.identity import EQUIVALENCE, FACTORS, MARGINS, TRAINING, without_places
from hrnet_search.search.initial_weights import Initial
from hrnet_search.search.reuse import Reuse
from hrnet_search.search.run import Inline, reference_of
from hrnet_search.search.settled_plan import check_device, on_this_machine
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.ablation import AblationRecord
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, begun_study, open_study
from hrnet_search.store.trial_rows import ABLATE, Ask
from hrnet_search.store.writer import StudyStore

RECORDING = 0.05
"""Share of the time that may go into numbers of what has ended."""


def ablation_of(file: SpaceFile, folder: Path, data: Inventory | None = None) -> Ablation:
    """Look at the data, unless it is known what they hold; settle a space file into an ablation.

    It is for a study in `folder`. Raise DataError for bad data, SpaceError or WeightsError for
    initial weights that are missing or not an HRNet's.
    """
    folder = absolute(folder)
    check_device(file, folder)
    data = data or inspect_data(file)
    contents = contents_of(file.schedule.data)
    known = fingerprint(file.schedule.data, contents)
    schedule = replace(file.schedule, fingerprint=known)
    schedule, probe = on_this_machine(schedule, file, folder)
    initial = Initial(file, folder)
    ablation = settle(file, schedule, initial.settled)
    lines = tuple(initial.lines)
    return replace(ablation, probe=probe, data=data, contents=contents, initial=lines)


def finished_trials(
    ablation: Ablation, folder: Path, reuse: Sequence[str | Path] = ()
) -> dict[TrialKey, TrialResult]:
    """Return what has ended of an ablation in its study, and what others would give it."""
    begun = begun_study(folder)
    own = {r.key: r for _, r in (begun.trials() if begun else ()) if r is not None}
    others, found = Reuse([open_study(other) for other in reuse]), dict[TrialKey, TrialResult]()
    for key, _ in trials(ablation):
        if key in own:
            found[key] = own[key]
        elif (other := others.get(key)) is not None:
            found[key] = other.noted()
    return found


def prepare(
    file: SpaceFile,
    ablation: Ablation,
    finished: Mapping[TrialKey, TrialResult],
    begun: bool = False,
    workers: int = 1,
) -> list[str]:
    """Return the plan in lines; raise SpaceError where it cannot support what is asked of it.

    The seed noise and the time of a trial are those of trials that have `finished`. What has begun
    goes on: its seeds may not change, and all that is found is worth having.
    """
    found = forecast(ablation, paired_noise(ablation, finished))
    lines = []
    if (fault := refusal(ablation, found)) is not None:
        if not begun:
            raise SpaceError(fault.at(file.path, *ablation.spec.detect_at))
        lines = [f"warning: {fault.path}: {fault.wrong}; {fault.allowed} in another study"]
    took = [r.wall_s for r in finished.values() if r.status == COMPLETED and not r.taken_over]
    seconds = sum(took) / len(took) / workers if took else None
    return [*lines, *plan_lines(ablation, found, len(finished), seconds)]


def open_ablation(
    file: SpaceFile, ablation: Ablation, folder: Path, take_over: bool = False
) -> StudyStore:
    """Create the study, or take up the one that is there if it is the same.

    What is asked (margin, alpha, seeds) is part of it: it may not change once results are seen.
    Raises StudyError naming what differs, StudyInUseError if another driver holds it.
    """
    schedules = [arm.schedule for arm in ablation.arms]
    notes = _notes(file, ablation)
    return take_up(file, notes, schedules, ablation.contents, folder, take_over)


def ablate(
    file: SpaceFile,
    ablation: Ablation,
    store: StudyStore,
    listeners: Sequence[Listener],
    say: Callable[[str], None],
    reuse: Sequence[Study] = (),
    driver: Driver | None = None,
) -> AblationBrain:
    """Run what has no result yet, here or by another driver; write the numbers into the study."""
    driver = driver or Inline()
    classes = file.schedule.data.classes
    reference = reference_of(file.latency, classes, store, say, driver)
    for study in reuse:
        taken = take_over(ablation, store, study)
        say(f"{counted(taken, 'finished trial')} taken over from {study.folder}")
    brain = AblationBrain(ablation, store, file.latency, reference)
    recorder = _Recorder(lambda: write_record(file, ablation, store))
    recorder.write()
    try:
        driver.run(brain, [*listeners, recorder])
    finally:
        recorder.write()
    return brain


class _Recorder:
    """A listener that keeps the numbers current: reports of an ablation that runs are by them.

    Judging takes longer the more there is: it takes a share of the time, at most, that trials do.
    """

    def __init__(self, write: Callable[[], object], clock: Callable[[], float] = time.monotonic):
        self._write, self._clock = write, clock
        self._next = 0.0

    def write(self) -> None:
        began = self._clock()
        self._write()
        now = self._clock()
        self._next = now + (now - began) / RECORDING

    def started(self, task: TrialTask) -> None:
        pass

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        pass

    def returned(self, task: TrialTask, reason: str) -> None:
        pass

    def ended(self, task: TrialTask, result: TrialResult) -> None:  # noqa: ARG002
        """Write, unless it was done not long ago."""
        if self._clock() >= self._next:
            self.write()


def write_record(file: SpaceFile, ablation: Ablation, store: StudyStore) -> AblationRecord:
    """Judge what has ended and keep the numbers in the study."""
    results = {result.key: result for _, result in store.finished()}
    names = file.schedule.data.names
    record = analyse(file.name, ablation, results, str(store.folder), names)
    store.note(Notes(ablation=record))
    return record


def take_over(ablation: Ablation, store: StudyStore, study: Study) -> int:
    """Copy completed trials with a key of this ablation from another study; return how many.

    A latency travels only between equal devices and conditions, as its ratio to the reference
    network: another device's milliseconds mean nothing here.
    """
    done = Reuse([study])
    ended = {number for number, _ in store.finished()}
    known = {ask.key: ask.number for ask in store.asks()}
    new = count(max(known.values(), default=-1) + 1)
    notes = store.notes()
    same = _condition(study.notes) == _condition(notes)
    reference_ms = notes.reference_ms if same else None
    taken = 0
    for key, arm in trials(ablation):
        finished = done.get(key)
        number = known.get(key)
        if finished is None or number in ended:
            continue
        if number is None:
            number = next(new)
            store.ask(Ask(number, key, arm.point, arm.architecture, ABLATE))
        finished.copy_files(store.folder)
        found = finished.noted()
        latency = found.latency
        own = latency.by(reference_ms) if latency and reference_ms is not None else None
        # The other study may count at another size.
        store.finish(number, replace(found, latency=own, cost=arm.cost))
        taken += 1
    return taken


def _condition(notes: Notes) -> tuple[str | None, object]:
    """Return on what, and how, latencies of a study are measured."""
    return notes.device, (notes.identity or {}).get("latency")


def _notes(file: SpaceFile, ablation: Ablation) -> Notes:
    factors, schedules = ablation.spec.factors, [arm.schedule for arm in ablation.arms]
    return replace(
        notes_of(file, _identity(file, ablation), schedules[0]),
        choices=(*(f.path for f in factors), "match"),
        levels=(*(tuple(f.levels) for f in factors), (NONE, MACS)),
        trials=ablation.trainings,
        arm_schedules=tuple(map(NotedSchedule.of, dict.fromkeys(schedules))),
        data_holds=ablation.data,
        probe=ablation.probe,
        initial=ablation.initial,
    )


def _identity(file: SpaceFile, ablation: Ablation) -> Mapping[str, Any]:
    """Return what may not change while an ablation lasts, by the key of the space file."""
    spec = ablation.spec
    identity = {
        "base": file.space.base.id,
        FACTORS: [[f.name, f.path, f.levels] for f in spec.factors],
        "ablate.design": [spec.design, spec.resolution],
        "ablate.match": spec.match,
        "ablate.seeds": spec.seeds,
        EQUIVALENCE: spec.equivalence,
        **({MARGINS: dict(spec.margins)} if spec.margins else {}),
        "ablate.alpha": spec.alpha,
        TRAINING: [arm.schedule.id for arm in ablation.arms],
        "schedule.rungs": file.rungs,
        "latency": file.latency.identity,
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return without_places(plain)
