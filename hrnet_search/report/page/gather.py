"""Everything that the page of a study says, as plain frozen data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from hrnet_search import __version__
from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import shown
from hrnet_search.export.member import Member, front_of
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.records.trial import COMPLETED, STATES, TrialResult
from hrnet_search.report.ablation.tables import has_soft
from hrnet_search.report.commands import commands
from hrnet_search.report.edges import Edges, edges_of
from hrnet_search.report.page.choices import ChoiceModel, choice_model, choice_names
from hrnet_search.report.page.drawing import draw_network
from hrnet_search.report.page.history import (
    LearningCurve,
    Reason,
    audit_line,
    learning_curves,
    reasons,
    stops,
)
from hrnet_search.report.page.interactions import Anova, anova, canonical_of
from hrnet_search.report.page.points import (
    Points,
    condition_line,
    known,
    other_accuracies,
    points_of,
)
from hrnet_search.report.page.previews import PreviewRow, preview_rows
from hrnet_search.report.page.thin import spread
from hrnet_search.report.pick import Picker, picker_of
from hrnet_search.report.summary import differences, limit_lines
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.report.trust.evidence import Evidence, evidence_of
from hrnet_search.report.trust.trials import (
    SLICES,
    Trial,
    learned_from,
    slices_ids,
)
from hrnet_search.space.space import OF_TRAINING
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.growth import Growth, growth
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import as_they_count, long_ids, search_ids, varied_levels
from hrnet_search.store.study import Study
from hrnet_search.store.trainings import trainings_of
from hrnet_search.version_rule import spelt

MOST_DRAWN = 24
"""Members of the front that are drawn and compared by class: more are in front.csv."""

MOST_SHOWN = 1000
"""Characters of a fact."""

MOST_BOTH = 1000
"""Networks trained by both schedules that are drawn."""

SCHEDULE_ORDER = ("steps", "batch", "crop", "optimiser", "lr", "fingerprint")

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FrontMember:
    """A network on the front as the page lists it; `config` is its file below STUDY/configs.

    `low` to `high` is the interval of `accuracy`, the objective; `others` are the page's.
    """

    number: int
    architecture: str
    width: int
    params: int | None
    macs: int | None
    latency_ms: float | None
    latency: str
    noisy: bool
    accuracy: float
    low: float | None
    high: float | None
    others: tuple[float | None, ...]
    seeds: int
    chance: float | None
    differs: str
    config: str
    drawing: Markup


@dataclass(frozen=True, slots=True)
class Choices:
    """What may vary: paths, levels as text, and two models of all completed variants.

    One of choices by themselves, and one of them in pairs.
    """

    paths: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    front: tuple[tuple[int, ...], ...]
    model: ChoiceModel | None
    anova: Anova | None = None


@dataclass(frozen=True, slots=True)
class History:
    """How the study went, by `history.py`; `curves_in_all` counts also those left out."""

    growth: Growth | None
    curves: tuple[LearningCurve, ...]
    curves_in_all: int
    stops: tuple[tuple[int, int], ...]
    audit: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class LongShort:
    """Both accuracies of one architecture: by the search's schedule, and by the long one."""

    number: int
    short: float
    long: float


@dataclass(frozen=True, slots=True)
class TrainedInFull:
    """A training of one of the study's networks: its mIoU beside what the search saw of it."""

    name: str
    trial: int
    steps: int
    short: float | None
    best: float | None
    final: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """One study; `counts` are (status, trials), `classes` the names of classes.

    `accuracy` is what people call the objective, `others` more that are known of the front's
    members; `limits` are accuracies that every member has, a phrase each.
    `ablation` says that it is one, whose verdicts stand in files of their own.
    """

    name: str
    objectives: tuple[str, ...]
    accuracy: str
    others: tuple[str, ...]
    limits: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]
    trials: int
    evidence: Evidence
    edges: Edges
    points: Points
    picker: Picker
    members: tuple[FrontMember, ...]
    front_size: int
    base_width: int | None
    history: History
    choices: Choices
    long_short: tuple[LongShort, ...]
    trainings: tuple[TrainedInFull, ...]
    classes: tuple[str, ...]
    preview_members: tuple[int, ...]
    previews: tuple[PreviewRow, ...]
    facts: Rows
    commands: tuple[str, ...]
    space_text: str
    ablation: bool
    ablation_soft: bool
    learned: str


