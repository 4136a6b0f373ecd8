"""Passwords of mirrors: in the space file as it was written, and nowhere else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from made_up import NOTES

from hrnet_search.cli import main
from hrnet_search.errors import Fault, clean, shown
from hrnet_search.redaction import holds_secret, redacted, redacted_address, secrets_of
from hrnet_search.search.mirrors.outbox import places_of, sync
from hrnet_search.search.mirrors.tracking_uri import noted_tracking
from hrnet_search.space.load import load_space_file
from hrnet_search.space.rewrite import without_secrets
from hrnet_search.store import migration, waiting, writer
from hrnet_search.store.notes import Notes
from hrnet_search.store.reader import Reader
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[1]
BASE = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))[1]
PASSWORD = "Geheim s/3:&%?"
TOKEN = "tok3nOfMine"
ENCODED = quote(PASSWORD, safe="")
MLFLOW = f"http://alice:{ENCODED}@127.0.0.1:9/?token={TOKEN}"
OPTUNA = f"postgresql://bob:{ENCODED}@127.0.0.1:9/db?password={TOKEN}&sslmode=disable"
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 4], STAGE2.NUM_BRANCHES: [1], STAGE3.NUM_BRANCHES: [1, 2]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 8, val: 4}}
schedule: {{steps: 2, batch: 2, crop: [64, 64]}}
latency: {{size: [32, 32], seconds: 0.05}}
search: {{sampler: random, trials: 1}}
# was {MLFLOW} with {TOKEN}
tracking: {{mlflow: "{MLFLOW}", optuna: '{OPTUNA}'}}
"""
FORMS = {PASSWORD, ENCODED, quote(PASSWORD), quote_plus(PASSWORD), TOKEN, repr(PASSWORD)[1:-1]}

ADDRESSES = {
    "https://user:secret@host": "https://***@host",
    "https://ghp_secret@host/x": "https://***@host/x",
    "https://host:5000/x?token=secret&x=secret#key=secret": (
        "https://host:5000/x?token=***&x=***#key=***"
    ),
    "postgresql://u:secret@h/db?password=secret&sslmode=require": (
        "postgresql://u:***@h/db?password=***&sslmode=require"
    ),
    "postgresql+psycopg2://u:se/c@secret@h:5/db": "postgresql+psycopg2://u:***@h:5/db",
    "mysql+pymysql://me@h/db?charset=utf8": "mysql+pymysql://me@h/db?charset=utf8",
    "sqlite:////home/a@b:c@d/x.db?timeout=5": "sqlite:////home/a@b:c@d/x.db?timeout=5",
    "https://u:${PASSWORD}@h/?token=${TOKEN}": "https://u:${PASSWORD}@h/?token=${TOKEN}",
    "host=h user=u password=secret": "host=h user=u password=***",
    "host=h sslpassword=secret": "host=h sslpassword=***",
    # As MLflow and boto name what they read in the environment.
    "MLFLOW_TRACKING_PASSWORD=secret": "MLFLOW_TRACKING_PASSWORD=***",
    "AWS_SECRET_ACCESS_KEY=secret": "AWS_SECRET_ACCESS_KEY=***",
    "auto": "auto",
}


@pytest.mark.parametrize(("address", "kept"), ADDRESSES.items())
def test_what_of_an_address_is_kept(address: str, kept: str) -> None:
    """As SQLAlchemy shows a URL with hide_password; of web addresses the user too."""
    assert redacted_address(address) == kept
    assert redacted_address(kept) == kept
    assert holds_secret(address) == (kept != address)
    assert ("secret" in "".join(secrets_of(address))) == (kept != address)


def test_every_text_is_without_what_is_a_secret() -> None:
    long = "https://user:" + "secret" * 50 + "@host"
    assert "secret" not in shown(long)
    assert "secret" not in str(Fault("tracking.mlflow", long, f"{long} is not known"))
    known = secrets_of(OPTUNA)
    for form in FORMS:
        assert form not in redacted(f"FATAL: password {form} is wrong", known)
    assert redacted("a pin of 12 on line 5", {"1"}) == "a pin of 12 on line 5"
    assert redacted("see https://docs.python.org/3/?q", ()) == "see https://docs.python.org/3/?q"


def test_a_space_file_reads_the_same_without_its_secrets() -> None:
    """Also where a password is a word that the file needs, and where it is written in escapes."""
    text = "name: tiny # steps\ntracking: {mlflow: https://u:steps@h}\nschedule: {steps: 3}\n"
    kept = without_secrets(text)
    assert "schedule: {steps: 3}" in kept
    assert '{mlflow: "https://***@h"}' in kept
    escaped = 'tracking:\n  mlflow: "https://u:s\\x65cret@h"\n  optuna: >-\n    x://u:secret@h\n'
    kept = without_secrets(escaped + "# ask for secret\n")
    assert "cret" not in kept


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine" / "space.yaml"
    path.parent.mkdir()
    path.write_text(SPACE)
    return path


def leaks(folder: Path) -> Iterator[str]:
    """Yield the files below a folder that hold a secret, in any form."""
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for form in FORMS:
            if form.encode() in content or form.encode("utf-16-le") in content:
                yield f"{path}: {form}"


