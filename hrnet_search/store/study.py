"""Study: read a study, whoever writes it meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.class_iou import SPELT, UnknownClassError
from hrnet_search.content_hash import hash_of
from hrnet_search.errors import Fault, InputError
from hrnet_search.goals import Goals
from hrnet_search.pareto import non_dominated
from hrnet_search.paths import absolute
from hrnet_search.records.accuracy import MIOU_INT8, SOFT_IOU
from hrnet_search.records.objective import PLAIN, Objective, objective
from hrnet_search.records.trial import COMPLETED, KEPT, PAUSED, TrialResult
from hrnet_search.store import second_copy
from hrnet_search.store.database import not_a_study, reading
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.notes import DONE, INTERRUPTED, RUNNING, Notes, redacted_notes
from hrnet_search.store.reader import KeptRows, Reader, Rows, no_collections
from hrnet_search.store.schedules import Every, as_they_count, search_ids
from hrnet_search.store.tables import FILE, Row
from hrnet_search.store.trial_rows import (
    FINISHED,
    PLACES,
    STATUS,
    Ask,
    ask_of,
    in_order_of_commits,
    result_of,
    state_of,
)

COLUMNS = (
    "number", "architecture", "schedule", "seed", "status", "miou", "soft_iou", "kept",
    "latency_ms", "params", "macs", "activations", "width", "wall_s", "error",
)  # fmt: skip


def open_study(folder: str | Path) -> Study:
    """Open a study to read it; raise StudyError (a ValueError) for a folder that is not one."""
    return Study(folder)


def begun_study(folder: str | Path) -> Study | None:
    """Open the study in a folder; None where none was begun. Raise as `open_study` does."""
    return open_study(folder) if Path(folder, FILE).exists() else None


class Study:
    """One study, read only: no lock is taken, nothing is created, no transaction stays open."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = absolute(folder)
        if self.folder.is_file():
            inside = f" {self.folder.parent}" if (self.folder.parent / FILE).is_file() else ""
            raise not_a_study(self.folder, "it is a file", f"the study's folder{inside}")
        if not self.folder.is_dir():
            raise not_a_study(self.folder, "there is no such folder")
        if not (self.folder / FILE).is_file():
            if second_copy.holds_trials(self.folder):
                raise second_copy.without_database(self.folder)
            raise not_a_study(self.folder, f"it has no {FILE}")
        self._ended: dict[int, tuple[Row, tuple[Ask, TrialResult]]] = {}
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
    def outcome(self) -> str:
        """How its last run ended, one of OUTCOMES; a study of an older version is as it looks."""
        noted, driven = self.notes.outcome, Reader(self.folder).is_driven()
        if driven:
            return RUNNING
        if noted in (None, RUNNING):
            return DONE if noted is None and self._has_all() else INTERRUPTED
        return noted

    def _has_all(self) -> bool:
        ended = len(self.ended())
        return ended > 0 and ended >= (self.notes.trials or 0)

    @property
    def space_text(self) -> str:
        """The space file as it was read, without passwords."""
        return self.notes.space_text or ""

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of its objectives."""
        return self.notes.objectives or ("miou",)

    def results(self) -> pd.DataFrame:
        """Return a row a trial, running ones too, and a column a choice after the fixed ones.

        Accuracies that are an objective or have a limit follow mIoU, by their names.
        """
        rows, notes = self._reader.trials(), self.notes
        stored = [name for name in COLUMNS if name not in (SOFT_IOU, KEPT)]
        table = pd.DataFrame({n: [row[PLACES[n]] for row in rows] for n in stored}, columns=stored)
        table["status"] = [state_of(row) for row in rows]
        pairs = self._pairs(rows)
        results = [result for _, result in pairs]
        table.insert(COLUMNS.index(SOFT_IOU), SOFT_IOU, [r and _soft_iou(r) for r in results])
        table.insert(COLUMNS.index(KEPT), KEPT, [r and r.kept for r in results])
        asked = list(notes.goals.accuracies)
        if any(r and r.miou_int8 is not None for r in results):
            asked = list({one.key: one for one in (*asked, PLAIN[MIOU_INT8])}.values())
        for place, one in enumerate(asked, COLUMNS.index("miou") + 1):
            table.insert(place, one.name, [r and one.of(r) for r in results])
        for name in ("miou", *(o.name for o in asked), SOFT_IOU, KEPT, "latency_ms", "wall_s"):
            table[name] = table[name].astype("float64")
        for name in COST_NAMES:
            table[name] = table[name].astype("Int64")
        points = [ask.point for ask, _ in pairs]
        # A note that cannot be read is as none: there are no levels to show then.
        choices = zip(notes.choices or (), notes.levels or (), strict=False)
        for i, (path, levels) in enumerate(choices):
            if path in COLUMNS:  # the choice of width is the column that is there
                continue
            table[path] = [_shown(levels[point[i]]) if point else None for point in points]
        return table

    def variants(self) -> pd.DataFrame:
        """Return a row a completed architecture: its first trial, with means over its seeds.

        Trials of other schedules than the search's (those that confirm) are left out; where the
        space varies training, an architecture counts by the schedule that served it best. The
        columns are those of `results`, and `seeds`, how many trials the means are of.
        """
        counting = {ask.number for ask, _ in as_they_count(self.trials(), self.notes)}
        table = self.trained_in_each_way()
        return table[table["number"].isin(counting)].reset_index(drop=True)

    def trained_in_each_way(self) -> pd.DataFrame:
        """Return what `variants` does, but a row for each schedule that an architecture had."""
        table, searched = self.results(), search_ids(self.notes)
        table = table[table["status"] == COMPLETED]
        if not isinstance(searched, Every):
            table = table[table["schedule"].isin(list(searched))]
        table = table[table["miou"].between(0, 1)]
        by = ["architecture", "schedule"] if len(searched) > 1 else ["architecture"]
        groups = table.groupby(by, sort=False)
        rows = groups.head(1).set_index(by, drop=False)
        accuracies = [one.name for one in self.notes.goals.accuracies]
        for name in ("miou", *accuracies, SOFT_IOU, "wall_s"):
            rows[name] = groups[name].mean()
        latencies = latencies_of(self.trials(), self.notes)
        rows["latency_ms"] = [
            latencies[number].ms if number in latencies else math.nan for number in rows["number"]
        ]
        rows["seeds"] = groups.size()
        return rows.reset_index(drop=True)

    def front(self, objectives: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Return the variants within the limits that no other beats, cheapest first.

        `objectives` are names of the objectives table, of which `iou[CLASS,...]` is known of any
        study, or the study's own if not given. Raises InputError for others.
        """
        asked = [objectives] if isinstance(objectives, str) else objectives
        found = self._objectives(asked or self.objectives)
        table = within_limits(self.variants(), self.notes.goals)
        for one in found:
            if one.name not in table:
                table[one.name] = self._means(table["architecture"], one)
        values = table[[one.name for one in found]].astype("float64")
        good = pd.Series(True, index=table.index)
        for one in found:
            column = values[one.name]
            least_fits = column.gt(0) if one.is_cost else column.ge(0)
            good &= least_fits & column.le(one.most) & (column < math.inf)
        table, values = table[good], values[good]
        kept = table[non_dominated(values.to_numpy(), [one.direction for one in found])]
        order = [one.name for one in found if one.is_cost] or [one.name for one in found]
        return kept.sort_values([order[0], "number"]).reset_index(drop=True)

    def _objectives(self, names: Sequence[str]) -> list[Objective]:
        """Return what names stand for in this study; raise InputError with all that are not known.

        A name that is in a table of this study in another spelling is spelt as it is there.
        """
        classes, known = self._classes()
        own = {one.key: one for one in (*self.notes.goals.objectives, *self.notes.goals.accuracies)}
        found, faults = [], []
        for name in names:
            try:
                one = objective(name, classes, known)
                found.append(own.get(one.key, one))
            except UnknownClassError as error:
                allowed = error.allowed
                faults.append(Fault("objectives", name, f"{name}: {error.wrong}", allowed))
            except KeyError:
                allowed = ", ".join((*PLAIN, SPELT))
                faults.append(Fault("objectives", name, f"{name} is not known", allowed))
        if faults:
            raise InputError(faults)
        return list({one.key: one for one in found}.values())  # one that is named twice is one

    def _classes(self) -> tuple[int, Sequence[str]]:
        """Return how many classes there are, as noted or else as a trial has them, and names."""
        noted = self.notes.schedule
        if noted and noted.data.classes:
            return noted.data.classes, noted.data.names
        rungs = (rung for _, r in self.trials() if r is not None for rung in r.rungs)
        return len(next((rung.iou for rung in rungs), ())), ()

    def _means(self, architectures: pd.Series[str], one: Objective) -> list[float]:
        """Return the mean of an accuracy over the trials of each architecture."""
        searched = search_ids(self.notes)
        seen: dict[str, list[float]] = {}
        for ask, result in as_they_count(self.trials(), self.notes):
            by_search = ask.key.schedule in searched
            if result is not None and result.status == COMPLETED and by_search:
                value = one.of(result)
                seen.setdefault(ask.key.architecture, []).append(
                    math.nan if value is None else value
                )
        return [fmean(seen[architecture]) for architecture in architectures]

    def ended(self, after: int = 0) -> list[tuple[Ask, TrialResult]]:
        """Return the trials that ended, in the order of their commits, from number `after` on."""
        rows = in_order_of_commits(self._reader.trials())
        with reading(self.folder), no_collections():
            return [self._pair(row) for row in rows if row[FINISHED] >= after]

    def trials(self) -> list[tuple[Ask, TrialResult | None]]:
        """Return every trial asked for, with its result if it has one."""
        return self._pairs(self._reader.trials())

    def _pairs(self, rows: Sequence[Row]) -> list[tuple[Ask, TrialResult | None]]:
        with reading(self.folder), no_collections():
            return [(ask_of(r), None) if r[FINISHED] is None else self._pair(r) for r in rows]

    def _pair(self, row: Row) -> tuple[Ask, TrialResult]:
        number = row[0]
        known = self._ended.get(number)
        if known is None or known[0] != row:  # a failure may have been taken back, and run again
            known = self._ended[number] = row, (ask_of(row), result_of(row))
        return known[1]


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


