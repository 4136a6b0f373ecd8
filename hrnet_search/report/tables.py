"""trials.csv, front.csv and duels.csv: what a study found, for spreadsheets and scripts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hrnet_search.files import write_file
from hrnet_search.report.duels import fought, part_in
from hrnet_search.report.standing import statuses_of
from hrnet_search.report.trust.believed import Believed, foretold, order_of
from hrnet_search.report.trust.trials import slices_ids
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.study import Study
from hrnet_search.version_rule import spelt

TRIALS, FRONT = "trials.csv", "front.csv"

NOISY = "noisy"
"""Which column says of a latency that its interval did not close."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n")
"""What makes a spreadsheet run a cell, or hides such a start from the eye."""


def write_trials(study: Study, folder: Path) -> Path:
    """Write every trial, running ones too, its part in a duel, and the versions it ran under."""
    return write_file(folder / TRIALS, trials_csv(study))


def write_front(study: Study, folder: Path) -> Path:
    """Write the front of the study's own objectives, cheapest first."""
    return write_file(folder / FRONT, front_csv(study))


def trials_csv(study: Study) -> bytes:
    """Return the content of trials.csv."""
    table, trials = study.results(), study.trials()
    table["status"] = table["number"].map(statuses_of(study, table))
    _put_after(table, "seed", "purpose", {ask.number: ask.purpose for ask, _ in trials})
    timed = {a.number: r.latency.noisy for a, r in trials if r is not None and r.latency}
    _put_after(table, "latency_ms", NOISY, timed)
    ran = ((ask.number, result.versions) for ask, result in trials if result is not None)
    if parts := part_in(study.notes, trials):
        table["duel"] = table["number"].map(parts)
    table = _with_beliefs(table, study)
    if judged := slices_ids(trials):
        by_slices = table["schedule"].isin(list(judged))
        table["judged"] = np.where(by_slices, "by slices", "")
    table["versions"] = table["number"].map({number: spelt(found) for number, found in ran})
    return csv_bytes(table)


def front_csv(study: Study) -> bytes:
    """Return the content of front.csv."""
    front, latencies = study.front(), latencies_of(study.trials(), study.notes)
    timed = {number: latency.noisy for number, latency in latencies.items()}
    _put_after(front, "latency_ms", NOISY, timed)
    return csv_bytes(_with_beliefs(front, study))


def write_duels(study: Study, folder: Path) -> Path | None:
    """Write a row a duel: who, within what, and what it says; None where there is none."""
    found = fought(study.notes, study.trials(), foretold(study))
    rows = [
        {
            "cost": one.duel.cost,
            "budget": one.duel.budget,
            "pick": one.duel.pick,
            "pick_trial": one.pick,
            "pick_now_trial": one.now,
            "rival": one.duel.rival,
            "rival_name": one.duel.name,
            "verdict": one.verdict.called,
            "difference": _finite(one.verdict.mean),
            "low": _finite(one.verdict.low),
            "high": _finite(one.verdict.high),
            "pairs": one.verdict.pairs,
            "most_pairs": one.duel.most,
            "times_the_schedule": one.longer,
            "why": one.duel.why,
        }
        for one in found
    ]
    path = folder / "duels.csv"
    return write_file(path, csv_bytes(pd.DataFrame(rows))) if rows else None


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8; text that a spreadsheet would run starts with `'`."""
    safe = table.copy()
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            safe[name] = table[name].map(_safe, na_action="ignore")
    text = safe.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8", "backslashreplace")


def _with_beliefs(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return a table with the order of its networks, and what they are believed to reach."""
    found = foretold(study)
    if order := order_of(found):
        places = [order.get(name) for name in table["architecture"]]
        table = table.assign(order=pd.array(places, dtype="Int64"))
    if not isinstance(found, Believed):
        return table
    beliefs = found.by_network()
    of_each = [beliefs.get(name, (None, None)) for name in table["architecture"]]
    mean, half = zip(*of_each, strict=True) if of_each else ((), ())
    return table.assign(believed=mean, believed_half=half)


def _put_after(table: pd.DataFrame, column: str, name: str, values: dict[int, Any]) -> None:
    """Put a column behind another, by the numbers of its trials; empty where there is none."""
    found = [values.get(number) for number in table["number"]]
    place = list(table.columns).index(column) + 1
    table.insert(place, name, pd.Series(found, table.index, object))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


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
