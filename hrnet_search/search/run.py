"""A search from a space file to a finished study: create or resume, then drive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.arch.targets import ANY
from hrnet_search.content_hash import hash_of
from hrnet_search.data.contents import Contents
from hrnet_search.data.dataset import contents_of, fingerprint, inspect_data, largest_sizes
from hrnet_search.errors import Fault, InputError, StudyExistsError, counted
from hrnet_search.evaluate.latency.kept import latency_of
from hrnet_search.evaluate.latency.reference import settled_check
from hrnet_search.evaluate.machine.devices import device_name, resolve_device, versions
from hrnet_search.evaluate.training.probe import is_open, settle
from hrnet_search.evaluate.training.trial import Worker, gate_of
from hrnet_search.goals import AT_LEAST
from hrnet_search.inventory import Inventory
from hrnet_search.net.hrnet import build
from hrnet_search.paths import absolute
from hrnet_search.records.accuracy import LEARN_FROM, MIOU, SIGNAL
from hrnet_search.records.latency import Latency, LatencySpec
from hrnet_search.records.schedule import AUTO, TRAINED_FIRST, Schedule
from hrnet_search.records.search_options import (
    CONFIRMED_FROM,
    EVALUATOR,
    FIDELITY,
    HANG_S,
    KEEP_ALL,
    PART_FIRST,
    SHARED,
    STOP_EARLY,
)
from hrnet_search.records.trial import TrialResult
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Asking, Driver, Listener, run_inline
from hrnet_search.search.earlier import settled_earlier, weight_lines
from hrnet_search.search.first_measurements import frozen_reference, measure_start, screening_line
from hrnet_search.search.identity import REQUIRE, TARGET, TRAINING, check_same, keep_contents
from hrnet_search.search.initial_weights import Initial, base_schedule
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.kept_space import keep_space
from hrnet_search.search.mirrors.tracking_uri import noted_tracking, tracking_of
from hrnet_search.search.own_sampler import check_sampler
from hrnet_search.search.plan import Plan
from hrnet_search.search.reuse import Reuse
from hrnet_search.search.settled_signal import settled_signal
from hrnet_search.search.space_problem import latency_matters
from hrnet_search.search.time_budget import TimeBudget
from hrnet_search.search.watchdog import Watchdog
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.findings import NotedSchedule, Probe
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.tables import FILE
from hrnet_search.store.writer import StudyStore
from hrnet_search.version_rule import changed_versions

T = TypeVar("T")


def plan_of(
    file: SpaceFile,
    folder: Path,
    trials: int | None = None,
    hours: float | None = None,
    data: Inventory | None = None,
) -> Plan:
    """Look at the data, unless it is known what they hold, and settle a space file into a plan.

    `trials`, or `hours` of devices, are its budget in the place of the file's.
    Raise DataError for bad data, SpaceError or WeightsError for initial weights that are missing
    or no HRNet's, SpaceError for earlier studies from which nothing can be learned.
    """
    folder = absolute(folder)
    check_sampler(file)
    data = data or inspect_data(file)
    contents = contents_of(file.schedule.data)
    known = fingerprint(file.schedule.data, contents)
    schedule = replace(file.schedule, fingerprint=known)
    initial, signal = Initial(file, folder), settled_signal(file, folder)
    schedule, probe = on_this_machine(schedule, file, folder)
    slices = None
    if file.search.fidelity in PART_FIRST:
        check_budget(trials or file.search.trials, hours, f"{FIDELITY}: {file.search.fidelity}")
    if file.slices is not None:
        check_budget(trials or file.search.trials, hours, f"{EVALUATOR}: {SHARED}")
        same = {
            key: getattr(schedule, key) for key in ("fingerprint", "precision", "memory_format")
        }
        slices = initial.settled(replace(file.slices, **same))
    schedule = initial.settled(schedule)  # what is trained first is known by all of its schedule
    return Plan(
        space=file.space,
        objectives=file.objectives,
        floors=file.floors,
        schedule=schedule,
        seeds=file.seeds,
        rungs=file.rungs or (schedule.steps,),
        latency=file.latency,
        sampler=file.search.sampler,
        seed=file.search.seed,
        trials=trials or file.search.trials,
        hours=hours or (0.0 if trials else file.search.hours),
        device=file.latency.device,
        folder=str(folder),
        confirm=file.search.confirm,
        long=file.search.long,
        stop=file.search.stop,
        fidelity=file.search.fidelity,
        paused=file.search.paused,
        signal=signal,
        probe=probe,
        initial=tuple(initial.lines),
        base=base_schedule(slices or schedule)
        if slices or schedule.init in TRAINED_FIRST
        else None,
        slices=slices,
        data=data,
        contents=contents,
        earlier=settled_earlier(file, folder, signal),
        keep=file.search.keep,
    )


def check_budget(trials: int, hours: float | None, beside: str) -> None:
    """Raise InputError for hours, or too few trials, `beside` what is named."""
    if hours:
        wrong = f"does not go with {beside}"
        raise InputError(Fault("--hours", hours, wrong, "--trials"))
    if trials < CONFIRMED_FROM:
        wrong = f"{counted(trials, 'trial')} do not go with {beside}"
        raise InputError(Fault("--trials", trials, wrong, f"at least {CONFIRMED_FROM}"))


def on_this_machine(
    schedule: Schedule, file: SpaceFile, folder: Path
) -> tuple[Schedule, Probe | None]:
    """Settle what a schedule leaves to the machine, once in the life of a study.

    What was found stands in the study and is taken from there, so that all its trials run
    alike, also on another machine. Returns the probe too, None where nothing was open.
    """
    if not is_open(schedule):
        return schedule, None
    known = open_study(folder).notes.probe if (folder / FILE).exists() else None
    if known is None:
        device = resolve_device(file.latency.device)
        known = settle(schedule, file.space.base, device)
    for key in ("precision", "memory_format"):
        if getattr(schedule, key) == AUTO:
            schedule = replace(schedule, **{key: getattr(known, key)})
    return schedule, known


def open_store(file: SpaceFile, plan: Plan, folder: Path, take_over: bool = False) -> StudyStore:
    """Create the study, or take up the one that is there if it is the same.

    Raises StudyError naming what differs, StudyInUseError if another driver holds it.
    """
    notes = _notes(file, plan)
    store = take_up(file, notes, [plan.schedule], plan.contents, folder, take_over)
    long = NotedSchedule.of(plan.long_schedule) if plan.confirming else None
    try:
        store.note(Notes(trials=plan.trials, long_schedule=long))
        if plan.hours or store.notes().hours:
            store.note(Notes(hours=plan.hours))
        if plan.keep != (store.notes().keep or KEEP_ALL):
            store.note(Notes(keep=plan.keep))
    except BaseException:
        store.close()
        raise
    return store


def take_up(
    file: SpaceFile,
    notes: Notes,
    schedules: Iterable[Schedule],
    contents: Contents,
    folder: Path,
    take_over: bool = False,
) -> StudyStore:
    """Create a study with `notes`, or take up the one that is there if its identity is the same.

    What may change then is as the file has it now. `schedules` are those that trials start
    from, `contents` what the files of the data hold. Of several that begin one study together
    one does, and the others find it in use. `take_over` takes a driver that cannot be looked at
    for one that is gone. Raises StudyError naming what differs, StudyInUseError if another
    driver holds it, SpaceError for a variable of `tracking` that is not set.
    """
    tracking_of(file)  # a variable that is not set is said before anything is begun
    tracking = noted_tracking(file)
    notes = replace(notes, tracking=tracking)
    try:
        store = StudyStore.begin(folder, notes)
    except StudyExistsError:
        store = StudyStore(folder, take_over)
    try:
        check_same(file, store.notes(), notes, contents, folder)
        store.note(_of_the_file(notes))
        keep_space(file, schedules, tracking, store.folder)
        keep_contents(contents, store.folder)
    except BaseException:
        store.close()
        raise
    return store


def _of_the_file(notes: Notes) -> Notes:
    """Return those that are as a study's space file was last: where data lie, with `tracking`."""
    return Notes(
        tracking=notes.tracking,
        space_text=notes.space_text,
        base_yaml=notes.base_yaml,
        schedule=notes.schedule,
        data_holds=notes.data_holds,
    )