def word_of_results(study: Study) -> str:
    """Return what differs once a trial has ended or paused, was taken back or ran again."""
    places = [STATUS, FINISHED, PLACES["wall_s"]]
    rows = [[row[0], *(row[place] for place in places)] for row in study._reader.trials()]
    shown = [row for row in rows if row[2] is not None or row[1] == PAUSED]
    return hash_of([shown, study.notes.texts().get("duels")])


def within_limits(table: pd.DataFrame, goals: Goals) -> pd.DataFrame:
    """Return the rows of a table of variants that have every accuracy that limits ask for."""
    for floor in goals.floors:
        table = table[table[floor.objective.name].ge(floor.at_least)]
    return table


def _shown(level: Any) -> Any:
    """Return a level as a cell of a table: lists as text."""
    return str(level) if isinstance(level, list) else level


def _soft_iou(result: TrialResult) -> float | None:
    """Return the soft IoU of a trial's last rung, None where there is none or it was not kept."""
    return result.rungs[-1].soft_iou if result.rungs else None


def named_trial(study: Study, number: int) -> Ask:
    """Return what a trial was asked for, by a number that a user names.

    Raise InputError where there is none.
    """
    asks = {ask.number: ask for ask, _ in study.trials()}
    if number not in asks:
        allowed = f"0 to {max(asks)}" if asks else "a study with trials"
        wrong = f"the study has no trial {number}"
        raise InputError(Fault("--trial", number, wrong, allowed, str(study.folder)))
    return asks[number]
