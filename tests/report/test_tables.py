"""Tables hold everything, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import inspect
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import network, result

from hrnet_search.duel_rule import BETTER, NOT_SHOWN, OPEN, WORSE
from hrnet_search.errors import StorageLostError
from hrnet_search.files import write_file
from hrnet_search.records.trial import FAILED, STATES
from hrnet_search.report.standing import INTERRUPTED
from hrnet_search.report.tables import csv_bytes, write_duels, write_front, write_trials
from hrnet_search.store.study import COLUMNS, Study
from hrnet_search.store.trial_rows import ABLATE, BASE, CONFIRM, SEARCH, SHORT, SLICES


def cells(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(), newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-x", "@cmd", "\t=1", "\n=1"])
def test_text_that_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    table = pd.DataFrame({"error": [text, "plain"], "number": [-1, 2]})
    rows = list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))
    assert rows == [["error", "number"], [f"'{text}", "-1"], ["plain", "2"]]


def test_a_carriage_return_begins_no_row() -> None:
    table = pd.DataFrame({"error": ["x\r=1", "x\r\n=1", "\r=1"]})
    rows = list(csv.reader(io.StringIO(csv_bytes(table).decode(), newline="")))
    assert rows == [["error"], ["x\n=1"], ["x\n=1"], ["'\n=1"]]


def test_numbers_stay_numbers() -> None:
    table = pd.DataFrame({"text": ["-1.5", "+2e3"], "number": [-0.1, np.nan]})
    assert csv_bytes(table).decode() == "text,number\n-1.5,-0.1\n+2e3,\n"


def test_trials_lists_every_trial_and_front_the_best(make_study: Callable[..., Study]) -> None:
    hostile = '=HYPERLINK("x")\n"; , é'
    study = make_study(
        (network(8), result(0, miou=0.5)),
        (network(9), result(1, miou=0.4)),
        (network(10), result(2, miou=0.6)),
        (network(11), result(3, status=FAILED, miou=None, error=hostile, cost=None, latency=None)),
        (network(12), None),
    )
    trials = cells(write_trials(study, study.folder / "report"))
    fixed = list(COLUMNS)
    fixed.insert(fixed.index("seed") + 1, "purpose")
    fixed.insert(fixed.index("latency_ms") + 1, "noisy")
    assert list(trials[0]) == [*fixed, "order", "versions"]
    assert [row["order"] for row in trials] == ["2", "3", "1", "", ""]
    assert [row["status"] for row in trials] == ["completed"] * 3 + ["failed", "interrupted"]
    assert trials[3]["error"] == f"'{hostile}"
    assert trials[3]["macs"] == trials[4]["miou"] == ""
    assert trials[2]["miou"] == "0.6"
    front = cells(write_front(study, study.folder / "report"))
    assert [row["number"] for row in front] == ["0", "2"]


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").mkdir()
    with pytest.raises(StorageLostError, match=r"trials\.csv: cannot be written"):
        write_file(tmp_path / "trials.csv", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_tables_say_which_latencies_are_noisy_and_what_a_trial_was_for(
    make_study: Callable[..., Study],
) -> None:
    steady, loud = result(0, miou=0.5), result(1, miou=0.6)
    assert loud.latency is not None
    loud = replace(loud, latency=replace(loud.latency, noisy=True))
    study = make_study((network(8), steady), (network(9), loud), (network(10), None))
    trials = cells(write_trials(study, study.folder / "report"))
    assert [row["noisy"] for row in trials] == ["False", "True", ""]
    assert [row["purpose"] for row in trials] == ["search"] * 3
    front = {row["number"]: row["noisy"] for row in cells(write_front(study, study.folder))}
    assert front == {"0": "False", "1": "True"}


def test_the_document_has_every_column_and_every_word_of_status_and_purpose() -> None:
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    section = text.split("## The tables")[1].split("\n## ")[0]
    duels = inspect.getsource(write_duels)
    words = {
        *COLUMNS, *re.findall(r'^ +"(\w+)": ', duels, re.M), *STATES, INTERRUPTED,
        SEARCH, CONFIRM, BASE, SHORT, SLICES, BETTER, WORSE, NOT_SHOWN, OPEN,
        ABLATE, "noisy", "purpose", "duel", "seeds", "order", "believed", "believed_half",
        "judged", "versions",
    }  # fmt: skip
    assert "pick_now_trial" in words
    assert [word for word in words if f"`{word}`" not in section] == []
