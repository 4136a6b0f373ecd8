"""One driver writes a study; nothing it committed is lost, whatever ends it."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from driver_process import HERE, start_writer
from made_up import NOTES, ask, result

from hrnet_search.errors import StorageLostError, StudyError, StudyInUseError
from hrnet_search.files import checkpoint_folder
from hrnet_search.records.trial import RungResult
from hrnet_search.store import host, lock
from hrnet_search.store.database import connect
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


def kill_writer_after(folder: Path, seconds: float) -> str:
    """Let a driver write, kill it with SIGKILL, return what it said it had committed."""
    with start_writer(folder) as process:
        assert process.stdout
        said = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        return said + process.stdout.read()


def kill_repeatedly(folder: Path, times: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(times):
        said = kill_writer_after(folder, rng.uniform(0, 0.15))
        read = {a.number: r for a, r in open_study(folder).trials()}
        assert list(read) == list(range(len(read)))
        for line in said.splitlines()[1:]:
            what, number = line.split()
            if what == "finished":
                assert read[int(number)] == result(int(number))
            assert int(number) in read


@pytest.mark.slow
def test_a_driver_killed_at_random_moments_loses_nothing(study: Path) -> None:
    kill_repeatedly(study, 8, seed=1)


@pytest.mark.bench
def test_a_driver_killed_a_hundred_times_loses_nothing(study: Path) -> None:
    kill_repeatedly(study, 100, seed=2)


def test_what_is_written_is_read(study: Path) -> None:
    with StudyStore(study) as store:
        store.ask(ask(0))
        store.ask(ask(1))
        store.rung(1, RungResult(5, 0.2, (0.2,), 1.0, 0.2))
        assert [a.number for a in store.running()] == [0, 1]
        assert store.finish(1, result(1))
        assert store.finish(0, result(0))
        store.note(Notes(reference_ms=1.5))
    with StudyStore(study) as store:
        assert store.asks() == [ask(0), ask(1)]
        assert store.finished() == [(1, result(1)), (0, result(0))]
        assert store.running() == []
        assert store.notes() == replace(NOTES, reference_ms=1.5)


def test_a_second_result_changes_nothing(study: Path) -> None:
    with StudyStore(study) as store:
        store.ask(ask(0))
        assert store.finish(0, result(0, miou=0.5))
        assert not store.finish(0, result(0, miou=0.9))
        assert store.finished() == [(0, result(0, miou=0.5))]


def test_one_key_is_never_asked_for_twice(study: Path) -> None:
    from dataclasses import replace

    with StudyStore(study) as store:
        store.ask(ask(0))
        with pytest.raises(StorageLostError, match="UNIQUE"):
            store.ask(replace(ask(0), number=1))
        assert len(store.asks()) == 1


def test_a_study_is_created_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    with monkeypatch.context() as patch:
        for name in ("replace", "hardlink_to"):
            patch.setattr(Path, name, lambda *_: (_ for _ in ()).throw(OSError("cut off")))
        with pytest.raises(StorageLostError, match="cut off"):
            StudyStore.create(folder, NOTES)
    assert not [p for p in folder.iterdir() if p.is_file()]
    StudyStore.create(folder, NOTES)
    with pytest.raises(StudyError, match="already"):
        StudyStore.create(folder, NOTES)


def test_a_second_driver_is_told_who_drives(study: Path) -> None:
    with StudyStore(study), pytest.raises(StudyInUseError, match=f"process {os.getpid()} on "):
        StudyStore(study)
    StudyStore(study).close()


def test_a_dead_owner_is_followed_at_once(study: Path) -> None:
    kill_writer_after(study, 0.05)
    with closing(connect(study / "study.db")) as connection:
        held = lock.holder(connection)
    assert held is not None, "the dead driver let go of nothing"
    start = time.monotonic()
    StudyStore(study).close()
    assert time.monotonic() - start < 10


def test_a_process_that_is_gone_has_no_start() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert host.process_start(process.pid) == ""
    assert host.process_start(os.getpid()) not in ("", None)


def test_a_process_of_which_the_system_shows_nothing_may_be_a_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another user's, where /proc is mounted with hidepid: it is not taken for one that is gone."""
    mine = lock.this_process()
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").write_text("")
    monkeypatch.setattr(host, "PROC", tmp_path)
    assert host.process_start(os.getpid()) is None
    assert mine.is_alive() is None

    def refused(pid: int, number: int) -> None:
        del pid, number
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert mine.is_alive() is None


