"""StudyStore: the one writer of a study, which holds its lock."""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from hrnet_search.errors import (
    Fault,
    HrnetSearchError,
    StudyExistsError,
    warn_on_stderr,
)
from hrnet_search.files import checkpoint_folder, place_new, refuse_links
from hrnet_search.paths import absolute
from hrnet_search.records.trial import FAILED, INFEASIBLE, PAUSED, RungResult, TrialResult
from hrnet_search.store import lock, migration, second_copy
from hrnet_search.store.database import (
    check_whole,
    connect,
    not_a_study,
    prepared,
    schema_version,
    storage,
)
from hrnet_search.store.notes import Notes, redacted_note
from hrnet_search.store.rows import trusted
from hrnet_search.store.tables import (
    FILE,
    META,
    RUNGS,
    TRIALS,
    VERSION,
    Row,
    Table,
    create,
    fetch,
    get,
    insert,
    put,
    verified,
)
from hrnet_search.store.trial_rows import (
    BASE,
    FINISHED,
    STATUS,
    Ask,
    ask_of,
    asked,
    check_columns,
    ended,
    in_order_of_commits,
    key_of,
    paused,
    result_of,
    thawed,
)
from hrnet_search.store.waiting import Warn, patiently

CLOSING_TRIES = 30
"""How often the lock is let go of at the end, each a second where somebody reads all the time."""

FOLDERS = ("checkpoints", "logs", "weights", "evaluation")


