"""Addresses of what mirrors write to: paths in them are escaped, and hold from every folder."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_search.errors import Fault, SpaceError, shown
from hrnet_search.paths import absolute
from hrnet_search.redaction import holds_secret, is_redacted, redacted_address
from hrnet_search.search.mirrors.address_faults import (
    MEMORY,
    address_faults,
    driver_faults,
    folders_to_make,
)
from hrnet_search.space.load import SpaceFile, placed

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

WORDS = re.compile(r"databricks(-[a-z]+)?|uc")
"""What MLflow takes for a place without a scheme that is not a path."""

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A variable of the environment in an address."""

REDACTED = (
    "its password is kept in the space file alone, nothing is sent without it: hrnet-search sync "
    "STUDY --space SPACE sends, or ${NAME} in its place there, and NAME in the environment"
)

OFF = "off"

IN_STUDY = ("mlflow", "optuna")
"""Mirrors for which `auto` is a SQLite file in the study, named after them."""

EXTRA_LIBRARIES = {"tensorboard": "tensorboard"}
"""What this package does not install by itself, by mirror."""

DRIVER = "sqlite+pysqlite"


def sqlite_url(path: str | Path) -> str:
    """Return the URL by which SQLAlchemy, and so MLflow and Optuna, open a SQLite file.

    In a URL `?` begins a query and `%` an escape, in a path they are characters as all others.
    The driver is named, for MLflow makes the folder of a plain `sqlite:///` as it is escaped.
    """
    from sqlalchemy.engine import URL  # half a second, which `check` has no need of

    return _sqlite(URL.create(DRIVER, database=str(absolute(path))))


def tracking_of(file: SpaceFile, folder: Path) -> dict[str, str]:
    """Return where a space file wants the mirrors of the study in `folder`, if any, by mirror.

    In words that hold everywhere. Variables have their values, so what is returned is never
    stored. Raise SpaceError for one that is not set, for a mirror whose library is not installed,
    and for addresses that can never work or are one database.
    """
    if missing := list(_missing(file)):
        raise SpaceError(placed(file, missing))
    beside = Path(file.path).parent
    places = {
        mirror: settled_uri(mirror, filled(uri, mirror, file), beside)
        for mirror, uri in asdict(file.tracking).items()
    }
    judged = _in_full(_led_to(places), folder)
    if faults := [*address_faults(judged, folder), *driver_faults(judged)]:
        raise SpaceError(placed(file, faults))
    return places


def check_addresses(file: SpaceFile, folder: Path) -> None:
    """Raise SpaceError for addresses that work on no machine, or are one database."""
    if faults := address_faults(_known_places(file, folder), folder):
        raise SpaceError(placed(file, faults))


def _known_places(file: SpaceFile, folder: Path) -> dict[str, str]:
    """Return the addresses of a space file without those that the environment has to complete."""
    beside = Path(file.path).parent
    known = {
        mirror: settled_uri(mirror, filled(uri, mirror, file), beside)
        for mirror, uri in asdict(file.tracking).items()
        if all(name in os.environ for name in VARIABLE.findall(uri))
    }
    return _in_full(_led_to(known), folder)


def _led_to(places: dict[str, str]) -> dict[str, str]:
    """Return the addresses that lead somewhere: no mirror is sent to one that was redacted."""
    return {mirror: uri for mirror, uri in places.items() if not is_redacted(uri)}


def _in_full(places: dict[str, str], folder: Path) -> dict[str, str]:
    """Return addresses with the file in the study for `auto`, which another one may name too."""
    if not set(places.values()) - {OFF, "auto"}:
        return places
    own = {name: sqlite_url(folder / f"{name}.db") for name in IN_STUDY}
    return {
        mirror: own.get(mirror, uri) if uri == "auto" else uri for mirror, uri in places.items()
    }


def noted_tracking(file: SpaceFile) -> dict[str, str]:
    """Return the same as a study keeps it: without passwords, and `${NAME}` as it is written."""
    beside = Path(file.path).parent
    return {
        mirror: redacted_address(uri if VARIABLE.search(uri) else settled_uri(mirror, uri, beside))
        for mirror, uri in asdict(file.tracking).items()
    }


def filled(uri: str, mirror: str, file: SpaceFile | None = None) -> str:
    """Return an address with the environment's values for `${NAME}`; raise SpaceError."""

    def value(found: re.Match[str]) -> str:
        known = os.environ.get(found[1])
        if known is None:
            fault = Fault(f"tracking.{mirror}", uri, *_not_set(found[1]))
            raise SpaceError(placed(file, [fault]) if file else fault)
        return known

    return VARIABLE.sub(value, uri)


def advice_on(file: SpaceFile, folder: Path) -> Iterator[str]:
    """Yield what `check` says of the mirrors of a study in `folder`: libraries and drivers that are
    not installed, folders to be made, passwords, and names without a value."""
    yield from map(str, _missing(file))
    places = _known_places(file, folder)
    yield from map(str, driver_faults(places))
    for mirror, made in folders_to_make(places):
        if asdict(file.tracking)[mirror] != "auto":
            yield f"tracking.{mirror}: {shown(str(made), 300)} is not there: a run makes it"
    for mirror, uri in asdict(file.tracking).items():
        where = f"tracking.{mirror}"
        if is_redacted(uri):
            yield f"{where}: {REDACTED}"
        elif holds_secret(uri):
            yield (
                f"{where}: holds a password, better: ${{NAME}} in its place, and the password in "
                "the environment variable NAME"
            )
        for name in dict.fromkeys(VARIABLE.findall(uri)):
            if name not in os.environ:
                yield f"{where}: {', '.join(_not_set(name))}"


def not_installed(mirror: str) -> Fault | None:
    """Return what is wrong where the library of a mirror is missing, with what installs it."""
    library = EXTRA_LIBRARIES.get(mirror)
    if library is None or importlib.util.find_spec(library):
        return None
    wrong = f"needs {library}, not installed here"
    return Fault(f"tracking.{mirror}", mirror, wrong, instead=f"to install: pip install {library}")


def _missing(file: SpaceFile) -> Iterator[Fault]:
    for mirror, uri in asdict(file.tracking).items():
        fault = None if uri == OFF else not_installed(mirror)
        if fault is not None:
            yield fault


def _not_set(name: str) -> tuple[str, str]:
    return (
        f"the environment variable {shown(name)} is not set",
        f"export {shown(name)}=...",
    )


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
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):  # whoever opens it says what is wrong with it
        return uri
    if url.database in MEMORY or str(url.database).startswith(("file:", "/")):
        return uri
    return _sqlite(url.set(drivername=DRIVER, database=str(absolute(str(url.database), beside))))


def _sqlite(url: URL) -> str:
    return url.render_as_string(hide_password=False)
