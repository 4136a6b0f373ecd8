"""A damaged study.db is named as such: no other value than was written is ever shown.

Bits are flipped and ends cut off anywhere in the file, as failing disks and copies do.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_up import ask, result

from hrnet_search.errors import HrnetSearchError, StudyDamagedError
from hrnet_search.records.trial import RungResult
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.tables import TRIALS, checksum, put
from hrnet_search.store.trial_rows import PLACES, asked, ended
from hrnet_search.store.writer import StudyStore

TRIALS_MADE = 4


@pytest.fixture
def whole(study: Path) -> Path:
    """A small study with trials that ended, one that runs, and one of a long error."""
    with StudyStore(study) as store:
        for number in range(TRIALS_MADE):
            store.ask(ask(number))
        store.rung(3, RungResult(5, 0.2, (0.2,), 1.0, 0.2))
        store.finish(1, result(1))
        store.finish(0, result(0, miou=None, status="failed", error="x" * 5000))
        store.finish(2, result(2))
        store.note(Notes(reference_ms=1.5))
    return study


def seen(folder: Path) -> list[Any]:
    """Return all that a reader shows of a study."""
    study = open_study(folder)
    table = study.results().to_dict("records")
    return [
        study.notes,
        study.trials(),
        study.ended(),
        str(table),
        str(study.front().to_dict("records")),  # nan is not equal to itself
    ]


def driven(folder: Path) -> list[Any]:
    """Return what a driver sees of a study, and what it holds after it was written on."""
    with StudyStore(folder, warn=lambda _: None) as store:
        found = [store.notes(), store.asks(), store.running(), store.finished()]
        store.finish(3, result(3))
        store.ask(ask(TRIALS_MADE))
        store.note(Notes(device="another"))
    return [*found, *seen(folder)]


def outcomes(
    whole: Path, copy: Path, changed: list[bytes], look: Callable[[Path], list[Any]]
) -> list[str]:
    """Return for each content of study.db the error that was said, empty where nothing is wrong."""
    shutil.copytree(whole, copy)
    truth, found = look(copy), []
    for content in changed:
        shutil.rmtree(copy)
        shutil.copytree(whole, copy)
        (copy / "study.db").write_bytes(content)
        found.append(error_of(look, copy, truth))
    return found


def error_of(look: Callable[[Path], list[Any]], folder: Path, truth: list[Any]) -> str:
    """Return the one line that is said in the place of values, empty if those are the truth."""
    try:
        shown = look(folder)
    except HrnetSearchError as error:
        said = str(error)
    else:
        assert shown == truth, "another value than was written"
        return ""
    assert len(said.splitlines()) == 1
    assert str(folder) in said
    return said


def flipped(content: bytes, count: int, seed: int) -> list[bytes]:
    places = random.Random(seed).sample(range(8 * len(content)), count)
    return [
        content[: p // 8] + bytes([content[p // 8] ^ 1 << p % 8]) + content[p // 8 + 1 :]
        for p in places
    ]


def cut(content: bytes, count: int) -> list[bytes]:
    return [content[:-n] for n in range(1, count + 1)]


@pytest.mark.parametrize("look", [seen, driven])
def test_flipped_bits_change_no_value(
    whole: Path, tmp_path: Path, look: Callable[[Path], list[Any]]
) -> None:
    content = (whole / "study.db").read_bytes()
    count = 80 if look is seen else 20  # a driver's writes take longer
    said = outcomes(whole, tmp_path / "copy", flipped(content, count, seed=1), look)
    assert any(said)
    assert "" in said, "free space of the file is nobody's"


@pytest.mark.parametrize("look", [seen, driven])
def test_a_study_that_was_cut_off_is_damaged(
    whole: Path, tmp_path: Path, look: Callable[[Path], list[Any]]
) -> None:
    content = (whole / "study.db").read_bytes()
    contents = [content[:-n] for n in (1, 300, 4096, len(content) // 2)]
    assert all(outcomes(whole, tmp_path / "copy", contents, look))


@pytest.mark.bench
@pytest.mark.parametrize("look", [seen, driven])
def test_two_thousand_flips_and_six_hundred_cuts(
    whole: Path, tmp_path: Path, look: Callable[[Path], list[Any]]
) -> None:
    content = (whole / "study.db").read_bytes()
    flips, cuts = (2000, 600) if look is seen else (500, 100)  # a driver's writes take longer
    changed = [*flipped(content, flips, seed=2), *cut(content, cuts)]
    said = outcomes(whole, tmp_path / "copy", changed, look)
    named = [line for line in said if line]
    assert all(said[flips:])
    print(f"{len(said) - len(named)} harmless, {len(named)} named")


def test_damage_says_where_and_what_to_do(whole: Path) -> None:
    content = (whole / "study.db").read_bytes()
    place = content.index(b'{"key":{"architecture":"' + ask(2).key.architecture.encode())
    (whole / "study.db").write_bytes(content[: place + 30] + b"#" + content[place + 31 :])
    with pytest.raises(StudyDamagedError) as caught:
        open_study(whole).results()
    assert str(caught.value) == (
        f"{whole}: study.db is damaged: table trials, trial 2: it is not what was written, "
        f"hrnet-search repair {whole} rebuilds what can be rebuilt"
    )
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE trials SET miou = 0.99 WHERE number = 1", "trial 1: it is not what was written"),
        ("DELETE FROM trials WHERE number = 1", "trials: it has 3 rows, 4 were written"),
        ("DELETE FROM totals WHERE name = 'trials'", "it has no entry for trials"),
        ("UPDATE totals SET rows = rows - 1", "table totals, trials: it is not what"),
        ("UPDATE trials SET checksum = 7 WHERE number = 3", "a row is not as it was last written"),
        ("DROP TABLE rungs", "not defined as they were"),
        ("CREATE VIEW v AS SELECT 1", "not defined as they were"),
    ],
)
def test_what_was_changed_by_hand_is_damage(whole: Path, statement: str, why: str) -> None:
    with closing(sqlite3.connect(whole / "study.db", isolation_level=None)) as connection:
        connection.execute(statement)
    with pytest.raises(StudyDamagedError, match=why):
        seen(whole)


@pytest.mark.parametrize("column", ["status", "miou", "latency_ms", "macs", "error", "finished"])
def test_a_column_that_is_not_what_the_record_says_is_damage(whole: Path, column: str) -> None:
    row = list(ended(asked(ask(1)), result(1), 0))
    row[PLACES[column]] = {"status": "failed", "error": "x", "finished": None}.get(column, 7)
    with StudyStore(whole) as store, store._write() as (connection, _):
        put(connection, TRIALS, tuple(row))
    with pytest.raises(StudyDamagedError, match=f"trial 1: column {column} is not what its rec"):
        open_study(whole).results()


def test_an_older_row_is_not_taken_for_the_present_one(whole: Path) -> None:
    """A page that a disk lost comes back as it was: whole in itself, and yet not the truth."""
    old = asked(ask(1))
    with closing(sqlite3.connect(whole / "study.db", isolation_level=None)) as connection:
        names = ", ".join(f"{name} = ?" for name in TRIALS.columns)
        query = f"UPDATE trials SET {names}, checksum = ? WHERE number = 1"
        connection.execute(query, (*old, checksum(TRIALS, old)))
    with pytest.raises(StudyDamagedError, match="not as it was last written"):
        open_study(whole).results()
