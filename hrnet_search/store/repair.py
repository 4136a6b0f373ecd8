"""A damaged study.db made anew from what is whole of it and of its second copy.

Each row that is taken is what was written, by its checksum; the damaged file is set aside, and
what cannot be had back is said.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hrnet_search.errors import StudyDamagedError, StudyError, StudyInUseError, counted
from hrnet_search.files import free_name, write_whole
from hrnet_search.records.trial import TrialKey
from hrnet_search.store import carve, second_copy
from hrnet_search.store.database import connect, not_a_study, storage
from hrnet_search.store.lock import Held, held_of, in_use
from hrnet_search.store.migration import META_1, TRIALS_1, note_of, trial_of
from hrnet_search.store.reader import Reader
from hrnet_search.store.tables import (
    DRIVER,
    FILE,
    META,
    RUNGS,
    TABLES,
    TOTALS,
    TRIALS,
    VERSION,
    Row,
    Table,
    check_total,
    checksum,
    create,
    insert,
)
from hrnet_search.store.trial_rows import FINISHED, in_order_of_commits, key_of

NEEDED = ("identity", "schedule")
"""Notes without which a study cannot go on."""

LEFT = {"weights": ".safetensors", "evaluation": ".npz", "logs": ".log"}
"""What a trial leaves in its study, by folder."""


@dataclass
class Found:
    """Whole rows by table and key, the newest of each; `totals` by table, where they are whole.

    `stale` are rows that others have taken the place of, as failures that are to run again: pieces
    of the database may still hold them.
    """

    rows: dict[str, dict[Row, Row]] = field(
        default_factory=lambda: {table.name: {} for table in (META, DRIVER, TRIALS, RUNGS)}
    )
    totals: dict[str, Row] = field(default_factory=dict)
    stale: set[tuple[str, Row]] = field(default_factory=set)

    def take(self, table: Table, row: Row) -> None:
        """Take a row unless a newer one with its key is there."""
        kept, key = self.rows[table.name], table.key_of(row)
        if (table.name, row) in self.stale:
            return
        if key not in kept or _age(table, kept[key]) <= _age(table, row):
            kept[key] = row

    def list(self, table: Table) -> list[Row]:
        """Return the rows of a table in the order of their keys."""
        return [row for _, row in sorted(self.rows[table.name].items())]


def repair(folder: str | Path, take_over: bool = False) -> tuple[list[str], bool]:
    """Rebuild a study's database; return what was done, and whether all of it was had back.

    Raise StudyError for a folder that is not a study, StudyInUseError where a driver runs;
    `take_over` takes one that cannot be looked at for one that is gone.
    """
    folder = Path(folder)
    if not (folder / FILE).is_file() and not (folder / second_copy.FILE).is_file():
        raise not_a_study(folder, f"it has no {FILE}")
    if why := _damage(folder):
        with storage(folder):
            return _rebuilt(folder, why, take_over)
    rows = [(TRIALS, row) for row in Reader(folder).trials()]
    if second_copy.is_ahead(folder, rows):
        older = f"{FILE} is whole, but older than {second_copy.FILE}, which has more results"
        return [f"{folder}: {older}: move {FILE} away and repair again to have them back"], False
    return [f"{folder}: {FILE} is whole, there is nothing to repair"], True


def _damage(folder: Path) -> str:
    """Return what is wrong with a study's database, empty if nothing is."""
    if not (folder / FILE).is_file():
        return f"it has no {FILE}"
    try:
        Reader(folder).check_all()
    except StudyDamagedError as error:
        return str(error.faults[0].wrong)
    except StudyError as error:
        if (folder / FILE).stat().st_size:
            raise
        return str(error.faults[0].wrong)
    return ""


def _rebuilt(folder: Path, why: str, take_over: bool) -> tuple[list[str], bool]:
    found, copied = Found(), dict[tuple[str, Row], tuple[Table, Row]]()
    for table, row in second_copy.read(folder):
        place = table.name, table.key_of(row)
        if place in copied:
            found.stale.add((table.name, copied[place][1]))
        copied[place] = table, row  # of two lines with one key the later one counts
    found.stale -= {(table.name, row) for table, row in copied.values()}
    content = _content(folder)
    for row in carve.rows(content):
        _take(found, row)
    for table, row in copied.values():
        found.take(table, row)
    _check_free(folder, found, take_over)
    if not found.rows[META.name] and not found.rows[TRIALS.name]:
        raise not_a_study(folder, f"nothing of {FILE} can be read, nor of {second_copy.FILE}")
    lost = [*_lost(found), *_lost_trials(folder, found), *_not_known(folder, found)]
    said = [f"{folder}: {why}"]
    if content:
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        aside = free_name(folder / f"{FILE}.damaged-{stamp}")
        write_whole(aside, content)
        said.append(f"the damaged file is kept as {aside.name}")
    _write(folder, found)
    trials = found.list(TRIALS)
    ended = len(in_order_of_commits(trials))
    said.append(f"rebuilt: {len(trials)} trials, {ended} of them with their results")
    said += [f"lost: {what}" for what in lost] or ["nothing is lost"]
    return said, not lost


def _content(folder: Path) -> bytes:
    """Return the database's bytes, after what a cut-off transaction left is rolled back."""
    path = folder / FILE
    if not path.is_file():
        return b""
    journal = path.with_name(f"{FILE}-journal")
    content = path.read_bytes()
    if not journal.is_file():
        return content
    with tempfile.TemporaryDirectory() as spare:
        copy = Path(spare) / FILE
        copy.with_name(journal.name).write_bytes(journal.read_bytes())
        copy.write_bytes(content)
        with suppress(sqlite3.Error), closing(connect(copy)) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        return copy.read_bytes()


