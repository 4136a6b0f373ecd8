"""The report of a study: every table, plot, page and config of what it has found so far."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hrnet_search.content_hash import hash_of
from hrnet_search.errors import ReportError
from hrnet_search.export.hrnet import write_front_configs
from hrnet_search.files import refuse_links
from hrnet_search.parts import Parts
from hrnet_search.report.ablation.tables import write_ablation
from hrnet_search.report.compare import Comparison, compare
from hrnet_search.report.edges import FILE as WIDER
from hrnet_search.report.edges import Edges, write_wider
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import FILE, write_comparison, write_page
from hrnet_search.report.plots import write_plots
from hrnet_search.report.style import Style, style_of
from hrnet_search.report.summary import summary
from hrnet_search.report.tables import FRONT, TRIALS, write_duels, write_front, write_trials
from hrnet_search.report.trust.evidence import Evidence
from hrnet_search.report.trust.statistics import Stamp
from hrnet_search.store.study import Snapshot, Study

FOLDER = "report"

LONGEST_NAME = 100
"""Characters of a study's name in that of a file."""


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report lies; no plots and no configs before a trial has completed."""

    trials: Path
    front: Path
    plots: tuple[Path, ...]
    configs: tuple[Path, ...]
    page: Path
    stamp: Stamp
    ablation: tuple[Path, ...] = ()
    duels: Path | None = None


def write_report(study: Study, style: Path | None = None) -> ReportFiles:
    """Write tables, plots and the page to STUDY/report, the front's configs to STUDY/configs.

    The study may be unfinished; `style` is a matplotlib style file for its figures. Raises
    InputError for a style that is not one, StorageLostError where a file cannot be written,
    StudyError for a symbolic link in place of one, and ReportError, after everything else was
    written, for parts that could not be made.
    """
    parts = Parts()
    files, _ = _write(Snapshot(study), parts, style_of(style))
    parts.check()
    assert files is not None, "no part failed"
    return files


def report_and_summary(study: Study, style: Path | None = None) -> tuple[str, ReportError | None]:
    """Write the report; return the summary for a terminal, and what of both could not be made.

    Raises as `write_report`, but for that.
    """
    study, parts = Snapshot(study), Parts()
    _, known = _write(study, parts, style_of(style))
    text = parts.make("summary", lambda: summary(study, known))
    return text or "", parts.error


def _write(
    study: Study, parts: Parts, style: Style
) -> tuple[ReportFiles | None, tuple[Evidence, Edges] | None]:
    """Write every part; return where they are if none failed, and what is known of the study."""
    refuse_links(study.folder)
    folder = study.folder / FOLDER
    found = parts.make(folder / FILE, lambda: gather(study))
    trials = parts.make(folder / TRIALS, lambda: write_trials(study, folder))
    front = parts.make(folder / FRONT, lambda: write_front(study, folder))
    duels = parts.make(folder / "duels.csv", lambda: write_duels(study, folder))
    evidence = found.evidence if found else None
    plots = write_plots(study, folder, parts, evidence, style)
    configs = write_front_configs(study, parts)
    ablation = write_ablation(study, folder, parts, style)
    page = parts.make(folder / FILE, lambda: write_page(found, folder)) if found else None
    known = (found.evidence, found.edges) if found else None
    if found:
        parts.make(study.folder / WIDER, lambda: write_wider(study.folder, found.edges))
    if parts.error or not (trials and front and page and known):
        return None, known
    stamp = known[0].stamp
    return ReportFiles(trials, front, plots, configs, page, stamp, ablation, duels), known


def write_compared(first: Study, second: Study) -> tuple[Comparison, Path]:
    """Compare two studies; write the page of it into the report of the first.

    Raises InputError for a study without a front, StorageLostError where it cannot be written.
    """
    found = compare(first, second)
    # Beside the first it is called by its folder alone, and elsewhere by the way to it from there.
    way = os.path.relpath(second.folder.resolve(), first.folder.resolve().parent)
    plain = re.sub(r"^(\.\./)+", "", way).replace("/", "_")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", plain)
    if name != plain or len(name) > LONGEST_NAME:  # others would have the same one
        name = f"{name[:LONGEST_NAME]}_{hash_of(way)[:6]}"
    return found, write_comparison(found, first.folder / FOLDER / f"compare_{name}.html")
