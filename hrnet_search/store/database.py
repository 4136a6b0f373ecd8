"""study.db: its tables, its connections, and what its errors mean to a user."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hrnet_search.errors import Fault, StorageLostError, StudyError

FILE = "study.db"
VERSION = 1
WAIT_S = 30.0

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE driver (
    id INTEGER PRIMARY KEY CHECK (id = 1), token TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, started TEXT NOT NULL, since TEXT NOT NULL, expires REAL NOT NULL
) STRICT;
CREATE TABLE trials (
    number INTEGER PRIMARY KEY,
    architecture TEXT NOT NULL, schedule TEXT NOT NULL, seed INTEGER NOT NULL,
    point TEXT NOT NULL, network TEXT NOT NULL, purpose TEXT NOT NULL, told TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'running', finished INTEGER UNIQUE, width INTEGER NOT NULL,
    miou REAL, latency_ms REAL, params INTEGER, macs INTEGER, activations INTEGER,
    wall_s REAL, error TEXT NOT NULL DEFAULT '', result TEXT,
    UNIQUE (architecture, schedule, seed)
) STRICT;
CREATE TABLE rungs (
    number INTEGER NOT NULL REFERENCES trials (number), step INTEGER NOT NULL,
    miou REAL NOT NULL, PRIMARY KEY (number, step)
) STRICT;
"""


def connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """Open an existing study.db, `rw` or `ro`; a missing file is never created."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)


def check_schema(connection: sqlite3.Connection, folder: Path) -> None:
    """Raise StudyError unless the database is a study of a version that is known."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise
        raise not_a_study(folder, f"{FILE} is damaged or no study ({error})") from None
    version = row[0] if row else ""
    if version != str(VERSION):
        wrong = f"was written by another version (schema {version or 'unknown'})"
        raise StudyError(Fault("", None, wrong, f"allowed: schema {VERSION}", str(folder)))


def not_a_study(folder: Path, why: str) -> StudyError:
    """Return the error for a folder that is no study."""
    return StudyError(Fault("", None, f"is no study: {why}", "", str(folder)))


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one line that names the study."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        what = " ".join(str(error).split())
        raise StorageLostError(f"{folder}: the study cannot be written: {what}") from error
