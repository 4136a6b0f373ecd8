"""`check`: every problem of a space file and its data; else how large and expensive it is."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_search.commands.arguments import add_space
from hrnet_search.commands.forecasting import Asked, forecast_of, forecast_of_arms, room_line
from hrnet_search.commands.outcome import DONE, say, say_as_it_is, warn
from hrnet_search.commands.space_file import (
    RESULTS,
    data_lines,
    decoded_line,
    initial_weights,
    load,
    look_at_data,
    seen,
    study_folder,
)
from hrnet_search.errors import HrnetSearchError, InputError, first_line, shown

if TYPE_CHECKING:
    from hrnet_search.ablation.arms import Ablation
    from hrnet_search.inventory import Inventory
    from hrnet_search.records.schedule import Schedule
    from hrnet_search.search.forecast import Forecast
    from hrnet_search.space.load import SpaceFile


MEASURE = (
    "say hours too, by a few training steps measured now, for about a minute"
    " (on a terminal it does)"
)

MEASURE_S = 30.0
"""Seconds after which it measures no further step, once it is warm: who waits has read the rest."""

MOST_WARMUP = 0.15
"""Share of the steps above which a warm-up leaves too few at the full learning rate."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a space file without problems says: in lines for people, and plain for programs.

    `data` are what was seen of the data, None where nobody says where they are.
    """

    lines: tuple[str, ...]
    plain: dict[str, Any]
    data: Inventory | None = None


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `check`."""
    add_space(sub)
    sub.add_argument("--json", action="store_true", help="for programs to read")
    sub.add_argument("--measure", action=argparse.BooleanOptionalAction, help=MEASURE)


def command(options: argparse.Namespace) -> int:
    """Look for every problem of a space file; else say how large and how expensive the space is."""
    file, found = _checked(options.space, options.data_root, warn)
    if options.json:
        forecast = _measured(file, found, warn) if options.measure else None
        hours = {"forecast": asdict(forecast)} if forecast else {}
        say_as_it_is(json.dumps(found.plain | hours))
        return DONE
    for line in found.lines:
        say(line)
    _say_hours(file, found, options.measure)
    return DONE


