"""What can be had back of a damaged study is had back; what cannot is said, and nothing removed."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import NOTES, ask, result

from hrnet_search.cli import main
from hrnet_search.errors import StudyDamagedError, StudyError, StudyInUseError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, STOPPED, RungResult
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.repair import repair
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

KEY = "hr-0123456789ab.sc-0123456789ab.0"


@pytest.fixture
def whole(study: Path) -> Path:
    with StudyStore(study) as store:
        for number in range(40):
            store.ask(ask(number))
            store.finish(number, result(number, notes=("n" * 9000,) if number == 7 else ()))
        store.ask(ask(40))
        store.rung(40, RungResult(5, 0.2, (0.2,), 1.0, 0.2))
        store.note(Notes(identity={}, schedule=NotedSchedule.of(Schedule(DataSpec("shapes", 3)))))
        store.note(Notes(reference_ms=1.4))
        store.note(Notes(reference_ms=1.5))
    return study


def seen(folder: Path) -> list[Any]:
    study = open_study(folder)
    return [study.notes, study.trials(), study.ended()]


def test_a_whole_study_is_left_as_it_is(whole: Path) -> None:
    before = {p.name: p.read_bytes() for p in whole.iterdir() if p.is_file()}
    assert repair(whole) == ([f"{whole}: study.db is whole, there is nothing to repair"], True)
    assert {p.name: p.read_bytes() for p in whole.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:-9000],
        lambda content: b"\xff" * 4096 + content[4096:],  # the header and all definitions
        lambda content: content[:20000] + b"\0" * 30000 + content[50000:],
        lambda content: b"no database",
    ],
)
def test_everything_comes_back_from_both_copies(
    whole: Path, spoil: Callable[[bytes], bytes]
) -> None:
    truth = seen(whole)
    content = spoil((whole / "study.db").read_bytes())
    (whole / "study.db").write_bytes(content)
    with pytest.raises(StudyError):
        seen(whole)
    said, complete = repair(whole)
    assert complete, said
    assert seen(whole) == truth
    if content:
        (aside,) = whole.glob("study.db.damaged-*")
        assert aside.read_bytes() == content
    with StudyStore(whole) as store:
        store.finish(40, result(40))
        assert len(store.finished()) == 41
        rungs = store._connection.execute("SELECT number, step, miou FROM rungs").fetchall()
        assert rungs == [(40, 5, 0.2)]


def test_a_study_that_is_gone_comes_back_from_its_second_copy(whole: Path) -> None:
    truth = seen(whole)
    (whole / "study.db").unlink()
    assert repair(whole)[1]
    assert seen(whole) == truth


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bits_cost_no_more_than_their_rows(whole: Path, seed: int) -> None:
    """Without the second copy: what is whole of study.db alone."""
    truth = seen(whole)
    (whole / "study.jsonl").unlink()
    content = bytearray((whole / "study.db").read_bytes())
    rng = random.Random(seed)
    for _ in range(4):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    (whole / "study.db").write_bytes(content)
    try:
        seen(whole)
    except StudyDamagedError:
        said, complete = repair(whole)
        assert complete == (said[-1] == "nothing is lost")
    found = {a.number: (a, r) for a, r in open_study(whole).trials()}
    assert len(found) >= 37
    assert all(found[a.number] == (a, r) for a, r in truth[1] if a.number in found)


def test_what_is_lost_is_said(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (whole / "study.jsonl").unlink()
    for name in (f"weights/{KEY}.safetensors", f"evaluation/{KEY}.npz"):
        (whole / name).write_bytes(b"x")
    content = (whole / "study.db").read_bytes()
    number = 12
    place = content.index(b'{"key":{"architecture":"' + ask(number).key.architecture.encode())
    (whole / "study.db").write_bytes(content[: place + 30] + b"#" + content[place + 31 :])
    assert main(["repair", str(whole)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"table trials, trial {number}: it is not what was written")
    assert lines[1].startswith("the damaged file is kept as study.db.damaged-")
    assert lines[2] == "rebuilt: 40 trials, 39 of them with their results"
    assert lines[3] == "lost: 1 of 41 rows of trials"
    assert lines[4] == (
        f"lost: the row of trial {KEY}; it left weights/{KEY}.safetensors, evaluation/{KEY}.npz"
    )
    with StudyStore(whole) as store:
        store.finish(40, result(40))  # the place of the lost one among the results is closed
        assert [n for n, _ in store.finished()][-1] == 40
    assert open_study(whole).ended(after=39)[0][0].number == 40


def test_a_study_of_the_older_schema_is_repaired(tmp_path: Path) -> None:
    script = (Path(__file__).parent / "data" / "schema-1.sql").read_text()
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.executescript(script)
    (tmp_path / "study.db").write_bytes(b"\xff" * 100 + (tmp_path / "study.db").read_bytes()[100:])
    repair(tmp_path)
    study = open_study(tmp_path)
    assert study.notes == replace(NOTES, reference_ms=1.5)
    assert [a.number for a, _ in study.ended()] == [1, 0, 2]
    assert study.trials()[3] == (ask(3), None)


def test_a_study_that_is_driven_is_not_repaired(whole: Path) -> None:
    with StudyStore(whole) as store:
        content = bytearray((whole / "study.db").read_bytes())
        place = content.index(b'{"key":{"architecture":"')
        content[place + 30] ^= 1
        copy = whole.with_name("copy")
        shutil.copytree(whole, copy)
        (copy / "study.db").write_bytes(content)
        with pytest.raises(StudyInUseError, match="in use by process"):
            repair(copy)
        store.heartbeat()


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"it has no study\.db"):
        repair(tmp_path)
    (tmp_path / "study.db").write_bytes(b"x" * 5000)
    with pytest.raises(StudyError, match=r"nothing of study\.db can be read"):
        repair(tmp_path)
    assert (tmp_path / "study.db").read_bytes() == b"x" * 5000


@pytest.mark.parametrize("what", ["lost", "damaged"])
def test_failures_that_are_to_run_again_do_not_come_back(study: Path, what: str) -> None:
    """Of two lines of the copy the later one counts, and pieces of the database may be older."""
    with StudyStore(study) as store:
        for number in range(30):
            store.ask(ask(number))
            failed = number % 10 == 3
            found = result(number, status="failed", error="x" * 2000) if failed else result(number)
            store.finish(number, found)
        store.note(Notes(identity={}, schedule=NotedSchedule.of(Schedule(DataSpec("shapes", 3)))))
        assert store.retry_failed() == 3
        store.finish(13, result(13))
    truth = seen(study)
    content = (study / "study.db").read_bytes()
    if what == "lost":
        (study / "study.db").unlink()
    else:
        (study / "study.db").write_bytes(b"\xff" * 4096 + content[4096:])
    said, complete = repair(study)
    assert complete, said
    assert seen(study) == truth
    with StudyStore(study) as store:
        assert [one.number for one in store.running()] == [3, 23]


def test_a_study_without_its_database_is_not_begun_again(whole: Path) -> None:
    (whole / "study.db").unlink()
    copy = (whole / "study.jsonl").read_bytes()
    with pytest.raises(StudyDamagedError, match="hrnet-search repair"):
        StudyStore.create(whole, NOTES)
    with pytest.raises(StudyDamagedError, match="hrnet-search repair"):
        open_study(whole)
    assert (whole / "study.jsonl").read_bytes() == copy
    assert repair(whole)[1]


def test_damaged_lines_may_have_been_results(whole: Path) -> None:
    (whole / "study.db").unlink()
    lines = (whole / "study.jsonl").read_bytes().splitlines(keepends=True)
    ended = [i for i, line in enumerate(lines) if b"completed" in line]
    for i in ended[3:5]:
        lines[i] = lines[i].replace(b"completed", b"complexed")
    (whole / "study.jsonl").write_bytes(b"".join(lines))
    said, had_all = repair(whole)
    assert not had_all
    assert "lost: what 2 damaged lines of study.jsonl said, perhaps a result" in said


def test_a_database_from_a_backup_costs_no_newer_results(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "backup.db"
    shutil.copy(whole / "study.db", backup)
    with StudyStore(whole) as store:
        store.ask(ask(41))
        store.finish(41, result(41))
    newer = (whole / "study.jsonl").read_bytes()
    shutil.copy(backup, whole / "study.db")
    said, well = repair(whole)
    assert not well
    assert "older than study.jsonl" in said[0]
    StudyStore(whole).close()
    assert "study.db is older than study.jsonl" in capsys.readouterr().err
    (aside,) = whole.glob("study.jsonl.ahead-*")
    assert aside.read_bytes() == newer
    assert repair(whole)[1]


@pytest.mark.parametrize("status", [COMPLETED, STOPPED, INFEASIBLE, FAILED])
def test_a_backup_in_which_a_trial_still_runs_that_has_ended_is_older(
    whole: Path, tmp_path: Path, status: str
) -> None:
    """But for a failure, which may have been taken back: the trial runs again then."""
    backup = tmp_path / "backup.db"
    with StudyStore(whole) as store:
        store.ask(ask(41))
        shutil.copy(whole / "study.db", backup)
        store.finish(41, replace(result(41), status=status))
    shutil.copy(backup, whole / "study.db")
    said, well = repair(whole)
    assert well == (status == FAILED)
    assert ("older than study.jsonl" in said[0]) == (status != FAILED)
