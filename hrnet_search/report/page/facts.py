"""What the page says of how a study was made: a name and a text each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hrnet_search import __version__
from hrnet_search.errors import shown
from hrnet_search.records.search_options import FIDELITY, STOP_EARLY
from hrnet_search.records.trial import TrialResult
from hrnet_search.report.page.content import Rows
from hrnet_search.report.page.points import condition_line
from hrnet_search.report.trust.trials import Trial
from hrnet_search.space.choice import OF_TRAINING
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import search_ids
from hrnet_search.store.study import Study
from hrnet_search.version_rule import spelt

MOST_SHOWN = 1000
"""Characters of a fact."""

SCHEDULE_ORDER = ("steps", "batch", "crop", "optimiser", "lr", "fingerprint")


def facts_of(study: Study, notes: Notes, trials: Sequence[Trial]) -> Rows:
    """Return names of facts with their texts, in the order in which a page has them."""
    return tuple((name, shown(text, MOST_SHOWN)) for name, text in _facts(study, notes, trials))


def _facts(study: Study, notes: Notes, trials: Sequence[Trial]) -> Iterator[tuple[str, str]]:
    results = [result for _, result in trials if result is not None]
    yield "study", study.name
    yield "identity", notes.study_id or "not noted"
    yield "seeds", ", ".join(map(str, sorted({ask.key.seed for ask, _ in trials}))) or "none"
    if notes.schedule:
        yield "schedule", _in_words(notes.schedule)
    if len(searched := search_ids(notes)) > 1:
        varied = ", ".join(p for p in notes.choices or () if p.startswith(OF_TRAINING))
        yield "schedules", f"{len(searched)}, by {varied}; a network counts by its best"
    if notes.long_schedule:
        yield "long schedule", _in_words(notes.long_schedule)
    identity = notes.identity or {}
    if len(rungs := identity.get("schedule.rungs", ())) > 1:
        rule = identity.get(FIDELITY, STOP_EARLY)
        yield "rungs", f"{', '.join(map(str, rungs))}; {FIDELITY}: {rule}"
    if notes.initial:
        yield "initial weights", "; ".join(notes.initial)
    yield from _learned(notes)
    if notes.schedule:
        data = notes.schedule.data
        yield "data", f"{data.kind or 'not noted'}, {data.classes} classes"
    if held := notes.data_holds:
        yield "images", f"train {held.train.images}, val {held.val.images}"
    yield from _machine(results)
    if notes.reference_ms is not None:
        yield "reference network's frozen latency", f"{notes.reference_ms} ms"
    if notes.unreadable:
        yield "notes that cannot be read", ", ".join(notes.unreadable)
    yield "page written by", f"hrnet-search {__version__}"


def _learned(notes: Notes) -> Iterator[tuple[str, str]]:
    """Yield what the search learned from, and how much that weighs."""
    weights = notes.learned_weights or ()
    for number, study in enumerate(notes.learned_from or ()):
        known = f"{len(study.networks)} networks of {study.folder} ({study.study})"
        weight = f", weight {weights[number]:.0%}" if number < len(weights) else ""
        yield f"learned from {study.name}", f"{known}{weight}"


def _in_words(noted: NotedSchedule) -> str:
    plain = [(name, getattr(noted.schedule, name)) for name in SCHEDULE_ORDER]
    words = [f"{name} {list(v) if isinstance(v, tuple) else v}" for name, v in plain]
    return ", ".join([f"id {noted.id}", *words])


def _machine(results: Sequence[TrialResult]) -> Iterator[tuple[str, str]]:
    for versions in sorted({r.versions for r in results if r.versions}):
        yield "trained with", spelt(versions)
    timed = [r.latency for r in results if r.latency]
    for line in sorted({condition_line(latency.condition) for latency in timed}):
        yield "latency measured on", line
    if timed and timed[-1].machine:
        yield "machine at the last timing", ", ".join(f"{k} {v}" for k, v in timed[-1].machine)
    if timed:
        noisy, busy = sum(t.noisy for t in timed), sum(t.busy for t in timed)
        yield "timings", f"{len(timed)}, noisy {noisy}, on a busy device {busy}"
