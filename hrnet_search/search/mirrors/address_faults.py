"""What no network is needed to say of addresses of mirrors: which never work, which are one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.metadata import entry_points
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from hrnet_search.errors import Fault, shown
from hrnet_search.paths import absolute, is_file, is_folder, why_not_written
from hrnet_search.redaction import redacted_address
from hrnet_search.store.tables import FILE as STUDY_FILE

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

MEMORY = (None, "", ":memory:")
"""What SQLAlchemy takes for a database that is in no file."""

ARTIFACTS = "mlflow-artifacts"
"""The folder of the artifacts of an experiment that is made here."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
WEB = ("http", "https")
DATABRICKS = ("databricks", "databricks-uc", "uc")
DATABASES = ("postgresql", "mysql", "sqlite", "mssql")
"""What MLflow keeps its rows in (mlflow.store.db.db_types)."""

PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
HIGHEST_PORT = 65535
LOCAL = ("", "127.0.0.1", "::1", "localhost")
PLACES = ("host", "port", "options", "unix_socket")
"""What the query of a database's URL may say of where its tables are."""

PACKAGES = {
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "psycopg": "'psycopg[binary]'",
    "pymysql": "pymysql",
    "pyodbc": "pyodbc",
    "mysql.connector": "mysql-connector-python",
}
"""What installs a driver that SQLAlchemy imports, where the names differ or are known."""

ALLOWED = {
    "mlflow": "auto, off, sqlite:///FILE, a folder, http(s)://HOST[:PORT], postgresql://...,"
    " mysql://..., mssql://... or databricks",
    "optuna": "auto, off, sqlite:///FILE, postgresql://..., mysql://... or another database that"
    " SQLAlchemy knows",
}
OWN = "a database of its own for each"
SERVER = f"http(s)://HOST[:PORT], a port from 1 to {HIGHEST_PORT}"
NO_PORT = "has a port that there cannot be"
Wrong = tuple[str, str] | None
"""What is wrong with an address, and what is allowed."""


def address_faults(places: Mapping[str, str], folder: Path | None = None) -> list[Fault]:
    """Return a fault for each settled address, by mirror, that can never work, and for each two
    that are one database, or one with that of the study in `folder`."""
    found = {mirror: _wrong(mirror, uri) for mirror, uri in places.items() if mirror in ALLOWED}
    faults = [
        Fault(f"tracking.{mirror}", None, f"{_named(places[mirror])} {wrong[0]}", wrong[1])
        for mirror, wrong in found.items()
        if wrong
    ]
    return faults or [*_shared(places), *_with_study(places, folder)]


def driver_faults(places: Mapping[str, str]) -> Iterator[Fault]:
    """Yield a fault for each database whose driver is not installed here."""
    for mirror, uri in places.items():
        url = _database(uri) if mirror in ALLOWED else None
        if url is None:
            continue
        try:
            url.get_dialect().import_dbapi()
        except ImportError as error:
            name = error.name or url.get_driver_name()
            how = f"to install: pip install {PACKAGES.get(name, name)}"
            wrong = f"{_named(uri)} needs {shown(name)}, not installed here"
            yield Fault(f"tracking.{mirror}", None, wrong, instead=how)
        except Exception:  # what is no database is another fault
            continue


