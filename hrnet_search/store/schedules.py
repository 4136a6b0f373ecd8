"""Which schedules a study's trials are by, and which of them its networks count by.

Where a space varies how variants are trained there is a schedule for each combination of levels,
and a network counts by the one that served it best.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any

from hrnet_search.records.objective import Objective
from hrnet_search.records.schedule import SHARED_INIT, Schedule
from hrnet_search.records.search_options import ALONE, EVALUATOR
from hrnet_search.records.trial import COMPLETED, TrialResult
from hrnet_search.space.choice import OF_TRAINING
from hrnet_search.space.training_choices import Schedules, schedules_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.trial_rows import BASE, SEARCH, SLICES, Ask

Trial = tuple[Ask, TrialResult | None]


class Every(frozenset[str]):
    """All ids: of a study that noted no schedule, whose trials are all by one."""

    def __contains__(self, schedule: object) -> bool:
        return True


def search_ids(notes: Notes) -> Collection[str]:
    """Return the ids of the schedules of a study's search; every id, where it noted none."""
    found = _schedules(notes)
    if found is None or not (notes.schedule and notes.schedule.id):
        return Every()
    return found.search.keys()


def long_ids(notes: Notes) -> Collection[str]:
    """Return the ids of the long schedules, each beside one of the search's, if they were noted."""
    found = _schedules(notes)
    return found.long.keys() if found and notes.long_schedule else ()


def noted_schedules(notes: Notes) -> dict[str, Schedule]:
    """Return every schedule of a study's trials, by id."""
    found = _schedules(notes)
    search = {} if found is None else dict(found.search)
    long = found.long if found and notes.long_schedule else {}
    arms = {noted.id: noted.schedule for noted in notes.arm_schedules or ()}
    first = {noted.id: noted.schedule for noted in (notes.schedule, notes.long_schedule) if noted}
    return {**search, **long, **arms, **first}


def trains_by(ask: Ask, notes: Notes) -> str:
    """Return the id of the schedule by which the network of a trial is trained.

    One that was judged by slices alone as the search trains; so the base of shared weights, and
    one whose own schedule was not noted.
    """
    first = shares_weights(notes) or ask.key.schedule not in noted_schedules(notes)
    alone = ask.purpose == SLICES or (ask.purpose == BASE and first)
    return notes.schedule.id if alone and notes.schedule else ask.key.schedule


def shares_weights(notes: Notes) -> bool:
    """Return whether what a study trains first are weights that all of its networks share."""
    started = notes.schedule is not None and notes.schedule.schedule.init == SHARED_INIT
    return started or (notes.identity or {}).get(EVALUATOR, ALONE) != ALONE


def counting_schedules(
    trials: Sequence[Trial], search: Collection[str], accuracy: Objective
) -> dict[str, str]:
    """Return by architecture the id of the schedule that it counts by.

    The best one by its mean accuracy over the trials of the search, which have the same seeds for
    all: those that confirm are more of the one than of the others. Of equals the first one.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    searched = [(ask, r) for ask, r in trials if ask.purpose == SEARCH]
    for ask, result in (*searched, *trials):
        if result is None or result.status != COMPLETED or ask.key.schedule not in search:
            continue
        value, own = accuracy.of(result), scores.setdefault(ask.key.architecture, {})
        if value is not None and (ask.purpose == SEARCH or not own):
            own.setdefault(ask.key.schedule, []).append(value)
    return {
        name: max(own, key=lambda schedule: fmean(own[schedule]))
        for name, own in scores.items()
        if own
    }


def as_they_count(trials: Sequence[Trial], notes: Notes) -> list[Trial]:
    """Return trials without those of the search by which their network does not count."""
    search = search_ids(notes)
    if len(search) < 2:  # Every() is empty
        return list(trials)
    best = counting_schedules(trials, search, notes.goals.accuracy)
    return [
        (ask, result)
        for ask, result in trials
        if ask.key.schedule not in search
        or best.get(ask.key.architecture, ask.key.schedule) == ask.key.schedule
    ]


def _schedules(notes: Notes) -> Schedules | None:
    noted, long = notes.schedule, notes.long_schedule
    if noted is None:
        return None
    choices = zip(notes.choices or (), notes.levels or (), strict=False)  # one may be unreadable
    fixed = tuple((path, _fixed(levels)) for path, levels in choices)
    steps = long.schedule.steps if long else noted.schedule.steps
    return schedules_of(noted.schedule, steps, fixed, (noted.id, long.id if long else ""))


def _fixed(levels: Any) -> Any:
    """Return levels as a schedule has them: JSON has lists."""
    return tuple(map(_fixed, levels)) if isinstance(levels, list | tuple) else levels


def varied_levels(notes: Notes) -> dict[str, dict[str, Any]]:
    """Return what is varied of training, by path, as each schedule of a study has it, by id."""
    paths = [path for path in notes.choices or () if path.startswith(OF_TRAINING)]
    return {
        name: {path: getattr(schedule, path.removeprefix(OF_TRAINING)) for path in paths}
        for name, schedule in noted_schedules(notes).items()
    }
