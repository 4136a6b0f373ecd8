"""The latency of each network of a study, from all its trainings by the search's schedule."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_search.latency_rule import pooled
from hrnet_search.records.latency import Latency
from hrnet_search.records.trial import COMPLETED
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import Trial, search_ids


def latencies_of(trials: Sequence[Trial], notes: Notes) -> dict[int, Latency]:
    """Return what the latencies in `variants` and `trained_in_each_way` are the means of.

    They are by the numbers of their rows; variants that were not measured are left out.
    """
    searched = search_ids(notes)
    numbers: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, str], list[Latency]] = {}
    for ask, result in trials:
        if result is None or result.status != COMPLETED or ask.key.schedule not in searched:
            continue
        if result.miou is None or not 0 <= result.miou <= 1:
            continue
        way = ask.key.architecture, ask.key.schedule if len(searched) > 1 else ""
        numbers.setdefault(way, ask.number)
        if result.latency is not None:
            found.setdefault(way, []).append(result.latency)
    return {numbers[way]: pooled(latencies) for way, latencies in found.items()}
