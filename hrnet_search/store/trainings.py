"""A training's folder: what it trains, how far it is, and where its files lie."""

from __future__ import annotations

import csv
import io
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, StudyDamagedError, StudyError, shown
from hrnet_search.files import write_whole
from hrnet_search.inventory import Inventory
from hrnet_search.paths import folders_beside
from hrnet_search.records.trial import RungResult
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import noted_schedule, plain_schedule
from hrnet_search.store.rows import record_of

T = TypeVar("T")
RECORD, RESULTS, CURVE, CONFIG = "training.json", "results.json", "curve.csv", "config.yaml"
BEST, LAST = "best", "last"
"""What weights and evaluations are of: the highest mIoU so far, and the last judgement."""

VERSION = 1
CURVE_COLUMNS = ("step", "lr", "loss")

CurveRow = tuple[int, float, float]
"""Step, learning rate of that step, mean loss of the steps since the row before."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A network in a file, known by its content, that a training learns from beside its labels.

    `weight` is its share of the loss, its probabilities are those at `temperature`.
    """

    path: str
    fingerprint: str
    temperature: float
    weight: float

    @property
    def identity(self) -> str:
        """What of it makes another training: not where it lies."""
        return f"{self.fingerprint}, weight {self.weight:g}, temperature {self.temperature:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What a training was begun with.

    `config` is the text of its config, `epoch` the steps of one epoch. `origin` says what was
    asked for, `came_from` where each value of the schedule came from, `notes` what of it is not
    obeyed.
    """

    name: str
    architecture: Architecture
    config: str
    schedule: NotedSchedule
    seed: int
    rungs: tuple[int, ...]
    epoch: int
    origin: Mapping[str, str]
    came_from: Mapping[str, str]
    notes: tuple[str, ...] = ()
    data_holds: Inventory | None = None
    teacher: Teacher | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Session:
    """One process that trained: when it began, at which step, on what, and what it noted."""

    began: str
    step: int
    device: str
    versions: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingResults:
    """How far a training is: its rungs so far, the seconds that it took, and whether it ended."""

    rungs: tuple[RungResult, ...] = ()
    wall_s: float = 0.0
    ended: bool = False
    sessions: tuple[Session, ...] = ()

    @property
    def best(self) -> RungResult | None:
        """The first rung of the highest mIoU."""
        return max(self.rungs, key=lambda rung: rung.miou, default=None)

    @property
    def final(self) -> RungResult | None:
        """The last rung of a training that has ended."""
        return self.rungs[-1] if self.ended and self.rungs else None


def is_training(folder: str | Path) -> bool:
    """Return whether a folder holds a training."""
    return Path(folder, RECORD).is_file()


@dataclass(frozen=True, slots=True)
class FullTraining:
    """A training in full of a trial of a study: where it is, of what, and how far it is."""

    folder: Path
    record: TrainingRecord
    results: TrainingResults


def trainings_of(study: Path, study_id: str | None) -> list[FullTraining]:
    """Return the trainings of a study's trials that lie in folders beside it, by their names.

    Those that cannot be read are left out: whoever opens one says why.
    """
    found = []
    for folder in folders_beside(study):
        if not is_training(folder):
            continue
        try:
            one = FullTraining(folder, read_record(folder), read_results(folder))
        except StudyDamagedError:
            continue
        origin = one.record.origin
        same = study_id and origin.get("study_id") == study_id
        if same or origin.get("study") == str(study):
            found.append(one)
    return found


def weights_file(folder: str | Path, which: str) -> Path:
    """Return where a training keeps its best or last weights."""
    return Path(folder, "weights", f"{which}.safetensors")


def evaluation_file(folder: str | Path, which: str) -> Path:
    """Return where a training keeps what its best or last weights decided, image by image."""
    return Path(folder, "evaluation", f"{which}.npz")


def write_record(record: TrainingRecord, folder: Path) -> None:
    """Write what a training is, and its config. Raise StorageLostError."""
    plain = {**asdict(record), "schedule": plain_schedule(record.schedule)}
    write_whole(folder / CONFIG, record.config.encode())
    _write(plain, folder / RECORD)


def read_record(folder: str | Path) -> TrainingRecord:
    """Return what a training is. Raise StudyError for a folder that is not a training,
    StudyDamagedError for one whose record is not what was written."""
    if not is_training(folder):
        wrong = f"has no {RECORD}: it is not a training"
        raise StudyError(Fault("", str(folder), wrong, "the folder of one", str(folder)))

    def of(found: Any) -> TrainingRecord:
        if found.get("version", 0) > VERSION:
            raise ValueError("it is of a newer version")
        plain = {**found, "schedule": noted_schedule(found["schedule"])}
        return typing.cast(TrainingRecord, record_of(TrainingRecord, plain))

    return _read(Path(folder, RECORD), of)


def write_results(results: TrainingResults, folder: Path) -> None:
    """Write how far a training is. Raise StorageLostError."""
    _write(asdict(results), folder / RESULTS)


def read_results(folder: str | Path) -> TrainingResults:
    """Return how far a training is; one that has judged nothing yet has no rungs."""
    path = Path(folder, RESULTS)
    if not path.is_file():
        return TrainingResults()
    return _read(
        path, lambda found: typing.cast(TrainingResults, record_of(TrainingResults, found))
    )


def write_curve(rows: Sequence[CurveRow], folder: Path) -> None:
    """Write the curve of a training as a table. Raise StorageLostError."""
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(CURVE_COLUMNS)
    table.writerows([step, repr(lr), repr(loss)] for step, lr, loss in rows)
    write_whole(folder / CURVE, buffer.getvalue().encode())


def read_curve(folder: str | Path) -> list[CurveRow]:
    """Return the curve of a training, none of one that has none yet or a damaged one."""
    try:
        with Path(folder, CURVE).open(newline="") as file:
            return [
                (int(step), float(lr), float(loss)) for step, lr, loss in [*csv.reader(file)][1:]
            ]
    except (OSError, ValueError):
        return []


def _write(plain: Mapping[str, Any], path: Path) -> None:
    write_whole(path, (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())


def _read(path: Path, of: Callable[[Any], T]) -> T:
    try:
        return of(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        wrong = f"is not what was written ({shown(str(error), 120)})"
        allowed = "the file as it was, or another folder with -o"
        raise StudyDamagedError(Fault("", str(path), wrong, allowed, str(path))) from error
