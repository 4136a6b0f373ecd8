"""Results and architectures as JSON and back, exactly."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.trial import COMPLETED, FAILED, RungResult, TrialResult

T = TypeVar("T")


def to_json(record: Any) -> str:
    """Return a frozen record as JSON; raise ValueError for a number that is not finite."""
    return json.dumps(dataclasses.asdict(record), allow_nan=False, separators=(",", ":"))


def from_json(kind: type[T], text: str) -> T:
    """Return JSON as a record, or tuples and mappings of them: what `to_json` wrote, exactly.

    Fields that are not there have their defaults, and others are left out: a newer version added
    them, or an older one had them. Raise ValueError where it is not JSON, a value is not of its
    type, or one without a default is missing.
    """
    try:
        return cast(T, _decoder(cast(Hashable, kind)).decode(text))
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    """Return what reads a kind; thousands of rows are of a few."""
    return msgspec.json.Decoder(kind)


def record_of(kind: Any, data: Any) -> Any:
    """Return what `json.loads` made of a text as `from_json` would."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def trusted(result: TrialResult) -> TrialResult:
    """Return a result fit to be kept: one that completed with impossible numbers has failed.

    Numbers that are not finite are dropped from any result, and said in its error; those that a
    result may lack, as the signals beside mIoU, in its notes: it is no failure for want of them.
    """
    result = _without_wrong_extras(result)
    wrong = [w for w in (_wrong_miou(result), _wrong_latency(result)) if w]
    bad_rungs = [r for r in result.rungs if not _finite(dataclasses.asdict(r))]
    if bad_rungs:
        wrong.append(f"numbers at step {bad_rungs[0].step} are not finite")
    if not math.isfinite(result.wall_s):
        wrong.append("its wall time is not finite")
    if not wrong:
        return result
    return dataclasses.replace(
        result,
        status=FAILED if result.status == COMPLETED else result.status,
        error="; ".join([*([result.error] if result.error else []), *wrong]),
        miou=None if _wrong_miou(result) else result.miou,
        latency=None if _wrong_latency(result) else result.latency,
        rungs=tuple(r for r in result.rungs if r not in bad_rungs),
        wall_s=result.wall_s if math.isfinite(result.wall_s) else 0.0,
    )


def _without_wrong_extras(result: TrialResult) -> TrialResult:
    """Return a result in which what it may lack is finite or not there, with a note for each."""
    notes = [f"its {name} is not finite, and left out" for name in _wrong_extras(result)]
    rungs = []
    for rung in result.rungs:
        wrong = _wrong_extras(rung)
        notes += [f"its {name} at step {rung.step} is not finite, and left out" for name in wrong]
        rungs.append(dataclasses.replace(rung, **wrong) if wrong else rung)
    if not notes:
        return result
    return dataclasses.replace(
        result, rungs=tuple(rungs), notes=(*result.notes, *notes), **_wrong_extras(result)
    )


def _wrong_extras(record: TrialResult | RungResult) -> dict[str, Any]:
    """Return the optional numbers of a record that are not finite, by name; not mIoU."""
    return {
        field.name: None
        for field in dataclasses.fields(record)
        if field.default is None
        and field.name != MIOU
        and isinstance(value := getattr(record, field.name), float)
        and not math.isfinite(value)
    }


def _wrong_miou(result: TrialResult) -> str:
    if result.miou is None:
        return "it completed without an mIoU" if result.status == COMPLETED else ""
    return "" if 0 <= result.miou <= 1 else f"its mIoU of {result.miou} is outside 0 to 1"


def _wrong_latency(result: TrialResult) -> str:
    if result.latency is None:
        return ""
    finite = _finite(dataclasses.asdict(result.latency))
    return "" if finite and result.latency.ms > 0 else "its latency is not a positive number"


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)
