"""`fidelity: short_first`: a study by a short schedule, then trainings of what it promises."""

from __future__ import annotations

from dataclasses import replace

from hrnet_search.records.schedule import Schedule
from hrnet_search.search.fidelity.first_study import FirstStudy

SHORTER = 3
"""A short schedule has one step in N of the search's, its warm-up too."""

SHORT_TRIALS = 0.4
"""Short trials for each whole one that a study is of."""


class ShortFirst(FirstStudy):
    """First come trials by a schedule of their own, whose scores are none of whole trainings."""

    share = SHORT_TRIALS

    @property
    def step(self) -> int:
        """The end of their schedule."""
        return short_schedule(self._plan.schedule).steps


def short_schedule(schedule: Schedule) -> Schedule:
    """Return the schedule of a search's short study."""
    steps = max(1, schedule.steps // SHORTER)
    return replace(schedule, steps=steps, warmup=min(schedule.warmup // SHORTER, steps - 1))
