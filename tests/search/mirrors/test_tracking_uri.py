"""Files behind URLs are those that were meant, whatever their folders are called.

Authorities: SQLAlchemy's own reader of URLs, SQLite, MLflow's client and Optuna's storage.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from search.mirrors.test_outbox import RESULTS, SEEN, make_study
from sqlalchemy import create_engine, make_url

from hrnet_search.search.mirrors.outbox import MIRRORS, sync
from hrnet_search.search.mirrors.tracking_uri import settled_uri, sqlite_url
from hrnet_search.store.study import open_study

NAMES = ("a?b=c", "a#b", "a%20b", "a%b", "a b", "ü+&=;@:!", "'a'\"b", "a\\b", "file:a")
"""Names that are something else in a URL that holds them as they are."""


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_opened_by_its_url(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = sqlite_url(folder / f"{name}.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE here (x)")
    engine.dispose()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{name}.db"]
    with closing(sqlite3.connect(folder / f"{name}.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("here",)]


def test_mirrors_of_studies_whose_names_differ_only_behind_a_sign(tmp_path: Path) -> None:
    """Two studies up to `?` alike have a database each; MLflow's artifacts lie beside it."""
    asked = {"study?a=%20#1": ("mlflow", "optuna"), "study?a=%20#2": ("optuna",)}
    for name, mirrors in asked.items():
        folder = make_study(tmp_path / name, dict.fromkeys(mirrors, "auto"), RESULTS[:1])
        assert sync(folder, print) == dict.fromkeys(mirrors, (1, 0, True))
        assert [len(SEEN[mirror][0](folder)) for mirror in mirrors] == [1] * len(mirrors)
        assert open_study(folder).results()["status"].tolist() == ["completed"]
        assert len(list(folder.rglob("mlflow-artifacts/*/*/config.yaml"))) == len(mirrors) - 1
    assert {path.name for path in tmp_path.iterdir()} == asked.keys()


@pytest.mark.parametrize(
    ("mirror", "uri", "expected"),
    [
        ("mlflow", "auto", "auto"),
        ("mlflow", "off", "off"),
        ("mlflow", "databricks", "databricks"),
        ("mlflow", "databricks-uc", "databricks-uc"),
        ("mlflow", "databricks://profile", "databricks://profile"),
        ("mlflow", "http://localhost:5000", "http://localhost:5000"),
        ("mlflow", "file:///a%20b", "file:///a%20b"),
        ("mlflow", "./runs", "file:///spaces/a%20b/runs"),
        ("mlflow", "file:runs", "file:///spaces/a%20b/runs"),
        ("mlflow", "/ru?ns", "file:///ru%3Fns"),
        ("optuna", "sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("optuna", "sqlite://", "sqlite://"),
        ("optuna", "sqlite:///:memory:", "sqlite:///:memory:"),
        ("optuna", "postgresql://u:p%40ss@host/db", "postgresql://u:p%40ss@host/db"),
        ("optuna", "sqlite:nonsense", "sqlite:nonsense"),
    ],
)
def test_an_address_holds_from_every_folder(mirror: str, uri: str, expected: str) -> None:
    assert settled_uri(mirror, uri, Path("/spaces/a b")) == expected


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_relative_sqlite_file_starts_beside_the_space_file(mirror: str) -> None:
    url = make_url(settled_uri(mirror, "sqlite:///my%23.db?timeout=5", Path("/spaces/a?b")))
    assert (url.database, dict(url.query)) == ("/spaces/a?b/my#.db", {"timeout": "5"})
