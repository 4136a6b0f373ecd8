"""study.jsonl: a second copy of what study.db holds, a line a row, which only `repair` reads.

Lines are added when what they say has been committed; of two lines with one key the later one
counts. A line that was cut off, or is damaged, is ignored: each has its row's checksum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hrnet_search.errors import StudyDamagedError
from hrnet_search.files import append_only, free_name, write_whole
from hrnet_search.records.trial import FAILED
from hrnet_search.store.tables import FILE as STUDY_FILE
from hrnet_search.store.tables import META, RUNGS, TRIALS, Row, Table, checksum
from hrnet_search.store.trial_rows import FINISHED, STATUS

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


def holds_trials(folder: Path) -> bool:
    """Return whether the copy holds a trial."""
    return any(table is TRIALS for table, _ in read(folder))


def without_database(folder: Path) -> StudyDamagedError:
    """Return the error for a study whose trials the copy alone still holds."""
    what = f"{folder}: it has no {STUDY_FILE}, and {FILE} holds its trials"
    return StudyDamagedError(
        f"{what}: hrnet-search repair brings them back; another study needs another folder"
    )


def damaged_lines(folder: Path) -> int:
    """Return how many lines of the copy are not what was written; one that was cut off is none."""
    try:
        whole = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return 0
    lines = whole.splitlines(keepends=True)
    return sum(line.endswith(b"\n") and _row(line) is None for line in lines)


def bring_up_to_date(folder: Path, rows: Rows) -> Path | None:
    """Make the copy hold these rows: it may be missing, or end before the last commit.

    One that holds trials or results beyond them is set aside first, and where it lies is returned:
    the database is an older one, from a backup perhaps.
    """
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
    aside = _set_aside(folder) if is_ahead(folder, rows) else None
    if aside or count + len(missing) > SPARE * len(rows) or len(known) > len(rows):
        write_whole(folder / FILE, _lines(rows))
    else:
        append(folder, missing)
    return aside


def is_ahead(folder: Path, rows: list[tuple[Table, Row]]) -> bool:
    """Return whether the copy last says of a trial that it has ended, and these rows do not.

    Nor does a failure that was taken back count, whose trial runs again: rows may be newer there.
    """
    last = {row[0]: row for table, row in read(folder) if table is TRIALS}
    now = {row[0]: row for table, row in rows if table is TRIALS}
    return any(
        number not in now or (now[number][FINISHED] is None and row[STATUS] != FAILED)
        for number, row in last.items()
        if row[FINISHED] is not None
    )


def _set_aside(folder: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside = free_name(folder / f"{FILE}.ahead-{stamp}")
    (folder / FILE).rename(aside)
    return aside


def read(folder: Path) -> Iterator[tuple[Table, Row]]:
    """Yield the rows of the copy that are what was written, in their order."""
    try:
        file = (folder / FILE).open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if (found := _row(line)) is not None:
                yield found


def _row(line: bytes) -> tuple[Table, Row] | None:
    """Return the row of a line; None for one that is not what was written."""
    with suppress(ValueError, TypeError, KeyError):
        name, kept, *row = json.loads(line)
        table = COPIED[name]
        if len(row) == len(table.columns) and checksum(table, row) == kept:
            return table, tuple(row)
    return None


def _lines(rows: Rows) -> bytes:
    return b"".join(_line(table, table.typed(row)) for table, row in rows)


def _line(table: Table, row: Row) -> bytes:
    text = json.dumps([table.name, checksum(table, row), *row], separators=(",", ":"))
    return f"{text}\n".encode("ascii")


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
