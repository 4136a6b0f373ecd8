"""What the variants of a study start from: whose weights, where they lie, what they are."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hrnet_search.arch.architecture import Architecture
from hrnet_search.content_hash import hash_of
from hrnet_search.errors import Fault, SpaceError
from hrnet_search.paths import folders_beside
from hrnet_search.records.schedule import NO_INIT, SHARED_INIT, TRAINED_FIRST, TRIAL_INIT, Schedule
from hrnet_search.records.search_options import EVALUATOR, GATE, SHARED
from hrnet_search.records.trial import FAILED, INFEASIBLE, TrialKey, TrialResult
from hrnet_search.space.generate import generate
from hrnet_search.space.initial_weights import pretrained_line
from hrnet_search.space.load import SpaceFile
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.kept import removed_by, weights_path

RETRIED = (FAILED, INFEASIBLE)
"""How what is trained first may end and be trained again: others may have filled the memory."""

MOST_SHARING = 512
"""Networks of a space that shared weights are taught; what others have more starts anew."""


class Initial:
    """The initial weights of a study in `folder`; `lines` say what they are, for people.

    A file is read once for all schedules that start from it. `elsewhere`: the weights of a
    trial may lie beside another folder, and are not a fault if they are not here.
    """

    def __init__(self, file: SpaceFile, folder: Path, elsewhere: bool = False) -> None:
        self._file, self._folder, self._elsewhere = file, folder, elsewhere
        self._known: dict[tuple[str, str], Schedule] = {}
        line = pretrained_line(file.base, file.schedule)
        self.lines = [line] if line else []

    def settled(self, schedule: Schedule) -> Schedule:
        """Return a schedule that knows its initial weights.

        Raise SpaceError if a trial's weights are nowhere, WeightsError if they are not an HRNet's.
        """
        if schedule.init == NO_INIT:
            return schedule
        if schedule.init in TRAINED_FIRST:
            key = base_key(self._file.space.base, schedule, self._file.seeds)
            path = weights_path(self._folder, key)
            self._say_shared(schedule)
            return replace(schedule, init_fingerprint=hash_of(str(key)), init_path=str(path))
        asked = (schedule.init, schedule.init_path)
        if asked not in self._known:
            self._known[asked] = self._of_file(schedule)
        known = self._known[asked]
        return replace(schedule, init_fingerprint=known.init_fingerprint, init_path=known.init_path)

    def _say_shared(self, schedule: Schedule) -> None:
        by_slices = self._file.slices is not None
        why = f"{EVALUATOR}: {SHARED}" if by_slices else f"schedule.init: {SHARED_INIT}"
        line = (
            f"{why}: weights that all variants share are trained first,"
            f" {schedule.init_steps} steps of {schedule.init_networks} networks"
        )
        if schedule.init_teacher_weight and schedule.init_networks > 1:
            line += ", the most expensive of which teaches the others"
        if by_slices:
            line += f"; variants are judged by their slices, {GATE} of them are trained alone too"
        if schedule.init == SHARED_INIT and line not in self.lines:
            self.lines.append(line)

    def _of_file(self, schedule: Schedule) -> Schedule:
        from hrnet_search.net.inherit import inherited_by  # torch: `check` seldom needs it

        try:
            path = Path(schedule.init_path or _of_trial(schedule, self._file, self._folder))
        except SpaceError as error:
            if not self._elsewhere:
                raise
            where = f"{error.faults[0].wrong}; looked for next to the study when it runs"
            self.lines.append(f"schedule.init: {schedule.init}: {where}")
            return schedule
        # Rather one error now than one in every trial.
        base, classes = self._file.space.base, schedule.data.classes
        found = inherited_by(base, classes, path)
        self.lines.append(f"schedule.init: {path}: the base: {found}")
        return replace(schedule, init_fingerprint=fingerprint_of(path), init_path=str(path))


def base_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule of what variants start from, the base or shared weights."""
    first = replace(schedule.from_scratch(), steps=schedule.init_steps or schedule.steps)
    if schedule.init != SHARED_INIT:
        return first
    return replace(
        first,
        networks=schedule.init_networks,
        teacher_weight=schedule.init_teacher_weight,
        warmup=schedule.init_warmup,
    )


def networks_that_share(space: SearchSpace) -> tuple[Architecture, ...]:
    """Return the networks that shared weights are taught: the base, and some of a space.

    Up to `MOST_SHARING`, each within the exact limits and as likely as any other.
    """
    found = {found.id: found for found in (space.base, *generate(space, MOST_SHARING))}
    return tuple(found.values())


def base_key(base: Architecture, schedule: Schedule, seeds: tuple[int, ...]) -> TrialKey:
    """Return the key of the trial that trains the base: the first seed is its."""
    return TrialKey(base.id, base_schedule(schedule).id, seeds[0])


def why_no_base(result: TrialResult, folder: str, schedule: Schedule) -> str:
    """Return why nothing can start from what was trained first by a schedule, empty if it can."""
    what, start = ("shared weights", "start") if schedule.networks else ("base", "inherit")
    if result.status != "completed":
        why = result.error or "it left no weights"
        again = "; --retry-failed trains it again" if result.status in RETRIED else ""
        ended = f"ended as {result.status}: {why}{again}"
        return f"the {what}, from which all variants {start}, {ended}"
    path = weights_path(Path(folder), result.key)
    if folder and not path.is_file():
        whose = "shared weights" if schedule.networks else "base's weights"
        return f"the {whose} are gone: {path}"
    return ""


def _of_trial(schedule: Schedule, file: SpaceFile, folder: Path) -> Path:
    """Return a trial's weights in this study or in one beside it."""
    key = schedule.init.removeprefix(TRIAL_INIT)
    for study in _studies(folder):
        if (path := weights_path(study, key)).is_file():
            return path
    wrong = f"no study in {folder.parent} has the weights of {key}"
    allowed = "a trial whose weights are there, or a weight file"
    for study in _studies(folder):
        if found := removed_by(study, key):
            number, keep = found
            wrong = f"{study} has removed the weights of {key} (search.keep: {keep})"
            again = shlex.join(["hrnet-search", "train", str(study), "--trial", str(number)])
            allowed = f"a trial of its front, or the weights/best.safetensors that {again} writes"
    fault = Fault("schedule.init", schedule.init, wrong, allowed)
    raise SpaceError(fault.at(file.path, *file.init_at))


def _studies(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folders_beside(folder)


def fingerprint_of(path: Path) -> str:
    """Return what weights in a file are known by: 12 hex digits over all of it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
