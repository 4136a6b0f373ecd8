"""What of a study may not change, and how a file differs from the one that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrnet_search.arch.targets import ANY
from hrnet_search.data.contents import Contents, differences, from_text, to_text
from hrnet_search.errors import Fault, StudyError, counted, shown
from hrnet_search.files import write_whole
from hrnet_search.goals import AT_LEAST
from hrnet_search.records.accuracy import LEARN_FROM, MIOU, SIGNAL
from hrnet_search.records.data_spec import NO_IDENTITY
from hrnet_search.records.latency import TORCH
from hrnet_search.records.schedule import NO_INIT, SHARED_INIT, TRAINED_FIRST, Schedule
from hrnet_search.records.search_options import ALONE, EVALUATOR, FIDELITY, SHARED, STOP_EARLY
from hrnet_search.search.plan import Plan
from hrnet_search.space.choice import OF_TRAINING
from hrnet_search.space.initial_weights import SHARED_FIELDS
from hrnet_search.space.load import SpaceFile, placed
from hrnet_search.store.database import storage
from hrnet_search.store.notes import Notes

TRAINING = "schedule and data"
"""The entry of an identity that holds ids of schedules; `schedule` says what they stand for."""

LATENCY, RUNTIME = "latency", "runtime"
TARGET, REQUIRE = "target", "require"
"""Entries that an identity has only where they say something."""

FACTORS, EQUIVALENCE = "ablate.factors", "ablate.equivalence"
MARGINS = "ablate.margins"
"""The entry of an ablation's identity that has the margins of EQUIVALENCE beside that of mIoU."""

VARY = "vary"
BY_NAME = (VARY, "limits", FACTORS)
"""Entries of an identity that are lists, each item a name and what belongs to it."""

INIT, WEIGHTS = "schedule.init", "weights"
SHARED_SCHEDULE = "schedule.shared"
OF_INIT = ("schedule.init_", f"{SHARED_SCHEDULE}.")
"""Keys that follow from what variants start from, or are judged by."""

IMAGES = {"train_images": "train", "val_images": "val", "val_fraction": "val.fraction"}
FILES = "data"
"""Where a difference is reported that is none of keys but of the files that they name."""

CONTENTS_FILE = "data.jsonl"
OTHER_RULES = "none has changed, but this version decodes them by other rules"


