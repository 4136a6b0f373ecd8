"""Who drives a study: a row with an owner, held by a token, checked inside every write."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hrnet_search.errors import HrnetSearchError, StudyInUseError
from hrnet_search.store.database import connect
from hrnet_search.store.host import Host, process_start, this_host
from hrnet_search.store.tables import DRIVER, FILE, Row, get, put, remove

LEASE_S = 120.0
"""A driver that cannot be looked at is gone if it did not beat while it was watched this long."""

RENEW_S = 10.0
"""How often a driver that has nothing to write beats, at least."""

WATCH_S = 1.0
"""Between two looks at a driver's beats."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver: where it runs, process, when that process started, and since when it drives."""

    token: str
    host: Host
    pid: int
    started: str
    since: str

    def is_alive(self) -> bool | None:
        """Whether the driver runs; None if that cannot be known from here."""
        if self.host.numbers_as(this_host()):
            started = process_start(self.pid)
            return None if started is None else started == self.started
        return False if self.host.was_restarted_as(this_host()) else None

    def row(self, beat: int) -> Row:
        """Return the row that says that this driver has written `beat` times."""
        host = (self.host.name, self.host.machine, self.host.boot, self.host.namespace)
        return (1, self.token, *host, self.pid, self.started, self.since, beat)


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a study, and how often it has written: a count, for clocks differ and jump."""

    owner: Owner
    beat: int


def this_process() -> Owner:
    """Return this process as an owner, with a token of its own."""
    pid = os.getpid()
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return Owner(secrets.token_hex(8), this_host(), pid, process_start(pid) or "", since)


def holder(connection: sqlite3.Connection) -> Held | None:
    """Return who holds the study."""
    row = get(connection, DRIVER, (1,))
    return None if row is None else held_of(row)


def held_of(row: Row) -> Held:
    """Return who a row of the drivers' table is of."""
    _, token, name, machine, boot, namespace, pid, started, since, beat = row
    return Held(Owner(token, Host(name, machine, boot, namespace), pid, started, since), beat)


def in_use(folder: Path, owner: Owner, more: str = "") -> StudyInUseError:
    """Return the error that names who drives a study."""
    who = f"in use by process {owner.pid} on {owner.host.name} since {owner.since}"
    return StudyInUseError(f"{folder}: {who}{more}")


def take(connection: sqlite3.Connection, owner: Owner) -> None:
    """Become the driver, inside a write transaction, whoever was before."""
    before = holder(connection)
    put(connection, DRIVER, owner.row(before.beat + 1 if before else 1))


def confirm(connection: sqlite3.Connection, owner: Owner, folder: Path) -> None:
    """Beat, inside a write transaction; raise StudyInUseError if the study was taken over."""
    held = holder(connection)
    if held is None or held.owner.token != owner.token:
        who = f"by process {held.owner.pid} on {held.owner.host.name}" if held else "and let go"
        raise StudyInUseError(f"{folder}: taken over {who}; this driver may not write any more")
    put(connection, DRIVER, owner.row(held.beat + 1))


def release(connection: sqlite3.Connection, owner: Owner) -> None:
    """Let go, inside a write transaction, if this owner still holds."""
    held = holder(connection)
    if held is not None and held.owner.token == owner.token:
        remove(connection, DRIVER, (1,))


class Beats:
    """A thread that beats while its driver has nothing to write, be a step ever so long."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self._folder, self._owner = folder, owner
        self._last = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._main, name="beats", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def wrote(self) -> None:
        """Take note that the driver itself has just written."""
        self._last = time.monotonic()

    @property
    def since_s(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._last

    def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _main(self) -> None:
        while not self._ended.wait(RENEW_S / 2):
            if self.since_s >= RENEW_S:
                # Whatever is wrong, the driver meets it at its own next write.
                with suppress(sqlite3.Error, OSError, HrnetSearchError):
                    self._beat()

    def _beat(self) -> None:
        with closing(connect(self._folder / FILE)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            confirm(connection, self._owner, self._folder)
            connection.execute("COMMIT")
        self.wrote()
