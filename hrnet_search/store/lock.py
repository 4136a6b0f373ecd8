"""Who drives a study: a row with an owner, held by a token, checked inside every write."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hrnet_search.errors import StudyInUseError

LEASE_S = 120.0
"""How long a driver on another host counts as alive after its last write."""

RENEW_S = 10.0
"""How often a driver that has nothing to write renews its lease."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver: host, process, when that process started, and since when it drives."""

    token: str
    host: str
    pid: int
    started: str
    since: str

    def alive(self, expires: float) -> bool:
        """Whether the driver may still write.

        On this host the process tells, whatever the lease says, so that clocks that jump do no
        harm; elsewhere the lease is all there is.
        """
        if self.host == socket.gethostname():
            return process_start(self.pid) == self.started
        return time.time() < expires


def this_process() -> Owner:
    """Return this process as an owner, with a token of its own."""
    pid = os.getpid()
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return Owner(secrets.token_hex(8), socket.gethostname(), pid, process_start(pid), since)


def process_start(pid: int) -> str:
    """Return when a process started, in what units the system has; empty if it is not there."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold spaces; what follows is state, then 19 fields.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "running"
    return "running"


def acquire(connection: sqlite3.Connection, owner: Owner, folder: Path) -> None:
    """Become the driver, inside a write transaction; raise StudyInUseError naming who is."""
    row = connection.execute(
        "SELECT token, host, pid, started, since, expires FROM driver"
    ).fetchone()
    if row:
        holder, expires = Owner(*row[:5]), row[5]
        if holder.token != owner.token and holder.alive(expires):
            raise StudyInUseError(
                f"{folder}: in use by process {holder.pid} on {holder.host} since {holder.since}"
            )
    values = (owner.token, owner.host, owner.pid, owner.started, owner.since, _expiry())
    connection.execute("INSERT OR REPLACE INTO driver VALUES (1, ?, ?, ?, ?, ?, ?)", values)


def confirm(connection: sqlite3.Connection, owner: Owner, folder: Path) -> None:
    """Renew the lease, inside a write transaction; raise StudyInUseError if it was taken over."""
    row = connection.execute("SELECT token, pid, host FROM driver").fetchone()
    if not row or row[0] != owner.token:
        who = f"by process {row[1]} on {row[2]}" if row else "and let go"
        raise StudyInUseError(f"{folder}: taken over {who}; this driver may not write any more")
    connection.execute("UPDATE driver SET expires = ?", (_expiry(),))


def release(connection: sqlite3.Connection, owner: Owner) -> None:
    """Let go, inside a write transaction, if this owner still holds."""
    connection.execute("DELETE FROM driver WHERE token = ?", (owner.token,))


def _expiry() -> float:
    return time.time() + LEASE_S
