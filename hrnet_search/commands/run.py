"""`run`: a search, from a space file to a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import MOST_HOURS, add_reuse, hours, positive, require_positive
from hrnet_search.commands.driver import (
    Driving,
    add_driving,
    driven,
    driver_of,
    ended,
    reported_study,
    require_device,
    retry_failed,
    show_in_mirrors,
    spin_less,
)
from hrnet_search.commands.forecasting import Asked, forecast_of, room_line
from hrnet_search.commands.outcome import DONE, TRIALS_FAILED, warn
from hrnet_search.commands.space_file import (
    data_lines,
    decoded_line,
    learning_from,
    load_search,
    study_folder,
)
from hrnet_search.errors import Fault, InputError
from hrnet_search.paths import expanded, several

if TYPE_CHECKING:
    from hrnet_search.arch.cost import Cost
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.search.brain import Brain
    from hrnet_search.search.forecast import Done
    from hrnet_search.search.plan import Plan
    from hrnet_search.space.load import SpaceFile
    from hrnet_search.store.study import Study


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `run`."""
    budget = sub.add_mutually_exclusive_group()
    budget.add_argument("--trials", type=positive, metavar="N", help="instead of the file's budget")
    budget.add_argument(
        "--hours", type=hours, metavar="H", help="device-hours, instead of the file's budget"
    )
    sub.add_argument(
        "--learn-from",
        type=expanded,
        action="append",
        metavar="STUDY",
        help="learn from an earlier study, instead of those in the file (may be repeated)",
    )
    add_reuse(sub)
    planned = "train nothing: say what hours and bytes it would take, by a few steps measured now"
    sub.add_argument("--plan", action="store_true", help=planned)
    add_driving(sub)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a study may take in place of what its file says: trials, or hours of devices.

    The names are those of the command line and of `run`.
    """

    trials: int | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        require_positive(("trials", self.trials))
        if self.hours is not None and not 0 < self.hours <= MOST_HOURS:
            allowed = f"above 0, at most {MOST_HOURS:g}"
            raise InputError(Fault("hours", self.hours, f"{self.hours} is not allowed", allowed))
        if self.trials and self.hours:
            wrong = "cannot be set together with trials: a study has one budget"
            raise InputError(Fault("hours", self.hours, wrong, "one of them"))


def command(options: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it was."""
    file = load_search(options.space, options.data_root, warn)
    folder = study_folder(file, options.output)
    from hrnet_search.commands.terminal import terminal_of

    file = learning_from(file, options.learn_from or ())
    how, terminal = Driving.of(options), terminal_of(options)
    budget = Budget(options.trials, options.hours)
    if options.plan:
        _say_plan(file, folder, budget, how, terminal)
        return DONE
    brain = _search(file, folder, budget, options.reuse, how, terminal)
    code = TRIALS_FAILED if brain.counts["failed"] or brain.fell_short else DONE
    code = ended(brain.why_ended, folder, code, options.debug, terminal)
    show_in_mirrors(folder, file, terminal)
    return code


def run(
    space: str | Path,
    folder: str | Path,
    trials: int | None = None,
    *,
    hours: float | None = None,
    data_root: str | Path | None = None,
    workers: int | None = None,
    gpus_per_trial: float | None = None,
    memory_per_trial: float | None = None,
    ray: str | None = None,
    storage: str | None = None,
    take_over: bool = False,
    retry_failed: bool = False,
    learn_from: str | Path | Sequence[str | Path] = (),
    reuse: str | Path | Sequence[str | Path] = (),
    progress: bool = False,
) -> Study:
    """Search the space of a space file, write the report, and return the study in `folder`.

    The same call again goes on where it was. `trials` or `hours` (of devices), `data_root` and
    `learn_from` (folders of earlier studies) replace what the file says; `reuse` are studies whose
    completed trials are taken over where they are the same. `workers` trials run at once through
    Ray, with a share of a GPU and GiB of memory each, on the cluster at `ray` or on this machine.
    Trials that fail are rows of the study, no error. Nothing is printed unless `progress` is set:
    lines go to the logger `hrnet_search`. Raise SpaceError, DataError, WeightsError or StudyError
    for input that is wrong, StudyInUseError, StorageLostError, and KeyboardInterrupt after Ctrl-C.
    """
    from hrnet_search.commands.terminal import Quiet, Terminal

    budget = Budget(trials, hours)
    how = Driving(workers, gpus_per_trial, memory_per_trial, ray, storage, take_over, retry_failed)
    terminal = Terminal() if progress else Quiet()
    file = learning_from(load_search(space, data_root, terminal.warn), learn_from)
    place = study_folder(file, folder)
    _search(file, place, budget, several(reuse), how, terminal)
    study = reported_study(place, terminal)
    show_in_mirrors(place, file, terminal)
    return study