class StudyStore:
    """Writes one study; a context manager that lets go of the lock at its end.

    Every method raises StudyInUseError once another driver has taken over, StorageLostError
    when the disk is full, the file gone or not writable, and StudyDamagedError for what is not
    what was written.
    """

    def __init__(
        self, folder: str | Path, take_over: bool = False, warn: Warn = warn_on_stderr
    ) -> None:
        """Open a study and become its driver; raise StudyError, StudyInUseError.

        `take_over` takes a driver that cannot be looked at for one that is gone.
        """
        self._open(absolute(folder), lock.this_process(), warn)
        try:
            self._acquire(take_over)
        except BaseException:
            self._connection.close()
            raise
        self._begin_to_drive()

    @classmethod
    def begin(cls, folder: str | Path, notes: Notes, warn: Warn = warn_on_stderr) -> StudyStore:
        """Make a study with its first notes and become its driver: of several that try, one does.

        Raise StudyExistsError if there is one. It is there whole or not at all.
        """
        folder, owner = absolute(folder), lock.this_process()
        if (folder / FILE).exists():
            raise _exists(folder)
        refuse_links(folder)
        if second_copy.holds_trials(folder):
            raise second_copy.without_database(folder)
        with storage(folder):
            for name in ("", *FOLDERS):
                (folder / name).mkdir(parents=True, exist_ok=True)
            _place(folder, {**notes.texts(), "schema": str(VERSION)}, owner)
        store = cls.__new__(cls)
        store._open(folder, owner, warn)
        store._begin_to_drive()
        return store

    @classmethod
    def create(cls, folder: str | Path, notes: Notes) -> None:
        """Make a study that nobody drives; raise StudyExistsError if there is one."""
        cls.begin(folder, notes).close()

    def _open(self, folder: Path, owner: lock.Owner, warn: Warn) -> None:
        self.folder, self._owner, self._warn = folder, owner, warn
        path = folder / FILE
        if not path.is_file():
            raise not_a_study(folder, f"it has no {FILE}")
        refuse_links(folder)
        self._beats = lock.Beats(folder, owner)
        with storage(folder):
            self._connection = connect(path)

    def _begin_to_drive(self) -> None:
        """Make ready for the first write, and let go of the lock if that fails."""
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise
        self._beats.start()

    def _bring_up_to_date(self) -> None:
        """Make secrets, the second copy and checkpoints what they should be after any end."""
        with storage(self.folder):
            self._connection.execute("PRAGMA synchronous = FULL")
            self._forget_secrets()
            copied = second_copy.COPIED.values()
            rows = [(table, row) for table in copied for row in self._rows(table)]
            if aside := second_copy.bring_up_to_date(self.folder, rows):
                older = f"{FILE} is older than {second_copy.FILE}, which has more results"
                self._warn(f"{self.folder}: {older}: that is kept as {aside.name}")
        for table, row in rows:  # a driver may have been killed between a commit and this
            if table is TRIALS and row[FINISHED] is not None:
                self._remove_checkpoint(row)

    def _forget_secrets(self) -> None:
        """Take the passwords out of a study that was begun when notes still held them.

        Nothing of them stays in pages that are free, nor in the second copy, which is made anew.
        """
        rows = self._rows(META)
        kept = [(name, revision + 1, redacted_note(name, value)) for name, revision, value in rows]
        changed = [new for old, new in zip(rows, kept, strict=True) if old[2] != new[2]]
        if not changed:
            return
        # The notes last: whoever is killed before they are committed does all of it again.
        (self.folder / second_copy.FILE).unlink(missing_ok=True)
        with self._begin():
            lock.confirm(self._connection, self._owner, self.folder)
            for row in changed:
                put(self._connection, META, row)
        patiently(self._connection, "VACUUM", self.folder, self._warn)

    def _acquire(self, take_over: bool) -> None:
        """Become the driver once nobody else is.

        Whoever cannot be looked at is watched: if it does not write for a lease, by the clock
        of this process alone, it is gone.
        """
        watched, since = None, time.monotonic()
        while True:
            gone = watched is not None and time.monotonic() - since >= lock.LEASE_S
            with storage(self.folder), self._begin():
                held = self._holder()
                if held is not None and watched not in (None, held):
                    raise lock.in_use(self.folder, held.owner)
                if held is None or self._may_follow(held.owner, take_over or gone):
                    return self._take()
            if watched is None:
                watched = held
                self._warn(_watching(self.folder, held.owner))
            time.sleep(lock.WATCH_S)

    def _holder(self) -> lock.Held | None:
        if schema_version(self._connection, self.folder) < VERSION:
            return migration.holder(self._connection)
        return lock.holder(self._connection)

    def _may_follow(self, owner: lock.Owner, gone: bool) -> bool:
        """Whether an owner is no more; raise StudyInUseError if it is known to run."""
        alive = owner.is_alive()
        if alive:
            raise lock.in_use(self.folder, owner)
        return alive is False or gone

    def _take(self) -> None:
        """Become the driver of a study that is whole and up to date, in a write transaction."""
        if schema_version(self._connection, self.folder) < VERSION:
            aside = migration.migrate_in_place(self._connection, self.folder)
            kept = f"the file as it was is kept as {aside.name}"
            self._warn(f"{self.folder}: {FILE} is brought to schema {VERSION}; {kept}")
        check_whole(self._connection, thorough=True)
        lock.take(self._connection, self._owner)

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
        self._beats.stop()
        try:
            # Whoever reads is waited for a while: while this process lives it would be the driver.
            for _ in range(CLOSING_TRIES):
                with suppress(sqlite3.Error, HrnetSearchError):
                    self._connection.execute("BEGIN IMMEDIATE")
                    lock.release(self._connection, self._owner)
                    self._connection.execute("COMMIT")
                    break
                if self._connection.in_transaction:
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
        finally:
            self._connection.close()

    def notes(self) -> Notes:
        """Return what is noted of the study."""
        return Notes.read({name: text for name, _, text in self._rows(META)})

    def note(self, notes: Notes) -> None:
        """Note the fields that are set, without the passwords in them; others stay as they are."""
        with self._write() as (connection, changed):
            for name, text in notes.texts().items():
                before = get(connection, META, (name,))
                if before is None or before[2] != text:
                    row = (name, before[1] + 1 if before else 0, text)
                    put(connection, META, row)
                    changed.append((META, row))

    def ask(self, ask: Ask) -> None:
        """Commit an ask; its trial may start once this returns."""
        row = asked(ask)
        with self._write() as (connection, changed):
            insert(connection, TRIALS, [row])
            changed.append((TRIALS, row))

    def rung(self, number: int, rung: RungResult) -> None:
        """Commit what a running trial showed at a rung; again after a resume is the same."""
        row = (number, rung.step, rung.miou)
        with self._write() as (connection, changed):
            put(connection, RUNGS, row)
            changed.append((RUNGS, row))

    def finish(self, number: int, result: TrialResult) -> bool:
        """Commit a trial's result; False, and nothing changed, if it has one already.

        Its checkpoint goes when the result is safe: killed before that, the trial goes on from it.
        """
        with self._write() as (connection, changed):
            before = get(connection, TRIALS, (number,))
            if before is None or before[FINISHED] is not None:
                return False
            query = "SELECT COALESCE(MAX(finished) + 1, 0) FROM trials"
            row = ended(before, trusted(result), connection.execute(query).fetchone()[0])
            put(connection, TRIALS, row)
            changed.append((TRIALS, row))
        self._remove_checkpoint(row)
        return True

    def pause(self, number: int, result: TrialResult) -> None:
        """Commit what a paused trial has shown; it keeps its checkpoint, from which it goes on."""
        self._change(number, lambda row: paused(row, trusted(result)))

    def thaw(self, number: int, purpose: str) -> None:
        """Commit that a paused trial goes on, for a purpose of its own."""
        self._change(number, lambda row: thawed(row, purpose))

    def _change(self, number: int, changed_to: Callable[[Row], Row]) -> None:
        """Commit another row of a trial that was asked for."""
        with self._write() as (connection, changed):
            before = get(connection, TRIALS, (number,))
            assert before, "it was asked for"
            row = changed_to(before)
            put(connection, TRIALS, row)
            changed.append((TRIALS, row))

    def paused(self) -> dict[int, TrialResult]:
        """Return what trials had shown that were paused and have not ended, by number."""
        with storage(self.folder):
            query = "SELECT 1 FROM trials WHERE status = ? LIMIT 1"
            if self._connection.execute(query, (PAUSED,)).fetchone() is None:
                return {}  # without reading thousands of records once more
        rows = [row for row in self._rows(TRIALS) if row[STATUS] == PAUSED]
        with storage(self.folder):
            return {row[0]: result_of(row) for row in rows}

    def retry_failed(self) -> int:
        """Take back the results of failed trials, which are then asked for again; their number.

        So is what all others start from, where it did not fit memory: there may be room now.
        """
        ended = [row for row in self._rows(TRIALS) if row[STATUS] in (FAILED, INFEASIBLE)]
        rows = [
            asked(ask)
            for row, ask in zip(ended, self._asks(ended), strict=True)
            if row[STATUS] == FAILED or ask.purpose == BASE
        ]
        with self._write() as (connection, changed):
            for row in rows:
                put(connection, TRIALS, row)
                changed.append((TRIALS, row))
        return len(rows)

    def heartbeat(self) -> None:
        """Show that the driver lives, if it is time to: a write a step would be expensive."""
        if self._beats.since_s >= lock.RENEW_S:
            with self._write():
                pass

    def asks(self) -> list[Ask]:
        """Return all asks in their order."""
        return self._asks(self._rows(TRIALS))

    def running(self) -> list[Ask]:
        """Return the asks whose trials have no result."""
        return self._asks([row for row in self._rows(TRIALS) if row[FINISHED] is None])

    def finished(self) -> list[tuple[int, TrialResult]]:
        """Return results with their trials' numbers, in the order of their commits."""
        rows = in_order_of_commits(self._rows(TRIALS))
        with storage(self.folder):
            return [(row[0], result_of(row)) for row in rows]

    def _remove_checkpoint(self, row: Row) -> None:
        shutil.rmtree(checkpoint_folder(self.folder, key_of(row)), ignore_errors=True)

    def _asks(self, rows: Sequence[Row]) -> list[Ask]:
        with storage(self.folder):
            return [ask_of(row) for row in rows]

    def _rows(self, table: Table) -> list[Row]:
        with storage(self.folder):
            rows = verified(table, fetch(self._connection, table))
            if table is TRIALS:
                for row in rows:
                    check_columns(row)
            return rows

    @contextmanager
    def _write(self) -> Iterator[tuple[sqlite3.Connection, list[tuple[Table, Row]]]]:
        """Run a write transaction in which this driver is known to hold the study.

        Yields the connection, and a list for the rows that are written, which are copied.
        """
        changed: list[tuple[Table, Row]] = []
        with storage(self.folder):
            if not (self.folder / FILE).exists():
                # SQLite would go on writing into a file that nobody can see any more.
                raise FileNotFoundError(f"{FILE} is gone")
            with self._begin():
                lock.confirm(self._connection, self._owner, self.folder)
                yield self._connection, changed
            self._beats.wrote()
            second_copy.append(self.folder, changed)

    @contextmanager
    def _begin(self) -> Iterator[None]:
        patiently(self._connection, "BEGIN IMMEDIATE", self.folder, self._warn)
        try:
            yield
            patiently(self._connection, "COMMIT", self.folder, self._warn)
        except BaseException:
            # After a full disk SQLite has rolled back itself; the cause is what is to be said.
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise


def _place(folder: Path, notes: Mapping[str, str], owner: lock.Owner) -> None:
    """Write a study under a name of its own, then give it the one that all look for."""
    temporary = folder / f".{FILE}.{uuid.uuid4().hex}"
    try:
        temporary.touch(exist_ok=False)  # with the rights that the user's umask leaves
        with closing(prepared(sqlite3.connect(temporary, isolation_level=None))) as connection:
            connection.execute("BEGIN")
            create(connection)
            insert(connection, META, [(key, 0, value) for key, value in notes.items()])
            lock.take(connection, owner)
            connection.execute("COMMIT")
        place_new(temporary, folder / FILE)
    except FileExistsError:
        raise _exists(folder) from None
    finally:
        temporary.unlink(missing_ok=True)


def _exists(folder: Path) -> StudyExistsError:
    return StudyExistsError(Fault("", None, "is a study already", "", str(folder)))


def _watching(folder: Path, owner: lock.Owner) -> str:
    held = lock.in_use(folder, owner)
    return (
        f"{held}; it cannot be looked at from here: watching for {lock.LEASE_S:.0f} s whether it"
        " still writes (--take-over if it is known to be gone)"
    )
