"""How far a study that inherits weights ranks likeness to the base instead of worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hrnet_search.records.schedule import NO_INIT, SHARED_INIT
from hrnet_search.report.trust.statistics import FEWEST_RANKED, Interval, bca, tau_b
from hrnet_search.report.trust.trials import Trial, completed
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import search_ids


def likeness(trials: Sequence[Trial], notes: Notes) -> tuple[Interval, int] | None:
    """Return the tau of scores with the share of the base that trials kept, and of how many.

    Scores are of the study's signal, by its own schedule. None where variants do not inherit from
    the base, where fewer than six did, or where all have one share or one score.
    """
    noted = notes.schedule
    if noted is None or noted.schedule.init in (NO_INIT, SHARED_INIT):
        return None
    pairs = [
        (result.kept, score)
        for ask, result in trials
        if result and result.kept is not None and completed(ask, result, search_ids(notes))
        if (score := result.score(notes.signal)) is not None
    ]
    if len(pairs) < FEWEST_RANKED:
        return None
    kept, scores = np.array(pairs, dtype=np.float64).T
    if np.ptp(kept) == 0 or np.ptp(scores) == 0:
        return None
    return bca(tau_b, (kept, scores)), len(pairs)


def long_inherits(notes: Notes) -> bool:
    """Return whether the long schedule begins with the base's weights, as older studies' did."""
    return notes.long_schedule is not None and notes.long_schedule.schedule.init != NO_INIT
