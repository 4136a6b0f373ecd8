"""trials.csv and front.csv: what a study found, for spreadsheets and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from hrnet_search.report.files import write_file
from hrnet_search.store.study import Study
from hrnet_search.version_rule import spelt

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")
"""What makes a spreadsheet run a cell, or hides such a start from the eye."""


def write_trials(study: Study, folder: Path) -> Path:
    """Write every trial, running ones too, and the versions that each ran under."""
    table = study.results()
    ran = ((ask.number, result.versions) for ask, result in study.trials() if result is not None)
    table["versions"] = table["number"].map({number: spelt(found) for number, found in ran})
    return write_file(folder / "trials.csv", csv_bytes(table))


def write_front(study: Study, folder: Path) -> Path:
    """Write the front of the study's own objectives, cheapest first."""
    return write_file(folder / "front.csv", csv_bytes(study.front()))


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8; text that a spreadsheet would run starts with `'`."""
    safe = table.copy()
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            safe[name] = table[name].map(_safe, na_action="ignore")
    text = safe.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8", "backslashreplace")


def _safe(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    # The csv module leaves a lone carriage return bare, and readers begin a row there.
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not cell.startswith(FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
