"""Study: read a study, whoever writes it meanwhile."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hrnet_search.errors import Fault, InputError
from hrnet_search.pareto import non_dominated
from hrnet_search.paths import absolute
from hrnet_search.records import COMPLETED, KEPT, OBJECTIVES, SOFT_IOU, TrialResult
from hrnet_search.store.database import not_a_study, reading
from hrnet_search.store.notes import Notes, redacted_notes
from hrnet_search.store.reader import KeptRows, Reader, Rows, no_collections
from hrnet_search.store.tables import FILE, Row
from hrnet_search.store.trial_rows import (
    FINISHED,
    PLACES,
    Ask,
    ask_of,
    in_order_of_commits,
    result_of,
)

COLUMNS = (
    "number", "architecture", "schedule", "seed", "status", "miou", "soft_iou", "kept",
    "latency_ms", "params", "macs", "activations", "width", "wall_s", "error",
)  # fmt: skip


def open_study(folder: str | Path) -> Study:
    """Open a study to read it; raise StudyError (a ValueError) for a folder that is none."""
    return Study(folder)


class Study:
    """One study, read only: no lock is taken, nothing is created, no transaction stays open."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = absolute(folder)
        if self.folder.is_file():
            inside = f" {self.folder.parent}" if (self.folder.parent / FILE).is_file() else ""
            raise not_a_study(self.folder, f"it is a file, allowed: the study's folder{inside}")
        if not self.folder.is_dir():
            raise not_a_study(self.folder, "there is no such folder")
        if not (self.folder / FILE).is_file():
            raise not_a_study(self.folder, f"it has no {FILE}")
        self._ended: dict[int, tuple[Ask, TrialResult]] = {}  # what has ended never changes
        self._noted: tuple[dict[str, str], Notes] = {}, Notes()
        self._reader: Rows = Reader(self.folder)

    @property
    def notes(self) -> Notes:
        """What the study notes of itself now; a password that it was begun with is left out."""
        texts = self._reader.notes()
        if texts != self._noted[0]:
            self._noted = texts, Notes.read(redacted_notes(texts))
        return self._noted[1]

    @property
    def name(self) -> str:
        name = self.notes.name
        return self.folder.name if name is None else name

    @property
    def space_text(self) -> str:
        """The space file as it was read, without passwords."""
        return self.notes.space_text or ""

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of its objectives."""
        return self.notes.objectives or ("miou",)

    def results(self) -> pd.DataFrame:
        """Return a row a trial, running ones too, and a column a choice after the fixed ones."""
        rows, notes = self._reader.trials(), self.notes
        stored = [name for name in COLUMNS if name not in (SOFT_IOU, KEPT)]
        table = pd.DataFrame([[row[PLACES[n]] for n in stored] for row in rows], columns=stored)
        with reading(self.folder), no_collections():
            results = [None if row[FINISHED] is None else result_of(row) for row in rows]
        table.insert(COLUMNS.index(SOFT_IOU), SOFT_IOU, [r and _soft_iou(r) for r in results])
        table.insert(COLUMNS.index(KEPT), KEPT, [r and r.kept for r in results])
        for name in ("miou", SOFT_IOU, KEPT, "latency_ms", "wall_s"):
            table[name] = table[name].astype("float64")
        for name in ("params", "macs", "activations"):
            table[name] = table[name].astype("Int64")
        levels = notes.levels or ()
        points = [json.loads(row[PLACES["point"]]) for row in rows]
        for i, path in enumerate(notes.choices or ()):
            if path in COLUMNS:  # the choice of width is the column that is there
                continue
            table[path] = [_shown(levels[i][point[i]]) if point else None for point in points]
        return table

    def variants(self) -> pd.DataFrame:
        """Return a row a completed architecture: its first trial, with means over its seeds.

        Trials of other schedules than the search's (those that confirm) are left out. The
        columns are those of `results`, and `seeds`, how many trials the means are of.
        """
        table = self.results()
        table = table[table["status"] == COMPLETED]
        schedule = self.notes.schedule
        if schedule and schedule.id:
            table = table[table["schedule"] == schedule.id]
        table = table[table["miou"].between(0, 1)]
        groups = table.groupby("architecture", sort=False)
        rows = groups.head(1).set_index("architecture", drop=False)
        for name in ("miou", SOFT_IOU, "latency_ms", "wall_s"):
            rows[name] = groups[name].mean()
        rows["seeds"] = groups.size()
        return rows.reset_index(drop=True)

    def front(self, objectives: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the variants that no other beats, cheapest first.

        `objectives` are names of the objectives table, the study's own if not given. Raises
        InputError for others.
        """
        names = list(objectives or self.objectives)
        if unknown := [name for name in names if name not in OBJECTIVES]:
            allowed = f"allowed: {', '.join(OBJECTIVES)}"
            raise InputError(Fault("objectives", n, f"{n} is not known", allowed) for n in unknown)
        table = self.variants()
        values = table[names].astype("float64")
        good = pd.Series(True, index=table.index)
        for name in names:
            column = values[name]
            least_fits = column.gt(0) if OBJECTIVES[name].is_cost else column.ge(0)
            good &= least_fits & column.le(OBJECTIVES[name].most) & (column < math.inf)
        table, values = table[good], values[good]
        kept = table[non_dominated(values.to_numpy(), [OBJECTIVES[n].direction for n in names])]
        order = [n for n in names if OBJECTIVES[n].is_cost] or names
        return kept.sort_values([order[0], "number"]).reset_index(drop=True)

    def ended(self, after: int = 0) -> list[tuple[Ask, TrialResult]]:
        """Return the trials that ended, in the order of their commits, from number `after` on."""
        rows = in_order_of_commits(self._reader.trials())
        with reading(self.folder), no_collections():
            return [self._pair(row) for row in rows if row[FINISHED] >= after]

    def trials(self) -> list[tuple[Ask, TrialResult | None]]:
        """Return every trial asked for, with its result if it has one."""
        rows = self._reader.trials()
        with reading(self.folder), no_collections():
            return [(ask_of(r), None) if r[FINISHED] is None else self._pair(r) for r in rows]

    def _pair(self, row: Row) -> tuple[Ask, TrialResult]:
        number = row[0]
        if number not in self._ended:
            self._ended[number] = ask_of(row), result_of(row)
        return self._ended[number]


