"""What a study measures before its first trial, once in its life, committed as it comes.

The A/A check, which says whether latencies can be trusted and freezes the reference network's,
and latencies of untrained variants from which the screening learns before anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, LatencyError, StudyError, shown
from hrnet_search.latency_rule import AACheck
from hrnet_search.records.latency import Latency
from hrnet_search.search.screening import start_set
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.findings import Screening, StartLatency
from hrnet_search.store.notes import Notes
from hrnet_search.store.writer import StudyStore

SCREENED_FROM = 30
"""Trials from which a study measures untrained variants first; in smaller ones trained ones do."""

LEAST, MOST, A_TRIAL = 10, 20, 1 / 4
"""Untrained variants: at least, at most, and for each trial in between."""

Say = Callable[[str], None]


def frozen_reference(
    store: StudyStore, device: str, check: Callable[[], AACheck], say: Say, program: str = ""
) -> float:
    """Return the reference network's latency in ms, measured once in the life of a study.

    `check` is the A/A check, `program` a word for what is in the files of a command that measures.
    Raise StudyError on another kind of device than the first time, or with another program.
    """
    notes = store.notes()
    if notes.reference_ms is not None:
        if notes.device != device:
            wrong = f"was measured on {notes.device}, this device is {device}"
            raise StudyError(Fault("latency", device, wrong, "the same kind of device"))
        before = notes.aa_check.condition.version if notes.aa_check else ""
        if program and before and program != before:
            wrong = "its files were edited since the study measured its first latency by them"
            raise StudyError(
                Fault("latency.command", None, wrong, "them as they were, or a new study")
            )
        return notes.reference_ms
    say(f"measuring the reference network on {device}")
    found = check()
    for line in filter(None, (found.line(), found.reference_line())):
        say(line)
    store.note(Notes(device=device, aa_check=found, reference_ms=found.reference_ms))
    return found.reference_ms


def measure_start(
    store: StudyStore,
    space: SearchSpace,
    trials: int,
    seed: int,
    measure: Callable[[Architecture], Latency],
    say: Say,
) -> None:
    """Measure untrained variants over the range of MACs, those that are still missing.

    A variant that cannot be measured is noted as such, and its trial, if there is one, will say
    why. A study that has begun its trials is left as it is.
    """
    noted = store.notes().screening_start or ()
    count = untrained_variants(trials)
    if not count or (store.asks() and not noted):
        return
    left = start_set(space, count, seed)[len(noted) :]
    if left and not store.asks():
        say(f"measuring {len(left)} untrained variants, from which latency is screened")
        for architecture in left:
            noted = (*noted, _measured(architecture, measure))
            store.note(Notes(screening_start=noted))


def untrained_variants(trials: int) -> int:
    """Return how many untrained variants a study of that many trials measures."""
    return min(MOST, max(LEAST, round(A_TRIAL * trials))) if trials >= SCREENED_FROM else 0


def measured_at_start(notes: Notes) -> Iterator[tuple[Architecture, float]]:
    """Yield what was measured before the first trial, with ms, in its order."""
    for row in notes.screening_start or ():
        if row.ms is not None:
            yield row.network, row.ms


def screening_line(found: Screening) -> str:
    """Return for people how well latency was predicted."""
    line = (
        f"screening of latency: from {found.n} networks, leave-one-out error"
        f" {found.loo_error:.1%}, Kendall's tau {found.tau:.2f}"
    )
    return line if found.used else f"{line}; not used, MACs stood in"


def _measured(
    architecture: Architecture, measure: Callable[[Architecture], Latency]
) -> StartLatency:
    try:
        found = measure(architecture)
    except (MemoryError, RuntimeError, LatencyError) as error:
        return StartLatency(architecture, None, error=shown(str(error), 200))
    return StartLatency(architecture, found.ms, found.ratio, found.ratio_low, found.ratio_high)
