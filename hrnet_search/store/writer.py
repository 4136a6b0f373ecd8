"""StudyStore: the one writer of a study, which holds its lock."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import Fault, StudyError
from hrnet_search.paths import absolute
from hrnet_search.records import Point, RungResult, TrialKey, TrialResult
from hrnet_search.store import lock
from hrnet_search.store.database import (
    FILE,
    SCHEMA,
    VERSION,
    check_schema,
    connect,
    not_a_study,
    storage,
)
from hrnet_search.store.rows import architecture_from_json, result_from_json, to_json, trusted

FOLDERS = ("checkpoints", "logs", "weights", "evaluation")


@dataclass(frozen=True, slots=True)
class Ask:
    """A trial that was asked for: committed before it starts.

    `told` are the numbers of the trials whose results the sampler had been told since the ask
    before; `purpose` is search, confirm or ablate, or base: its network stands at no point.
    """

    number: int
    key: TrialKey
    point: Point
    architecture: Architecture
    purpose: str = "search"
    told: tuple[int, ...] = ()


class StudyStore:
    """Writes one study; a context manager that lets go of the lock at its end.

    Every method raises StudyInUseError once another driver has taken over, and
    StorageLostError when the disk is full, the file gone or not writable.
    """

    def __init__(self, folder: str | Path) -> None:
        """Open a study and become its driver; raise StudyError, StudyInUseError."""
        self.folder = absolute(folder)
        path = self.folder / FILE
        if not path.is_file():
            raise not_a_study(self.folder, f"it has no {FILE}")
        self._owner = lock.this_process()
        self._renewed = -math.inf
        with storage(self.folder):
            self._connection = connect(path)
        try:
            with storage(self.folder):
                check_schema(self._connection, self.folder)
                self._connection.execute("PRAGMA synchronous = FULL")
                with self._begin():
                    lock.acquire(self._connection, self._owner, self.folder)
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def create(folder: str | Path, meta: Mapping[str, str]) -> None:
        """Make a study; raise StudyError if there is one. It is there whole or not at all."""
        folder = absolute(folder)
        if (folder / FILE).exists():
            raise StudyError(Fault("", None, "is a study already", "", str(folder)))
        with storage(folder):
            for name in ("", *FOLDERS):
                (folder / name).mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=f".{FILE}.")
            os.close(handle)
            with_schema = {**meta, "schema": str(VERSION)}
            connection = sqlite3.connect(name)
            try:
                connection.executescript(SCHEMA)
                connection.executemany("INSERT INTO meta VALUES (?, ?)", with_schema.items())
                connection.commit()
            finally:
                connection.close()
            Path(name).chmod(0o644)
            Path(name).replace(folder / FILE)

    def __enter__(self) -> StudyStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock and close; a store that cannot be written is closed all the same."""
        try:
            with self._begin():
                lock.release(self._connection, self._owner)
        except sqlite3.Error:
            pass  # the next driver sees that this process is gone
        finally:
            self._connection.close()

    def meta(self) -> dict[str, str]:
        """Return what is noted of the study, by name."""
        return dict(self._connection.execute("SELECT name, value FROM meta"))

    def set_meta(self, name: str, value: str) -> None:
        """Note something of the study."""
        with self._write() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def ask(self, ask: Ask) -> None:
        """Commit an ask; its trial may start once this returns."""
        key = ask.key
        columns = "number, architecture, schedule, seed, point, network, purpose, told, width"
        values = (
            ask.number,
            key.architecture,
            key.schedule,
            key.seed,
            json.dumps(ask.point),
            to_json(ask.architecture),
            ask.purpose,
            json.dumps(ask.told),
            ask.architecture.width,
        )
        with self._write() as connection:
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO trials ({columns}) VALUES ({marks})", values)

    def rung(self, number: int, rung: RungResult) -> None:
        """Commit what a running trial showed at a rung; again after a resume is the same."""
        with self._write() as connection:
            values = (number, rung.step, rung.miou)
            connection.execute("INSERT OR REPLACE INTO rungs VALUES (?, ?, ?)", values)

    def finish(self, number: int, result: TrialResult) -> bool:
        """Commit a trial's result; False, and nothing changed, if it has one already."""
        result = trusted(result)
        cost = result.cost
        values = (
            result.status,
            result.miou,
            result.latency_ms,
            *((cost.params, cost.macs, cost.activations) if cost else (None,) * 3),
            result.wall_s,
            result.error,
            to_json(result),
            number,
        )
        with self._write() as connection:
            changed = connection.execute(
                "UPDATE trials SET status = ?, miou = ?, latency_ms = ?, params = ?, macs = ?,"
                " activations = ?, wall_s = ?, error = ?, result = ?,"
                " finished = (SELECT COUNT(finished) FROM trials)"
                " WHERE number = ? AND finished IS NULL",
                values,
            )
            return changed.rowcount == 1

    def heartbeat(self) -> None:
        """Renew the lease while a trial runs, if it is time to: a write a step would be dear."""
        if time.monotonic() - self._renewed >= lock.RENEW_S:
            with self._write():
                pass

    def asks(self) -> list[Ask]:
        """Return all asks in their order."""
        return read_asks(self._connection)

    def running(self) -> list[Ask]:
        """Return the asks whose trials have no result."""
        done = {number for number, _ in self.finished()}
        return [ask for ask in self.asks() if ask.number not in done]

    def finished(self) -> list[tuple[int, TrialResult]]:
        """Return results with their trials' numbers, in the order of their commits."""
        rows = self._connection.execute(
            "SELECT number, result FROM trials WHERE finished IS NOT NULL ORDER BY finished"
        )
        return [(number, result_from_json(text)) for number, text in rows]

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """Run a write transaction in which this driver is known to hold the study."""
        with storage(self.folder):
            if not (self.folder / FILE).exists():
                # SQLite would go on writing into a file that nobody can see any more.
                raise FileNotFoundError(f"{FILE} is gone")
            with self._begin():
                lock.confirm(self._connection, self._owner, self.folder)
                yield self._connection
            self._renewed = time.monotonic()

    @contextmanager
    def _begin(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def read_asks(
    connection: sqlite3.Connection,
    which: str = "ORDER BY number",
    values: tuple[int, ...] = (),
    known: Mapping[int, Ask] = MappingProxyType({}),
) -> list[Ask]:
    """Return asks of a study, all in their order if nothing else is asked for.

    Those `known` by number are not read again.
    """
    rows = connection.execute(
        "SELECT number, architecture, schedule, seed, point, network, purpose, told"
        f" FROM trials {which}",
        values,
    )
    return [
        known.get(number)
        or Ask(
            number,
            TrialKey(architecture, schedule, seed),
            tuple(json.loads(point)),
            architecture_from_json(network),
            purpose,
            tuple(json.loads(told)),
        )
        for number, architecture, schedule, seed, point, network, purpose, told in rows
    ]