def _take(found: Found, stored: Row) -> None:
    """Take what was carved, if it is a row of one of the tables and what was written."""
    number, *values = stored
    for table in TABLES:
        row = _as_row(table, number, values)
        if row is None:
            continue
        if table is TOTALS:
            found.totals[row[0]] = row
        else:
            found.take(table, row)
        return
    for table, row in _older(number, values):
        found.take(table, row)


def _as_row(table: Table, number: int, stored: list[object]) -> Row | None:
    """Return values as a row of a table, None if they are not what was written there."""
    if len(stored) != len(table.stored):
        return None
    values = dict(zip(table.stored, stored, strict=True))
    first = next(iter(table.columns))
    if "INTEGER PRIMARY KEY" in table.columns[first]:
        values[first] = number  # SQLite keeps it as the row's number alone
    kept = values.pop("checksum")
    row = table.typed(tuple(values[name] for name in table.columns))
    with suppress(TypeError, ValueError):  # bytes, which no row has
        if checksum(table, row) == kept:
            return row
    return None


def _older(number: int, stored: list[object]) -> Iterator[tuple[Table, Row]]:
    """Yield values as a row of schema 1, which has no checksums, where they agree in themselves."""
    if len(stored) == len(META_1) and all(isinstance(v, str) for v in stored):
        yield META, note_of(tuple(stored))
    elif len(stored) == len(TRIALS_1):
        values = [number, *stored[1:]]
        reals = [TRIALS_1.index(name) for name in ("miou", "latency_ms", "wall_s")]
        for place in reals:
            if isinstance(values[place], int):
                values[place] = float(values[place])  # type: ignore[arg-type]
        with suppress(StudyDamagedError, TypeError, ValueError, LookupError):
            yield TRIALS, trial_of(tuple(values))


def _check_free(folder: Path, found: Found, take_over: bool) -> None:
    drivers, total = found.rows[DRIVER.name], found.totals.get(DRIVER.name)
    if not drivers and total and total[1] and not take_over:
        what = "who drives the study cannot be read; --take-over if nobody does"
        raise StudyInUseError(f"{folder}: {what}")
    for row in drivers.values():
        held: Held = held_of(row)
        alive = held.owner.is_alive()
        if alive or (alive is None and not take_over):
            more = "" if alive else "; --take-over if it is known to be gone"
            raise in_use(folder, held.owner, more)


def _lost(found: Found) -> list[str]:
    """Return which rows there were and are no more, as far as it is known."""
    lost = []
    if META.name not in found.totals:
        notes = found.rows[META.name]
        lost = [f"what was noted as {name}" for name in NEEDED if (name,) not in notes]
    for table in second_copy.COPIED.values():
        rows, total = found.list(table), found.totals.get(table.name)
        if total is None:
            continue
        missing = total[1] - len(rows)
        if missing > 0:
            lost.append(f"{missing} of {total[1]} rows of {table.name}")
            continue
        with suppress(StudyDamagedError):
            check_total(table, [checksum(table, row) for row in rows], _summed(total))
            continue
        lost.append(f"the last changes of {table.name}")
    return lost


def _not_known(folder: Path, found: Found) -> list[str]:
    """Return what may be lost where nothing says how many trials there were."""
    lines = second_copy.damaged_lines(folder)
    if TRIALS.name in found.totals or not lines:
        return []
    return [f"what {counted(lines, 'damaged line')} of {second_copy.FILE} said, perhaps a result"]


def _summed(total: Row) -> Row:
    return (checksum(TOTALS, total), *total)


def _lost_trials(folder: Path, found: Found) -> list[str]:
    """Return the trials of which there are files, but no row."""
    trials = found.list(TRIALS)
    known = {str(key_of(row)) for row in trials}
    left: dict[str, list[str]] = {}
    for name, suffix in LEFT.items():
        for path in sorted((folder / name).glob(f"*{suffix}")):
            key = path.name.removesuffix(suffix)
            if TrialKey.is_spelt(key) and key not in known:
                left.setdefault(key, []).append(f"{name}/{path.name}")
    return [f"the row of trial {key}; it left {', '.join(files)}" for key, files in left.items()]


def _write(folder: Path, found: Found) -> None:
    """Write the database anew, whole, in place of the damaged one."""
    trials = {row[0]: row for row in found.list(TRIALS)}
    for place, row in enumerate(in_order_of_commits(list(trials.values()))):
        trials[row[0]] = (*row[:FINISHED], place, *row[FINISHED + 1 :])
    rungs = [row for row in found.list(RUNGS) if row[0] in trials]
    found.take(META, ("schema", 0, str(VERSION)))
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{FILE}.") as spare:
        temporary = Path(spare) / FILE
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            create(connection)
            insert(connection, META, found.list(META))
            insert(connection, TRIALS, trials.values())
            insert(connection, RUNGS, rungs)
            connection.execute("COMMIT")
        (folder / f"{FILE}-journal").unlink(missing_ok=True)
        temporary.replace(folder / FILE)


def _age(table: Table, row: Row) -> int:
    """Return by what the newer of two rows with one key is known."""
    if table is META:
        return int(row[1])
    if table is DRIVER:
        return int(row[-1])
    return int(table is TRIALS and row[FINISHED] is not None)
