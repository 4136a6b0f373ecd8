"""What drives a study, whatever it is of: this process, or Ray with many workers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.arguments import (
    add_progress,
    add_space,
    add_take_over,
    output,
    positive,
    require_positive,
    require_shares,
    share,
)
from hrnet_search.commands.outcome import unless_failed
from hrnet_search.errors import HrnetSearchError, counted, first_line
from hrnet_search.paths import expanded

if TYPE_CHECKING:
    from hrnet_search.commands.terminal import Terminal
    from hrnet_search.errors import ReportError
    from hrnet_search.progress import Whole
    from hrnet_search.search.driver import Driver, Listener
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.space.load import SpaceFile
    from hrnet_search.store.study import Study
    from hrnet_search.store.writer import StudyStore


@dataclass(frozen=True, slots=True)
class Driving:
    """How a study is driven; without `workers` and `ray` in this process.

    `memory_per_trial` is in GiB. The names are those of the command line and of `run`.
    """

    workers: int | None = None
    gpus_per_trial: float | None = None
    memory_per_trial: float | None = None
    ray: str | None = None
    storage: str | None = None
    take_over: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        require_positive(("workers", self.workers))
        require_shares(
            ("gpus_per_trial", self.gpus_per_trial), ("memory_per_trial", self.memory_per_trial)
        )

    @staticmethod
    def of(options: argparse.Namespace) -> Driving:
        """Return what the command line asks for."""
        return Driving(**{name: getattr(options, name) for name in Driving.__slots__})


def add_driving(sub: argparse.ArgumentParser) -> None:
    """Take a space file, the study's folder, and how the study is driven."""
    add_space(sub)
    sub.add_argument(
        "-o", "--output", type=output, metavar="STUDY", help="study folder (results/NAME)"
    )
    sub.add_argument("--plain", action="store_true", help="plain lines on a terminal too")
    add_progress(sub)
    add_take_over(sub)
    sub.add_argument("--retry-failed", action="store_true", help="run trials that failed again")
    ray = sub.add_argument_group("several workers (docs/cluster.md)")
    ray.add_argument("--workers", type=positive, metavar="N", help="trials at once, through Ray")
    gpus = "share of a GPU for each trial (1 where there are GPUs)"
    ray.add_argument("--gpus-per-trial", type=share, metavar="G", help=gpus)
    memory = "what one worker may use, in GiB (estimated, 2 or more)"
    ray.add_argument("--memory-per-trial", type=share, metavar="M", help=memory)
    address = "join this Ray cluster (without it, --workers starts one on this machine)"
    ray.add_argument("--ray", metavar="ADDRESS", help=address)
    storage = "path or URL that all nodes see, if they do not see the study folder"
    ray.add_argument("--storage", type=expanded, metavar="URL", help=storage)


