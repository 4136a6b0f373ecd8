"""Latencies kept for the device: measured once, used again where condition and device match.

A SQLite file in the user's cache folder, `$XDG_CACHE_HOME/hrnet-search/latencies.db` (by default
below `~/.cache`). The environment variable HRNET_SEARCH_LATENCIES names another file, or says
`off`. Only steady measurements are kept: those whose interval closed on a device that was not
busy. What cannot be read or written is measured as if nothing had been kept.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hrnet_search.content_hash import hash_of
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.machine.devices import versions
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.paths import expanded
from hrnet_search.records.latency import Latency, LatencyCondition, LatencySpec
from hrnet_search.store.rows import from_json, to_json

T = TypeVar("T")

VARIABLE = "HRNET_SEARCH_LATENCIES"
OFF = "off"

REUSED = "reused"
"""In `Latency.machine`: when a latency was measured that is used again."""

INSTRUMENT = 2
"""Raised when latencies are measured in a way that cannot be compared with the one before."""

WAIT_S = 5.0
SCHEMA = "CREATE TABLE IF NOT EXISTS latencies (key TEXT PRIMARY KEY, latency TEXT) STRICT"


def latency_of(
    network: HighResolutionNet,
    spec: LatencySpec,
    reference_ms: float | None = None,
    *,
    classes: int,
    again: bool = False,
) -> Latency:
    """Return the latency of a network: the one kept from before, else measured now and kept.

    `again` measures in any case. A latency that is used again says so in its `machine`, and
    its `ms` goes by this `reference_ms`. Raises what `measure_latency` raises.
    """
    path = place()
    if path is None:
        return measure_latency(network, spec, reference_ms, classes=classes)
    key = key_of(network.architecture.id, resolve(spec).condition, classes)
    kept = None if again else recall(path, key)
    if kept is not None:
        return replace(kept, ms=_ms(kept, reference_ms))
    found = measure_latency(network, spec, reference_ms, classes=classes)
    if not (found.noisy or found.busy):
        keep(path, key, found)
    return found


def place() -> Path | None:
    """Return the file that latencies are kept in, None where they are not kept."""
    named = os.environ.get(VARIABLE, "")
    if named == OFF:
        return None
    if named:
        return Path(expanded(named))
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "hrnet-search", "latencies.db")


def key_of(architecture: str, condition: LatencyCondition, classes: int) -> str:
    """Return the key of everything that a latency depends on, as far as it is known."""
    return f"{architecture}-{_circumstances(condition, classes)}"


def recall(path: Path, key: str) -> Latency | None:
    """Return a latency that was kept, marked as such; None without one."""

    def read(connection: sqlite3.Connection) -> Latency | None:
        query = "SELECT latency FROM latencies WHERE key = ?"
        row = connection.execute(query, (key,)).fetchone()
        return from_json(Latency, row[0]) if row else None

    return _with(path, read) if path.exists() else None


def kept_references(condition: LatencyCondition, classes: int) -> tuple[float, ...]:
    """Return what the reference took beside each latency kept under a condition, medians in ms."""
    path = place()
    if path is None or not path.exists():
        return ()

    def read(connection: sqlite3.Connection) -> tuple[float, ...]:
        query = "SELECT latency FROM latencies WHERE key LIKE ?"
        rows = connection.execute(query, (f"%-{_circumstances(condition, classes)}",))
        return tuple(from_json(Latency, text).reference_median_ms for (text,) in rows)

    return tuple(ms for ms in _with(path, read) or () if ms > 0)


def keep(path: Path, key: str, latency: Latency) -> None:
    """Keep a latency, in place of an older one."""
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    marked = replace(latency, machine=(*latency.machine, (REUSED, f"measured {when}")))

    def write(connection: sqlite3.Connection) -> None:
        row = (key, to_json(marked))
        connection.execute("INSERT OR REPLACE INTO latencies VALUES (?, ?)", row)
        connection.commit()

    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    _with(path, write)


def is_reused(latency: Latency) -> bool:
    """Say whether a latency was measured before and used again."""
    return any(name == REUSED for name, _ in latency.machine)


def _circumstances(condition: LatencyCondition, classes: int) -> str:
    libraries = [pair for pair in versions() if pair[0] in ("torch", "cuda", "cudnn")]
    return hash_of([condition.plain, classes, libraries, INSTRUMENT])


def _with(path: Path, use: Callable[[sqlite3.Connection], T]) -> T | None:
    # A cache that is damaged, full, locked or from another version is not a reason to fail.
    damage = (sqlite3.Error, OSError, ValueError, TypeError, KeyError)
    with suppress(*damage), closing(sqlite3.connect(path, timeout=WAIT_S)) as connection:
        connection.execute(SCHEMA)
        return use(connection)
    return None


def _ms(latency: Latency, reference_ms: float | None) -> float:
    return latency.median_ms if reference_ms is None else latency.ratio * reference_ms
