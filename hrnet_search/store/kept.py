"""Where a study keeps weights, and why those of a trial are not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.errors import Fault, HrnetSearchError, WeightsError
from hrnet_search.records.search_options import KEEP_ALL
from hrnet_search.records.trial import TrialKey
from hrnet_search.store.tables import FILE
from hrnet_search.store.trial_rows import BASE

if TYPE_CHECKING:
    from hrnet_search.store.study import Study


def weights_path(folder: Path, key: TrialKey | str) -> Path:
    """Return where a study keeps a trial's weights."""
    return folder / "weights" / f"{key}.safetensors"


def first_weights(study: Study) -> Path | None:
    """Return where the weights lie that a study trained before all variants, if it did."""
    keys = (ask.key for ask, _ in study.trials() if ask.purpose == BASE)
    key = next(keys, None)
    return weights_path(study.folder, key) if key else None


def no_weights(folder: Path, key: TrialKey | str) -> WeightsError:
    """Return the error of a trial whose weights are not in its study, with the reason."""
    from hrnet_search.store.study import open_study  # with pandas, for which `check` has no time

    path = weights_path(folder, key)
    try:
        keep = open_study(folder).notes.keep or KEEP_ALL
    except HrnetSearchError:  # what it noted is not what is asked for
        keep = KEEP_ALL
    if keep == KEEP_ALL:
        wrong, allowed = "its weights were not kept", "the file that its training wrote"
    else:
        wrong = f"its weights were removed (search.keep: {keep})"
        allowed = "a trial of the front, or `train` to train it again"
    return WeightsError(Fault("", str(path), wrong, allowed, file=f"weights/{path.name}"))


def removed_by(folder: Path, key: str) -> tuple[int, str] | None:
    """Return the number of a study's trial whose weights were removed, and the `keep` that did so.

    None where the folder holds no such study or trial, or none whose weights ever go.
    """
    if not (folder / FILE).is_file():
        return None
    from hrnet_search.store.study import open_study

    try:
        study = open_study(folder)
        keep = study.notes.keep or KEEP_ALL
        numbers = [ask.number for ask, result in study.ended() if str(ask.key) == key]
    except HrnetSearchError:  # of a study that nobody asked for
        return None
    return (numbers[0], keep) if numbers and keep != KEEP_ALL else None
