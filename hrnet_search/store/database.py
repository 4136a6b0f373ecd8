"""study.db: its connections, how it is found whole, and what its errors mean to a user."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrnet_search.errors import Fault, StorageLostError, StudyDamagedError, StudyError
from hrnet_search.files import FULL, room
from hrnet_search.store.tables import FILE, META, TABLES, VERSION, checked, damage

OLDEST = 1
"""The oldest schema that is still read; `store/migration.py` brings it up to date."""

BUSY_S = 1.0
"""SQLite itself waits this long for others; then `waiting.py` says for whom, and goes on."""

UNWRITABLE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_AUTH,
)  # fmt: skip
"""Codes of errors that are the disk's or the folder's, not the content's."""


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open an existing study.db, `rw` or `ro`; a missing file is never created."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return prepared(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None))


def prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a connection that gives damaged text as it is, for its checksum to find it.

    What it deletes it overwrites, for a password may be in it: not every SQLite is built to.
    """
    connection.execute("PRAGMA secure_delete = ON")
    connection.text_factory = lambda data: str(data, "utf-8", "surrogateescape")
    return connection


def schema_version(connection: sqlite3.Connection, folder: Path) -> int:
    """Return the schema of a study; raise StudyError unless it is one that is known."""
    if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
        raise not_a_study(folder, f"{FILE} is empty")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(meta)")]
    if columns == ["name", "value"]:
        query = "SELECT value FROM meta WHERE name = 'schema'"
        row = connection.execute(query).fetchone()
        version = str(row[0]) if row else ""
    elif "checksum" in columns:
        query = f"SELECT checksum, {', '.join(META.columns)} FROM meta WHERE name = 'schema'"
        row = connection.execute(query).fetchone()
        if row is None:
            raise damage("table meta: it has no entry for the schema")
        version = str(checked(META, row)[-1])
    else:
        raise _damaged(folder, f"is not a study: {FILE} is damaged or no study")
    if version not in map(str, range(OLDEST, VERSION + 1)):
        raise _other_version(version, folder)
    return int(version)


def check_whole(connection: sqlite3.Connection, thorough: bool = False) -> None:
    """Raise StudyDamagedError unless SQLite finds its own structures in order.

    `thorough` compares indexes with their tables too, by which a writer goes.
    """
    kept = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    others = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')"
    if {row[0] for row in kept} != {table.sql for table in TABLES} or connection.execute(
        others
    ).fetchone():
        raise damage("its tables are not defined as they were")
    check_structure(connection, thorough)


def check_structure(connection: sqlite3.Connection, thorough: bool = False) -> None:
    """Raise StudyDamagedError for what SQLite's own check finds."""
    pragma = "integrity_check" if thorough else "quick_check"
    found = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
    if found is None or found[0] != "ok":
        raise damage(" ".join(str(found and found[0]).split()))


def not_a_study(folder: Path, why: str, allowed: str = "") -> StudyError:
    """Return the error for a folder that is not a study."""
    return StudyError(Fault("", None, f"is not a study: {why}", allowed, str(folder)))


def _other_version(version: str, folder: Path) -> StudyError:
    newer = version.isdecimal() and int(version) > VERSION
    wrong = f"was written by another version (schema {version or 'unknown'})"
    allowed = f"schema {OLDEST} to {VERSION}"
    instead = "a newer hrnet-search reads it" if newer else ""
    return StudyError(Fault("", None, wrong, allowed, str(folder), instead=instead))


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one line that names the study."""
    with _told(folder, "written"):
        yield


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what goes wrong when a study is read into one line that names it."""
    with _told(folder, "read"):
        yield


@contextmanager
def _told(folder: Path, done: str) -> Iterator[None]:
    try:
        yield
    except StudyDamagedError as error:
        if error.faults[0].file:  # it names its study already
            raise
        raise _damaged(folder, f"{FILE} is damaged: {error}") from None
    except sqlite3.IntegrityError as error:
        raise StorageLostError(f"{folder}: the study cannot be {done}: {_line(error)}") from error
    except sqlite3.DatabaseError as error:
        if _code(error) in UNWRITABLE:
            free = room(folder) if _code(error) == sqlite3.SQLITE_FULL else ""
            what = f"{folder}: the study cannot be {done}: {_line(error)}{free}"
            raise StorageLostError(what) from error
        if _code(error) == sqlite3.SQLITE_NOTADB:
            what = f"is not a study: {FILE} is damaged or no study ({_line(error)})"
            raise _damaged(folder, what) from None
        raise _damaged(folder, f"{FILE} is damaged: {_line(error)}") from None
    except OSError as error:
        free = room(folder) if error.errno in FULL else ""
        what = f"{folder}: the study cannot be {done}: {_line(error)}{free}"
        raise StorageLostError(what) from error
    except (MemoryError, UnicodeError, OverflowError) as error:
        # A length, a name or a number that no study has: what SQLite was told by a damaged file.
        what = f"{FILE} is damaged: {type(error).__name__} while it was {done}"
        raise _damaged(folder, what) from None


def _damaged(folder: Path, what: str) -> StudyDamagedError:
    advice = f"hrnet-search repair {folder} rebuilds what can be rebuilt"
    return StudyDamagedError(Fault("", None, what, instead=advice, file=str(folder)))


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error; extended ones hold it in their last byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
