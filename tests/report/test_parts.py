"""A part of a report that cannot be made is named in one line, and costs no other part."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up import network, result
from report.ablation.test_tables import RECORD

from hrnet_search import report as report_of
from hrnet_search.cli import main
from hrnet_search.commands.driver import ended, reported_study
from hrnet_search.commands.terminal import Quiet, Terminal
from hrnet_search.errors import ReportError, StorageLostError
from hrnet_search.export import hrnet
from hrnet_search.report import figure, plots, report, tables
from hrnet_search.report.ablation import plots as ablation_plots
from hrnet_search.report.ablation import tables as ablation
from hrnet_search.store.reader import Reader
from hrnet_search.store.study import Study

pytestmark = pytest.mark.usefixtures("blank_pictures")

PICTURES = ("report/width_miou", "report/macs_miou", "report/latency_miou")
PARTS: dict[str, tuple[object, str, str, tuple[str, ...]]] = {
    "the page's content": (report, "gather", "report/report.html", ("report/report.html",)),
    "the page": (report, "write_page", "report/report.html", ("report/report.html",)),
    "all trials": (report, "write_trials", "report/trials.csv", ("report/trials.csv",)),
    "the front": (report, "write_front", "report/front.csv", ("report/front.csv",)),
    "which pictures": (plots, "pictures", "report/plots", PICTURES),
    "pictures": (plots, "draw", "report/width_miou.png", PICTURES),
    "which configs": (hrnet, "front_of", "configs", ("configs/",)),
    "configs": (hrnet, "write_file", "configs/seg_hrnet", ("configs/",)),
    "its table": (ablation, "effects_table", "report/ablation.csv", ("report/ablation.csv",)),
    "its page": (ablation, "markdown", "report/ablation.md", ("report/ablation.md",)),
    "its source": (ablation, "latex", "report/ablation.tex", ("report/ablation.tex",)),
    "its picture": (ablation_plots, "forest", "report/forest.png", ("report/forest",)),
}  # fmt: skip
"""What fails, how the line begins that says so, and the files that are then missing."""


def broken(*_: object, **__: object) -> None:
    raise ValueError("a number\nthat nobody had thought of")


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    trials = [(network(9 + i), result(i, miou=0.5 + i / 100)) for i in range(3)]
    return make_study(*trials, ablation=RECORD)


def files(study: Study) -> set[str]:
    found = study.folder.rglob("*")
    names = {path.relative_to(study.folder).as_posix() for path in found if path.is_file()}
    return {name for name in names if name.startswith(("report/", "configs/"))}


WHOLE: set[str] = set()


@pytest.fixture
def whole(study: Study) -> set[str]:
    """Return the files of a whole report, which are gone again; it is made once."""
    if not WHOLE:
        report_of(study)
        WHOLE.update(files(study))
        for name in WHOLE:
            (study.folder / name).unlink()
    return WHOLE


THIRD = [pytest.param(one, marks=pytest.mark.slow) if i % 3 else one for i, one in enumerate(PARTS)]
"""Each makes a whole report: `make slow` has the other two thirds."""


@pytest.mark.parametrize("part", THIRD)
def test_what_fails_is_said_and_all_else_is_written(
    part: str,
    study: Study,
    whole: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module, function, said, missing = PARTS[part]
    monkeypatch.setattr(module, function, broken)
    assert main(["report", str(study.folder)]) == 1
    assert files(study) == {name for name in whole if not name.startswith(missing)}
    out, err = capsys.readouterr()
    *lines, last = err.splitlines()
    assert lines[0].startswith(f"{study.folder}/{said}")
    assert all("could not be made (ValueError: a number; that nobody" in line for line in lines)
    assert last.startswith("every other part was written")
    assert out.strip()


def test_a_summary_that_fails_costs_no_file(
    study: Study,
    whole: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report, "summary", broken)
    assert main(["report", str(study.folder), "--debug"]) == 1
    assert files(study) == whole
    err = capsys.readouterr().err
    assert "summary: could not be made (ValueError" in err
    assert "in broken" in err  # the traceback that was asked for


def test_a_file_that_something_else_stands_in_for_costs_no_other(
    study: Study, whole: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (study.folder / "report" / "trials.csv").mkdir(parents=True)
    assert main(["report", str(study.folder)]) == StorageLostError.exit_code
    assert files(study) == whole - {"report/trials.csv"}
    assert "report/trials.csv: cannot be written: Is a directory" in capsys.readouterr().err


def test_a_full_disk_is_no_failure_of_a_part(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(figure, "write_file", full)
    assert main(["report", str(study.folder)]) == StorageLostError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (1, 1)])
def test_a_run_ends_with_what_it_found_and_what_failed(
    code: int,
    expected: int,
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tables, "csv_bytes", broken)
    assert ended("all trials have run", study.folder, code, False, Terminal()) == expected
    out, err = capsys.readouterr()
    assert "all trials have run" in out
    assert "front.csv: could not be made" in err
    assert "trials.csv: could not be made" in err
    assert (study.folder / "report" / "report.html").exists()


def test_from_python_a_search_returns_its_study_and_a_report_raises(
    study: Study, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(report, "write_front", broken)
    with caplog.at_level(logging.WARNING, "hrnet_search"):
        assert reported_study(Path(study.folder), Quiet()).folder == study.folder
    assert "front.csv: could not be made" in caplog.text
    with pytest.raises(ReportError, match=r"front\.csv: could not be made"):
        report_of(study)


def test_a_report_reads_its_study_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100,000 trials each reading takes seconds; and all parts are of the same trials."""
    calls: list[str] = []

    def noted(name: str, real: Callable[[Reader], Any]) -> Callable[[Reader], Any]:
        def read(reader: Reader) -> Any:
            calls.append(name)
            return real(reader)

        return read

    monkeypatch.setattr(Reader, "trials", noted("trials", Reader.trials))
    monkeypatch.setattr(Reader, "notes", noted("notes", Reader.notes))
    assert main(["report", str(study.folder)]) == 0
    assert sorted(calls) == ["notes", "trials"]
