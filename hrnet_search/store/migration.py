"""From an older schema of study.db to the present one; the old file is kept beside it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from hrnet_search.files import free_name
from hrnet_search.store.database import check_structure, connect, prepared
from hrnet_search.store.host import Host
from hrnet_search.store.lock import Held, Owner
from hrnet_search.store.notes import redacted_note
from hrnet_search.store.tables import (
    FILE,
    META,
    RUNGS,
    TRIALS,
    VERSION,
    Row,
    create,
    damage,
    insert,
)
from hrnet_search.store.trial_rows import PLACES, RESULT, check_columns

META_1 = ("name", "value")
TRIALS_1 = (
    "number", "architecture", "schedule", "seed", "point", "network", "purpose", "told", "status",
    "finished", "width", "miou", "latency_ms", "params", "macs", "activations", "wall_s", "error",
    "result",
)  # fmt: skip
"""Columns of schema 1, which had no checksums, in their order."""


def holder(connection: sqlite3.Connection) -> Held | None:
    """Return who holds a study of schema 1; the end of its lease moves with every write."""
    names = "token, host, pid, started, since, expires"
    row = connection.execute(f"SELECT {names} FROM driver").fetchone()
    if row is None:
        return None
    token, host, *process, expires = row
    return Held(Owner(token, Host(host, "", "", ""), *process), int(expires * 1000))


def migrate_in_place(connection: sqlite3.Connection, folder: Path) -> Path:
    """Bring a study up to date, in a write transaction; return where the old file is kept."""
    aside = free_name(folder / f"{FILE}.schema-1")
    try:
        # Another connection reads: SQLite copies nothing out of a transaction that may write.
        with closing(connect(folder / FILE, "ro")) as source, closing(_new(aside)) as copy:
            source.backup(copy)
            _forget_secrets(copy)
        migrate(connection)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def up_to_date_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy in memory of a study of an older schema, brought up to date."""
    copy = _new(":memory:")
    try:
        connection.backup(copy)
        copy.execute("BEGIN")
        migrate(copy)
        copy.execute("COMMIT")
    except BaseException:
        copy.close()
        raise
    return copy


def migrate(connection: sqlite3.Connection) -> None:
    """Write the tables anew, in a transaction; raise StudyDamagedError for what does not agree."""
    check_structure(connection)
    meta = connection.execute(f"SELECT {', '.join(META_1)} FROM meta NOT INDEXED").fetchall()
    query = f"SELECT {', '.join(TRIALS_1)} FROM trials NOT INDEXED"
    trials = [trial_of(row) for row in connection.execute(query).fetchall()]
    rungs = connection.execute("SELECT number, step, miou FROM rungs NOT INDEXED").fetchall()
    for table in ("rungs", "trials", "driver", "meta"):
        connection.execute(f"DROP TABLE {table}")
    create(connection)
    insert(connection, META, [note_of(row) for row in meta])
    insert(connection, TRIALS, trials)
    insert(connection, RUNGS, rungs)


def _new(path: Path | str) -> sqlite3.Connection:
    return prepared(sqlite3.connect(path, isolation_level=None))


def _forget_secrets(copy: sqlite3.Connection) -> None:
    """Take passwords out of the file that is kept, which is else as it was, byte by byte."""
    notes = copy.execute(f"SELECT {', '.join(META_1)} FROM meta").fetchall()
    changed = [(redacted_note(*note), note[0]) for note in notes if redacted_note(*note) != note[1]]
    if changed:
        copy.executemany("UPDATE meta SET value = ? WHERE name = ?", changed)
        copy.execute("VACUUM")


def note_of(row: Row) -> Row:
    """Return a note of schema 1 as a row of the present one; `schema` is that of the row."""
    name, value = row
    return (name, 0, str(VERSION) if name == "schema" else redacted_note(name, value))


def trial_of(row: Row) -> Row:
    """Return a trial of schema 1 as a row of the present one; raise StudyDamagedError."""
    values = dict(zip(TRIALS_1, row, strict=True))
    trial = tuple(values[name] for name in TRIALS.columns)
    check_columns(trial)
    _check_key(trial)
    return trial


def _check_key(trial: Row) -> None:
    if trial[RESULT] is None:
        return
    key = json.loads(trial[RESULT])["key"]
    for name in ("architecture", "schedule", "seed"):
        if trial[PLACES[name]] != key[name]:
            what = f"column {name} is not what its record says"
            raise damage(f"table trials, {TRIALS.named(trial)}: {what}")