def _say_plan(
    file: SpaceFile, folder: Path, budget: Budget, how: Driving, terminal: Terminal
) -> None:
    """Say what a study would take, or the rest of one: nothing is trained and nothing written."""
    from hrnet_search.search.probe import PROBE_S

    asked = Asked(budget.trials, budget.hours, how.workers or 1)
    for line in forecast_of(file, folder, asked, terminal.say, PROBE_S).lines():
        terminal.say(line)
    terminal.say(room_line(folder))


def _warn_of_disk(
    plan: Plan, costs: Sequence[Cost], done: Done, folder: Path, how: Driving, terminal: Terminal
) -> None:
    """Say before a study begins that what it is going to keep would not fit."""
    from hrnet_search.files import free_bytes
    from hrnet_search.search.disk import sized
    from hrnet_search.search.forecast import disk_of

    left = max(0, plan.trials - done.trials)
    needed = disk_of(plan, costs, left, how.workers or 1, done)
    if needed > (free := free_bytes(folder)):
        terminal.warn(
            f"{folder}: the weights and checkpoints to come take about {sized(needed)}, and"
            f" {sized(free)} are free: search.keep: front keeps fewer, -o names another folder"
        )


def _search(
    file: SpaceFile,
    folder: Path,
    budget: Budget,
    reuse: Sequence[str | Path],
    how: Driving,
    terminal: Terminal,
) -> Brain:
    spin_less()
    from hrnet_search.data.cache import decoded_bytes
    from hrnet_search.progress import Whole
    from hrnet_search.search.begin import going_on, open_store
    from hrnet_search.search.earlier import learned_lines
    from hrnet_search.search.fidelity.expected import first_lines
    from hrnet_search.search.forecast import costs_of, counted_as_done
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.mirrors.tracking_uri import tracking_of
    from hrnet_search.search.run import budget_of, search
    from hrnet_search.search.settled_plan import plan_of
    from hrnet_search.search.trials import have_ended
    from hrnet_search.store.notes import BROKEN, Notes
    from hrnet_search.store.study import open_study

    # What is wrong there is said before the data are read.
    require_device(file, how)
    tracking_of(file, folder)
    others = [open_study(study) for study in reuse]
    plan = plan_of(file, folder, budget.trials, budget.hours)
    for line in data_lines(file, plan.data):
        terminal.say(line)
    limit = file.schedule.data.cache
    if (decoded := decoded_bytes(file.schedule.data)) > limit:
        terminal.say(decoded_line(decoded, limit))
    with (
        Interrupt() as interrupt,
        open_store(file, plan, folder, how.take_over) as store,
        driver_of(file, store, interrupt, how, terminal) as driver,
    ):
        retry_failed(store, how, terminal)
        already, paused, asked = store.finished(), store.paused(), store.asks()
        if asked:
            waits = f", {len(paused)} paused" if paused else ""
            terminal.say(f"going on with {folder}: {have_ended(len(already))}{waits}")
        time = budget_of(plan, store)
        whole = Whole(plan.trials, time if time.bounded else None)
        learned = learned_lines(plan.earlier)
        costs, purposes = costs_of(plan), {ask.number: ask.purpose for ask in asked}
        short = [] if asked else first_lines(plan, costs)
        first = [
            *plan.initial,
            *learned,
            *short,
            *going_on(plan.contents, [*already, *paused.items()]),
        ]
        ended = ((purposes[number], result) for number, result in already)
        done = counted_as_done(ended, len(paused))
        _warn_of_disk(plan, costs, done, store.folder, how, terminal)
        with driven(file, store, whole, first, terminal) as listeners:
            brain = search(plan, store, listeners, terminal.say, driver, others, time)
        if brain.fell_short:  # as its exit code says
            store.note(Notes(outcome=BROKEN))
        return brain