def folders_to_make(places: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Yield by mirror the folder of a SQLite file that a run has to make first."""
    for mirror, uri in places.items():
        file = sqlite_file(uri)
        if file is not None and not is_folder(file.parent):
            yield mirror, file.parent


def sqlite_file(uri: str) -> Path | None:
    """Return the file behind a URL of SQLite, None where there is none."""
    url = _database(uri)
    if url is None or url.get_backend_name() != "sqlite" or url.database in MEMORY:
        return None
    name = str(url.database)
    if not name.startswith("file:"):
        return absolute(name)
    if ":memory:" in name or url.query.get("mode") == "memory":
        return None
    return absolute(unquote(urlsplit(name).path))


def artifact_place(uri: str, folder: Path) -> str | None:
    """Return where the artifacts of an experiment at a settled address lie, as a URL.

    Beside a SQLite file, in `folder` for the databases that others serve; None where MLflow
    knows a place that does not depend on where a command was started.
    """
    if _database(uri) is None:
        return None
    file = sqlite_file(uri)
    return ((file.parent if file else absolute(folder)) / ARTIFACTS).as_uri()


def move_artifacts(uri: str, found: Any, place: str | None) -> None:
    """Have MLflow's experiment in a SQLite file, and its runs, look for artifacts in `place`.

    The file was moved with the folder of artifacts beside it: MLflow keeps whole paths, and has no
    call that changes them. Another's experiment, whose artifacts lie elsewhere, stays as it is.
    """
    file, old, new = sqlite_file(uri), found.artifact_location, place
    if file is None or new is None or old == new or not old.endswith(f"/{ARTIFACTS}"):
        return
    with closing(sqlite3.connect(file)) as database, database:
        experiment = int(found.experiment_id)
        where = (new, experiment)
        database.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", where
        )
        database.execute(
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
            " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
            (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
        )


def make_folder_of(uri: str) -> None:
    """Make the folder of a SQLite file, as MLflow does for one of its own."""
    if (file := sqlite_file(uri)) is not None:
        file.parent.mkdir(parents=True, exist_ok=True)


def _wrong(mirror: str, uri: str) -> Wrong:
    """Return what is wrong with an address, with what is allowed; None where nothing is."""
    scheme = _scheme(uri)
    if uri in ("auto", "off"):
        return None
    if mirror == "mlflow" and scheme.partition("+")[0] not in DATABASES:
        return _wrong_for_mlflow(uri, scheme)
    return _wrong_database(uri, ALLOWED[mirror])


def _wrong_for_mlflow(uri: str, scheme: str) -> Wrong:
    if scheme in WEB:
        return _wrong_server(uri)
    if scheme in ("", "file"):
        return _wrong_folder(Path(unquote(urlsplit(uri).path)) if scheme else absolute(uri))
    if scheme in DATABRICKS or scheme in _plugins():
        return None
    return "is no place that MLflow knows", ALLOWED["mlflow"]


def _wrong_server(uri: str) -> Wrong:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return "is no address of a server", SERVER
    if not host:
        return "names no host", SERVER
    try:
        port = parts.port
    except ValueError:
        port = 0
    return (NO_PORT, SERVER) if port == 0 else None


def _wrong_database(uri: str, allowed: str) -> Wrong:
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    url = _database(uri)
    if url is None:
        return "is no address of a database", allowed
    try:
        url.get_dialect()
    except (NoSuchModuleError, ArgumentError):
        return "is of no database that SQLAlchemy knows here", allowed
    if url.port is not None and not 1 <= url.port <= HIGHEST_PORT:
        return NO_PORT, f"1 to {HIGHEST_PORT}"
    return _wrong_file(url, uri) if url.get_backend_name() == "sqlite" else None


def _wrong_file(url: URL, uri: str) -> Wrong:
    if url.host:
        return "names a host, which a file has not", "sqlite:///FILE, with three strokes"
    file = sqlite_file(uri)
    if file is None or is_file(file):
        return None
    if is_folder(file):
        return "is a folder", "a file in it, sqlite:///FOLDER/FILE"
    return _wrong_folder(file.parent)


def _wrong_folder(folder: Path) -> Wrong:
    why = "" if is_folder(folder) else why_not_written(str(folder))
    return (
        (f"cannot be made ({why})", "a place in a folder that can be written to") if why else None
    )


def _shared(places: Mapping[str, str]) -> Iterator[Fault]:
    known = {mirror: place for mirror, uri in places.items() if (place := _place_of(uri))}
    for (first, place), (second, other) in combinations(known.items(), 2):
        if place == other:
            wrong = f"{_named(places[second])} is the database of tracking.{first} too"
            yield Fault(f"tracking.{second}", None, wrong, OWN)


def _with_study(places: Mapping[str, str], folder: Path | None) -> Iterator[Fault]:
    own = (folder / STUDY_FILE).resolve() if folder else None
    for mirror, uri in places.items():
        file = sqlite_file(uri) if own else None
        if file is not None and file.resolve() == own:
            yield Fault(f"tracking.{mirror}", None, f"{_named(uri)} is the study itself", OWN)


def _place_of(uri: str) -> tuple[object, ...] | None:
    """Return what two addresses of one database have in common, None of what is no database."""
    url = _database(uri)
    if url is None:
        return None
    kind = url.get_backend_name()
    if kind == "sqlite":
        file = sqlite_file(uri)
        return None if file is None else (kind, file.resolve())
    query = tuple((name, url.query.get(name)) for name in PLACES)
    host = (url.host or "").strip("[]").lower()
    database = url.database or url.username
    return kind, "" if host in LOCAL else host, url.port or PORTS.get(kind), database, query


def _database(uri: str) -> URL | None:
    if not (scheme := _scheme(uri)) or scheme in (*WEB, "file", *DATABRICKS):
        return None
    # Half a second, which an address of another kind has no need of.
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri)
    except (ArgumentError, ValueError):
        return None


def _scheme(uri: str) -> str:
    found = SCHEME.match(uri)
    return found[1].lower() if found else ("uc" if uri == "uc" else "")


def _plugins() -> set[str]:
    """Return the schemes that installed plugins teach MLflow."""
    return {one.name for one in entry_points(group="mlflow.tracking_store")}


def _named(uri: str) -> str:
    return shown(redacted_address(uri), 200)