def gather(study: Study) -> Page:
    """Read a study, finished or not, into what its page says."""
    notes, trials = study.notes, study.trials()
    by_number = {ask.number: (ask, result) for ask, result in trials}
    ran = [(ask, result) for ask, result in trials if ask.purpose != SLICES]
    front = front_of(study)
    evidence = evidence_of(study, trials)
    variants, table = study.variants(), study.results()
    numbers = [m.number for m in front]
    writer = ConfigWriter.of(notes)
    candidates = candidates_of(study)
    goals = notes.goals
    rows = _by_number(variants)
    shown_members = front[:MOST_DRAWN]
    others = [
        (column, label)
        for column, label in other_accuracies(goals)
        if any(known(rows[m.number][column]) is not None for m in shown_members)
    ]
    columns = goals.accuracy.name, [column for column, _ in others]
    preview_members, previews = preview_rows({m.number: m.evaluation for m in shown_members})
    network, trained = writer.base.architecture if writer.base else None, varied_levels(notes)
    return Page(
        name=study.name,
        objectives=tuple(one.label for one in goals.objectives),
        accuracy=goals.accuracy.label,
        others=tuple(label for _, label in others),
        limits=limit_lines(goals, variants),
        counts=_counts(ran, dict(zip(table["number"], table["status"], strict=True))),
        trials=len(ran),
        evidence=evidence,
        edges=edges_of(study, evidence),
        points=points_of(
            variants, numbers, by_number, evidence, writer, goals, trained, candidates.numbers
        ),
        picker=picker_of(study, candidates),
        members=tuple(
            _member(m, rows[m.number], evidence, (network, trained), columns) for m in shown_members
        ),
        front_size=len(front),
        base_width=network.width if network else None,
        history=_history(trials, notes),
        choices=_choices(
            notes, by_number, _by_number(study.trained_in_each_way()), numbers, network
        ),
        long_short=_long_short(notes, trials),
        trainings=tuple(_trained_in_full(study, rows)),
        classes=notes.schedule.data.names if notes.schedule else (),
        preview_members=preview_members,
        previews=previews,
        facts=tuple(
            (name, shown(value, MOST_SHOWN)) for name, value in _facts(study, notes, trials)
        ),
        commands=commands(study),
        space_text=study.space_text,
        ablation=notes.ablation is not None,
        ablation_soft=notes.ablation is not None and has_soft(notes.ablation),
        learned=learned_from(notes),
    )


def _by_number(table: pd.DataFrame) -> dict[int, Mapping[Any, Any]]:
    return {int(row["number"]): row for row in table.to_dict("records")}


def _counts(trials: Sequence[Trial], statuses: Mapping[int, str]) -> tuple[tuple[str, int], ...]:
    """Return how many trials stand how, by `statuses` of all numbers."""
    found = dict.fromkeys(STATES, 0)
    for ask, _ in trials:
        found[statuses[ask.number]] += 1
    return tuple((name, count) for name, count in found.items() if count)


def _member(
    member: Member,
    row: Mapping[Any, Any],
    evidence: Evidence,
    beside: tuple[Architecture | None, Mapping[str, Mapping[str, Any]]],
    columns: tuple[str, Sequence[str]],
) -> FrontMember:
    network, cost, latency = member.architecture, member.result.cost, member.result.latency
    interval = evidence.accuracies.get(member.number)
    accuracy, others = columns
    base, trained = beside
    choices = trained.get(member.result.key.schedule)
    return FrontMember(
        number=member.number,
        architecture=network.id,
        width=network.width,
        params=cost.params if cost else None,
        macs=cost.macs if cost else None,
        latency_ms=latency.ms if latency else None,
        latency=condition_line(latency.condition) if latency else "",
        noisy=bool(latency and latency.noisy),
        accuracy=float(row[accuracy]),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        others=tuple(known(row[name]) for name in others),
        seeds=int(row["seeds"]),
        chance=evidence.chances.get(member.number),
        differs=differences(network, base, choices) if base else network.id,
        config=f"{member.stem}.yaml",
        drawing=draw_network(network, base),
    )


def _history(trials: Sequence[Trial], notes: Notes) -> History:
    curves, in_all = learning_curves(trials, notes.goals.accuracy)
    return History(
        growth=growth(trials, notes.goals, search_ids(notes)),
        curves=curves,
        curves_in_all=in_all,
        stops=stops(trials),
        audit=audit_line(notes.rung_audit),
        reasons=reasons(trials),
    )


def _choices(
    notes: Notes,
    trials: Mapping[int, Trial],
    rows: Mapping[int, Mapping[Any, Any]],
    front: Sequence[int],
    base: Architecture | None,
) -> Choices:
    paths, levels = choice_names(notes)
    points = [trials[number][0].point for number in rows]
    seen = [float(row[notes.goals.accuracy.name]) for row in rows.values()]
    members = tuple(tuple(trials[number][0].point) for number in front[:MOST_DRAWN])
    model = choice_model(points, seen, paths, levels)
    canonical = canonical_of(base, notes.choices or (), notes.levels or ())
    pairs = anova(points, seen, paths, levels, canonical)
    return Choices(paths, levels, members, model, pairs)


def _long_short(notes: Notes, trials: Sequence[Trial]) -> tuple[LongShort, ...]:
    both = list(_both(notes, trials))
    return tuple(both[i] for i in spread(len(both), MOST_BOTH))


def _both(notes: Notes, trials: Sequence[Trial]) -> Iterator[LongShort]:
    ids = slices_ids(trials) or search_ids(notes), long_ids(notes)
    accuracy = notes.goals.accuracy
    short: dict[str, tuple[int, float]] = {}
    for ask, result in as_they_count(trials, notes):
        seen = accuracy.of(result) if result is not None else None
        if result is None or result.status != COMPLETED or seen is None:
            continue
        if ask.key.schedule in ids[0]:
            short.setdefault(ask.key.architecture, (ask.number, seen))
        elif ask.key.schedule in ids[1] and ask.key.architecture in short:
            yield LongShort(*short[ask.key.architecture], seen)


def _trained_in_full(
    study: Study, rows: Mapping[int, Mapping[Any, Any]]
) -> Iterator[TrainedInFull]:
    short = {row["architecture"]: float(row["miou"]) for row in rows.values()}
    for one in trainings_of(study.folder, study.notes.study_id):
        record, best, final = one.record, one.results.best, one.results.final
        yield TrainedInFull(
            name=shown(one.folder.name),
            trial=int(record.origin.get("trial", 0)),
            steps=record.schedule.schedule.steps,
            short=short.get(record.architecture.id),
            best=best.miou if best else None,
            final=final.miou if final else None,
        )


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