class Snapshot(Study):
    """A study as it was at one moment: read once, whoever goes on with it meanwhile.

    A report asks many times for the same, and its parts are to be of the same trials.
    """

    def __init__(self, study: Study) -> None:
        self.folder, self._ended, self._noted = study.folder, study._ended, study._noted
        self._reader = KeptRows(study._reader.notes(), study._reader.trials())

    @cached_property
    def _trials(self) -> list[tuple[Ask, TrialResult | None]]:
        return super().trials()

    @cached_property
    def _table(self) -> pd.DataFrame:
        return super().results()

    @cached_property
    def _variants(self) -> pd.DataFrame:
        return super().variants()

    def trials(self) -> list[tuple[Ask, TrialResult | None]]:
        """Return every trial asked for, with its result if it has one."""
        return list(self._trials)

    def results(self) -> pd.DataFrame:
        """Return a row a trial, as `Study.results` does."""
        return self._table.copy()

    def variants(self) -> pd.DataFrame:
        """Return a row a completed architecture, as `Study.variants` does."""
        return self._variants.copy()


def _shown(level: Any) -> Any:
    """Return a level as a cell of a table: lists as text."""
    return str(level) if isinstance(level, list) else level


def _soft_iou(result: TrialResult) -> float | None:
    """Return the soft IoU of a trial's last rung, None where there is none or it was not kept."""
    return result.rungs[-1].soft_iou if result.rungs else None
