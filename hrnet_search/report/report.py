"""The report of a study: every table, plot and config of what it has found so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrnet_search.report.ablation import write_ablation
from hrnet_search.report.export.hrnet import write_front_configs
from hrnet_search.report.plots import write_plots
from hrnet_search.report.tables import write_front, write_trials
from hrnet_search.store.study import Study

FOLDER = "report"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report lies; no plots and no configs before a trial has completed."""

    trials: Path
    front: Path
    plots: tuple[Path, ...]
    configs: tuple[Path, ...]
    ablation: tuple[Path, ...] = ()


def write_report(study: Study) -> ReportFiles:
    """Write tables and plots to STUDY/report and the front's configs to STUDY/configs.

    The study may be unfinished. Raises StorageLostError where a file cannot be written.
    """
    folder = study.folder / FOLDER
    return ReportFiles(
        trials=write_trials(study, folder),
        front=write_front(study, folder),
        plots=write_plots(study, folder),
        configs=tuple(write_front_configs(study)),
        ablation=write_ablation(study, folder),
    )
