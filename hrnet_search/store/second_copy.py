"""study.jsonl: a second copy of what study.db holds, a line a row, which only `repair` reads.

Lines are added when what they say has been committed; of two lines with one key the later one
counts. A line that was cut off, or is damaged, is ignored: each has its row's checksum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hrnet_search.files import append_only, write_whole
from hrnet_search.store.tables import META, RUNGS, TRIALS, Row, Table, checksum

FILE = "study.jsonl"
COPIED = {table.name: table for table in (META, TRIALS, RUNGS)}

SPARE = 2
"""The copy is written anew once it has more than this many lines for each row."""

Rows = Iterable[tuple[Table, Row]]


def append(folder: Path, rows: Rows) -> None:
    """Add what was committed. Raise OSError."""
    text = _lines(rows)
    if not text:
        return
    with os.fdopen(append_only(folder / FILE), "ab") as file:
        if file.tell() and not _ends_with_newline(folder / FILE):
            text = b"\n" + text  # what was cut off stays a line of its own
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def bring_up_to_date(folder: Path, rows: Rows) -> None:
    """Make the copy hold these rows: it may be missing, or end before the last commit."""
    rows = list(rows)
    known: dict[tuple[str, Row], int] = {}
    count = 0
    for table, row in read(folder):
        known[table.name, table.key_of(row)] = checksum(table, row)
        count += 1
    missing = [
        (table, row)
        for table, row in rows
        if known.get((table.name, table.key_of(row))) != checksum(table, row)
    ]
    if count + len(missing) > SPARE * len(rows) or len(known) > len(rows):
        write_whole(folder / FILE, _lines(rows))
    else:
        append(folder, missing)


def read(folder: Path) -> Iterator[tuple[Table, Row]]:
    """Yield the rows of the copy that are what was written, in their order."""
    try:
        file = (folder / FILE).open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                name, kept, *row = json.loads(line)
                table = COPIED[name]
                if len(row) == len(table.columns) and checksum(table, row) == kept:
                    yield table, tuple(row)
            except (ValueError, TypeError, KeyError):
                continue


def _lines(rows: Rows) -> bytes:
    return b"".join(_line(table, table.typed(row)) for table, row in rows)


def _line(table: Table, row: Row) -> bytes:
    text = json.dumps([table.name, checksum(table, row), *row], separators=(",", ":"))
    return f"{text}\n".encode("ascii")


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