def going_on(contents: Contents, ended: Sequence[tuple[int, TrialResult]]) -> list[str]:
    """Return what to say of the data and the versions that a study with ended trials goes on with.

    Its data were compared when it was taken up.
    """
    if not ended:
        return []
    files = counted(len(contents), "file")
    data = f"the data are those that it was begun with: {files} compared, every byte"
    changed = changed_versions((result for _, result in ended), versions())
    return [line for line in (data if contents else "", changed) if line]


def search(
    plan: Plan,
    store: StudyStore,
    listeners: Sequence[Listener],
    say: Callable[[str], None],
    driver: Driver | None = None,
    reuse: Sequence[Study] = (),
    time: TimeBudget | None = None,
) -> Brain:
    """Run the plan to its end, in this process or by another driver; return the brain.

    Trials that one of `reuse` has completed are taken over. `time` is its budget of device time,
    which passes already.
    """
    driver = driver or Inline()
    time = time or budget_of(plan, store)
    known = Reuse(reuse)
    if reuse:
        say(f"what is asked for is taken over where it is one of {counted(len(known), 'trial')}")
    brain = Brain(plan, store, measure_first(plan, store, driver, say), known, time)
    driver.run(brain, listeners)
    if found := store.notes().screening:
        say(screening_line(found))
    for line in weight_lines(store.notes()):
        say(line)
    return brain


def budget_of(plan: Plan, store: StudyStore) -> TimeBudget:
    """Return the device time of a study, which begins to pass now; what was spent counts."""
    spent = spent_of((result for _, result in store.finished()), store.notes())
    return TimeBudget(plan.hours, spent, lambda seconds: store.note(Notes(spent_s=seconds)))


