"""What a study notes of itself: every field is written and read, as any version wrote it."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from made_up import CHECK, NOTES, TINY

from hrnet_search.inventory import Inventory, SplitInventory
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.report import write_report
from hrnet_search.store.ablation import AblationRecord
from hrnet_search.store.duels import Duel, Duels
from hrnet_search.store.findings import (
    Learned,
    NotedSchedule,
    Probe,
    RungAudit,
    Screening,
    StartLatency,
)
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.writer import StudyStore

DATA = Path(__file__).parent / "data"
OWN = DataSpec("folder", 2, ("a", "b"), size=(32, 48), mapping=((7, 0),), colors=(((1, 2, 3), 1),))
SCHEDULE = NotedSchedule("sc-1", Schedule(OWN, class_weights=(0.5, 1.5), init="base"))
ABLATION = AblationRecord(
    name="a", design="one-factor", resolution=0, aliases=(("a", "b"),), factors=("fuse",),
    reference=("SUM",), seeds=(0, 1), alpha=0.05, margin=None, trainings=4, ended=2, noise=0.25,
    least_p=0.5, detectable=None, class_names=("a", "b"), arms=(), effects=(), notes=("small",),
)  # fmt: skip
FULL = Notes(
    name="all",
    study_id="0123",
    identity={"limits": [["params", 1001]], "latency": {"size": [32, 32]}},
    space_text="name: all\n",
    base_yaml="MODEL: {}\n",
    objectives=("miou", "latency_ms"),
    choices=("width", "STAGE2.NUM_BLOCKS"),
    levels=((8, 16), ([1, 2], [4, 4])),
    trials=40,
    schedule=SCHEDULE,
    long_schedule=SCHEDULE,
    arm_schedules=(SCHEDULE, SCHEDULE),
    data_holds=Inventory(SplitInventory(3, 3), SplitInventory(2, 2), ("few images",)),
    image_sizes={"train": (32, 48), "val": (32, 48)},
    initial=("the base: all tensors match",),
    probe=Probe("bf16", "channels_last", "a GPU", {"fp32 channels_last": 0.5}),
    device="a GPU",
    aa_check=CHECK,
    reference_ms=1.5,
    screening_start=(StartLatency(TINY, 1.5, 1.0, 0.5, 2.0), StartLatency(TINY, None, error="no")),
    screening=Screening(20, 0.05, 0.9, used=True),
    known_points=((0, 1), (2, 0)),
    known_for=(("short", 1), ("search", 5)),
    rung_audit=RungAudit(17, 1, 120),
    learned_from=(Learned("first", "0abc", "/first", "soft_iou", (TINY,), (0.5,)),),
    learned_weights=(0.25,),
    duels=Duels((Duel("macs", 5.0, "hr-a", "hr-b", "W18", "sc-l", (5, 6), 2, "why"),), 1, "else"),
    tracking={"mlflow": "auto", "optuna": "off"},
    ablation=ABLATION,
    outcome="done",
    hours=8.0,
    spent_s=1.5,
    trained_s=1.25,
    storage="s3://bucket",
    keep="front",
    first_trials=(0, 2),
    first_scores=(0.25, None),
)


def test_every_field_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert [f.name for f in fields(Notes) if getattr(FULL, f.name) is None] == []
    StudyStore.create(tmp_path, FULL)
    assert open_study(tmp_path).notes == FULL


def test_a_note_changes_the_fields_that_it_has_and_no_other(study: Path) -> None:
    with StudyStore(study) as store:
        store.note(Notes(trials=40))
        store.note(Notes(device="a CPU", trials=50))
        found = store.notes()
    assert (found.trials, found.device, found.name) == (50, "a CPU", NOTES.name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trials", '"many"'),
        ("reference_ms", "fast"),
        ("objectives", '"miou"'),
        ("schedule", "[]"),
        ("schedule", '{"data": {"classes": "<b>many</b>"}}'),
        ("levels", "[[1], 2]"),
        ("image_sizes", '{"train": [1, 2, 3]}'),
        ("aa_check", '{"ratio": 1.0}'),
        ("screening", '{"n": 1, "loo_error": "1", "tau": 1, "used": true}'),
        ("tracking", "{"),
        ("identity", "[" * 100_000),
    ],
)
def test_what_is_not_of_its_type_is_named_and_the_rest_is_read(name: str, text: str) -> None:
    found = Notes.read({**FULL.texts(), name: text, "of_a_newer_version": "1"})
    assert found.unreadable == (name,)
    assert getattr(found, name) is None
    others = [f.name for f in fields(Notes) if f.name not in (name, "unreadable")]
    assert [n for n in others if getattr(found, n) != getattr(FULL, n)] == []


def opened(folder: Path, script: str) -> Study:
    """Return a study of version 0.1.0, before its study.db had checksums, from a dump of it."""
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.executescript(script)
    return open_study(folder)


def test_a_study_of_the_first_days_opens_and_has_its_report(tmp_path: Path) -> None:
    """Made when the command line was new: no A/A check, one mirror, few keys of a schedule."""
    study = opened(tmp_path, (DATA / "first-days.sql").read_text())
    notes = study.notes
    assert notes.unreadable == ()
    assert (notes.name, notes.trials, notes.tracking) == ("first-days", 3, {"mlflow": "off"})
    assert notes.schedule
    assert {ask.key.schedule for ask, _ in study.trials()} == {notes.schedule.id}
    data = DataSpec("shapes", 8, size=(32, 32), train_images=16, val_images=4)
    assert notes.schedule.schedule == Schedule(
        data, steps=12, batch=4, crop=(32, 32), fingerprint="a5d6af4f694b",
        memory_format="contiguous",
    )  # fmt: skip
    assert write_report(study).page.is_file()
    assert "id sc-c415267ea715, steps 12, batch 4" in (tmp_path / "report/report.html").read_text()


def test_a_study_of_the_third_day_opens_and_has_its_report(tmp_path: Path) -> None:
    """Made when latency was first screened and checked, and trials stopped at rungs."""
    script = gzip.decompress((DATA / "screened.sql.gz").read_bytes()).decode()
    study = opened(tmp_path, script)
    notes = study.notes
    assert notes.unreadable == ()
    assert notes.schedule
    assert {ask.key.schedule for ask, _ in study.trials()} == {notes.schedule.id}
    assert notes.aa_check
    assert (round(notes.aa_check.ratio, 3), notes.aa_check.agrees) == (1.236, True)
    assert notes.aa_check.reference_ms == notes.reference_ms
    assert notes.screening
    assert (notes.screening.n, notes.screening.used) == (22, False)
    assert notes.rung_audit == RungAudit(audited=0, lost=0, stopped=2)
    start = notes.screening_start or ()
    assert len({row.network.id for row in start}) == len(start) == 10
    assert all(row.ms and row.low < row.ratio < row.high for row in start)
    page = page_html(gather(study)).decode()
    assert "the reference over its copy (0.937 to 1.536): it agrees" in page
    assert "The rule stopped 2 trials." in page


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("road", "sky"), "iou[sky]"),
        (("road, paved", "a, b"), "iou[1]"),
        (("road", "road"), "iou[1]"),
        (("road", " sky "), "iou[1]"),
    ],
)
def test_a_limit_of_a_class_stands_whatever_classes_are_called(
    names: tuple[str, str], shown: str
) -> None:
    schedule = NotedSchedule("sc-1", Schedule(DataSpec("shapes", 2, names=names)))
    notes = Notes(schedule=schedule, identity={"limits": [["iou[1]", {"at_least": 0.9}]]})
    (floor,) = notes.goals.floors
    assert (floor.objective.key, floor.objective.name) == ("iou[1]", shown)
