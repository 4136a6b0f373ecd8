"""`report`: what a study has found so far, as tables, plots and a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.commands.outcome import DONE, say, unless_failed
from hrnet_search.errors import Fault, InputError, shown
from hrnet_search.paths import expanded

if TYPE_CHECKING:
    from hrnet_search.report.report import ReportFiles
    from hrnet_search.store.study import Study


def add(sub: argparse.ArgumentParser) -> None:
    """Add the arguments of `report`."""
    sub.add_argument(
        "study", nargs="+", type=expanded, metavar="STUDY", help="folder of a study or a training"
    )
    budget = "say what each study would take within a budget, as 'latency_ms<=20, params<=3M'"
    sub.add_argument("--pick", metavar="BUDGET", help=budget)
    sub.add_argument("--compare", action="store_true", help="compare the fronts of two studies")
    sub.add_argument(
        "--style", type=expanded, metavar="FILE", help="a matplotlib style file for the figures"
    )


def command(options: argparse.Namespace) -> int:
    """Write tables, plots and one page of a study, or of a training; --compare two studies."""
    from hrnet_search.report.budget_words import budgets_of
    from hrnet_search.report.pick import pick_lines
    from hrnet_search.report.report import report_and_summary
    from hrnet_search.store.study import open_study
    from hrnet_search.store.trainings import is_training

    if options.compare:
        _require_two(options.study)
    if options.pick is not None:
        budgets_of(options.pick)  # before anything is written
    trainings = [] if options.compare else [f for f in options.study if is_training(f)]
    _require_studies(trainings, options)
    studies, code = [open_study(f) for f in options.study if f not in trainings], DONE
    style = Path(options.style) if options.style else None
    for folder in trainings:
        _report_training(Path(folder))
    unpicked: list[Fault] = []
    for study in studies:
        text, failed = report_and_summary(study, style)
        say(text)
        code = unless_failed(failed, code, options.debug)
        try:
            for line in pick_lines(study, options.pick) if options.pick is not None else ():
                say(line)
        except InputError as error:  # the others have their answers first
            unpicked += error.faults
    if options.compare:
        _compare(*studies)
    if unpicked:
        raise InputError(unpicked)
    return code


def _require_studies(trainings: Sequence[str], options: argparse.Namespace) -> None:
    """Raise InputError for an option of a study's report where there is a training too."""
    given = {"--pick": options.pick is not None, "--style": bool(options.style)}
    for name, is_given in given.items():
        if trainings and is_given:
            wrong = f"is for studies, and {trainings[0]} is a training"
            raise InputError(Fault(name, "", wrong, "folders of studies alone"))


def _report_training(folder: Path) -> None:
    from hrnet_search.report.page.training import training_lines, write_training_page

    page = write_training_page(folder)
    for line in training_lines(folder):
        say(line)
    say(f"page: {page}")


def report(study: str | Path | Study, style: str | Path | None = None) -> ReportFiles:
    """Write tables, plots and the page of a study, finished or not, and the configs of its front.

    `style` is a matplotlib style file for the figures. Return where they are: `page`, `trials`,
    `front`, `plots`, `configs`, and the `stamp` that says how far to trust the study. Raise
    InputError for a style that is not one, StudyError for what is not a study, StorageLostError
    where a file cannot be written, ReportError, when all else was written, for parts that could
    not be made.
    """
    from hrnet_search.report.report import write_report

    return write_report(opened(study), Path(expanded(str(style))) if style else None)


def opened(study: str | Path | Study) -> Study:
    """Return a study that is given, or named by its folder."""
    from hrnet_search.store.study import Study, open_study

    return study if isinstance(study, Study) else open_study(expanded(str(study)))


def _require_two(folders: list[str]) -> None:
    if len(folders) != 2:
        wrong = f"{len(folders)} given"
        raise InputError(Fault("--compare", folders, wrong, "exactly two studies"))
    if len({Path(folder).resolve() for folder in folders}) != 2:
        wrong = f"{shown(folders[0], 300)} is given twice"
        raise InputError(Fault("--compare", folders, wrong, "two different studies"))


def _compare(first: Study, second: Study) -> None:
    from hrnet_search.report.page.sentences import verdict
    from hrnet_search.report.report import write_compared

    found, path = write_compared(first, second)
    say("")
    for doubt in (*found.doubts, *found.latency_doubts):
        say(f"doubt: {doubt}")
    say(shown(verdict(found), 1000))
    say(f"comparison: {path}")
