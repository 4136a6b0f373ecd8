"""A study, finished or not, read into what its page says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import shown
from hrnet_search.export.member import Member, front_of
from hrnet_search.goals import Goals
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.report.ablation.tables import has_soft
from hrnet_search.report.commands import commands
from hrnet_search.report.edges import edges_of
from hrnet_search.report.page.choices import choice_model, choice_names
from hrnet_search.report.page.content import (
    Choices,
    FrontMember,
    History,
    LongShort,
    Page,
    TrainedInFull,
)
from hrnet_search.report.page.drawing import draw_network
from hrnet_search.report.page.facts import facts_of
from hrnet_search.report.page.history import audit_line, learning_curves, reasons, stops
from hrnet_search.report.page.interactions import anova, canonical_of
from hrnet_search.report.page.points import condition_line, known, other_accuracies, points_of
from hrnet_search.report.page.previews import preview_rows
from hrnet_search.report.page.thin import spread
from hrnet_search.report.pick import picker_of
from hrnet_search.report.standing import standing
from hrnet_search.report.summary import differences, limit_lines
from hrnet_search.report.trust.believed import front_and_pick
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.report.trust.evidence import Evidence, evidence_of
from hrnet_search.report.trust.trials import Trial, learned_from, short_and_long, slices_ids
from hrnet_search.store.growth import growth
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import search_ids, varied_levels
from hrnet_search.store.study import Study
from hrnet_search.store.trainings import trainings_of

MOST_DRAWN = 24
"""Members of the front that are drawn and compared by class: more are in front.csv."""

MOST_BOTH = 1000
"""Networks trained by both schedules that are drawn."""


def gather(study: Study) -> Page:
    """Read a study, finished or not, into what its page says."""
    notes, trials = study.notes, study.trials()
    by_number = {ask.number: (ask, result) for ask, result in trials}
    front = front_of(study)
    evidence = evidence_of(study, trials)
    goals = notes.goals
    variants = study.variants()
    # One whose accuracy is not known, as of int8, has no place in a picture of it.
    variants = variants[variants[goals.accuracy.name].notna()].reset_index(drop=True)
    numbers = [m.number for m in front]
    beliefs = evidence.believed.by_network() if evidence.believed else {}
    writer = ConfigWriter.of(notes)
    candidates = candidates_of(study)
    rows = _by_number(variants)
    shown_members = front[:MOST_DRAWN]
    others = _others(goals, [rows[member.number] for member in shown_members])
    columns = goals.accuracy.name, [column for column, _ in others]
    preview_members, previews = preview_rows({m.number: m.evaluation for m in shown_members})
    network, trained = writer.base.architecture if writer.base else None, varied_levels(notes)
    return Page(
        name=study.name,
        objectives=tuple(one.label for one in goals.objectives),
        accuracy=goals.accuracy.label,
        others=tuple(label for _, label in others),
        limits=limit_lines(goals, variants),
        standing=standing(study),
        evidence=evidence,
        edges=edges_of(study, evidence),
        points=points_of(
            variants,
            numbers,
            by_number,
            latencies_of(study.trials(), study.notes),
            evidence,
            writer,
            goals,
            trained,
            candidates.numbers,
        ),
        picker=picker_of(study, candidates),
        members=tuple(
            _member(m, rows[m.number], evidence, beliefs, (network, trained), columns)
            for m in shown_members
        ),
        front_size=len(front),
        base_width=network.width if network else None,
        history=_history(trials, notes),
        choices=_choices(
            notes, by_number, _by_number(study.trained_in_each_way()), numbers, network
        ),
        long_short=_long_short(study, trials),
        trainings=tuple(_trained_in_full(study, rows)),
        classes=notes.schedule.data.names if notes.schedule else (),
        preview_members=preview_members,
        previews=previews,
        facts=facts_of(study, notes, trials),
        commands=commands(study),
        space_text=study.space_text,
        ablation=notes.ablation is not None,
        ablation_soft=notes.ablation is not None and has_soft(notes.ablation),
        learned=learned_from(notes),
        ordered=front_and_pick(notes, evidence.foretold),
    )


def _others(goals: Goals, rows: Sequence[Mapping[Any, Any]]) -> list[tuple[str, str]]:
    """Return the columns of other accuracies that are known of some of these rows, with labels."""
    return [
        (column, label)
        for column, label in other_accuracies(goals)
        if any(known(row[column]) is not None for row in rows)
    ]


def _by_number(table: pd.DataFrame) -> dict[int, Mapping[Any, Any]]:
    return {int(row["number"]): row for row in table.to_dict("records")}


def _member(
    member: Member,
    row: Mapping[Any, Any],
    evidence: Evidence,
    beliefs: Mapping[str, tuple[float, float]],
    beside: tuple[Architecture | None, Mapping[str, Mapping[str, Any]]],
    columns: tuple[str, Sequence[str]],
) -> FrontMember:
    network, cost, latency = member.architecture, member.result.cost, member.latency
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
        believed=beliefs.get(network.id),
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


def _long_short(study: Study, trials: Sequence[Trial]) -> tuple[LongShort, ...]:
    notes = study.notes
    seen = short_and_long(trials, notes, trainings_of(study.folder, notes.study_id))
    by = slices_ids(trials) or search_ids(notes)
    numbers = {a.key.architecture: a.number for a, _ in reversed(trials) if a.key.schedule in by}
    both = [LongShort(numbers[name], *scores) for name, scores in seen.items()]
    return tuple(both[i] for i in spread(len(both), MOST_BOTH))


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