def identity_of(plan: Plan) -> dict[str, Any]:
    """Return what may not change while a study lasts, by the section of the space file."""
    identity = {
        "base": plan.space.base.id,
        VARY: [[c.path, c.values] for c in plan.space.choices],
        "limits": [
            *([limit.objective, limit.at_most] for limit in plan.space.limits),
            *([one.objective.key, {AT_LEAST: one.at_least}] for one in plan.goals.floors),
        ],
        "objectives": [one.key for one in plan.goals.objectives],
        TRAINING: plan.schedule.id,
        "schedule.seeds": plan.seeds,
        "schedule.rungs": plan.rungs,
        LATENCY: plan.latency.identity,
        "search.sampler": plan.sampler,
        "search.seed": plan.seed,
        "search.long": plan.long,
        "search.stop": plan.stop,
        **_where_set(plan),
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def of_same_networks(plan: Plan, notes: Notes) -> bool:
    """Return whether a study is over the networks of a plan: their shared weights are then alike.

    How they are trained may differ: that is in the ids of schedules.
    """
    return _networks(identity_of(plan)) == _networks(_identity(notes))


def _networks(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an identity says which networks there are."""
    varied = [one for one in identity.get(VARY, ()) if not one[0].startswith(OF_TRAINING)]
    keys = ("base", "limits", TARGET, REQUIRE)
    usual = {TARGET: ANY, REQUIRE: []}
    latency = identity.get(LATENCY)  # at whose size limits are counted
    size = latency.get("size") if isinstance(latency, dict) else None
    return {VARY: varied, "size": size} | {key: identity.get(key, usual.get(key)) for key in keys}


def _where_set(plan: Plan) -> dict[str, Any]:
    """Return what studies from before there was a choice do not have, where one was made."""
    found: dict[str, Any] = {}
    if plan.signal != MIOU:
        found[SIGNAL] = plan.signal
    if plan.space.target != ANY:
        found[TARGET] = plan.space.target
    if plan.space.require:
        found[REQUIRE] = [rule.text for rule in plan.space.require]
    if plan.fidelity != STOP_EARLY:
        found[FIDELITY] = plan.fidelity
    if own := plan.slices:
        found[EVALUATOR] = SHARED
        taught = [own.init_teacher_weight] if own.init_teacher_weight else []
        found[SHARED_SCHEDULE] = [own.init_steps, own.init_networks, own.init_warmup, *taught]
    if plan.earlier:
        found[LEARN_FROM] = [f"{study.name} ({study.study})" for study in plan.earlier]
    return found


def check_same(
    file: SpaceFile,
    was: Notes,
    now: Notes,
    contents: Contents,
    folder: Path,
    begun: Callable[[], bool],
) -> None:
    """Raise StudyError, a fault a key, if notes of a study differ in what may not change.

    So it does if some that it was begun with cannot be read: nobody knows what it goes on with.
    `contents` are those of the data now: files that differ are named. `begun` says
    whether the study has a trial: it is asked where they differ alone.
    """
    if was.unreadable or was.identity is None:
        names = ", ".join(was.unreadable or ["identity"])
        wrong = f"what it noted as {names} cannot be read, so it cannot go on"
        allowed = "the version that noted it, or another folder with -o"
        raise StudyError(Fault("", None, wrong, allowed, file=str(folder)))
    old, new = (without_places(_identity(notes)) for notes in (was, now))
    different = [key for key in new if new[key] != old.get(key)]
    if not different:
        return
    differs = differing(_leaves(was), _leaves(now), folder) or dict.fromkeys(
        different, f"differs from what {folder} was begun with"
    )
    allowed = f"what {folder / 'space.yaml'} says, or another folder with -o"
    if not begun():  # what asked for the first one was refused
        allowed = f"{allowed}; it has no trial yet: delete the folder to begin anew"
    found = {key: Fault(key, None, w, allowed) for key, w in differs.items()}
    if FILES in found:
        found[FILES] = other_files(contents, folder)
    raise StudyError(placed(file, found.values()))


def keep_contents(contents: Contents, folder: Path) -> None:
    """Write what each file of a study's data holds, so that what changes can be named.

    Raise StorageLostError.
    """
    if contents:
        with storage(folder):
            write_whole(folder / CONTENTS_FILE, to_text(contents).encode())


def kept_contents(folder: Path) -> Contents:
    """Return what each file held that a study or training was begun with; nothing if not known."""
    try:
        return from_text((folder / CONTENTS_FILE).read_text())
    except (OSError, ValueError, TypeError):
        return ()


def differing(was: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return what may not change and differs, by key, each with both values in words."""
    keys = _told([key for key in {**now, **was} if now.get(key) != was.get(key)])
    return {
        key: f"is {_word(now, key)}, was {_word(was, key)} when {folder} was begun" for key in keys
    }


def other_files(contents: Contents, folder: Path) -> Fault:
    """Return the fault of data whose files are not those that a folder was begun with."""
    kept = folder / CONTENTS_FILE
    if begun := kept_contents(folder):
        which = differences(begun, contents) or OTHER_RULES
    else:
        which = f"which of them is not known, {kept} is missing or damaged"
    compared = f"{counted(len(contents), 'file')} compared, every byte"
    wrong = f"files are not those that {folder} was begun with: {which} ({compared})"
    allowed = "the files as they were, or another folder with -o"
    return Fault(FILES, None, wrong, allowed)


def without_places(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an identity without the words by which factors name weights.

    What weights hold is in the ids of schedules; where they lie may change.
    """
    if FACTORS not in identity:
        return identity
    factors = [
        [name, path, [_start(level) for level in levels] if path == INIT else levels]
        for name, path, levels in identity[FACTORS]
    ]
    return {**identity, FACTORS: factors}


def _start(named: str) -> str:
    return named if named in (NO_INIT, WEIGHTS) else WEIGHTS


def _identity(notes: Notes) -> Mapping[str, Any]:
    identity = dict(notes.identity or {})
    if isinstance(identity.get(LATENCY), dict):
        identity[LATENCY] = {RUNTIME: TORCH, **identity[LATENCY]}
    if FACTORS in identity:
        return {MARGINS: {}, **identity}
    usual = {SIGNAL: notes.signal, TARGET: ANY, REQUIRE: [], LEARN_FROM: [], EVALUATOR: ALONE}
    usual[FIDELITY] = STOP_EARLY
    return {**usual, **identity}


def _leaves(notes: Notes) -> dict[str, Any]:
    """Return what may not change, by its key in a space file."""
    found: dict[str, Any] = {}
    for key, value in _identity(notes).items():
        if key in BY_NAME:
            found |= {f"{key}.{name}": rest for name, *rest in value}
        elif key == MARGINS:
            found |= {f"{EQUIVALENCE}.{name}": margin for name, margin in value.items()}
        elif key == "schedule.rungs":
            found[key] = value[:-1]  # the last one is the steps
        elif key == SHARED_SCHEDULE:  # without the last one, none teaches
            found |= _shared_leaves((*value, 0)[: len(SHARED_FIELDS)])
        elif isinstance(value, dict):
            found |= {f"{key}.{name}": part for name, part in value.items()}
        elif key != TRAINING:
            found[key] = value
    if notes.schedule is None:
        return found
    schedule = notes.schedule.schedule
    leaves = training_leaves(schedule)
    if schedule.init in TRAINED_FIRST:  # what they are known by follows from the rest of a study
        leaves["schedule.init"] = schedule.init
    return found | leaves


def training_leaves(schedule: Schedule) -> dict[str, Any]:
    """Return what makes a schedule's id, by its key in a space file."""
    beside = ("data", "fingerprint", "init_fingerprint", "init_path")
    plain = asdict(schedule)
    found = {f"schedule.{key}": value for key, value in plain.items() if key not in beside}
    if weights := schedule.init_fingerprint:
        found["schedule.init"] = f"{schedule.init} ({weights})"
    if schedule.init == SHARED_INIT:
        found |= _shared_leaves([found.pop(f"schedule.{field}") for field in SHARED_FIELDS])
    for key, value in plain["data"].items():
        if key in IMAGES and value:
            found[f"data.{IMAGES[key]}"] = value
        elif key not in NO_IDENTITY and key not in IMAGES and value != ():
            found.setdefault(f"data.{key}", value)
    return found | {FILES: schedule.fingerprint}


def _shared_leaves(values: Sequence[Any]) -> dict[str, Any]:
    keys = (f"{SHARED_SCHEDULE}.{key}" for key in SHARED_FIELDS.values())
    return dict(zip(keys, values, strict=True))


def _told(changed: Sequence[str]) -> list[str]:
    """Return the changed keys without those that follow from others."""
    if "data.kind" in changed:
        changed = [key for key in changed if key == "data.kind" or not key.startswith("data.")]
    if any(key.startswith("data.") for key in changed):
        changed = [key for key in changed if key != FILES]
    if INIT in changed or EVALUATOR in changed:
        changed = [key for key in changed if not key.startswith(OF_INIT)]
    # The schedule that stands for a study is that of the first levels of what is varied.
    return [key for key in changed if f"{VARY}.{key}" not in changed]


def _word(leaves: Mapping[str, Any], key: str) -> str:
    if key not in leaves:
        return "not there"
    value = leaves[key]
    if key.startswith(BY_NAME) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return shown(value if isinstance(value, str) else json.dumps(value), 200)
