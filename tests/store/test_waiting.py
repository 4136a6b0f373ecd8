"""Whoever reads a study, and for however long: the search waits, says for whom, and goes on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_up import ask, result

from hrnet_search.errors import StorageLostError
from hrnet_search.store import reader, waiting
from hrnet_search.store.study import open_study
from hrnet_search.store.tables import checked
from hrnet_search.store.writer import StudyStore

HOLD = """
import sqlite3, sys
connection = sqlite3.connect({path!r}, isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT COUNT(*) FROM trials").fetchall()
print("reads", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(study: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold a read, as a paused report, a shell or a backup does."""
    code = HOLD.format(path=str(study / "study.db"))
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "reads\n"
        yield process


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()


def test_a_reader_that_holds_on_is_waited_for_and_named(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SAID_AFTER_S", 0.5)
    said: list[str] = []
    with StudyStore(study, warn=said.append) as store, held(study) as process:
        threading.Timer(2.5, let_go, [process]).start()
        store.ask(ask(0))
        assert store.asks() == [ask(0)]
        assert store.finish(0, result(0))
    who = f"process {process.pid} (" if Path("/proc/locks").exists() else "another program"
    assert said[0].startswith(f"{study}: waiting for {who}")
    assert "which has study.db open (" in said[0] or "that has study.db open (" in said[0]
    assert said[1].startswith(f"{study}: goes on after ")
    assert len(said) == 2


@pytest.mark.bench
def test_a_reader_may_hold_on_for_longer_than_a_minute(study: Path) -> None:
    with StudyStore(study, warn=lambda _: None) as store, held(study) as process:
        threading.Timer(70, let_go, [process]).start()
        start = time.monotonic()
        store.ask(ask(0))
        assert time.monotonic() - start > 60
        assert store.asks() == [ask(0)]


def test_who_interrupts_a_wait_leaves_no_open_transaction(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting, "SAID_AFTER_S", 0.0)
    store = StudyStore(study)
    with held(study) as process:
        store._warn = interrupt
        with pytest.raises(KeyboardInterrupt):
            store.ask(ask(0))
        assert not store._connection.in_transaction
        let_go(process)
    store._warn = print
    assert store.asks() == []
    store.ask(ask(0))
    store.close()


def test_a_reader_holds_no_lock_while_it_computes(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite gives an exclusive lock only while nobody reads."""
    with StudyStore(study) as store:
        store.ask(ask(0))
        store.finish(0, result(0))
    looked = []

    def checked_alone(*values: Any) -> Any:
        with closing(sqlite3.connect(study / "study.db", timeout=0)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
        looked.append(values)
        return checked(*values)

    monkeypatch.setattr(reader, "checked", checked_alone)
    assert len(open_study(study).results()) == 1
    assert looked


def test_a_full_disk_is_said_as_what_it_is(study: Path) -> None:
    with StudyStore(study) as store:
        connection = store._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(
            StorageLostError, match=r"database or disk is full \([\d.]+ [MG]B free\)$"
        ):
            fill_up(store)
        assert not connection.in_transaction
        connection.execute("PRAGMA max_page_count = 100000")
        number = len(store.asks())
        store.ask(ask(number))
        assert [a.number for a in store.asks()] == list(range(number + 1))


def fill_up(store: StudyStore) -> None:
    for number in range(100):
        store.ask(ask(number))