@pytest.mark.usefixtures("one_check", "blank_pictures")
def test_nothing_that_a_search_leaves_or_says_has_a_password(
    space: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run with mirrors that fail, a report, an export, a sync, and `check`."""
    said: list[str] = []

    def does(*words: str) -> int:
        code = main(["--debug", *words])
        said.extend(capfd.readouterr())
        return code

    study = str(tmp_path / "study")
    assert does("check", str(space)) == 0
    assert "tracking.mlflow: holds a password, better: ${NAME}" in said[-2]
    assert does("run", str(space), "-o", study, "--plain") == 0
    assert "mlflow cannot be reached" in said[-1]
    assert f"sync {study} --space {space} sends them" in said[-1]
    assert does("report", study) == 0
    assert does("export", study) == 0
    assert does("sync", study) == 1
    assert said[-1].count("hrnet-search sync STUDY --space SPACE") == 2
    assert "cannot be reached" not in said[-1]
    assert does("sync", study, "--space", str(space)) == 1
    assert "mlflow cannot be reached" in said[-1]
    assert does("run", f"{study}/space.yaml", "-o", study, "--plain") == 0
    assert "cannot be reached" not in said[-1]
    assert list(leaks(tmp_path / "study")) == []
    assert [form for form in FORMS for text in said if form in text] == []
    assert PASSWORD not in space.read_text()
    assert space.read_text() == SPACE


def test_variables_are_filled_when_a_command_runs_and_never_stored(
    space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "postgresql://bob:${MY_WORD}@h/db"
    space.write_text(SPACE.replace(OPTUNA, uri).replace(f'"{MLFLOW}"', "off"))
    file = load_space_file(space)
    monkeypatch.setenv("MY_WORD", TOKEN)
    StudyStore.create("study", replace(NOTES, tracking={"optuna": uri}))
    study = open_study("study")
    filled = uri.replace("${MY_WORD}", TOKEN)
    assert places_of(study) == places_of(study, file) == {"optuna": filled}
    assert noted_tracking(file)["optuna"] == uri
    monkeypatch.delenv("MY_WORD")
    assert main(["run", str(space)]) == 2
    line = "the environment variable MY_WORD is not set"
    assert f"{space}:10:33: tracking.optuna: {line}" in capsys.readouterr().err
    assert not Path("results").exists()
    assert main(["sync", "study"]) == 2
    assert line in capsys.readouterr().err
    assert main(["check", str(space)]) == 0
    assert f"tracking.optuna: {line}" in capsys.readouterr().out


def test_sync_takes_no_space_of_another_study(space: Path) -> None:
    StudyStore.create("study", NOTES)
    with pytest.raises(ValueError, match="the study is made-up"):
        sync(Path("study"), print, load_space_file(space))


@pytest.fixture
def plain_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what SQLite is where it was built without SQLITE_SECURE_DELETE, as by default."""
    connect = sqlite3.connect

    def plain(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", plain)


def killed_at(statement: str) -> Callable[..., None]:
    """Return what executes statements until the process is killed at this one."""

    def patiently(connection: sqlite3.Connection, asked: str, *others: Any) -> None:
        if asked == statement:
            raise KeyboardInterrupt
        waiting.patiently(connection, asked, *others)

    return patiently


@pytest.mark.usefixtures("plain_sqlite")
@pytest.mark.parametrize("killed", ["", "VACUUM"])
def test_a_study_from_before_loses_its_secret_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    """Also from pages of study.db that are free and from the second copy, and after a kill."""
    folder = tmp_path / "study"
    with monkeypatch.context() as before:
        before.setattr(writer, "redacted_note", lambda _, value: value)
        before.setattr(Notes, "texts", lambda _: {"space_text": SPACE, "tracking": MLFLOW})
        StudyStore.create(folder, NOTES)
        before.setattr(Notes, "texts", lambda _: {"tracking": f'{{"optuna": "{OPTUNA}"}}'})
        with StudyStore(folder) as store:
            store.note(NOTES)
    assert list(leaks(folder))
    study = open_study(folder)
    assert not any(form in study.space_text + str(study.notes) for form in FORMS)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "patiently", killed_at(killed))
        with pytest.raises(KeyboardInterrupt) if killed else nullcontext():
            StudyStore(folder).close()
    StudyStore(folder).close()
    assert list(leaks(folder)) == []
    Reader(folder).check_all()


@pytest.mark.usefixtures("plain_sqlite")
def test_a_migration_keeps_no_secret(tmp_path: Path) -> None:
    script = (Path(__file__).parent / "store" / "data" / "schema-1.sql").read_text()
    folder = tmp_path / "study"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.executescript(script)
        connection.execute("DELETE FROM driver")
        note = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
        connection.executemany(note, [("tracking", MLFLOW), ("space_text", SPACE)])
        connection.commit()
    assert migration.META_1 == ("name", "value")
    for name in writer.FOLDERS:
        (folder / name).mkdir()
    StudyStore(folder, warn=print).close()
    assert (folder / "study.db.schema-1").is_file()
    assert list(leaks(folder)) == []


def test_lines_for_a_terminal_are_clean() -> None:
    text = "a\x1b[31m\u202eb\n\thttps://u:secret@h"
    assert clean(text) == "a\\x1b[31m\\u202eb\n\\thttps://***@h"
