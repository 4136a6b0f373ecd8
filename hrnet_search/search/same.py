"""Whether a file is the one that a study was begun with: what differs, by key, with both values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hrnet_search.data.contents import Contents, differences, from_text, to_text
from hrnet_search.errors import Fault, StudyError, counted, shown
from hrnet_search.records import MIOU, NO_IDENTITY, NO_INIT, SIGNAL
from hrnet_search.space.load import SpaceFile, placed
from hrnet_search.store.database import storage
from hrnet_search.store.files import write_whole

IDENTITY = "identity"
TRAINING = "schedule and data"
"""The entry of an identity that holds ids of schedules; `schedule` says what they stand for."""

FACTORS = "ablate.factors"
BY_NAME = ("vary", "limits", FACTORS)
"""Entries of an identity that are lists, each item a name and what belongs to it."""

INIT, WEIGHTS = "schedule.init", "weights"

IMAGES = {"train_images": "train", "val_images": "val", "val_fraction": "val.fraction"}
FILES = "data"
"""Where a difference is reported that is none of keys but of the files that they name."""

CONTENTS_FILE = "data.jsonl"
OTHER_RULES = "none has changed, but this version decodes them by other rules"


def check_same(
    file: SpaceFile,
    begun: Mapping[str, str],
    now: Mapping[str, str],
    contents: Contents,
    folder: Path,
) -> None:
    """Raise StudyError, a fault a key, if notes of a study differ in what may not change.

    `contents` are those of the data now: files that differ are named.
    """
    old, new = (without_places(_identity(meta)) for meta in (begun, now))
    different = [key for key in new if new[key] != old.get(key)]
    if not different:
        return
    was, is_ = _leaves(begun), _leaves(now)
    keys = _told([key for key in {**is_, **was} if is_.get(key) != was.get(key)])
    wrong = {
        key: f"is {_word(is_, key)}, was {_word(was, key)} when {folder} was begun" for key in keys
    } or dict.fromkeys(different, f"differs from what {folder} was begun with")
    allowed = f"allowed: what {folder / 'space.yaml'} says, or another folder with -o"
    found = {key: Fault(key, None, w, allowed) for key, w in wrong.items()}
    if FILES in found:
        found[FILES] = _other_files(contents, folder)
    raise StudyError(placed(file, found.values()))


def keep_contents(contents: Contents, folder: Path) -> None:
    """Write what each file of a study's data holds, so that what changes can be named.

    Raise StorageLostError.
    """
    if contents:
        with storage(folder):
            write_whole(folder / CONTENTS_FILE, to_text(contents).encode())


def _other_files(contents: Contents, folder: Path) -> Fault:
    kept = folder / CONTENTS_FILE
    try:
        which = differences(from_text(kept.read_text()), contents) or OTHER_RULES
    except (OSError, ValueError, TypeError):
        which = f"which of them is not known, {kept} is missing or damaged"
    compared = f"{counted(len(contents), 'file')} compared, every byte"
    wrong = f"files are not those that {folder} was begun with: {which} ({compared})"
    allowed = "allowed: the files as they were, or another folder with -o"
    return Fault(FILES, None, wrong, allowed)


def without_places(identity: dict[str, Any]) -> dict[str, Any]:
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


def _identity(meta: Mapping[str, str]) -> dict[str, Any]:
    identity: dict[str, Any] = json.loads(meta[IDENTITY])
    return identity if FACTORS in identity else {SIGNAL: MIOU, **identity}


def _leaves(meta: Mapping[str, str]) -> dict[str, Any]:
    """Return what may not change, by its key in a space file."""
    found: dict[str, Any] = {}
    for key, value in _identity(meta).items():
        if key in BY_NAME:
            found |= {f"{key}.{name}": rest for name, *rest in value}
        elif key == "schedule.rungs":
            found[key] = value[:-1]  # the last one is the steps
        elif isinstance(value, dict):
            found |= {f"{key}.{name}": part for name, part in value.items()}
        elif key != TRAINING:
            found[key] = value
    return found | _training(json.loads(meta["schedule"]))


def _training(schedule: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a schedule's id, by its key in a space file."""
    beside = ("id", "data", "fingerprint", "init_fingerprint", "init_path")
    found = {f"schedule.{key}": value for key, value in schedule.items() if key not in beside}
    if weights := schedule.get("init_fingerprint"):
        found["schedule.init"] = f"{schedule['init']} ({weights})"
    for key, value in schedule["data"].items():
        if key in IMAGES and value:
            found[f"data.{IMAGES[key]}"] = value
        elif key not in NO_IDENTITY and key not in IMAGES and value != []:
            found.setdefault(f"data.{key}", value)
    return found | {FILES: schedule["fingerprint"]}


def _told(changed: Sequence[str]) -> list[str]:
    """Return the changed keys without those that follow from others."""
    if "data.kind" in changed:
        changed = [key for key in changed if key == "data.kind" or not key.startswith("data.")]
    if any(key.startswith("data.") for key in changed):
        changed = [key for key in changed if key != FILES]
    return list(changed)


def _word(leaves: Mapping[str, Any], key: str) -> str:
    if key not in leaves:
        return "not there"
    value = leaves[key]
    if key.startswith(BY_NAME) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return shown(value if isinstance(value, str) else json.dumps(value), 200)
