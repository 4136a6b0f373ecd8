"""What a study measures before its first trial, once in its life, committed as it comes.

The A/A check, which says whether latencies can be trusted and freezes the reference network's,
and latencies of untrained variants from which the screening learns before anything is trained.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, StudyError, shown
from hrnet_search.records import Latency
from hrnet_search.search.screening import start_set
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.rows import architecture_from_json, to_json
from hrnet_search.store.writer import StudyStore

AA_CHECK, DEVICE, REFERENCE = "aa_check", "device", "reference_ms"
START, SCREENING = "screening_start", "screening"

SCREENED_FROM = 30
"""Trials from which a study measures untrained variants first; in smaller ones trained ones do."""

LEAST, MOST, A_TRIAL = 10, 20, 1 / 4
"""Untrained variants: at least, at most, and for each trial in between."""

Say = Callable[[str], None]


def frozen_reference(store: StudyStore, device: str, check: Callable[[], Any], say: Say) -> float:
    """Return the reference network's latency in ms, measured once in the life of a study.

    `check` is the A/A check. Raise StudyError on another kind of device than the first time.
    """
    meta = store.meta()
    if REFERENCE in meta:
        if meta[DEVICE] != device:
            wrong = f"was measured on {meta[DEVICE]}, this device is {device}"
            raise StudyError(Fault("latency", device, wrong, "allowed: the same kind of device"))
        return float(meta[REFERENCE])
    say(f"measuring the reference network on {device}")
    found = check()
    for line in filter(None, (found.line(), found.reference_line())):
        say(line)
    store.set_meta(DEVICE, device)
    store.set_meta(AA_CHECK, json.dumps(asdict(found)))
    store.set_meta(REFERENCE, repr(found.reference_ms))
    return float(found.reference_ms)


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
    noted: list[dict[str, Any]] = json.loads(store.meta().get(START, "[]"))
    if trials < SCREENED_FROM or (store.asks() and not noted):
        return
    count = min(MOST, max(LEAST, round(A_TRIAL * trials)))
    left = start_set(space, count, seed)[len(noted) :]
    if left and not store.asks():
        say(f"measuring {len(left)} untrained variants, from which latency is screened")
        for architecture in left:
            noted.append({"network": to_json(architecture), **_measured(architecture, measure)})
            store.set_meta(START, json.dumps(noted))


def measured_at_start(meta: Mapping[str, str]) -> Iterator[tuple[Architecture, float]]:
    """Yield what was measured before the first trial, with ms, in its order."""
    for row in json.loads(meta.get(START, "[]")):
        if row["ms"] is not None:
            yield architecture_from_json(row["network"]), float(row["ms"])


def screening_line(meta: Mapping[str, str]) -> str:
    """Return for people how well latency was foretold; empty where it was not."""
    if SCREENING not in meta:
        return ""
    found = json.loads(meta[SCREENING])
    line = (
        f"screening of latency: from {found['n']} networks, leave-one-out error"
        f" {found['loo_error']:.1%}, Kendall's tau {found['tau']:.2f}"
    )
    return line if found["used"] else f"{line}; not used, MACs stood in"


def _measured(
    architecture: Architecture, measure: Callable[[Architecture], Latency]
) -> dict[str, Any]:
    try:
        found = measure(architecture)
    except (MemoryError, RuntimeError) as error:
        return {"ms": None, "error": shown(str(error), 200)}
    return {"ms": found.ms, "ratio": found.ratio, "low": found.ratio_low, "high": found.ratio_high}