def spin_less() -> None:
    """Let threads sleep soon at a barrier; read when torch loads.

    Spinning while another process has the core made a training 60 times slower (docs/LOG.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@contextmanager
def driven(
    file: SpaceFile,
    store: StudyStore,
    planned: int | Whole,
    first: Sequence[str],
    terminal: Terminal,
) -> Iterator[Sequence[Listener]]:
    """Yield all that watch the trials of an open study, which runs meanwhile.

    `planned` trials are shown as the whole; `first` is said before them.
    """
    from hrnet_search.progress import Whole, watching
    from hrnet_search.search.mirrors.outbox import Outbox
    from hrnet_search.search.trials import BESIDE
    from hrnet_search.store.trial_rows import SLICES

    folder, asks = store.folder, {ask.number: ask for ask in store.asks()}
    shown_too = [(n, r) for n, r in store.finished() if asks[n].purpose not in BESIDE]
    # A judgement that failed is none that was made.
    already = [(n, r) for n, r in shown_too if r.untrained or asks[n].purpose != SLICES]
    ended = sum(asks[n].purpose != SLICES for n, _ in already)
    with (
        noted_outcome(store),
        Outbox(folder, terminal.warn, file) as outbox,
        watching(
            folder, planned, file.goals, already, terminal.console, terminal.live, first
        ) as views,
    ):
        terminal.began(folder, Whole.of(planned).trials, ended, first)
        yield [*views, *terminal.listeners(), outbox]


@contextmanager
def noted_outcome(store: StudyStore) -> Iterator[None]:
    """Note in a study that it runs, and how that ended; a process that is killed notes nothing."""
    from hrnet_search.search.mirrors.outbox import outcome_of
    from hrnet_search.store.notes import DONE, RUNNING, Notes

    store.note(Notes(outcome=RUNNING))
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # what ended it may be the study's storage
            store.note(Notes(outcome=outcome_of(type(error))))
        raise
    store.note(Notes(outcome=DONE))


def require_device(file: SpaceFile, how: Driving) -> None:
    """Raise SpaceError for a device that this process would run on and does not find.

    Where others run the trials, on this machine or elsewhere, Ray says what they have.
    """
    if how.workers is not None or how.ray:
        return
    from hrnet_search.errors import InputError, SpaceError
    from hrnet_search.evaluate.machine.devices import resolve_device
    from hrnet_search.space.load import placed

    try:
        resolve_device(file.latency.device)
    except InputError as error:
        raise SpaceError(placed(file, error.faults)) from error


def bring_back_checkpoints(store: StudyStore, terminal: Terminal) -> None:
    """Bring checkpoints of trials that wait from the storage that a study had last.

    Where it cannot be reached it is said that they begin anew.
    """
    from hrnet_search.store.notes import Notes

    ended = {number for number, _ in store.finished()}
    waiting = [ask.key for ask in store.asks() if ask.number not in ended]
    noted = store.notes()
    place = noted.storage or ""
    try:
        from hrnet_search.search.ray_tune.job import Courier
        from hrnet_search.search.ray_tune.storage import Storage

        courier = Courier(Storage(place), noted.study_id or store.folder.name, store.folder)
        courier.bring_back(waiting)
        store.note(Notes(storage=""))
    except (ImportError, HrnetSearchError) as error:
        if waiting:
            lie = f"checkpoints of {counted(len(waiting), 'trial')} lie in {place}"
            terminal.warn(f"{lie} ({first_line(error)}): without --storage they begin anew")


def retry_failed(store: StudyStore, how: Driving, terminal: Terminal) -> None:
    """Put trials back that failed, if that is asked for."""
    if how.retry_failed and (again := store.retry_failed()):
        terminal.say(f"failed trials that run again: {again}")


def reported(folder: Path) -> tuple[Study, str, ReportError | None]:
    """Write the report of a study; return it, its summary in lines, and what could not be made."""
    from hrnet_search.report.report import report_and_summary
    from hrnet_search.store.study import open_study

    study = open_study(folder)
    return study, *report_and_summary(study)


def show_in_mirrors(folder: Path, file: SpaceFile, terminal: Terminal) -> None:
    """Show the report of a study where it is mirrored to."""
    from hrnet_search.search.mirrors.outbox import show_report

    show_report(folder, terminal.warn, file)


def ended(why: str, folder: Path, code: int, debug: bool, terminal: Terminal) -> int:
    """Write the report at a command's end and say what there is; return its exit code."""
    _, text, failed = reported(folder)
    code = unless_failed(failed, code, debug)
    terminal.finished(folder, why, text, code)
    return code


def reported_study(folder: Path, terminal: Terminal) -> Study:
    """Write the report of a study and return the study: parts that fail are warned of."""
    study, _, failed = reported(folder)
    for line in str(failed).splitlines() if failed else ():
        terminal.warn(line)
    return study


@contextmanager
def driver_of(
    file: SpaceFile, store: StudyStore, interrupt: Interrupt, how: Driving, terminal: Terminal
) -> Iterator[Driver]:
    """Yield what runs the trials: this process, or Ray if workers or a cluster are asked for.

    Before anything of a study changes: what is asked for may be refused.
    """
    if not how.storage and store.notes().storage:
        bring_back_checkpoints(store, terminal)
    if how.workers is None and not how.ray:
        from hrnet_search.search.run import Inline

        yield Inline(interrupt, file.hang_s)
        return
    from hrnet_search.search.ray_tune.nodes import GIB, Asked, memory_of_a_worker
    from hrnet_search.search.ray_tune.open_driver import ray_driver

    if how.storage:
        from hrnet_search.redaction import redacted_address
        from hrnet_search.store.notes import Notes

        store.note(Notes(storage=redacted_address(how.storage)))
    notes, folder = store.notes(), store.folder
    device, measured_on = file.latency.device, notes.device
    memory = (how.memory_per_trial or 0) * GIB
    asked = Asked(
        workers=how.workers or 1,
        gpus=how.gpus_per_trial,
        address=how.ray or "",
        storage=how.storage or "",
        hang_s=file.hang_s,
        memory=int(memory) or memory_of_a_worker(file.space, file.schedule, device),
    )
    study = notes.study_id or folder.name
    with ray_driver(asked, folder, study, device, measured_on, interrupt, terminal.say) as driver:
        yield driver
