"""Waiting for others who read or write study.db: as long as it takes, and saying for whom."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from hrnet_search import heartbeat
from hrnet_search.errors import warn_on_stderr
from hrnet_search.store.tables import FILE

SAID_AFTER_S = 5.0
"""A wait that is over sooner is not worth a line."""

SAID_AGAIN_S = 300.0

PENDING_BYTE = 0x40000000
"""Where SQLite's locks begin in a file (its file format)."""

Warn = Callable[[str], None]


def patiently(
    connection: sqlite3.Connection, statement: str, folder: Path, warn: Warn = warn_on_stderr
) -> None:
    """Execute a statement, again and again while others hold study.db.

    However long somebody reads, a search goes on after it: nothing ends here but by a signal.
    """
    start, said = time.monotonic(), 0.0
    while True:
        try:
            with heartbeat.waiting():
                connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            if said:
                warn(f"{folder}: goes on after {time.monotonic() - start:.0f} s")
            return
        waited = time.monotonic() - start
        if waited >= (said + SAID_AGAIN_S if said else SAID_AFTER_S):
            said = waited
            warn(f"{folder}: waiting for {holders(folder / FILE)} ({waited:.0f} s)")


def holders(path: Path) -> str:
    """Return in words which other processes hold a database, where the system tells."""
    found = sorted({pid for pid in _locking(path) if pid != os.getpid()})
    who = ", ".join(f"process {pid}{_name(pid)}" for pid in found)
    return f"{who}, which has {FILE} open" if who else f"another program that has {FILE} open"


def _locking(path: Path) -> list[int]:
    """Return the processes with a lock of SQLite's on a file, from Linux's table of locks."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    # "1: POSIX ADVISORY READ 1234 fd:00:5678 1073741826 1073742335"
    rows = [line.split() for line in lines if "->" not in line]
    return [
        int(row[4])
        for row in rows
        if len(row) == 8
        and row[5].rpartition(":")[2] == inode
        and row[6].isdecimal()
        and int(row[6]) >= PENDING_BYTE
    ]


def _name(pid: int) -> str:
    try:
        return f" ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return ""
