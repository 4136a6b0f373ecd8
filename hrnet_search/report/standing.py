"""How many trials of a study stand how, in one count for terminal, page and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from hrnet_search.errors import counted
from hrnet_search.records.trial import COMPLETED, PAUSED, RUNNING, STATES
from hrnet_search.store.notes import RUNNING as DRIVEN
from hrnet_search.store.schedules import shares_weights
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import BASE, SHORT, SLICES

INTERRUPTED = "interrupted"
"""What a trial is that runs by its row, in a study that nobody drives any more."""

BESIDE = (BASE, SHORT, SLICES)
"""What trials are for that are none of those that a budget counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The trials that count as such, by status (name, count), and a phrase for each other kind."""

    trials: int
    counts: tuple[tuple[str, int], ...]
    beside: tuple[str, ...]

    @property
    def line(self) -> str:
        """It in one line: `14 trials: 13 completed, 1 running`, and what is beside them."""
        parts = ", ".join(f"{count} {name}" for name, count in self.counts)
        trials = counted(self.trials, "trial") + (f": {parts}" if parts else "")
        return f"{trials}; beside them {', '.join(self.beside)}" if self.beside else trials


def standing(study: Study) -> Standing:
    """Return how the trials of a study stand, as its driver counts them."""
    statuses = statuses_of(study, study.results())
    found = Counter((ask.purpose, statuses[ask.number]) for ask, _ in study.trials())
    counts = _sum(found, lambda purpose: purpose not in BESIDE)
    named = [(name, counts[name]) for name in (*STATES, INTERRUPTED) if counts[name]]
    return Standing(counts.total(), tuple(named), tuple(_beside(study, found)))


def statuses_of(study: Study, table: pd.DataFrame) -> dict[int, str]:
    """Return how each trial of a study stands, by number: nothing runs that nobody drives.

    `table` is that of its results.
    """
    running = RUNNING if study.outcome == DRIVEN else INTERRUPTED
    return {
        number: running if status == RUNNING else status
        for number, status in zip(table["number"], table["status"], strict=True)
    }


def _sum(found: Counter[tuple[str, str]], of: Callable[[str], bool]) -> Counter[str]:
    """Return how many trials of some purposes have each status."""
    counts = Counter[str]()
    for (purpose, status), count in found.items():
        if of(purpose):
            counts[status] += count
    return counts


def _beside(study: Study, found: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yield what was done beside the trials that count, a phrase each."""
    base, short, slices = (_sum(found, purpose.__eq__) for purpose in BESIDE)
    if base:
        shares = bool(slices) or shares_weights(study.notes)
        name = "the shared weights" if shares else "the base"
        (status,) = {status for status, count in base.items() if count} or {COMPLETED}
        yield f"{name} trained first" if status == COMPLETED else f"{name}, {status}"
    if paused := short.pop(PAUSED, 0):
        yield f"{paused} paused after a short training"
    if completed := short.pop(COMPLETED, 0):
        yield f"{counted(completed, 'short training')} first"
    yield from (f"{counted(count, 'short training')} {name}" for name, count in short.items())
    if slices:
        yield f"{counted(slices.total(), 'network')} judged by slices"


def nothing_there(study: Study) -> str:
    """Return why a study has no network to show: none has completed, or none is within limits."""
    return "no variant is within the limits" if len(study.variants()) else "no trial has completed"
