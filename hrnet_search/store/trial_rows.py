"""Trials as rows of study.db: how an ask and its result are written, and read back checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.errors import StudyDamagedError
from hrnet_search.records.point import Point
from hrnet_search.records.trial import PAUSED, RUNNING, TrialKey, TrialResult
from hrnet_search.store.rows import from_json, to_json
from hrnet_search.store.tables import TRIALS, Row, damage

SEARCH, CONFIRM, ABLATE = "search", "confirm", "ablate"
BASE, SHORT, SLICES = "base", "short", "slices"
"""What a trial is for, all six.

BASE is trained before all others, so that they start from it; those of SHORT are trained in part
before all others of a search; those of SLICES are judged by slices of shared weights.
"""

PLACES = {name: place for place, name in enumerate(TRIALS.columns)}
FINISHED, RESULT, STATUS = PLACES["finished"], PLACES["result"], PLACES["status"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A trial that was asked for: committed before it starts.

    `told` are the numbers of the trials whose results the sampler had been told since the ask
    before; `purpose` is search, confirm, ablate, slices or short, or base: its network stands at no
    point.
    """

    number: int
    key: TrialKey
    point: Point
    architecture: Architecture
    purpose: str = SEARCH
    told: tuple[int, ...] = ()


def asked(ask: Ask) -> Row:
    """Return the row of a trial that has no result."""
    return _row(
        number=ask.number,
        architecture=ask.key.architecture,
        schedule=ask.key.schedule,
        seed=ask.key.seed,
        point=json.dumps(ask.point),
        purpose=ask.purpose,
        told=json.dumps(ask.told),
        status=RUNNING,
        width=ask.architecture.width,
        error="",
        network=to_json(ask.architecture),
    )


def ended(row: Row, result: TrialResult, finished: int) -> Row:
    """Return the row of a trial with its result, the `finished`th to be committed."""
    values = dict(zip(TRIALS.columns, row, strict=True))
    return _row(**{**values, **columns_of(result), "finished": finished, "result": to_json(result)})


def paused(row: Row, result: TrialResult) -> Row:
    """Return the row of a trial that is paused, with what it has shown: its status is PAUSED."""
    values = dict(zip(TRIALS.columns, row, strict=True))
    return _row(**{**values, **columns_of(result), "result": to_json(result)})


def thawed(row: Row, purpose: str) -> Row:
    """Return the row of a paused trial that goes on, with what it has shown, for a purpose."""
    return _row(**{**dict(zip(TRIALS.columns, row, strict=True)), "purpose": purpose})


def columns_of(result: TrialResult) -> dict[str, Any]:
    """Return what a result's record says in columns of its own, by column."""
    found = {name: getattr(result, name) for name in ("status", "miou", "wall_s", "error")}
    counted = {name: getattr(result.cost, name, None) for name in COST_NAMES}
    return found | counted | {"latency_ms": result.latency_ms}


def state_of(row: Row) -> str:
    """Return how a trial stands, one of STATES: it runs again once it goes on."""
    goes_on = row[STATUS] == PAUSED and row[PLACES["purpose"]] != SHORT
    return RUNNING if goes_on else str(row[STATUS])


def check_columns(row: Row) -> None:
    """Raise StudyDamagedError unless a trial's columns say what its record says."""
    try:
        text = row[RESULT]
        told = {"status": RUNNING} if text is None else columns_of(from_json(TrialResult, text))
    except (ValueError, TypeError) as error:
        raise damage(f"table trials, {TRIALS.named(row)}: its record ({error})") from None
    wrong = [name for name, value in told.items() if row[PLACES[name]] != value]
    open_ended = text is None or row[STATUS] == PAUSED
    if open_ended != (row[FINISHED] is None):
        wrong.append("finished")
    if wrong:
        what = f"column {wrong[0]} is not what its record says"
        raise damage(f"table trials, {TRIALS.named(row)}: {what}")


def key_of(row: Row) -> TrialKey:
    """Return which trial a row is of."""
    return TrialKey(*(row[PLACES[name]] for name in ("architecture", "schedule", "seed")))


def ask_of(row: Row) -> Ask:
    """Return the ask that a row holds; raise StudyDamagedError."""
    values = dict(zip(TRIALS.columns, row, strict=True))
    try:
        return Ask(
            values["number"],
            TrialKey(values["architecture"], values["schedule"], values["seed"]),
            tuple(json.loads(values["point"])),
            from_json(Architecture, values["network"]),
            values["purpose"],
            tuple(json.loads(values["told"])),
        )
    except (ValueError, TypeError, LookupError) as error:
        raise _unreadable(row, error) from None


def result_of(row: Row) -> TrialResult:
    """Return the result that the row of an ended trial holds; raise StudyDamagedError."""
    try:
        return from_json(TrialResult, row[RESULT])
    except (ValueError, TypeError) as error:
        raise _unreadable(row, error) from None


def in_order_of_commits(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of trials that have ended, the first to be committed first."""
    return sorted((row for row in rows if row[FINISHED] is not None), key=lambda r: r[FINISHED])


def _row(**values: Any) -> Row:
    return tuple(values.get(name) for name in TRIALS.columns)


def _unreadable(row: Row, error: Exception) -> StudyDamagedError:
    what = f"its record cannot be read ({type(error).__name__}: {error})"
    return damage(f"table trials, {TRIALS.named(row)}: {what}")
