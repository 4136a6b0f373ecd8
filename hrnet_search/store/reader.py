"""Reads a study's rows, whoever writes it meanwhile: fetched whole, then checked without a lock."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hrnet_search.errors import warn_on_stderr
from hrnet_search.store.database import check_whole, connect, reading, schema_version
from hrnet_search.store.lock import holder
from hrnet_search.store.migration import up_to_date_copy
from hrnet_search.store.tables import (
    CONTENT,
    FILE,
    META,
    TRIALS,
    VERSION,
    Row,
    check_total,
    checked,
    damage,
    fetch,
    fetch_rows,
    fetch_sums,
    fetch_total,
    verified,
)
from hrnet_search.store.trial_rows import check_columns
from hrnet_search.store.waiting import Warn, patiently


class Rows(Protocol):
    """Where the rows of a study come from."""

    def notes(self) -> dict[str, str]: ...

    def trials(self) -> list[Row]: ...


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Rows as they were read once."""

    noted: dict[str, str]
    rows: list[Row]

    def notes(self) -> dict[str, str]:
        """Return what was noted of the study, by name."""
        return dict(self.noted)

    def trials(self) -> list[Row]:
        """Return the rows of all trials, in the order of their numbers."""
        return list(self.rows)


@contextmanager
def no_collections() -> Iterator[None]:
    """Make many objects that stay: Python's collector would walk over all of them again and again.

    Of 100,000 trials that is two fifths of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Reader:
    """Rows of one study as they were last read; no lock is kept, no transaction stays open.

    Of trials only those are read again whose rows have changed. Methods raise StudyError.
    """

    def __init__(self, folder: Path, warn: Warn = warn_on_stderr) -> None:
        self._folder, self._warn = folder, warn
        self._trials: dict[int, tuple[int, Row]] = {}  # with their checksums
        with reading(folder), self._open() as connection:
            check_whole(connection)

    def notes(self) -> dict[str, str]:
        """Return the texts of what is noted of the study, by name."""
        with reading(self._folder):
            with self._open() as connection:
                found = fetch(connection, META)
            return {name: value for name, _, value in verified(META, found)}

    def trials(self) -> list[Row]:
        """Return the rows of all trials, in the order of their numbers."""
        with reading(self._folder), no_collections():
            with self._open() as connection:
                total, sums = fetch_total(connection, TRIALS), fetch_sums(connection, TRIALS)
                new = [n for n, kept in sums if self._trials.get(n, (None,))[0] != kept]
                rows = fetch_rows(connection, TRIALS, new, len(sums))
            check_total(TRIALS, [kept for _, kept in sums], total)
            for row in rows:
                trial = checked(TRIALS, row)
                check_columns(trial)
                self._trials[trial[0]] = row[0], trial
            return [self._trial(number, kept) for number, kept in sorted(sums)]

    def _trial(self, number: int, kept: int) -> Row:
        found = self._trials.get(number)
        if found is None or found[0] != kept:
            raise damage(f"table trials, trial {number}: it cannot be read")
        return found[1]

    def is_driven(self) -> bool:
        """Return whether somebody drives the study, as far as can be known from here."""
        with reading(self._folder), self._open() as connection:
            held = holder(connection)
        return held is not None and held.owner.is_alive() is not False

    def check_all(self) -> None:
        """Raise StudyDamagedError unless every row and every index is what was written."""
        with reading(self._folder):
            with self._open() as connection:
                check_whole(connection, thorough=True)
                tables = [(table, fetch(connection, table)) for table in CONTENT]
            for table, found in tables:
                for row in verified(table, found):
                    if table is TRIALS:
                        check_columns(row)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one reading, in one transaction."""
        path = self._folder / FILE
        with tempfile.TemporaryDirectory() as spare, closing(self._connect(path, spare)) as found:
            if schema_version(found, self._folder) == VERSION:
                yield found
                return
            with closing(up_to_date_copy(found)) as copy:
                yield copy

    def _connect(self, path: Path, spare: str) -> sqlite3.Connection:
        """Return a connection in a transaction that only reads.

        A driver that was killed inside a transaction leaves a journal that has to be rolled back
        first, which a reader must not do in the study: it does so in a copy.
        """
        connection = connect(path, "ro")
        try:
            self._begin(connection)
        except sqlite3.OperationalError:
            connection.close()
            journal = path.with_name(path.name + "-journal")
            if not journal.exists():
                raise
            copy = Path(spare) / path.name
            # The journal first: with an older one the copy is only ever rolled back further.
            shutil.copyfile(journal, copy.with_name(journal.name))
            shutil.copyfile(path, copy)
            connection = connect(copy)
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        patiently(connection, "SELECT COUNT(*) FROM sqlite_master", self._folder, self._warn)
