"""A space file settled into a plan: its data, its machine, its initial weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hrnet_search.data.dataset import contents_of, fingerprint, inspect_data
from hrnet_search.errors import Fault, InputError, counted
from hrnet_search.evaluate.machine.devices import resolve_device
from hrnet_search.evaluate.training.probe import is_open, settle
from hrnet_search.inventory import Inventory
from hrnet_search.paths import absolute
from hrnet_search.records.schedule import AUTO, TRAINED_FIRST, Schedule
from hrnet_search.records.search_options import (
    CONFIRMED_FROM,
    EVALUATOR,
    FIDELITY,
    PART_FIRST,
    SHARED,
)
from hrnet_search.search.earlier import settled_earlier
from hrnet_search.search.initial_weights import Initial, base_schedule
from hrnet_search.search.own_sampler import check_sampler
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_fidelity import settled_fidelity
from hrnet_search.search.settled_signal import settled_signal
from hrnet_search.space.load import SpaceFile
from hrnet_search.store.findings import Probe
from hrnet_search.store.study import begun_study


def plan_of(
    file: SpaceFile,
    folder: Path,
    trials: int | None = None,
    hours: float | None = None,
    data: Inventory | None = None,
) -> Plan:
    """Look at the data, unless it is known what they hold, and settle a space file into a plan.

    `trials`, or `hours` of devices, are its budget in place of the file's.
    Raise DataError for bad data, SpaceError or WeightsError for initial weights that are missing
    or no HRNet's, SpaceError for earlier studies from which nothing can be learned, InputError
    for a device that is not here.
    """
    folder = absolute(folder)
    check_sampler(file)
    check_device(file, folder)
    data = data or inspect_data(file)
    contents = contents_of(file.schedule.data)
    known = fingerprint(file.schedule.data, contents)
    schedule = replace(file.schedule, fingerprint=known)
    initial, signal = Initial(file, folder), settled_signal(file, folder)
    schedule, probe = on_this_machine(schedule, file, folder)
    count, hours = trials or file.search.trials, hours or (0.0 if trials else file.search.hours)
    fidelity = settled_fidelity(file, folder, count, hours)
    _check_budgets(file, folder, fidelity, count, hours)
    slices = initial.settled(_slices(file.slices, schedule)) if file.slices else None
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
        trials=count,
        hours=hours,
        device=file.latency.device,
        folder=str(folder),
        confirm=file.search.confirm,
        long=file.search.long,
        stop=file.search.stop,
        fidelity=fidelity,
        paused=file.search.paused,
        signal=signal,
        probe=probe,
        initial=tuple(initial.lines),
        base=_base_schedule(slices, schedule),
        slices=slices,
        data=data,
        contents=contents,
        earlier=settled_earlier(file, folder, signal),
        keep=file.search.keep,
    )


def _slices(own: Schedule, schedule: Schedule) -> Schedule:
    """Return the schedule of slices, on the data and the machine that variants are trained on."""
    return replace(
        own,
        fingerprint=schedule.fingerprint,
        precision=schedule.precision,
        memory_format=schedule.memory_format,
    )


def _base_schedule(slices: Schedule | None, schedule: Schedule) -> Schedule | None:
    """Return how what is trained first is trained, None where nothing is."""
    if slices or schedule.init in TRAINED_FIRST:
        return base_schedule(slices or schedule)
    return None


def _check_budgets(file: SpaceFile, folder: Path, fidelity: str, trials: int, hours: float) -> None:
    if fidelity in PART_FIRST and (hours or begun_study(folder) is None):
        began = " (auto, by schedule.rungs)" if file.search.fidelity == AUTO else ""
        check_budget(trials, hours, f"{FIDELITY}: {fidelity}{began}")
    if file.slices is not None:
        check_budget(trials, hours, f"{EVALUATOR}: {SHARED}")


def check_budget(trials: int, hours: float, beside: str) -> None:
    """Raise InputError for hours, or too few trials, `beside` what is named."""
    if hours:
        wrong = f"does not go with {beside}"
        raise InputError(Fault("--hours", hours, wrong, "--trials"))
    if trials < CONFIRMED_FROM:
        do = "does" if trials == 1 else "do"
        wrong = f"{counted(trials, 'trial')} {do} not go with {beside}"
        raise InputError(Fault("--trials", trials, wrong, f"at least {CONFIRMED_FROM}"))


def check_device(file: SpaceFile, folder: Path) -> None:
    """Raise InputError, before data are read, where what is left to a device is left to none."""
    if is_open(file.schedule) and _noted_probe(folder) is None:
        resolve_device(file.latency.device)


def _noted_probe(folder: Path) -> Probe | None:
    begun = begun_study(folder)
    return begun.notes.probe if begun else None


def on_this_machine(
    schedule: Schedule, file: SpaceFile, folder: Path
) -> tuple[Schedule, Probe | None]:
    """Settle what a schedule leaves to the machine, once in the life of a study.

    What was found stands in the study and is taken from there, so that all its trials run
    alike, also on another machine. Returns the probe too, None where nothing was open.
    """
    if not is_open(schedule):
        return schedule, None
    known = _noted_probe(folder)
    if known is None:
        device = resolve_device(file.latency.device)
        known = settle(schedule, file.space.base, device)
    for key in ("precision", "memory_format"):
        if getattr(schedule, key) == AUTO:
            schedule = replace(schedule, **{key: getattr(known, key)})
    return schedule, known
