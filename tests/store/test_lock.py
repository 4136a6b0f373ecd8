"""Who drives a study is told by more than a name, and by no other machine's clock."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from driver_process import start_writer
from made_up import NOTES, ask

from hrnet_search.errors import StorageLostError, StudyInUseError
from hrnet_search.store import lock, second_copy
from hrnet_search.store.database import connect
from hrnet_search.store.host import FIRST_NAMESPACE, Host, this_host
from hrnet_search.store.tables import DRIVER, put
from hrnet_search.store.writer import StudyStore

ELSEWHERE = Host("elsewhere", "another", "its boot", FIRST_NAMESPACE)


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 1.0)
    monkeypatch.setattr(lock, "WATCH_S", 0.1)


def held_by(study: Path, host: Host, beat: int = 1) -> None:
    owner = replace(lock.this_process(), host=host, token="theirs")
    with closing(connect(study / "study.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        put(connection, DRIVER, owner.row(beat))
        connection.execute("COMMIT")


def test_a_driver_elsewhere_that_does_not_write_for_a_lease_is_followed(study: Path) -> None:
    old = StudyStore(study)
    held_by(study, ELSEWHERE)
    said: list[str] = []
    start = time.monotonic()
    with StudyStore(study, warn=said.append) as store:
        assert time.monotonic() - start >= 1
        assert said[0].startswith(f"{study}: in use by process ")
        assert "watching for 1 s whether it still writes (--take-over" in said[0]
        # The old one wakes up and is refused inside its next write.
        with pytest.raises(StudyInUseError, match="taken over"):
            old.ask(ask(0))
        store.ask(ask(0))
    old.close()


def test_a_driver_elsewhere_that_writes_is_left_alone(study: Path) -> None:
    held_by(study, ELSEWHERE)
    threading.Timer(0.4, held_by, [study, ELSEWHERE, 2]).start()
    with pytest.raises(StudyInUseError, match="on elsewhere since"):
        StudyStore(study, warn=lambda _: None)


def test_no_clock_but_the_own_monotonic_one_is_asked(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is a day ahead, or behind, ends no lease and prolongs none."""
    for jump in (-86400.0, 86400.0):
        held_by(study, ELSEWHERE)
        now = time.time() + jump
        monkeypatch.setattr(time, "time", lambda now=now: now)
        start = time.monotonic()
        StudyStore(study, warn=lambda _: None).close()
        assert time.monotonic() - start >= 1


def test_a_host_that_is_known_to_be_gone_is_not_watched(study: Path) -> None:
    held_by(study, ELSEWHERE)
    said: list[str] = []
    StudyStore(study, take_over=True, warn=said.append).close()
    assert not any("watching" in line for line in said)


def test_a_driver_that_is_seen_to_run_is_never_taken_over(study: Path) -> None:
    with StudyStore(study) as store:
        with pytest.raises(StudyInUseError):
            StudyStore(study, take_over=True)
        store.ask(ask(0))


def test_a_pid_that_another_process_has_now_is_a_dead_owner(study: Path) -> None:
    store = StudyStore(study)
    owner = replace(lock.this_process(), started="1")
    with closing(connect(study / "study.db")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        put(connection, DRIVER, owner.row(5))
        connection.execute("COMMIT")
    StudyStore(study).close()
    with pytest.raises(StudyInUseError, match="may not write"):
        store.ask(ask(0))
    store.close()


def test_names_do_not_make_a_host() -> None:
    here = Host("localhost", "m1", "b1", FIRST_NAMESPACE)
    container = replace(here, namespace="pid:[4026532000]")
    restarted = replace(here, boot="b2")
    assert here.numbers_as(here)
    assert not here.numbers_as(container)
    assert not here.numbers_as(restarted)
    assert here.was_restarted_as(restarted)
    assert not here.was_restarted_as(replace(restarted, machine="m2")), "of the same name"
    assert not container.was_restarted_as(replace(container, boot="b2")), "perhaps elsewhere"
    unknown = Host("mac", "", "", "")
    assert unknown.numbers_as(unknown)
    assert not unknown.was_restarted_as(unknown)


def test_a_machine_that_was_started_anew_is_followed_at_once(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Host("one", "m1", "b2", FIRST_NAMESPACE)
    held_by(study, replace(here, boot="b1"))
    monkeypatch.setattr(lock, "this_host", lambda: here)
    said: list[str] = []
    StudyStore(study, warn=said.append).close()
    assert not any("watching" in line for line in said)


def test_a_driver_in_another_pid_namespace_is_not_thrown_out(study: Path) -> None:
    """A container on this machine: its name is ours, its process numbers are not."""
    unshare = [shutil.which("unshare") or "", "--user", "--pid", "--fork", "--mount-proc"]
    if not unshare[0] or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this system makes no PID namespaces for us")
    with start_writer(study, [*unshare, "--kill-child"]) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        with closing(connect(study / "study.db")) as connection:
            held = lock.holder(connection)
        assert held
        assert held.owner.host.name == this_host().name
        with pytest.raises(StudyInUseError, match=f"process {held.owner.pid} on "):
            StudyStore(study, warn=lambda _: None)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    StudyStore(study, warn=lambda _: None).close()  # now it does not write any more


def test_a_driver_that_computes_for_long_still_beats(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEW_S", 0.2)
    with StudyStore(study), closing(connect(study / "study.db")) as connection:
        before = lock.holder(connection)
        time.sleep(1.5)
        after = lock.holder(connection)
    assert before
    assert after
    assert after.owner == before.owner
    assert after.beat > before.beat


def test_a_driver_that_cannot_begin_lets_go(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody elsewhere has to watch it for a lease, and in this process it is not in the way."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(second_copy, "bring_up_to_date", full)
        with pytest.raises(StorageLostError, match="No space left"):
            StudyStore(study)
        with pytest.raises(StorageLostError, match="No space left"):
            StudyStore.begin(study.parent / "another", NOTES)
    for folder in (study, study.parent / "another"):
        with closing(connect(folder / "study.db")) as connection:
            assert lock.holder(connection) is None
        StudyStore(folder).close()
