"""`ablate`: an ablation, from a space file to a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import add_reuse
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
from hrnet_search.commands.forecasting import forecast_of_arms, room_line
from hrnet_search.commands.outcome import DONE, TRIALS_FAILED, warn
from hrnet_search.commands.space_file import data_lines, load_ablation, study_folder
from hrnet_search.paths import several

if TYPE_CHECKING:
    from hrnet_search.ablation.arms import Ablation
    from hrnet_search.ablation.brain import AblationBrain
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.space.load import SpaceFile
    from hrnet_search.store.study import Study


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `ablate`."""
    sub.add_argument("--plan", action="store_true", help="say what it takes and can show, and end")
    add_reuse(sub)
    add_driving(sub)


def command(options: argparse.Namespace) -> int:
    """Run the ablation that a file asks for; the same command again goes on where it was."""
    from hrnet_search.commands.terminal import terminal_of

    file = load_ablation(options.space, options.data_root, warn)
    folder = study_folder(file, options.output)
    terminal = terminal_of(options)
    if not options.plan:
        require_device(file, Driving.of(options))
    workers = options.workers or 1
    ablation, done = _planned(file, folder, options.reuse, workers, terminal)
    if options.plan:
        if not done:
            _say_hours(file, ablation, folder, workers, terminal)
        return DONE
    brain = _ablate(file, ablation, folder, options.reuse, Driving.of(options), terminal)
    code = TRIALS_FAILED if brain.counts["failed"] else DONE
    code = ended(brain.why_ended, folder, code, options.debug, terminal)
    show_in_mirrors(folder, file, terminal)
    return code


def ablate(
    space: str | Path,
    folder: str | Path,
    reuse: str | Path | Sequence[str | Path] = (),
    *,
    data_root: str | Path | None = None,
    workers: int | None = None,
    gpus_per_trial: float | None = None,
    memory_per_trial: float | None = None,
    ray: str | None = None,
    storage: str | None = None,
    take_over: bool = False,
    retry_failed: bool = False,
    progress: bool = False,
) -> Study:
    """Run the ablation of a space file, write the report, and return the study in `folder`.

    `reuse` are studies whose finished trials are taken over where they are the same. The rest,
    and what is raised, is as for `run`; SpaceError also for a design that cannot show what the
    file asks of it.
    """
    from hrnet_search.commands.terminal import Quiet, Terminal

    how = Driving(workers, gpus_per_trial, memory_per_trial, ray, storage, take_over, retry_failed)
    terminal = Terminal() if progress else Quiet()
    file = load_ablation(space, data_root, terminal.warn)
    place = study_folder(file, folder)
    require_device(file, how)
    others = several(reuse)
    ablation, _ = _planned(file, place, others, workers or 1, terminal)
    _ablate(file, ablation, place, others, how, terminal)
    study = reported_study(place, terminal)
    show_in_mirrors(place, file, terminal)
    return study


def _planned(
    file: SpaceFile,
    folder: Path,
    reuse: Sequence[str | Path],
    workers: int,
    terminal: Terminal,
) -> tuple[Ablation, int]:
    """Return the ablation and how many of its trials have ended; say what it can show."""
    spin_less()
    from hrnet_search.ablation.run import ablation_of, finished_trials, prepare
    from hrnet_search.search.mirrors.tracking_uri import tracking_of
    from hrnet_search.store.study import begun_study

    tracking_of(file, folder)  # what is wrong there is said before the data are read
    ablation = ablation_of(file, folder)
    for line in data_lines(file, ablation.data):
        terminal.say(line)
    finished = finished_trials(ablation, folder, reuse)
    begun = begun_study(folder) is not None
    for line in prepare(file, ablation, finished, begun, workers):
        terminal.say(line)
    return ablation, len(finished)


def _say_hours(
    file: SpaceFile, ablation: Ablation, folder: Path, workers: int, terminal: Terminal
) -> None:
    """Say what an ablation of which nothing has ended would take; nothing is written."""
    from hrnet_search.search.probe import PROBE_S

    found = forecast_of_arms(file, ablation, (), workers, terminal.say, PROBE_S)
    for line in (*found.lines(), room_line(folder)):
        terminal.say(line)


def _ablate(
    file: SpaceFile,
    ablation: Ablation,
    folder: Path,
    reuse: Sequence[str | Path],
    how: Driving,
    terminal: Terminal,
) -> AblationBrain:
    from hrnet_search.ablation.run import ablate as run_ablation
    from hrnet_search.ablation.run import open_ablation
    from hrnet_search.search.begin import going_on
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.store.study import open_study

    others = [open_study(other) for other in reuse]
    with (
        Interrupt() as interrupt,
        open_ablation(file, ablation, folder, how.take_over) as store,
        driver_of(file, store, interrupt, how, terminal) as driver,
    ):
        retry_failed(store, how, terminal)
        first = [*ablation.initial, *going_on(ablation.contents, store.finished())]
        with driven(file, store, ablation.trainings, first, terminal) as listeners:
            return run_ablation(file, ablation, store, listeners, terminal.say, others, driver)
