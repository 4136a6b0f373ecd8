"""The tables of study.db: what each row holds, and the checksum that it and its table have.

A row has a checksum over all that it says, its key included; `totals` has for each table the
number of its rows and the sum of their checksums: a row that is lost, or comes back, is noticed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

from hrnet_search.errors import StudyDamagedError

VERSION = 2
"""The version of the schema; `meta` holds it under `schema`."""

FILE = "study.db"

Row = tuple[Any, ...]
"""The values of a row in the order of its table's columns, without its checksum."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns with their SQL types, which of them are its key, and its constraints."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    rule: str = ""
    of: str = ""
    """What a row is called in a message, before its key."""

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns as they are stored: the checksum second, before long texts."""
        first, *rest = self.columns
        return (first, "checksum", *rest)

    @property
    def sql(self) -> str:
        """The statement that makes the table, as SQLite keeps it."""
        types = self.columns | {"checksum": "INTEGER NOT NULL"}
        parts = [f"{name} {types[name]}" for name in self.stored] + [self.rule] * bool(self.rule)
        return f"CREATE TABLE {self.name} ({', '.join(parts)}) STRICT"

    def key_of(self, row: Row) -> Row:
        """Return the key of a row."""
        places = list(self.columns)
        return tuple(row[places.index(name)] for name in self.key)

    def typed(self, row: Row) -> Row:
        """Return a row as SQLite gives it back: whole numbers in REAL columns as floats."""
        kinds = zip(row, self.columns.values(), strict=True)
        return tuple(
            float(v) if isinstance(v, int) and kind.startswith("REAL") else v for v, kind in kinds
        )

    def named(self, row: Row) -> str:
        """Return what a message calls a row."""
        return f"{self.of} {' '.join(map(str, self.key_of(row)))}".strip()


TEXT, INTEGER, REAL = "TEXT NOT NULL", "INTEGER NOT NULL", "REAL NOT NULL"
NUMBER = "INTEGER PRIMARY KEY"

TOTALS = Table("totals", ("name",), {"name": "TEXT PRIMARY KEY", "rows": INTEGER, "sum": INTEGER})
META = Table(
    "meta",
    ("name",),
    {"name": "TEXT PRIMARY KEY", "revision": INTEGER, "value": TEXT},
    of="note",
)
DRIVER = Table(
    "driver",
    ("id",),
    {
        "id": "INTEGER PRIMARY KEY CHECK (id = 1)", "token": TEXT, "host": TEXT, "machine": TEXT,
        "boot": TEXT, "namespace": TEXT, "pid": INTEGER, "started": TEXT, "since": TEXT,
        "beat": INTEGER,
    },
    of="driver",
)  # fmt: skip
TRIALS = Table(
    "trials",
    ("number",),
    {
        "number": NUMBER, "architecture": TEXT, "schedule": TEXT, "seed": INTEGER, "point": TEXT,
        "purpose": TEXT, "told": TEXT, "status": TEXT, "finished": "INTEGER UNIQUE",
        "width": INTEGER, "miou": "REAL", "latency_ms": "REAL", "params": "INTEGER",
        "macs": "INTEGER", "activations": "INTEGER", "wall_s": "REAL", "error": TEXT,
        "network": TEXT, "result": "TEXT",
    },
    "UNIQUE (architecture, schedule, seed)",
    of="trial",
)  # fmt: skip
RUNGS = Table(
    "rungs",
    ("number", "step"),
    {"number": "INTEGER NOT NULL REFERENCES trials (number)", "step": INTEGER, "miou": REAL},
    "PRIMARY KEY (number, step)",
    of="trial and step",
)
CONTENT = (META, DRIVER, TRIALS, RUNGS)
TABLES = (TOTALS, *CONTENT)


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""JSON in ASCII: the same bytes in every version of Python, whatever a text holds."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A table as it was read: rows with their checksums first, and what `totals` says of it."""

    rows: list[Row]
    total: Row | None


