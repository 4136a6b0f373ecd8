"""How a study is begun or taken up again, and what it notes of its space file then."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hrnet_search.arch.hrnet_yaml import config_text
from hrnet_search.content_hash import hash_of
from hrnet_search.data.contents import Contents
from hrnet_search.data.dataset import largest_sizes
from hrnet_search.errors import StudyExistsError, counted
from hrnet_search.evaluate.machine.devices import versions
from hrnet_search.records.schedule import AUTO, Schedule
from hrnet_search.records.search_options import KEEP_ALL
from hrnet_search.records.trial import TrialResult
from hrnet_search.search.identity import check_same, identity_of, keep_contents
from hrnet_search.search.kept_space import keep_space
from hrnet_search.search.mirrors.tracking_uri import noted_tracking, tracking_of
from hrnet_search.search.plan import Plan
from hrnet_search.space.load import SpaceFile
from hrnet_search.space.rewrite import with_entry
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore
from hrnet_search.version_rule import changed_versions


def open_store(file: SpaceFile, plan: Plan, folder: Path, take_over: bool = False) -> StudyStore:
    """Create the study, or take up the one that is there if it is the same.

    Raises StudyError naming what differs, StudyInUseError if another driver holds it.
    """
    notes = _notes(file, plan)
    kept = file
    if file.search.fidelity == AUTO and len(file.rungs) > 1:  # what it was settled to goes with it
        kept = replace(file, text=with_entry(file.text, "search", "fidelity", plan.fidelity))
    store = take_up(file, notes, [plan.schedule], plan.contents, folder, take_over, kept)
    long = NotedSchedule.of(plan.long_schedule) if plan.confirming else None
    try:
        store.note(Notes(trials=plan.trials, long_schedule=long))
        if plan.hours or store.notes().hours:
            store.note(Notes(hours=plan.hours))
        if plan.keep != (store.notes().keep or KEEP_ALL):
            store.note(Notes(keep=plan.keep))
    except BaseException:
        store.close()
        raise
    return store


def take_up(
    file: SpaceFile,
    notes: Notes,
    schedules: Iterable[Schedule],
    contents: Contents,
    folder: Path,
    take_over: bool = False,
    kept: SpaceFile | None = None,
) -> StudyStore:
    """Create a study with `notes`, or take up the one that is there if its identity is the same.

    What may change then is as the file has it now. `schedules` are those that trials start
    from, `contents` what the files of the data hold. Of several that begin one study together
    one does, and the others find it in use. `take_over` takes a driver that cannot be looked at
    for one that is gone. `kept` is what the study keeps of its space file, if not all of it as it
    is. Raises StudyError naming what differs, StudyInUseError if another
    driver holds it, SpaceError for a variable of `tracking` that is not set and an address there
    that cannot work.
    """
    tracking_of(file, folder)  # what is wrong with one is said before anything is begun
    tracking = noted_tracking(file)
    notes = replace(notes, tracking=tracking)
    try:
        store = StudyStore.begin(folder, notes)
    except StudyExistsError:
        store = StudyStore(folder, take_over)
    try:
        check_same(file, store.notes(), notes, contents, folder, begun=lambda: bool(store.asks()))
        store.note(_of_the_file(notes))
        keep_space(kept or file, schedules, tracking, store.folder)
        keep_contents(contents, store.folder)
    except BaseException:
        store.close()
        raise
    return store


def _of_the_file(notes: Notes) -> Notes:
    """Return those that are as a study's space file was last: where data lie, with `tracking`."""
    return Notes(
        tracking=notes.tracking,
        space_text=notes.space_text,
        base_yaml=notes.base_yaml,
        schedule=notes.schedule,
        data_holds=notes.data_holds,
    )


def going_on(contents: Contents, ended: Sequence[tuple[int, TrialResult]]) -> list[str]:
    """Return what to say of the data and the versions that a study with ended trials goes on with.

    Its data were compared when it was taken up.
    """
    if not ended:
        return []
    files = counted(len(contents), "file")
    data = f"the data are those that it was begun with: {files} compared, every byte"
    changed = changed_versions((result for _, result in ended), versions())
    return [line for line in (data if contents else "", changed) if line]


def notes_of(file: SpaceFile, identity: Mapping[str, Any], schedule: Schedule) -> Notes:
    """Return what every study notes of its space file; `schedule` is the first of its own."""
    return Notes(
        name=file.name,
        # Drawn: another study of this space, in another folder, has files and runs of its own.
        study_id=hash_of([file.name, identity, secrets.token_hex(8)]),
        identity=identity,
        space_text=file.text,
        base_yaml=config_text(file.space.base, file.base),
        objectives=file.objectives,
        schedule=NotedSchedule.of(schedule),
        image_sizes=largest_sizes(schedule.data),
    )


def _notes(file: SpaceFile, plan: Plan) -> Notes:
    choices = plan.space.choices
    return replace(
        notes_of(file, identity_of(plan), plan.schedule),
        choices=tuple(c.path for c in choices),
        levels=tuple(c.values for c in choices),
        data_holds=plan.data,
        probe=plan.probe,
        initial=plan.initial,
        learned_from=plan.earlier or None,
    )
