"""The front as text for people, with what it does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from hrnet_search.arch.architecture import FUSE_METHODS, KEY_CHANNELS, MID_CHANNELS, Architecture
from hrnet_search.counts import aligned
from hrnet_search.errors import counted, shown
from hrnet_search.goals import Goals
from hrnet_search.library.writer import ConfigWriter
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.latency import Latency
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.records.search_options import CONFIRMED_FROM
from hrnet_search.records.trial import COMPLETED, FAILED
from hrnet_search.report.ablation.tables import ablation_lines, study_remarks
from hrnet_search.report.commands import training_in_full
from hrnet_search.report.edges import Edges, edges_of
from hrnet_search.report.standing import standing
from hrnet_search.report.trust.believed import Believed, front_and_pick
from hrnet_search.report.trust.evidence import Evidence, evidence_of
from hrnet_search.report.trust.latency_doubt import study_doubts
from hrnet_search.report.trust.trials import (
    data_warnings,
    learned_from,
    version_warning,
)
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.schedules import search_ids, varied_levels
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import CONFIRM

MOST_FAILURES = 3
USUAL = {
    "OCR.MID_CHANNELS": MID_CHANNELS,
    "OCR.KEY_CHANNELS": KEY_CHANNELS,
    "FINAL_CONV_KERNEL": 1,
}
"""What heads have where nobody says otherwise."""

ONLY_WIDTH = "only the width"
"""What is said to differ where the column of widths says it all."""

HEADER = (
    "trial",
    "width",
    "params",
    "MACs",
    "activations",
    "latency",
)
"""What a row of the front begins with; its accuracies follow, and what differs from the base."""


def summary(study: Study, known: tuple[Evidence, Edges] | None = None) -> str:
    """Return the front as a table, counts, what is not known, and where the files are.

    `known` is the study's evidence with its edges, if they are at hand.
    """
    notes = study.notes
    if (record := notes.ablation) is not None:
        files = f"files: {study.folder / 'report'} (ablation.md, .tex, .csv, .json and plots)"
        lines = ablation_lines(record, study_remarks(study))
        return "\n".join([*lines, "", _page_line(study), files])
    unreadable = [f"its note {name} cannot be read" for name in notes.unreadable]
    mixed = version_warning(study.trials())
    if known is None:
        evidence = evidence_of(study)
        known = evidence, edges_of(study, evidence)
    said = (*data_warnings(notes), *unreadable, *filter(None, [mixed, known[0].unlearned]))
    warnings = [f"warning: {shown(line, 1000)}" for line in said]
    front, table = study.front(), study.results()
    lines = [f"{shown(study.name)}: {standing(study).line}", *_failures(table), *warnings, ""]
    found, believed, edges = known[0].stamp, known[0].believed, known[1]
    lines += _no_front(study) if front.empty else _front(study, front, table, believed)
    if duels := known[0].duels:
        lines += ["", "is it better than what is known?", *(f"  {line}" for line in duels)]
    if edges.lines:
        lines += ["", "at the edges of the space:", *(f"  {line}" for line in edges.lines)]
    by = shown(front_and_pick(notes, known[0].foretold), 300)
    signal = f"the search learned from {shown(learned_from(notes))}; {by}"
    lines += ["", f"ranking: {found.verdict} ({found.why})", f"signal:  {signal}", ""]
    lines.append(_page_line(study))
    lines += [f"files: {study.folder / 'report'} (tables, and plots of completed trials)"]
    if not front.empty:
        lines.append(f"       {study.folder / 'configs'} (the front as HRNet configs)")
        lines += [f"train: {command}" for command in training_in_full(study)]
    return "\n".join(lines)


def _page_line(study: Study) -> str:
    return f"page:  {study.folder / 'report' / 'report.html'}"


def _no_front(study: Study) -> Iterator[str]:
    """Yield that there is no front yet, why, and what is not known."""
    variants = study.variants()
    limits = limit_lines(study.notes.goals, variants)
    yield from (f"limit: {shown(line)}" for line in limits)
    within = limits and len(variants)
    none = "no variant is within the limits" if within else "no trial of the search has completed"
    yield f"{none}: there is no front yet"
    if doubts := study_doubts(study):
        yield from ("", "not known:", *(f"  {doubt}" for doubt in doubts))


def _front(
    study: Study, front: pd.DataFrame, table: pd.DataFrame, believed: Believed | None
) -> Iterator[str]:
    """Yield the front as a table, its limits, and what is not known."""
    goals = study.notes.goals
    names = ", ".join(one.label for one in goals.objectives)
    rows = [_header(goals, believed), *_rows(study, front, believed)]
    yield from (f"front of {names}:", *_aligned(rows), "")
    yield from (f"limit: {shown(line)}" for line in limit_lines(goals, study.variants()))
    yield from _unknowns(study, table)


def limit_lines(goals: Goals, variants: pd.DataFrame) -> tuple[str, ...]:
    """Return what limits ask of accuracies, and how many variants do not have it."""
    return tuple(
        f"{floor.objective.label} of at least {100 * floor.at_least:g}%:"
        f" {short} of {counted(len(variants), 'variant')} below"
        for floor in goals.floors
        for short in [len(variants) - int(variants[floor.objective.name].ge(floor.at_least).sum())]
    )


def differences(
    architecture: Architecture, base: Architecture, trained: Mapping[str, Any] | None = None
) -> str:
    """Return the settings that differ from the base's, as a config spells them.

    Channels that double from branch to branch are left to the column of widths. `trained` are the
    choices of training that it has, by path: those are told in any case.
    """
    by = [f"{path} {_spelt(level)}" for path, level in (trained or {}).items()]
    return ", ".join([_differences(architecture, base), *by])


def _differences(architecture: Architecture, base: Architecture) -> str:
    if architecture.id == base.id:
        return "(the base)"
    own, old = _settings(architecture), _settings(base)
    old = USUAL | old  # of a head that the base does not have; stages of one branch fuse nothing
    found = [
        f"{key} {_spelt(own[key])}"
        for key in own
        if _differ(own[key], old.get(key, FUSE_METHODS[0]))
    ]
    return ", ".join(found) or ONLY_WIDTH


def _settings(architecture: Architecture) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, stage in enumerate(architecture.stages, start=1):
        doubling = tuple(architecture.width * 2**b for b in range(stage.branches))
        by_width = number > 1 and stage.channels == doubling
        found[f"STAGE{number}.NUM_MODULES"] = stage.modules
        found[f"STAGE{number}.NUM_BRANCHES"] = stage.branches
        found[f"STAGE{number}.BLOCK"] = stage.block
        found[f"STAGE{number}.NUM_BLOCKS"] = stage.blocks
        found[f"STAGE{number}.NUM_CHANNELS"] = "doubling" if by_width else stage.channels
        if stage.branches > 1:
            found[f"STAGE{number}.FUSE_METHOD"] = stage.fuse
    if architecture.has_ocr:
        found["OCR.MID_CHANNELS"] = architecture.mid_channels
        found["OCR.KEY_CHANNELS"] = architecture.key_channels
    else:
        found["FINAL_CONV_KERNEL"] = architecture.final_kernel
    found["ALIGN_CORNERS"] = architecture.align_corners
    found["NAME"] = architecture.head
    return found


def _differ(own: Any, old: Any) -> bool:
    if isinstance(own, tuple) and isinstance(old, tuple):
        # Branches that only one of them has are told by NUM_BRANCHES.
        return any(a != b for a, b in zip(own, old, strict=False))
    return bool(own != old)


def _spelt(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _failures(table: pd.DataFrame) -> list[str]:
    failed = table[table["status"] == FAILED]
    rows = zip(failed["number"], failed["error"], strict=True)
    lines = [f"  trial {number} failed: {shown(error, 120)}" for number, error in rows]
    more = len(lines) - MOST_FAILURES
    return lines[:MOST_FAILURES] + ([f"  and {more} more, see trials.csv"] if more > 0 else [])


def accuracies(goals: Goals) -> tuple[Objective, ...]:
    """Return the accuracies that a table shows: mIoU, and what the study asks for beside it."""
    return (OBJECTIVES[MIOU], *goals.accuracies)


def _header(goals: Goals, believed: Believed | None) -> Sequence[str]:
    more = ("believed",) if believed else ()
    return (*HEADER, *(one.label for one in accuracies(goals)), *more, "differs from the base")


def _rows(study: Study, front: pd.DataFrame, believed: Believed | None) -> Iterable[Sequence[str]]:
    beliefs = believed.by_network() if believed else {}
    base, latencies = ConfigWriter.of(study.notes).base, latencies_of(study.trials(), study.notes)
    networks = {ask.number: ask.architecture for ask, _ in study.trials()}
    trained_by = varied_levels(study.notes)
    for row in front.to_dict("records"):
        network = networks[row["number"]]
        yield (
            f"#{row['number']}",
            str(row["width"]),
            _scaled(row["params"]),
            _scaled(row["macs"]),
            _scaled(row["activations"]),
            _latency(row["latency_ms"], latencies.get(row["number"])),
            *(f"{100 * row[one.name]:.2f}%" for one in accuracies(study.notes.goals)),
            *([_belief(beliefs.get(row["architecture"]))] if believed else ()),
            differences(network, base.architecture, trained_by.get(row["schedule"]))
            if base
            else network.id,
        )


def _belief(found: tuple[float, float] | None) -> str:
    return "-" if found is None else f"{100 * found[0]:.2f} ± {100 * found[1]:.2f}%"


def _latency(ms: float, found: Latency | None) -> str:
    noisy = " noisy" if found is not None and found.noisy else ""
    return "-" if pd.isna(ms) else f"{ms:.2f} ms{noisy}"


def _scaled(count: Any) -> str:
    return "-" if pd.isna(count) else aligned(count)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([*map(str.rjust, row[:-1], widths), row[-1]]).rstrip() for row in rows]


def _unknowns(study: Study, table: pd.DataFrame) -> list[str]:
    done = table[table["status"] == COMPLETED]
    ids = search_ids(study.notes)  # the long schedule has seeds of its own
    done = done[[schedule in ids for schedule in done["schedule"]]]
    lines = ["not known:"]
    if done.groupby("architecture")["seed"].nunique().max() == 1:
        lines.append(
            "  one seed a variant: neighbours on the front may swap places with another seed;"
            " how often was not measured"
        )
    else:
        lines.append("  accuracies are means over the seeds of a variant, which differ in number")
    if all(ask.purpose != CONFIRM for ask, _ in study.trials()):
        few = f" (studies under {CONFIRMED_FROM} trials skip this)"
        lines.append(
            "  whether more seeds or a longer schedule would rank them alike: no trial confirmed"
            " the front" + (few if standing(study).trials < CONFIRMED_FROM else "")
        )
    conditions = {
        result.latency.condition
        for _, result in study.trials()
        if result is not None and result.status == COMPLETED and result.latency is not None
    }
    if len(conditions) > 1:
        lines.append(
            f"  latencies were measured under {len(conditions)} conditions: not comparable"
        )
    return lines + [f"  {doubt}" for doubt in study_doubts(study)]