def checksum(table: Table, row: Sequence[Any]) -> int:
    """Return 64 bits over a row and its table's name, as SQLite's signed integer."""
    text = _ENCODER.encode([table.name, *row])
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, empty, inside a transaction."""
    for table in TABLES:
        connection.execute(table.sql)
    for table in CONTENT:
        _insert(connection, TOTALS, [(table.name, 0, 0)])


def insert(connection: sqlite3.Connection, table: Table, rows: Iterable[Row]) -> None:
    """Add rows that are new, inside a transaction."""
    rows = list(map(table.typed, rows))
    sums = _insert(connection, table, rows)
    _count(connection, table, len(rows), reduce(xor, sums, 0))


def put(connection: sqlite3.Connection, table: Table, row: Row) -> None:
    """Write a row, in place of the one with its key if there is one, in a transaction."""
    row, key = table.typed(row), table.key_of(row)
    old = connection.execute(f"SELECT checksum FROM {table.name} {_where(table)}", key).fetchone()
    if old is None:
        insert(connection, table, [row])
        return
    new = checksum(table, row)
    names = ", ".join(f"{name} = ?" for name in table.columns)
    query = f"UPDATE {table.name} SET {names}, checksum = ? {_where(table)}"
    connection.execute(query, (*row, new, *key))
    _count(connection, table, 0, old[0] ^ new)


def remove(connection: sqlite3.Connection, table: Table, key: Row) -> None:
    """Take a row out, in a transaction."""
    old = connection.execute(f"SELECT checksum FROM {table.name} {_where(table)}", key).fetchone()
    if old is not None:
        connection.execute(f"DELETE FROM {table.name} {_where(table)}", key)
        _count(connection, table, -1, old[0])


def get(connection: sqlite3.Connection, table: Table, key: Row) -> Row | None:
    """Return one row, checked; None if it is not there. Raise StudyDamagedError."""
    found = connection.execute(f"{_select(table)} {_where(table)}", key).fetchone()
    return None if found is None else checked(table, found)


def fetch(connection: sqlite3.Connection, table: Table) -> Fetched:
    """Read a table whole, without computing anything. By its rows, never by an index."""
    rows = connection.execute(f"{_select(table)} NOT INDEXED").fetchall()
    return Fetched(rows, fetch_total(connection, table))


def fetch_sums(connection: sqlite3.Connection, table: Table) -> list[tuple[int, int]]:
    """Read the first column of a table and its checksums, without computing anything."""
    first = next(iter(table.columns))
    return connection.execute(f"SELECT {first}, checksum FROM {table.name} NOT INDEXED").fetchall()


def fetch_rows(
    connection: sqlite3.Connection, table: Table, keys: Sequence[int], of: int
) -> list[Row]:
    """Read the rows of these keys out of `of`, with their checksums first."""
    if len(keys) > of / 2:
        return fetch(connection, table).rows
    query = f"{_select(table)} {_where(table)}"
    return [row for key in keys for row in connection.execute(query, (key,)).fetchall()]


def fetch_total(connection: sqlite3.Connection, table: Table) -> Row | None:
    """Read what `totals` says of a table."""
    names = f"SELECT checksum, {', '.join(TOTALS.columns)} FROM totals NOT INDEXED"
    return {row[1]: row for row in connection.execute(names).fetchall()}.get(table.name)


def verified(table: Table, found: Fetched) -> list[Row]:
    """Return the rows that were read, in the order of their keys; raise StudyDamagedError."""
    check_total(table, [row[0] for row in found.rows], found.total)
    return sorted((checked(table, row) for row in found.rows), key=table.key_of)


def checked(table: Table, found: Row) -> Row:
    """Return a row that was read with its checksum first; raise StudyDamagedError."""
    row = found[1:]
    if checksum(table, row) != found[0]:
        raise damage(f"table {table.name}, {table.named(row)}: it is not what was written")
    return row


def check_total(table: Table, sums: Sequence[int], total: Row | None) -> None:
    """Raise StudyDamagedError unless a table has the rows that it should have."""
    if total is None:
        raise damage(f"table totals: it has no entry for {table.name}")
    _, rows, whole = checked(TOTALS, total)
    if len(sums) != rows:
        raise damage(f"table {table.name}: it has {len(sums)} rows, {rows} were written")
    if reduce(xor, sums, 0) != whole:
        raise damage(f"table {table.name}: a row is not as it was last written")


def damage(what: str) -> StudyDamagedError:
    """Return the error for what was found; `database.reading` adds the study and what to do."""
    return StudyDamagedError(what)


def _select(table: Table) -> str:
    return f"SELECT checksum, {', '.join(table.columns)} FROM {table.name}"


def _where(table: Table) -> str:
    return "WHERE " + " AND ".join(f"{name} = ?" for name in table.key)


def _insert(connection: sqlite3.Connection, table: Table, rows: Sequence[Row]) -> list[int]:
    sums = [checksum(table, row) for row in rows]
    marks = ", ".join("?" * (len(table.columns) + 1))
    query = f"INSERT INTO {table.name} (checksum, {', '.join(table.columns)}) VALUES ({marks})"
    connection.executemany(query, [(s, *row) for s, row in zip(sums, rows, strict=True)])
    return sums


def _count(connection: sqlite3.Connection, table: Table, more: int, change: int) -> None:
    """Update the total of a table; one that is damaged is refused, not updated."""
    found = get(connection, TOTALS, (table.name,))
    if found is None:
        raise damage(f"table totals: it has no entry for {table.name}")
    row = (table.name, found[1] + more, found[2] ^ change)
    names = "rows = ?, sum = ?, checksum = ?"
    values = (*row[1:], checksum(TOTALS, row), table.name)
    connection.execute(f"UPDATE totals SET {names} WHERE name = ?", values)
