"""Results and architectures as JSON and back, exactly."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar

from hrnet_search.arch.architecture import Architecture
from hrnet_search.records import COMPLETED, FAILED, MIOU, Latency, RungResult, TrialResult

T = TypeVar("T")
Read = Callable[[Any], Any]


def to_json(record: Any) -> str:
    """Return a frozen record as JSON; raise ValueError for a number that is not finite."""
    return json.dumps(dataclasses.asdict(record), allow_nan=False, separators=(",", ":"))


def result_from_json(text: str) -> TrialResult:
    return _build(TrialResult, json.loads(text))


def latency_from_json(text: str) -> Latency:
    return _build(Latency, json.loads(text))


def architecture_from_json(text: str) -> Architecture:
    return _build(Architecture, json.loads(text))


def record_of(kind: Any, data: Any) -> Any:
    """Return what `json.loads` made of a text as a type: a record, or tuples and mappings of them.

    Fields that are not there have their defaults, and others are left out. Raise ValueError where a
    value is not of its type, TypeError where one without a default is missing.
    """
    if not _fits(kind, data):
        raise ValueError(f"not what {kind} is written as")
    return _reader(kind)(data)


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
    """Return the optional numbers of a record that are not finite, by name; an mIoU is none."""
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


def _build(kind: type[T], data: Any) -> T:
    # Fields that a newer version added have defaults; those that it dropped are left out.
    fields = _fields(typing.cast(typing.Hashable, kind))
    return kind(**{name: read(data[name]) for name, read in fields if name in data})


@cache
def _fields(kind: typing.Hashable) -> tuple[tuple[str, Read], ...]:
    """Return what reads each field; thousands of rows are of a few kinds."""
    return tuple((name, _reader(hint)) for name, hint in typing.get_type_hints(kind).items())


def _reader(hint: Any) -> Read:
    if isinstance(hint, types.UnionType):
        return _union_reader([p for p in typing.get_args(hint) if p is not types.NoneType])
    if dataclasses.is_dataclass(hint):
        return partial(_build, typing.cast(type[Any], hint))
    if typing.get_origin(hint) is tuple:
        return _tuple_reader(typing.get_args(hint))
    if typing.get_origin(hint) is Mapping:
        inner = _reader(typing.get_args(hint)[1])
        return lambda data: {name: inner(value) for name, value in data.items()}
    return float if hint is float else _as_it_is


def _union_reader(parts: Sequence[Any]) -> Read:
    readers = [_reader(part) for part in parts]
    if len(parts) == 1:
        one = readers[0]
        return lambda data: None if data is None else one(data)
    both = list(zip(parts, readers, strict=True))
    return lambda data: next((read(data) for part, read in both if _fits(part, data)), None)


def _tuple_reader(hints: tuple[Any, ...]) -> Read:
    readers = tuple(_reader(hint) for hint in hints if hint is not Ellipsis)
    if len(hints) == 2 and hints[1] is Ellipsis:
        one = readers[0]
        return tuple if one is _as_it_is else lambda data: tuple(map(one, data))
    return lambda data: tuple(r(item) for r, item in zip(readers, data, strict=True))


def _as_it_is(data: Any) -> Any:
    return data


def _fits(hint: Any, data: Any) -> bool:
    """Return whether JSON is that of a type, as far as it is there."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if isinstance(hint, types.UnionType):
        return any(_fits(part, data) for part in parts)
    if dataclasses.is_dataclass(hint):
        kinds = typing.get_type_hints(hint).items()
        return isinstance(data, dict) and all(_fits(k, data[n]) for n, k in kinds if n in data)
    if origin is tuple:
        return isinstance(data, list) and _all_fit(parts, data)
    if origin is Mapping:
        return isinstance(data, dict) and all(_fits(parts[1], value) for value in data.values())
    return type(data) in ((int, float) if hint is float else (hint,))


def _all_fit(parts: tuple[Any, ...], data: list[Any]) -> bool:
    if Ellipsis in parts:
        return all(_fits(parts[0], item) for item in data)
    return len(parts) == len(data) and all(map(_fits, parts, data))
