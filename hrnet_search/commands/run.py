"""`run`: a search, from a space file to a report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import add_reuse, positive, require_positive
from hrnet_search.commands.driver import (
    Driving,
    add_driving,
    driven,
    ended,
    reported_study,
    retry_failed,
    show_in_mirrors,
    spin_less,
)
from hrnet_search.commands.outcome import DONE, TRIALS_FAILED, warn
from hrnet_search.commands.space_file import (
    data_lines,
    decoded_line,
    learning_from,
    load_search,
    study_folder,
)
from hrnet_search.paths import expanded

if TYPE_CHECKING:
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.search.brain import Brain
    from hrnet_search.space.load import SpaceFile
    from hrnet_search.store.study import Study


def add(sub: argparse.ArgumentParser) -> None:
    """Take what `run` does."""
    sub.add_argument("--trials", type=positive, metavar="N", help="instead of the file's")
    sub.add_argument(
        "--learn-from",
        type=expanded,
        action="append",
        metavar="STUDY",
        help="learn from an earlier study, instead of those in the file (may be repeated)",
    )
    add_reuse(sub)
    add_driving(sub)


def command(options: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it was."""
    file = load_search(options.space, options.data_root, warn)
    folder = study_folder(file, options.output)
    from hrnet_search.commands.terminal import terminal_of

    file = learning_from(file, options.learn_from or ())
    how, terminal = Driving.of(options), terminal_of(options)
    brain = _search(file, folder, options.trials, options.reuse, how, terminal)
    code = TRIALS_FAILED if brain.counts["failed"] or brain.fell_short else DONE
    code = ended(brain.why_ended, folder, code, options.debug, terminal)
    show_in_mirrors(folder, file, terminal)
    return code


def run(
    space: str | Path,
    folder: str | Path,
    trials: int | None = None,
    *,
    data_root: str | Path | None = None,
    workers: int | None = None,
    gpus_per_trial: float | None = None,
    memory_per_trial: float | None = None,
    ray: str | None = None,
    storage: str | None = None,
    take_over: bool = False,
    retry_failed: bool = False,
    learn_from: Sequence[str | Path] = (),
    reuse: Sequence[str | Path] = (),
    progress: bool = False,
) -> Study:
    """Search the space of a space file, write the report, and return the study in `folder`.

    The same call again goes on where it was. `trials`, `data_root` and `learn_from` (folders of
    earlier studies) replace what the file says; `reuse` are studies whose completed trials are
    taken over where they are the same. `workers` trials run at once through Ray, with a
    share of a GPU and GiB of memory each, on the cluster at `ray` or on this machine. Trials that
    fail are rows of the study, no error. Nothing is printed unless `progress` is set: lines go to
    the logger `hrnet_search`. Raise SpaceError, DataError, WeightsError or StudyError for input
    that is wrong, StudyInUseError, StorageLostError, and KeyboardInterrupt after Ctrl-C.
    """
    from hrnet_search.commands.terminal import Quiet, Terminal

    require_positive(("trials", trials))
    how = Driving(workers, gpus_per_trial, memory_per_trial, ray, storage, take_over, retry_failed)
    terminal = Terminal() if progress else Quiet()
    file = learning_from(load_search(space, data_root, terminal.warn), learn_from)
    place = study_folder(file, folder)
    _search(file, place, trials, reuse, how, terminal)
    study = reported_study(place, terminal)
    show_in_mirrors(place, file, terminal)
    return study


def _search(
    file: SpaceFile,
    folder: Path,
    trials: int | None,
    reuse: Sequence[str | Path],
    how: Driving,
    terminal: Terminal,
) -> Brain:
    spin_less()
    from hrnet_search.data.cache import decoded_bytes
    from hrnet_search.search.earlier import learned_lines
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.run import going_on, open_store, plan_of, search
    from hrnet_search.search.trials import have_ended
    from hrnet_search.store.study import open_study

    others = [open_study(study) for study in reuse]
    plan = plan_of(file, folder, trials)
    for line in data_lines(file, plan.data):
        terminal.say(line)
    limit = file.schedule.data.cache
    if (decoded := decoded_bytes(file.schedule.data)) > limit:
        terminal.say(decoded_line(decoded, limit))
    with Interrupt() as interrupt, open_store(file, plan, folder, how.take_over) as store:
        retry_failed(store, how, terminal)
        if already := store.finished():
            terminal.say(f"going on with {folder}: {have_ended(len(already))}")
        whole = plan.trials + (plan.base is not None)
        learned = learned_lines(plan.earlier)
        first = [*plan.initial, *learned, *going_on(plan.contents, already)]
        with driven(file, store, whole, first, interrupt, how, terminal) as (
            driver,
            listeners,
        ):
            return search(plan, store, listeners, terminal.say, driver, others)