def check(
    space: str | Path,
    data_root: str | Path | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Return what a space file asks for; raise InputError with every problem of it.

    Data and initial weights are looked at as `run` does, data only if it is known where they are.
    """
    return _checked(space, data_root, warn)[1]


def _checked(
    space: str | Path, data_root: str | Path | None, warn: Callable[[str], None]
) -> tuple[SpaceFile, Checked]:
    from hrnet_search.search.mirrors.tracking_uri import check_addresses

    file = load(space, data_root, warn)
    check_addresses(file, study_folder(file, None))
    data = look_at_data(file)
    return file, _space(file, data) if file.ablation is None else _ablation(file, data)


def _say_hours(file: SpaceFile, found: Checked, measure: bool | None) -> None:
    """Say at the end what it would take; where that is not measured, what measures it.

    On a terminal it is measured if nobody says otherwise and the data are there.
    """
    if measure is None:
        measure = sys.stdout.isatty() and found.data is not None
    if not measure:
        say("how long it takes: check --measure says it, by a few training steps")
        return
    try:
        forecast = _measured(file, found, say)
    except KeyboardInterrupt:  # all but this was said
        return
    if forecast:
        for line in (*forecast.lines(), room_line(study_folder(file, None))):
            say(line)


def _measured(file: SpaceFile, found: Checked, say: Callable[[str], None]) -> Forecast | None:
    """Return what it would take; None where it is not known, of which is warned."""
    wrong = "how long it takes was not measured: "
    if found.data is None:
        warn(f"{wrong}the data have no root (--data-root DIR)")
        return None
    folder = study_folder(file, None)
    try:
        if file.ablation is not None:
            return _of_arms(file, folder, found.data, say)
        return forecast_of(file, folder, Asked(), say, MEASURE_S, found.data)
    except HrnetSearchError as error:  # of this machine, or of weights that lie elsewhere
        warn(f"{wrong}{first_line(error)}")
        return None


def _of_arms(
    file: SpaceFile, folder: Path, data: Inventory, say: Callable[[str], None]
) -> Forecast:
    from hrnet_search.ablation.run import ablation_of, finished_trials

    ablation = ablation_of(file, folder, data)
    finished = finished_trials(ablation, folder)
    return forecast_of_arms(file, ablation, finished, 1, say, MEASURE_S)


def device_advice(file: SpaceFile) -> Iterator[str]:
    """Yield that the device of a study is not on this machine; it may be where it is to run."""
    if file.latency.device in ("auto", "cpu"):
        return
    # Imported here: `check` answers at once, without the seconds that torch takes.
    from hrnet_search.evaluate.machine.devices import resolve_device

    try:
        resolve_device(file.latency.device)
    except InputError as error:
        yield f"{first_line(error)}; a run is refused on this machine, not where there is one"


def latency_advice(file: SpaceFile) -> Iterator[str]:
    """Yield why latency cannot be measured here as a file wants it; there it may be."""
    from hrnet_search.records.latency import LatencySpec

    plain = LatencySpec(size=file.latency.size)
    if (file.latency.mode, file.latency.runtime) == (plain.mode, plain.runtime):
        return
    # Imported here: `check` answers at once, without the seconds that torch takes.
    from hrnet_search.evaluate.latency.condition import resolve

    try:
        resolve(file.latency)
    except InputError as error:
        for fault in error.faults:
            yield f"{fault}; a run is refused on this machine"
    program = next(iter(file.latency.command), "")
    if program and shutil.which(program) is None:
        yield f"latency.command: {shown(program)} is no program here: no latency can be measured"


def warmup_advice(schedule: Schedule) -> Iterator[str]:
    """Yield what speaks against a schedule's warm-up: a large part of the steps, or the base's."""
    for name, steps in (("steps", schedule.steps), ("init_steps", schedule.init_steps)):
        if steps and schedule.warmup > MOST_WARMUP * steps:
            yield (
                f"schedule.warmup: {schedule.warmup} is {schedule.warmup / steps:.0%} of {name}"
                f" ({steps}), better: at most {MOST_WARMUP:.0%}, {int(MOST_WARMUP * steps)} steps"
            )


def _space(file: SpaceFile, data: Inventory | None) -> Checked:
    from hrnet_search.data.cache import decoded_bytes
    from hrnet_search.search.own_sampler import check_sampler
    from hrnet_search.space.survey import survey

    check_sampler(file)
    initial = initial_weights(file)
    for schedule in filter(None, (file.schedule, file.slices)):
        initial.settled(schedule)
    learned = _learned(file)
    advice, warmup = _advice(file), list(warmup_advice(file.schedule))
    device = [*device_advice(file), *latency_advice(file)]
    decoded = decoded_bytes(file.schedule.data) if data else None
    found, disk = survey(file.space), _disk(file)
    lines = [f"{file.name}: no problems", *data_lines(file, data)]
    if decoded is not None:
        lines.append(decoded_line(decoded, file.schedule.data.cache))
    plain = {**seen(data), "decoded_bytes": decoded, "initial": initial.lines, "tracking": advice}
    plain |= {"warmup": warmup, "learned": learned, "device": device}
    return Checked(
        (*lines, *initial.lines, *learned, *device, *advice, *warmup, *found.lines(), disk),
        {"name": file.name, **plain, **asdict(found)},
        data,
    )


def _advice(file: SpaceFile) -> list[str]:
    from hrnet_search.search.mirrors.tracking_uri import advice_on

    return list(advice_on(file, study_folder(file, None)))


def _disk(file: SpaceFile) -> str:
    """Return how large the weights of a study are."""
    from hrnet_search.records.search_options import KEEP_ALL
    from hrnet_search.search.disk import drawn_costs, sized, weight_bytes

    costs = drawn_costs(file.space, file.latency.size, file.schedule.data.classes)
    kept = f"search.keep: {file.search.keep}"
    trials = file.search.trials
    said = f"weights: about {sized(weight_bytes(costs, 1, KEEP_ALL))} a network"
    if not file.search.hours:
        total = sized(weight_bytes(costs, trials, file.search.keep))
        said += f", {total} of {trials} trials ({kept})"
    return said


def _learned(file: SpaceFile) -> list[str]:
    """Return what a search would learn from, as a run in the usual folder does."""
    if not file.search.learn_from:
        return []
    # Imported here: `check` answers at once, without the second that scikit-learn takes.
    from hrnet_search.search.earlier import learned_lines, settled_earlier
    from hrnet_search.search.settled_signal import settled_signal

    folder = RESULTS / file.name
    return learned_lines(settled_earlier(file, folder, settled_signal(file, folder)))


def _ablation(file: SpaceFile, data: Inventory | None) -> Checked:
    from hrnet_search.ablation.arms import settle

    initial = initial_weights(file)
    ablation = settle(file, file.schedule, initial.settled)
    advice, warmup = _advice(file), list(warmup_advice(file.schedule))
    device = [*device_advice(file), *latency_advice(file)]
    arms = [{"name": a.name, "id": a.architecture.id, **asdict(a.cost)} for a in ablation.arms]
    plain = {"arms": arms, "trainings": ablation.trainings, "notes": ablation.notes}
    plain |= {"initial": initial.lines, "tracking": advice, "warmup": warmup}
    plain |= {"device": device}
    seeds = len(ablation.spec.seeds)
    lines = [f"{file.name}: no problems", *data_lines(file, data), *initial.lines, *advice]
    lines += [*device, *warmup]
    lines.append(f"{len(ablation.distinct)} arms x {seeds} seeds = {ablation.trainings} trainings")
    for arm in ablation.arms:
        note = f", {arm.note}" if arm.note else ""
        lines.append(f"  {arm.name}: {arm.ratio:.1%} of the reference's MACs{note}")
    lines.append(_disk_of_arms(ablation))
    return Checked(tuple(lines), {"name": file.name, **seen(data), **plain}, data)


def _disk_of_arms(ablation: Ablation) -> str:
    """Return how large the weights of an ablation are: all stay, for its seeds."""
    from hrnet_search.records.search_options import KEEP_ALL
    from hrnet_search.search.disk import sized, weight_bytes

    costs = [arm.cost for arm in ablation.distinct]
    total = sized(weight_bytes(costs, ablation.trainings, KEEP_ALL))
    return f"weights: about {total} of {ablation.trainings} trainings"
