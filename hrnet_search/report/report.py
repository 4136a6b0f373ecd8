"""The report of a study: every table, plot, page and config of what it has found so far."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hrnet_search.report.ablation import write_ablation
from hrnet_search.report.compare import Comparison, compare
from hrnet_search.report.export.hrnet import write_front_configs
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import write_comparison, write_page
from hrnet_search.report.plots import write_plots
from hrnet_search.report.tables import write_front, write_trials
from hrnet_search.report.trust import Stamp
from hrnet_search.store.files import refuse_links
from hrnet_search.store.study import Study

FOLDER = "report"


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


def write_report(study: Study) -> ReportFiles:
    """Write tables, plots and the page to STUDY/report, the front's configs to STUDY/configs.

    The study may be unfinished. Raises StorageLostError where a file cannot be written,
    StudyError for a symbolic link in the place of one.
    """
    refuse_links(study.folder)
    folder = study.folder / FOLDER
    page = gather(study)
    return ReportFiles(
        trials=write_trials(study, folder),
        front=write_front(study, folder),
        plots=write_plots(study, folder),
        configs=tuple(write_front_configs(study)),
        ablation=write_ablation(study, folder),
        page=write_page(page, folder),
        stamp=page.evidence.stamp,
    )


def write_compared(first: Study, second: Study) -> tuple[Comparison, Path]:
    """Compare two studies; write the page of it into the report of the first.

    Raises InputError for a study without a front, StorageLostError where it cannot be written.
    """
    found = compare(first, second)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", second.folder.resolve().name)
    return found, write_comparison(found, first.folder / FOLDER / f"compare_{name}.html")