def test_a_checkpoint_goes_when_the_result_is_committed_and_at_the_next_start(
    study: Path,
) -> None:
    folders = [checkpoint_folder(study, ask(number).key) for number in (0, 1, 2)]
    for folder in folders:
        folder.mkdir(parents=True)
    with StudyStore(study) as store:
        for number in (0, 1, 2):
            store.ask(ask(number))
        store.finish(0, result(0))
        assert [folder.exists() for folder in folders] == [False, True, True]
        store.finish(1, result(1))
    folders[1].mkdir()  # as if the driver had been killed right after the commit
    with StudyStore(study):
        assert [folder.exists() for folder in folders] == [False, False, True]


def test_failed_trials_run_again_if_asked_for_and_no_others(study: Path) -> None:
    with StudyStore(study) as store:
        for number in (0, 1):
            store.ask(ask(number))
        broken = replace(result(0), status="failed", miou=None, error="broken")
        store.finish(0, broken)
        store.finish(1, result(1))
        assert store.retry_failed() == 1
        assert store.running() == [ask(0)]
        assert [number for number, _ in store.finished()] == [1]
        assert store.finish(0, result(0))
    with StudyStore(study) as store:
        assert dict(store.finished()) == {1: result(1), 0: result(0)}
        assert store.retry_failed() == 0


def test_a_folder_that_goes_away_is_storage_lost(study: Path) -> None:
    store = StudyStore(study)
    shutil.rmtree(study)
    with pytest.raises(StorageLostError, match="gone"):
        store.ask(ask(0))
    assert not study.exists()
    store._connection.close()


def test_a_full_disk_is_storage_lost_and_what_was_there_stays(study: Path) -> None:
    with StudyStore(study) as store:
        store.ask(ask(0))
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(HERE)!r})
from made_up import ask
from hrnet_search.store.tables import VERSION
from hrnet_search.store.writer import StudyStore
store = StudyStore({str(study)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = {(study / "study.db").stat().st_size}
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, size + 8192))
try:
    for number in range(1, 200):
        store.ask(ask(number))
except Exception as error:
    print(number, type(error).__name__, str(error).count(chr(10)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    number, kind, lines = done.stdout.split()
    assert (kind, lines) == ("StorageLostError", "0")
    with StudyStore(study) as store:
        assert len(store.asks()) == int(number)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: shutil.rmtree(f), "no study.db"),
        (lambda f: (f / "study.db").unlink(), "no study.db"),
        (lambda f: (f / "study.db").write_bytes(b"x" * 5000), "is not a study"),
        (lambda f: (f / "study.db").write_bytes(b""), "is not a study"),
    ],
)
def test_what_is_no_study_is_not_opened(study: Path, spoil: object, why: str) -> None:
    assert callable(spoil)
    spoil(study)
    with pytest.raises(StudyError, match=why):
        StudyStore(study)


def test_whoever_reads_while_a_driver_ends_does_not_keep_its_lock(study: Path) -> None:
    """A backup, say: from this process the study would be in use until the process ends."""
    store = StudyStore(study)
    reading, began = threading.Event(), threading.Event()

    def read() -> None:
        with closing(sqlite3.connect(study / "study.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT COUNT(*) FROM trials").fetchall()
            began.set()
            reading.wait(2.5)
            other.execute("COMMIT")

    reader = threading.Thread(target=read)
    reader.start()
    began.wait(10)
    store.close()
    reading.set()
    reader.join()
    assert open_study(study).outcome != "running"
    StudyStore(study).close()
