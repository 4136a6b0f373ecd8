"""Addresses of what mirrors write to: paths in them are escaped, and hold from every folder."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from hrnet_search.paths import absolute
from hrnet_search.space.load import SpaceFile

WORDS = re.compile(r"databricks(-[a-z]+)?|uc")
"""What MLflow takes for a place without a scheme that is not a path."""

DRIVER = "sqlite+pysqlite"
MEMORY = (None, "", ":memory:")


def sqlite_url(path: str | Path) -> str:
    """Return the URL by which SQLAlchemy, and so MLflow and Optuna, open a SQLite file.

    In a URL `?` begins a query and `%` an escape, in a path they are characters as all others.
    The driver is named, for MLflow makes the folder of a plain `sqlite:///` as it is escaped.
    """
    return _sqlite(URL.create(DRIVER, database=str(absolute(path))))


def tracking_of(file: SpaceFile) -> dict[str, str]:
    """Return where a space file wants its mirrors, by mirror, in words that hold everywhere."""
    beside = Path(file.path).parent
    places = asdict(file.tracking).items()
    return {mirror: settled_uri(mirror, uri, beside) for mirror, uri in places}


def settled_uri(mirror: str, uri: str, beside: Path) -> str:
    """Return a tracking URI of a space file in the folder `beside` that holds from everywhere.

    A relative SQLite file starts there, as every path of a space file; so does a folder of
    MLflow. Everything else stays as it is.
    """
    if uri.startswith("sqlite:"):
        return _settled_sqlite(uri, beside)
    if mirror == "mlflow" and uri not in ("auto", "off") and not WORDS.fullmatch(uri):
        named = re.fullmatch(r"(?:file:(?!//))?([^:]+)", uri)
        return absolute(named[1], beside).as_uri() if named else uri
    return uri


def _settled_sqlite(uri: str, beside: Path) -> str:
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):  # whoever opens it says what is wrong with it
        return uri
    if url.database in MEMORY or str(url.database).startswith(("file:", "/")):
        return uri
    return _sqlite(url.set(drivername=DRIVER, database=str(absolute(str(url.database), beside))))


def _sqlite(url: URL) -> str:
    return url.render_as_string(hide_password=False)
