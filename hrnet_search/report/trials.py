"""Trials of a study by what they are evidence of: repeats, schedules, costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_search.data.inventory import HOLDS
from hrnet_search.records import COMPLETED, MIOU, SIGNAL, TrialKey, TrialResult
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import Ask
from hrnet_search.version_rule import mixed_versions

Trial = tuple[Ask, TrialResult | None]


def seeds_of(trials: Sequence[Trial], schedule: str, signal: str = MIOU) -> dict[str, list[float]]:
    """Return the mIoUs of each architecture by a schedule, in the order they were asked for.

    Or its scores by another signal; trials that do not know it are left out.
    """
    found: dict[str, list[float]] = {}
    for ask, result in trials:
        score = result.score(signal) if result and completed(ask, result, schedule) else None
        if score is not None:
            found.setdefault(ask.key.architecture, []).append(score)
    return found


def signal_of(meta: Mapping[str, str]) -> str:
    """Return what a study's search learns from: mIoU or soft IoU."""
    return str(noted(meta, "identity").get(SIGNAL, MIOU))


def completed(ask: Ask, result: TrialResult | None, schedule: str) -> bool:
    """Return whether a trial completed by a schedule; any, where a study noted none ("*")."""
    done = result is not None and result.status == COMPLETED
    return done and schedule in ("*", ask.key.schedule)


def costs_of(trials: Sequence[Trial], name: str) -> dict[str, float]:
    """Return a cost objective of each architecture, as its first trial has it."""
    found: dict[str, float] = {}
    for ask, result in trials:
        value = None
        if result is not None:
            value = result.latency_ms if name == "latency_ms" else getattr(result.cost, name, None)
        if value is not None:
            found.setdefault(ask.key.architecture, float(value))
    return found


def keys_of(trials: Sequence[Trial], meta: Mapping[str, str]) -> dict[str, list[TrialKey]]:
    """Return the trials of each architecture that completed by the search's schedule."""
    schedule, found = schedule_id(meta, "schedule"), dict[str, list[TrialKey]]()
    for ask, result in trials:
        if completed(ask, result, schedule):
            found.setdefault(ask.key.architecture, []).append(ask.key)
    return found


def schedule_id(meta: Mapping[str, str], name: str) -> str:
    """Return the id of the search's or the long schedule; "*" and "" where none was noted."""
    found = noted(meta, name).get("id")
    return str(found) if found else ("*" if name == "schedule" else "")


def objectives_of(study: Study) -> list[str]:
    """Return the names of a study's objectives."""
    names: list[str] = json.loads(study.meta.get("objectives") or '["miou"]')
    return names


def noted(meta: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return what a study noted under a name, empty if nothing."""
    found = json.loads(meta.get(name) or "{}")
    return found if isinstance(found, dict) else {}


def data_warnings(meta: Mapping[str, str]) -> tuple[str, ...]:
    """Return what makes results worth less by the data that they are from, as the study noted."""
    return tuple(map(str, noted(meta, HOLDS).get("warnings", ())))


def version_warning(trials: Sequence[Trial]) -> str:
    """Return that trials ran under several versions, if they did."""
    return mixed_versions((ask.number, result) for ask, result in trials if result is not None)
