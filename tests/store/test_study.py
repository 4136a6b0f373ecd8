"""A study is read by anybody, at any time, and left as it is."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import NOTES, ask, result

from hrnet_search.errors import InputError, StudyError
from hrnet_search.goals import Goals
from hrnet_search.latency_rule import interval_ms
from hrnet_search.records.latency import Latency, LatencyCondition
from hrnet_search.records.trial import FAILED, INFEASIBLE, STOPPED, TrialResult
from hrnet_search.report.trust.trials import mean_costs_of
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.trials import Trials
from hrnet_search.store.latencies import latencies_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.reader import no_collections
from hrnet_search.store.schedules import Every
from hrnet_search.store.study import COLUMNS, Snapshot, Study, open_study
from hrnet_search.store.tables import TRIALS, insert
from hrnet_search.store.trial_rows import asked, ended
from hrnet_search.store.writer import StudyStore


def fill(study: Path, *results: tuple[int, object]) -> None:
    with StudyStore(study) as store:
        for number, _ in results:
            store.ask(ask(number))
        for number, found in results:
            if found is not None:
                store.finish(number, found)  # type: ignore[arg-type]


def test_results_have_the_promised_columns(study: Path) -> None:
    levels = ((8, 16, 24), ([1, 2], [4, 4]))
    with StudyStore(study) as store:
        store.note(Notes(choices=("width", "STAGE2.NUM_BLOCKS"), levels=levels))
        store.ask(replace(ask(0), point=(2, 1)))
        store.ask(replace(ask(1), point=(0, 0)))
        store.finish(0, result(0, miou=0.25))
    table = open_study(study).results()
    assert list(table.columns) == [*COLUMNS, "STAGE2.NUM_BLOCKS"]
    assert table["status"].tolist() == ["completed", "running"]
    assert table["STAGE2.NUM_BLOCKS"].tolist() == ["[4, 4]", "[1, 2]"]
    numbers = table[["miou", "latency_ms", "params", "macs", "activations"]]
    assert list(numbers.iloc[0]) == [0.25, 1.5, 1000, 2000, 3000]
    assert table["architecture"].tolist() == [ask(0).key.architecture, ask(1).key.architecture]


def test_levels_that_cannot_be_read_are_no_columns(study: Path) -> None:
    with StudyStore(study) as store:
        store.note(Notes(choices=("STAGE2.NUM_BLOCKS",)))
        store.ask(replace(ask(0), point=(1,)))
    assert list(open_study(study).results().columns) == [*COLUMNS]


def test_an_empty_study_has_an_empty_table_and_front(study: Path) -> None:
    assert len(open_study(study).results()) == 0
    assert len(open_study(study).front(["miou", "macs"])) == 0


def test_a_front_by_one_name_or_by_one_named_twice(study: Path) -> None:
    opened = open_study(study)
    for asked_for in ("macs", ["macs", "macs"]):
        assert opened.front(asked_for).equals(opened.front(["macs"]))
    with pytest.raises(InputError, match=r"^objectives: mious is not known"):
        opened.front("mious")


def test_only_completed_trials_are_on_the_front_cheapest_first(study: Path) -> None:
    fill(
        study,
        (0, result(0, miou=0.3)),
        (1, result(1, miou=0.2)),  # more expensive and worse
        (2, result(2, miou=0.9, status=STOPPED)),
        (3, result(3, miou=0.5)),
        (4, result(4, miou=0.99, status=FAILED, error="x")),
        (5, result(5, miou=0.99, status=INFEASIBLE)),
        (6, None),
    )
    study_read = open_study(study)
    assert study_read.front(["miou", "macs"])["number"].tolist() == [0, 3]
    assert study_read.front()["number"].tolist() == [0, 3]
    assert study_read.front(["miou"])["number"].tolist() == [3]
    assert study_read.front(["miou", "latency_ms"])["number"].tolist() == [0, 3]
    with pytest.raises(InputError, match="flops is not known, allowed: miou"):
        study_read.front(["miou", "flops"])


def write_twice(study: Path, first: TrialResult, latency: Latency) -> TrialResult:
    """Write a trial and one more of its network, by another seed and latency; return that."""
    again = replace(first, key=replace(first.key, seed=1), latency=latency)
    with StudyStore(study) as store:
        for number, one in enumerate((first, again)):
            store.ask(replace(ask(0), number=number, key=one.key))
            store.finish(number, one)
    return again


def test_a_network_has_one_latency_from_all_its_trainings(study: Path) -> None:
    condition = LatencyCondition("cpu", "eager", "fp32", 1, (64, 64), 1)
    timed = [
        Latency(
            ms,
            ms / 2,
            ms,
            ms,
            ms - 1,
            ms + 1,
            20,
            noisy,
            condition,
            None,
            (),
            ms / 2 - 0.1,
            ms / 2 + 0.1,
        )
        for ms, noisy in ((10.0, False), (14.0, True))
    ]
    first = replace(result(0, miou=0.3), latency=timed[0])
    write_twice(study, first, timed[1])
    read = open_study(study)
    (row,) = read.variants().to_dict("records")
    ((number, pooled),) = latencies_of(read.trials(), read.notes).items()
    assert (number, pooled.ms) == (row["number"], row["latency_ms"]) == (0, 12.0)
    assert interval_ms(pooled) == pytest.approx((9.8, 14.2))
    assert pooled.noisy
    assert pooled.samples == 40


def test_what_has_ended_is_kept_and_news_are_seen(study: Path) -> None:
    fill(study, (1, result(1)), (2, None))
    reader = open_study(study)
    first = reader.trials()
    fill_later = result(2, miou=0.5)
    with StudyStore(study) as store:
        store.finish(2, fill_later)
        store.ask(ask(3))
    again = reader.trials()
    assert [found is not None for _, found in first] == [True, False]
    assert [ask.number for ask, _ in again] == [1, 2, 3]
    assert again[0][1] is first[0][1]
    assert again[1][1] == fill_later
    assert again[2][1] is None


def test_reading_takes_no_lock_and_leaves_nothing(study: Path) -> None:
    fill(study, (0, result(0)))
    before = sorted((p.name, p.stat().st_mtime_ns) for p in study.iterdir())
    with StudyStore(study) as store:
        reader = open_study(study)
        assert len(reader.results()) == 1
        # No transaction of the reader is in the way of the next write.
        store.ask(ask(1))
        assert len(reader.results()) == 2
    after = sorted(p.name for p in study.iterdir())
    assert after == [name for name, _ in before]


def test_a_study_that_cannot_be_written_can_be_read(study: Path) -> None:
    fill(study, (0, result(0)))
    (study / "study.db").chmod(0o444)
    assert len(open_study(study).results()) == 1


TORN = """
import sqlite3, time
connection = sqlite3.connect({path!r}, isolation_level=None)
connection.execute("PRAGMA cache_spill = 1")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE trials SET error = printf('%.*c', 3000, 'x')")
connection.execute("UPDATE meta SET value = 'torn'")
print("torn", flush=True)
time.sleep(60)
"""


def test_a_transaction_that_a_kill_cut_off_is_not_seen(study: Path) -> None:
    fill(study, *((n, result(n)) for n in range(40)))
    code = TORN.format(path=str(study / "study.db"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"torn\n"
        process.send_signal(signal.SIGKILL)
    journal = study / "study.db-journal"
    assert journal.stat().st_size > 0
    torn = (study / "study.db").read_bytes()
    reader = open_study(study)
    assert reader.name == NOTES.name
    assert reader.results()["error"].tolist() == [""] * 40
    assert journal.exists()
    assert (study / "study.db").read_bytes() == torn, "a reader rolled back in the study"
    with StudyStore(study) as store:  # the next driver rolls back for good
        assert len(store.finished()) == 40
    assert not journal.exists()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: (f / "study.db").unlink(), "no study.db"),
        (lambda f: (f / "study.db").write_bytes(b"not a database" * 500), "is not a study"),
        (lambda f: os.truncate(f / "study.db", 3000), "is damaged"),
        (lambda f: _sql(f, "DROP TABLE meta"), "is not a study"),
        (
            lambda f: _sql(f, "UPDATE meta SET value = '99' WHERE name = 'schema'"),
            "note schema: it is not what was written",
        ),
    ],
)
def test_what_is_no_study_is_one_value_error(
    study: Path, spoil: Callable[[Path], object], why: str
) -> None:
    spoil(study)
    with pytest.raises(StudyError, match=why) as caught:
        open_study(study)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_is_answered_with_the_folder(study: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=f"it is a file, allowed: the study's folder {study}$"):
        open_study(study / "study.db")
    (tmp_path / "alone").write_text("")
    with pytest.raises(StudyError, match=r"it is a file, allowed: the study's folder$"):
        open_study(tmp_path / "alone")


def _sql(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "study.db", isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_opening_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StudyError):
        open_study(tmp_path)
    with pytest.raises(StudyError):
        open_study(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def grown(study: Path, trials: int) -> None:
    """Write many trials at once: a row of each kind, with its own key."""
    one, text = asked(ask(0)), result(0)
    rows = []
    for n in range(trials):
        row = (n, one[1], one[2], n, *one[4:])
        rows.append(ended(row, replace(text, key=replace(text.key, seed=n)), n))
    with StudyStore(study) as store, store._write() as (connection, _):
        insert(connection, TRIALS, rows)


@pytest.mark.bench
def test_ten_thousand_trials_open_in_two_seconds(study: Path) -> None:
    grown(study, 10_000)
    start = time.process_time()
    assert len(open_study(study).results()) == 10_000
    assert time.process_time() - start < 2


def test_a_snapshot_is_the_study_of_one_moment(study: Path) -> None:
    fill(study, (0, result(0)), (1, result(1, miou=0.9)))
    whole = open_study(study)
    seen = Snapshot(whole)
    fill(study, (2, result(2)))
    assert [a.number for a, _ in seen.trials()] == [0, 1]
    assert [a.number for a, _ in whole.trials()] == [0, 1, 2]
    for read in (Study.results, Study.variants, Study.front):
        table = read(seen)
        assert set(table["number"]) <= {0, 1}
        table["number"] = -1  # the caller's own
        assert (read(seen)["number"] >= 0).all()
    assert seen.notes == whole.notes
    assert (seen.name, seen.folder) == (whole.name, whole.folder)


def test_the_collector_rests_while_trials_are_read_and_works_again(study: Path) -> None:
    fill(study, (0, result(0)))
    (study / "study.db").write_bytes(b"")
    assert gc.isenabled()
    with pytest.raises(StudyError):
        open_study(study).trials()
    assert gc.isenabled()
    with no_collections():
        assert not gc.isenabled()


def test_an_open_study_sees_a_failure_that_was_taken_back_and_ran_again(study: Path) -> None:
    with StudyStore(study) as store:
        store.ask(ask(0))
        store.finish(0, result(0, status="failed", error="x"))
    opened = open_study(study)
    assert [r.status for _, r in opened.trials() if r] == ["failed"]
    with StudyStore(study) as store:
        assert store.retry_failed() == 1
        store.finish(0, result(0))
    assert [r.status for _, r in opened.trials() if r] == ["completed"]
    assert opened.results()["status"].tolist() == ["completed"]


def test_latencies_of_two_conditions_have_no_mean(study: Path) -> None:
    """A network that was timed on another machine too: nobody measured what lies between."""
    first = result(0, miou=0.3)
    assert first.latency is not None
    elsewhere = replace(first.latency.condition, device="another machine")
    slow = replace(first.latency, ms=100.0, condition=elsewhere)
    again = write_twice(study, first, slow)
    read = open_study(study)
    (row,) = read.variants().to_dict("records")
    assert (row["latency_ms"], row["seeds"]) == (1.5, 2)
    every = Every()
    assert mean_costs_of(read.trials(), every, "latency_ms") == {first.key.architecture: 1.5}
    with StudyStore(study) as store:
        trials = Trials(Goals.of(("miou", "latency_ms")), AskBook(store, 2))
    assert trials.means([first, again]) == (0.3, 1.5)
