"""Addresses that can never work, and two that are one database, are told before anything runs.

Authorities: MLflow's registry of stores, SQLAlchemy's own dialects, and RFC 3986 for servers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from search.mirrors.test_outbox import RESULTS, asked, children, make_study

from hrnet_search.cli import main
from hrnet_search.search.mirrors.address_faults import (
    address_faults,
    artifact_place,
    driver_faults,
    sqlite_file,
)
from hrnet_search.search.mirrors.outbox import sync
from hrnet_search.search.mirrors.tracking_uri import sqlite_url
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "search_spaces" / "quickstart.yaml").read_text()
NEVER = {
    "mlflow": [
        "foo://bar", "http://", "https://:80", "http://[::1", "http://x:99999/", "http://x:0/",
        "http://x:port/", "postgresql://h:99999/db", "postgres://h/db", "c:runs",
        "sqlite://t.db", "sqlite:nonsense", "/dev/null/t", "sqlite:////dev/null/t.db",
        "sqlite:////tmp", f"/tmp/{'n' * 300}/runs", f"sqlite:////tmp/{'n' * 300}/t.db",
    ],
    "optuna": [
        "foo://bar", "http://x", "runs.db", "mysql+nodriver://h/db", "postgresql://[::1/db",
        "sqlite:////tmp",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("mirror", "uri"), [(m, uri) for m in NEVER for uri in NEVER[m]])
def test_an_address_that_never_works_is_one_fault(mirror: str, uri: str) -> None:
    (fault,) = address_faults({mirror: uri})
    assert fault.path == f"tracking.{mirror}"
    assert fault.allowed
    assert len(str(fault).splitlines()) == 1


@pytest.mark.parametrize(
    ("mirror", "uri"),
    [
        ("mlflow", "http://localhost:5000"),
        ("mlflow", "https://[::1]:5000/sub"),
        ("mlflow", "HTTP://host"),
        ("mlflow", "databricks"),
        ("mlflow", "databricks://profile"),
        ("mlflow", "databricks-uc"),
        ("mlflow", "uc:http://host"),
        ("mlflow", "file:///tmp/runs"),
        ("mlflow", "/tmp/a b/runs"),
        ("mlflow", "postgresql+psycopg://u:p@h:5432/db"),
        ("optuna", "sqlite://"),
        ("optuna", "sqlite:///:memory:"),
        ("optuna", "sqlite:////tmp/not/there/t.db"),
        ("optuna", "mysql://h/db"),
        ("optuna", "off"),
        ("mlflow", "auto"),
        ("tensorboard", "auto"),
    ],
)
def test_an_address_that_may_work_is_none(mirror: str, uri: str) -> None:
    assert address_faults({mirror: uri}) == []


def test_a_driver_that_is_missing_is_named_with_what_installs_it() -> None:
    (fault,) = driver_faults({"optuna": "mysql+cymysql://me:geheim@h/db"})
    assert "cymysql, not installed here, to install: pip install cymysql" in str(fault)
    assert "geheim" not in str(fault)
    assert not list(driver_faults({"optuna": "sqlite:///t.db", "mlflow": "http://x"}))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:///{here}/t.db", "sqlite:///{here}/./t.db", True),
        ("sqlite:///{here}/t.db", "sqlite+pysqlite:///{here}/t.db?timeout=5", True),
        ("sqlite:///{here}/t.db", "sqlite:///{here}/link.db", True),
        ("sqlite:///{here}/t.db", "sqlite:///{here}/linked/t.db", True),
        ("sqlite:///{here}/t.db", "sqlite:///file:{here}/t.db?uri=true", True),
        ("sqlite:///{here}/t.db", "sqlite:///{here}/u.db", False),
        ("sqlite://", "sqlite://", False),
        ("postgresql://h/d", "postgresql+psycopg://me:pw@H:5432/d", True),
        ("mysql://localhost/d", "mysql+pymysql://127.0.0.1:3306/d", True),
        ("postgresql://h/d", "postgresql://h/e", False),
        ("postgresql://h/d", "postgresql://h:5433/d", False),
        ("postgresql://h/d?options=-csearch_path%3Da", "postgresql://h/d", False),
        ("http://h", "postgresql://h/d", False),
    ],
)
def test_two_addresses_of_one_database(one: str, other: str, same: bool, tmp_path: Path) -> None:
    (tmp_path / "t.db").touch()
    (tmp_path / "link.db").symlink_to("t.db")
    (tmp_path / "linked").symlink_to(tmp_path)
    places = {"mlflow": one, "optuna": other}
    found = address_faults({name: uri.format(here=tmp_path) for name, uri in places.items()})
    assert [str(fault).count("is the database of tracking.mlflow too") for fault in found] == (
        [1] * same
    )


@pytest.mark.parametrize("uri", ["{here}/linked/study.db", "{here}/./study.db?timeout=9"])
def test_the_database_of_the_study_itself_is_no_place_for_a_mirror(
    uri: str, tmp_path: Path
) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    places = {"optuna": "sqlite:///" + uri.format(here=tmp_path)}
    (fault,) = address_faults(places, tmp_path)
    assert fault.path == "tracking.optuna"
    assert fault.wrong.endswith("is the study itself")
    assert address_faults(places, tmp_path / "other") == address_faults(places) == []


def space(folder: Path, tracking: str) -> str:
    path = folder / "space.yaml"
    text = TEXT.replace("../configs", str(ROOT / "configs"))
    assert "\ntracking:" not in text
    path.write_text(f"{text}\ntracking: {tracking}\n")
    return str(path)


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ('{mlflow: "sqlite:///t.db", optuna: "sqlite:///./t.db"}', "is the database of"),
        ('{optuna: "sqlite:///results/quickstart/mlflow.db"}', "is the database of"),
        ('{mlflow: "sqlite:///results/quickstart/study.db"}', "is the study itself, allowed: a"),
        ('{mlflow: "foo://bar"}', "foo://bar is no place that MLflow knows"),
    ],
)
def test_check_and_run_refuse_it_in_one_line_with_its_place(
    tracking: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = space(tmp_path, tracking)
    for words in (["check"], ["run", "--trials", "1"]):
        assert main([*words, path]) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert err.startswith(f"{path}:")
        assert (len(err.splitlines()), out) == (1, "")
    assert not (tmp_path / "results").exists()


def test_check_says_which_folder_is_made_and_which_driver_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = space(tmp_path, '{mlflow: "sqlite:///new/t.db", optuna: "mysql+cymysql://h/db"}')
    assert main(["check", "--no-measure", path]) == 0
    out = capsys.readouterr().out
    assert f"tracking.mlflow: {tmp_path / 'new'} is not there: a run makes it" in out
    assert "needs cymysql, not installed here" in out
    assert main(["run", path, "-o", str(tmp_path / "study")]) == 2
    assert "needs cymysql" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_train_refuses_such_an_address_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tmp_path / "none.yaml"), "--mlflow", "foo://bar"]) == 2
    assert capsys.readouterr().err.startswith("--mlflow: foo://bar is no place")


def test_artifacts_lie_beside_the_database_wherever_the_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that is not there yet, too."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    uri = f"sqlite+pysqlite:///{tmp_path}/new/t.db"
    folder = make_study(tmp_path / "study", {"mlflow": uri}, RESULTS[:1])
    assert sync(folder, print) == {"mlflow": (1, 0, True)}
    assert len(list((tmp_path / "new" / "mlflow-artifacts").rglob("config.yaml"))) == 1
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_study_that_was_moved_has_its_artifacts_with_it(tmp_path: Path) -> None:
    old = make_study(tmp_path / "old" / "study", {"mlflow": "auto"}, RESULTS[:1])
    assert sync(old, print) == {"mlflow": (1, 0, True)}
    new = tmp_path / "new" / "study"
    (tmp_path / "old").rename(tmp_path / "new")
    with StudyStore(new) as store:
        store.ask(asked(2))
        store.finish(2, RESULTS[2])
    assert sync(new, print) == {"mlflow": (1, 0, True)}
    assert not (tmp_path / "old").exists()
    assert len(list((new / "mlflow-artifacts").rglob("config.yaml"))) == 2
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=sqlite_url(new / "mlflow.db"))
    for run in children(new):
        assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["config.yaml"]
        assert run.info.artifact_uri.startswith((new / "mlflow-artifacts").as_uri())


def test_where_artifacts_of_other_places_lie(tmp_path: Path) -> None:
    assert artifact_place("http://host", tmp_path) is None
    assert artifact_place("file:///runs", tmp_path) is None
    own = (tmp_path / "mlflow-artifacts").as_uri()
    assert artifact_place("postgresql://h/db", tmp_path) == own
    assert artifact_place("sqlite://", tmp_path) == own
    assert sqlite_file("sqlite:////a%3Fb/t.db") == Path("/a?b/t.db")
