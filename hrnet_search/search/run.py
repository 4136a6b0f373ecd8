"""A search from a plan and its open study to the end: what is measured first, then trials."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import counted
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.kept import latency_of
from hrnet_search.evaluate.latency.reference import settled_check
from hrnet_search.evaluate.machine.devices import device_name, resolve_device
from hrnet_search.evaluate.training.trial import Worker, gate_of
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import Latency, LatencySpec
from hrnet_search.records.search_options import HANG_S
from hrnet_search.records.trial import TrialResult
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Asking, Driver, Listener, run_inline
from hrnet_search.search.earlier import weight_lines
from hrnet_search.search.first_measurements import frozen_reference, measure_start, screening_line
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.plan import Plan
from hrnet_search.search.reuse import Reuse
from hrnet_search.search.space_problem import latency_matters
from hrnet_search.search.time_budget import TimeBudget
from hrnet_search.search.watchdog import Watchdog
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore

T = TypeVar("T")


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
    known = Reuse(reuse, plan)
    for study, why in known.left_out:
        say(f"{study.folder}: {why}, so neither they nor what they judged or started is taken over")
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
    study = open_study(store.folder)  # which reads a trial once, where the store reads all anew
    spent = spent_of((result for _, result in study.ended()), store.notes())

    def note(seconds: float) -> None:
        trained = _trained_s(result for _, result in study.ended())
        store.note(Notes(spent_s=seconds, trained_s=trained))

    return TimeBudget(plan.hours, spent, note)


def spent_of(ended: Iterable[TrialResult], notes: Notes) -> float:
    """Return the device seconds that a study has spent; it notes more than trials took alone.

    What was trained since, by a budget of trials, is beside what it noted.
    """
    trained = _trained_s(ended)
    since = trained - (trained if notes.trained_s is None else notes.trained_s)
    return max(trained, (notes.spent_s or 0.0) + max(0.0, since))


def _trained_s(ended: Iterable[TrialResult]) -> float:
    return sum(result.wall_s for result in ended if not result.taken_over)


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
    program = driver.call(partial(_program, latency)) if latency.command else ""
    return frozen_reference(store, device, lambda: driver.call(check), say, program)


def _alone(device: str, measure: Callable[[], T]) -> T:
    """Measure while nothing else of this package computes on the device."""
    with gate_of(device, device) as gate, gate.alone():
        return measure()


def _measured(
    architecture: Architecture, spec: LatencySpec, reference: float, classes: int
) -> Latency:
    return latency_of(build(architecture, classes), spec, reference, classes=classes)


def _program(latency: LatencySpec) -> str:
    return resolve(latency).condition.version


def _device_name(asked: str) -> str:
    return device_name(resolve_device(asked))
