"""Trials that ran under several versions of Python, packages or CUDA: what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hrnet_search.errors import counted, shown
from hrnet_search.records.trial import TrialResult

Versions = tuple[tuple[str, str], ...]
NONE = "none"


def mixed_versions(results: Iterable[tuple[int, TrialResult]]) -> str:
    """Return what to say of trials, by number, that ran under several versions; else nothing."""
    counts: dict[Versions, int] = {}
    first: dict[Versions, int] = {}
    for number, result in results:
        if result.versions:
            counts[result.versions] = counts.get(result.versions, 0) + 1
            first[result.versions] = min(number, first.get(result.versions, number))
    if len(counts) < 2:
        return ""
    sets = sorted(counts, key=lambda versions: first[versions])
    differ = _names_that_differ(sets)
    said = (
        f"{_spelt(dict(one), differ)} ({counted(counts[one], 'trial')}, the first is #{first[one]})"
        for one in sets
    )
    return (
        f"trials ran under {len(sets)} sets of versions: {'; '.join(said)}:"
        " a difference between them may be one of versions"
    )


def changed_versions(results: Iterable[TrialResult], now: Versions) -> str:
    """Return how versions differ from those that trials have ended under; empty if they do not."""
    before = dict.fromkeys(result.versions for result in results if result.versions)
    if not before or list(before) == [now]:
        return ""
    differ = _names_that_differ([*before, now])
    was = "; ".join(_spelt(dict(one), differ) for one in before if one != now)
    return (
        f"versions differ from those of trials that have ended: now {_spelt(dict(now), differ)},"
        f" before {was}; the report says which trials ran under which"
    )


def spelt(versions: Versions) -> str:
    """Return versions in a line."""
    return _spelt(dict(versions), (name for name, _ in versions))


def _names_that_differ(sets: Iterable[Versions]) -> list[str]:
    known = [dict(one) for one in sets]
    names = dict.fromkeys(name for one in known for name in one)
    return [name for name in names if len({one.get(name) for one in known}) > 1]


def _spelt(versions: Mapping[str, str], names: Iterable[str]) -> str:
    return ", ".join(f"{shown(name)} {shown(versions.get(name, NONE))}" for name in names)