def spent_of(ended: Iterable[TrialResult], notes: Notes) -> float:
    """Return the device seconds that a study has spent; it notes more than trials took alone."""
    trained = sum(result.wall_s for result in ended if not result.taken_over)
    return max(trained, notes.spent_s or 0.0)


class Inline:
    """The embedded driver: this process, one trial at a time, left if it hangs for `hang_s`."""

    def __init__(self, interrupt: Interrupt | None = None, hang_s: float = HANG_S) -> None:
        self._watchdog = Watchdog(hang_s)
        self._worker = Worker()  # first: it sets how memory is kept, for all that is measured
        self._interrupt = interrupt

    def call(self, measure: Callable[[], T]) -> T:
        """Measure here, alone."""
        return measure()

    def run(self, brain: Asking, listeners: Sequence[Listener] = ()) -> None:
        """Run trials until the brain has no more."""
        run_inline(brain, self._worker.run, listeners, self._interrupt, self._watchdog)


def measure_first(
    plan: Plan, store: StudyStore, driver: Driver, say: Callable[[str], None]
) -> float:
    """Measure what a study needs before its first trial; return the frozen reference in ms."""
    classes = plan.schedule.data.classes
    reference = reference_of(plan.latency, classes, store, say, driver)
    if latency_matters(plan.space, plan.objectives):

        def measure(architecture: Architecture) -> Latency:
            one = partial(_measured, architecture, plan.latency, reference, classes)
            return driver.call(partial(_alone, plan.latency.device, one))

        measure_start(store, plan.space, plan.trials, plan.seed, measure, say)
    return reference


def reference_of(
    latency: LatencySpec,
    classes: int,
    store: StudyStore,
    say: Callable[[str], None],
    driver: Driver,
) -> float:
    """Return the reference network's latency in ms, measured once in the life of a study."""
    device = driver.call(partial(_device_name, latency.device))
    check = partial(_alone, latency.device, partial(settled_check, latency, classes=classes))
    return frozen_reference(store, device, lambda: driver.call(check), say)


def _alone(device: str, measure: Callable[[], T]) -> T:
    """Measure while nothing else of this package computes on the device."""
    with gate_of(device, device) as gate, gate.alone():
        return measure()


def _measured(
    architecture: Architecture, spec: LatencySpec, reference: float, classes: int
) -> Latency:
    return latency_of(build(architecture, classes), spec, reference, classes=classes)


def _device_name(asked: str) -> str:
    return device_name(resolve_device(asked))


def notes_of(file: SpaceFile, identity: Mapping[str, Any], schedule: Schedule) -> Notes:
    """Return what every study notes of its space file; `schedule` is the first of its own."""
    return Notes(
        name=file.name,
        study_id=hash_of([file.name, identity]),
        identity=identity,
        space_text=file.text,
        base_yaml=config_text(file.space.base, file.base),
        objectives=file.objectives,
        schedule=NotedSchedule.of(schedule),
        image_sizes=largest_sizes(schedule.data),
    )


def _notes(file: SpaceFile, plan: Plan) -> Notes:
    choices = plan.space.choices
    return replace(
        notes_of(file, _identity(plan), plan.schedule),
        choices=tuple(c.path for c in choices),
        levels=tuple(c.values for c in choices),
        data_holds=plan.data,
        probe=plan.probe,
        initial=plan.initial,
        learned_from=plan.earlier or None,
    )


def _identity(plan: Plan) -> dict[str, Any]:
    """Return what may not change while a study lasts, by the section of the space file."""
    identity = {
        "base": plan.space.base.id,
        "vary": [[c.path, c.values] for c in plan.space.choices],
        "limits": [
            *([limit.objective, limit.at_most] for limit in plan.space.limits),
            *([one.objective.key, {AT_LEAST: one.at_least}] for one in plan.goals.floors),
        ],
        "objectives": [one.key for one in plan.goals.objectives],
        TRAINING: plan.schedule.id,
        "schedule.seeds": plan.seeds,
        "schedule.rungs": plan.rungs,
        "latency": plan.latency.identity,
        "search.sampler": plan.sampler,
        "search.seed": plan.seed,
        "search.long": plan.long,
        "search.stop": plan.stop,
    }
    if plan.signal != MIOU:  # studies of before there was a choice have no such key
        identity[SIGNAL] = plan.signal
    if plan.space.target != ANY:  # nor these
        identity[TARGET] = plan.space.target
    if plan.space.require:
        identity[REQUIRE] = [rule.text for rule in plan.space.require]
    if plan.fidelity != STOP_EARLY:
        identity[FIDELITY] = plan.fidelity
    if plan.slices:
        identity[EVALUATOR] = SHARED
        own = plan.slices
        identity["schedule.shared"] = [own.init_steps, own.init_networks, own.init_warmup]
    if plan.earlier:
        identity[LEARN_FROM] = [f"{study.name} ({study.study})" for study in plan.earlier]
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain
