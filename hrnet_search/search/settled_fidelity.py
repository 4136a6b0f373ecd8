"""How a search saves training, where its space file leaves it open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hrnet_search.records.schedule import AUTO
from hrnet_search.records.search_options import FIDELITY, STOP_EARLY, THAW
from hrnet_search.space.load import SpaceFile
from hrnet_search.space.search_section import DEFAULT_SAMPLER, part_first_misfits
from hrnet_search.store.study import begun_study


def settled_fidelity(file: SpaceFile, folder: Path, trials: int, hours: float | None) -> str:
    """Return how a search of that many `trials` or `hours` saves training.

    auto: as its study began. A new one of the default sampler pauses trials at its first rung,
    which saves most, if it has one and all else goes with that; it stops them otherwise, which
    without rungs ends none. A sampler of a user's own may not learn from what is paused.
    """
    search = replace(file.search, trials=trials)
    if search.fidelity != AUTO:
        return search.fidelity
    if begun := begun_study(folder):
        return str((begun.notes.identity or {}).get(FIDELITY, STOP_EARLY))
    varied = any(choice.training for choice in file.space.choices)
    fits = search.sampler == DEFAULT_SAMPLER and not any(part_first_misfits(search))
    return THAW if fits and len(file.rungs) > 1 and not hours and not varied else STOP_EARLY
