"""A training from its plan to its end, in a folder that the same plan goes on with."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_search.data.contents import Contents
from hrnet_search.errors import Fault, StudyDamagedError, StudyError, StudyInUseError
from hrnet_search.evaluate.training.checkpoint import (
    EVERY_S,
    Checkpoints,
    UnusableCheckpointError,
)
from hrnet_search.files import make_folder, refuse_link, write_whole, writing
from hrnet_search.records.trial import RungResult, TrialProgress
from hrnet_search.search.identity import (
    CONTENTS_FILE,
    FILES,
    differing,
    keep_contents,
    other_files,
    training_leaves,
)
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.store.trainings import (
    BEST,
    CONFIG,
    LAST,
    RECORD,
    RESULTS,
    TrainingRecord,
    TrainingResults,
    is_training,
    read_record,
    read_results,
    weights_file,
    write_record,
)
from hrnet_search.trainings.keeper import BEST_CHECKPOINT
from hrnet_search.trainings.plan import Plan
from hrnet_search.trainings.process import CHECKPOINTS, train_alone
from hrnet_search.trainings.starts import is_study
from hrnet_search.trainings.view import View, watching

if TYPE_CHECKING:
    from hrnet_search.trainings.together import Workers

LOCK, WRITER = "lock", "writer.lock"
"""Held by who drives a training, and by who writes its folder: with Ray the first worker, which
may outlive its driver by some seconds."""

OWN = {LOCK, WRITER, CONTENTS_FILE, "logs"}
"""What a folder may hold whose training was killed before it noted what it trains."""

HALF = re.compile(r"\..+\.[0-9]+\.tmp")
"""What files are called until they are whole (`write_whole`)."""

GRACE_S = 60.0
"""After Ctrl-C a step has this long to end, so that it is saved."""


def train_in(
    plan: Plan,
    folder: Path,
    console: Any,
    live: bool,
    checkpoint_s: float = EVERY_S,
    workers: Workers | None = None,
    others: Sequence[View] = (),
) -> TrainingResults:
    """Train what a plan says in `folder`, from its checkpoint if there is one, to the end.

    `console` is rich's, `live` whether lines may be redrawn on it; `workers` train through Ray,
    without them this process does. `others` are told how it goes too. Raise StudyError for a folder
    of something else or of another training, StudyInUseError where another process trains in it,
    StorageLostError, TrainingError, and KeyboardInterrupt after Ctrl-C, when all is saved.
    """
    _check_free(folder, plan.record)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with held(folder / LOCK), Interrupt(GRACE_S) as interrupt:
        with held(folder / WRITER, wait=True):
            _sweep(folder)
        before = read_results(folder) if is_training(folder) else TrainingResults()
        _begin(plan, folder)
        if before.ended:
            _check_whole(before, folder)
            return before
        lines, rungs = _going_on(before, folder)
        first = (*plan.lines, *lines)
        with watching(plan.record, folder, console, live, first, others) as watch:
            watch.knows(rungs)
            if workers:
                from hrnet_search.trainings.together import train_together  # Ray takes its time

                told = (plan, folder, workers, watch, interrupt, watch.say, checkpoint_s)
                return train_together(*told)

            def took(progress: TrialProgress) -> None:
                watch.took(progress)
                interrupt.check()

            return train_alone(plan, folder, took, checkpoint_s)


def _begin(plan: Plan, folder: Path) -> None:
    """Note what is trained, or hold it against what the folder was begun with."""
    if is_training(folder):
        check_same(read_record(folder), plan.record, plan.contents, folder)
    else:
        keep_contents(plan.contents, folder)
    make_folder(folder / "logs")
    write_record(plan.record, folder)


def check_same(
    begun: TrainingRecord, now: TrainingRecord, contents: Contents, folder: Path
) -> None:
    """Raise StudyError, a fault a key, for what may not change when a training goes on."""
    found = differing(_leaves(begun), _leaves(now), folder)
    if "schedule.steps" in found:  # from which they follow
        found.pop("rungs", None)
    allowed = "as it was, or another folder with -o"
    faults = {key: Fault(key, None, wrong, allowed) for key, wrong in found.items()}
    if FILES in faults:
        faults[FILES] = other_files(contents, folder)
    if faults:
        raise StudyError(faults.values())


def _leaves(record: TrainingRecord) -> dict[str, Any]:
    return {
        **training_leaves(record.schedule.schedule),
        "architecture": record.architecture.id,
        "seed": record.seed,
        "rungs": list(record.rungs),
        **({"teacher": record.teacher.identity} if record.teacher else {}),
    }


def _going_on(
    before: TrainingResults, folder: Path
) -> tuple[tuple[str, ...], tuple[RungResult, ...]]:
    """Return where a training goes on, in lines, and the rungs that it goes on after.

    At its last checkpoint, or else at that of its best judgement. Raise StudyDamagedError where
    something was judged and neither is there to go on from: who began anew would write over it.
    Raise StorageLostError if they cannot be read.
    """
    last = Checkpoints(folder / CHECKPOINTS)
    wrong = _unusable(last)
    judged = bool(before.rungs) or weights_file(folder, LAST).is_file()
    if not wrong and before.rungs:
        rung = before.rungs[-1]
        said = f"going on with {folder}: judged at step {rung.step}, mIoU {rung.miou:.2%}"
        return (said,), before.rungs
    if not wrong and judged:
        said = f"going on with {folder}: {RESULTS} is gone, what was judged is in its checkpoint"
        return (said,), ()
    if not judged:
        damaged = f"{last.path} {wrong}: the training begins anew at step 0"
        return ((damaged,) if wrong and last.path.exists() else ()), ()
    best = Checkpoints(folder / CHECKPOINTS, name=BEST_CHECKPOINT)
    if _unusable(best):
        allowed = "the file as it was, or another folder with -o"
        what = f"{wrong}, and so is what was judged: there is no {BEST_CHECKPOINT} to go on from"
        raise StudyDamagedError(Fault("", str(last.path), what, allowed, str(last.path)))
    write_whole(last.path, best.path.read_bytes())
    rungs = before.rungs[: before.rungs.index(before.best)] if before.best else ()
    said = f"{last.path} {wrong}: going on from {best.path}, from before the best judgement"
    return (said,), rungs


def _unusable(checkpoints: Checkpoints) -> str:
    """Return what is wrong with a checkpoint, empty if it is whole."""
    try:
        return "" if checkpoints.whole() else "is gone"
    except UnusableCheckpointError as error:
        return str(error)


def _check_whole(results: TrainingResults, folder: Path) -> None:
    """Raise StudyDamagedError where a training has ended and its weights are not there."""
    lost = [path for which in (BEST, LAST) if not (path := weights_file(folder, which)).is_file()]
    if results.rungs and lost:
        wrong = "is gone: the training has ended, and writes it no more"
        allowed = "the file as it was, or another folder with -o"
        raise StudyDamagedError(Fault("", str(p), wrong, allowed, str(p)) for p in lost)


def _check_free(folder: Path, record: TrainingRecord) -> None:
    """Raise StudyError for a folder that is of something else.

    One of a start that was killed is free: what it has is what this one would write first.
    """
    if is_training(folder) or not folder.exists():
        return
    if is_study(folder):
        what = "is a study, not a training"
    elif folder.is_dir() and all(_is_own(path, record) for path in folder.iterdir()):
        return
    else:
        what = f"is not empty and has no {RECORD}: it is not a training"
    raise StudyError(Fault("-o", str(folder), what, "another folder", str(folder)))


def _is_own(path: Path, record: TrainingRecord) -> bool:
    if path.name == CONFIG:
        return path.is_file() and path.read_bytes() == record.config.encode()
    if path.name == "logs":
        return path.is_dir() and not any(path.iterdir())
    return path.name in OWN or bool(HALF.fullmatch(path.name))


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed had written half; nobody else writes here now."""
    for path in folder.rglob("*.tmp"):
        if HALF.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def held(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock file of a training; the system lets it go when the process ends, however it ends.

    Raise StudyInUseError where another process holds it, unless it is waited for.
    """
    refuse_link(path)
    with writing(path):
        file = path.open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StudyInUseError(f"{path.parent}: another process trains in it") from None
        yield
