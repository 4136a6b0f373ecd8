"""A study of an older version is brought up to date, and none is taken back to one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import NOTES as MADE_UP
from made_up import ask, result

from hrnet_search.errors import StorageLostError, StudyDamagedError, StudyError, StudyInUseError
from hrnet_search.records.trial import TrialResult
from hrnet_search.store.database import connect
from hrnet_search.store.host import process_start, this_host
from hrnet_search.store.study import open_study
from hrnet_search.store.tables import META as NOTES
from hrnet_search.store.tables import VERSION, put
from hrnet_search.store.writer import StudyStore

SCHEMA_1 = Path(__file__).parent / "data" / "schema-1.sql"
"""A study as hrnet-search wrote it before study.db had checksums: three trials ended, one ran."""


def of_then(number: int, **changes: object) -> TrialResult:
    """Return a result as it was written then: soft IoU was not known."""
    now = result(number, **changes)  # type: ignore[arg-type]
    return replace(now, rungs=tuple(replace(rung, soft_iou=None) for rung in now.rungs))


FAILED = of_then(0, status="failed", error="it ended")
ENDED = [(1, of_then(1)), (0, FAILED), (2, of_then(2))]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    _sql(folder, SCHEMA_1.read_text())
    return folder


def _cut_off(*_: object) -> None:
    raise OSError("cut off")


def _sql(folder: Path, script: str) -> None:
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.executescript(script)


def test_an_old_study_is_read_and_left_as_it_is(old: Path) -> None:
    before = (old / "study.db").read_bytes()
    study = open_study(old)
    assert [(a.number, r) for a, r in study.ended()] == ENDED
    assert study.trials()[3] == (ask(3), None)
    assert study.notes == replace(MADE_UP, reference_ms=1.5)
    assert [p.name for p in old.iterdir()] == ["study.db"]
    assert (old / "study.db").read_bytes() == before


def test_an_old_study_goes_on_and_the_old_file_is_kept(old: Path) -> None:
    said: list[str] = []
    with StudyStore(old, warn=said.append) as store:
        assert store.finished() == ENDED
        assert store.running() == [ask(3)]
        store.finish(3, result(3))
    kept = "the file as it was is kept as study.db.schema-1"
    assert said == [f"{old}: study.db is brought to schema {VERSION}; {kept}"]
    with closing(sqlite3.connect(old / "study.db.schema-1")) as connection:
        assert "\n".join(connection.iterdump()) + "\n" == SCHEMA_1.read_text()
    with StudyStore(old, warn=said.append) as store:
        assert [n for n, _ in store.finished()] == [1, 0, 2, 3]
        rows = store._connection.execute("SELECT number, step, miou FROM rungs").fetchall()
        assert rows == [(3, 5, 0.2)]
    assert len(said) == 1


def test_a_migration_that_is_cut_off_changes_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (old / "study.db").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("hrnet_search.store.migration.insert", _cut_off)
        with pytest.raises(StorageLostError, match="cut off"):
            StudyStore(old)
    assert (old / "study.db").read_bytes() == before
    assert [p.name for p in old.iterdir()] == ["study.db"]
    StudyStore(old, warn=lambda _: None).close()


def test_damage_of_an_old_study_is_not_carried_over(old: Path) -> None:
    _sql(old, "UPDATE trials SET miou = 0.99 WHERE number = 1")
    for look in (open_study, StudyStore):
        with pytest.raises(StudyDamagedError, match="trial 1: column miou is not what its record"):
            look(old)
    _sql(old, "UPDATE trials SET miou = 0.01, seed = 4 WHERE number = 1")
    with pytest.raises(StudyDamagedError, match="trial 1: column seed"):
        StudyStore(old)


def test_a_driver_of_an_older_version_is_left_alone(old: Path) -> None:
    pid, name = 1, this_host().name
    row = f"1, 'token', '{name}', {pid}, '{process_start(pid)}', 'today', 0"
    _sql(old, f"INSERT INTO driver VALUES ({row})")
    with pytest.raises(StudyInUseError, match=f"process {pid} on {name} since today"):
        StudyStore(old)
    assert [p.name for p in old.iterdir()] == ["study.db"]


def test_a_newer_study_is_refused(study: Path) -> None:
    with closing(connect(study / "study.db")) as connection:
        connection.execute("BEGIN")
        put(connection, NOTES, ("schema", 1, str(VERSION + 1)))
        connection.execute("COMMIT")
    for look in (open_study, StudyStore):
        with pytest.raises(StudyError) as caught:
            look(study)
        assert str(caught.value) == (
            f"{study}: was written by another version (schema {VERSION + 1}), "
            f"allowed: schema 1 to {VERSION}, a newer hrnet-search reads it"
        )


def test_an_older_version_refuses_this_one(study: Path) -> None:
    """It asks for this value alone, and says that a study of another was written by another."""
    with closing(sqlite3.connect(study / "study.db")) as connection:
        row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    assert row == (str(VERSION),)
