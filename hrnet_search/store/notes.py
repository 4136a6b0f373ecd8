"""What a study notes of itself: one record, and how each field of it is written in study.db."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

from hrnet_search.class_iou import is_class_iou, spelt
from hrnet_search.goals import AT_LEAST, Goals, known
from hrnet_search.inventory import Inventory
from hrnet_search.latency_rule import AACheck
from hrnet_search.records.accuracy import MIOU, SIGNAL
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.point import Point
from hrnet_search.redaction import redacted, redacted_address
from hrnet_search.space.rewrite import without_secrets
from hrnet_search.store.ablation import AblationRecord
from hrnet_search.store.duels import Duels
from hrnet_search.store.findings import (
    Learned,
    NotedSchedule,
    Probe,
    RungAudit,
    Screening,
    StartLatency,
)
from hrnet_search.store.rows import from_json, record_of, to_json

RUNNING, DONE, INTERRUPTED, BROKEN = "running", "done", "interrupted", "failed"
OUTCOMES = (RUNNING, DONE, INTERRUPTED, BROKEN)
"""How a run of a study may stand."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a field is written as text and read as its type; `redact` hides what is secret in it."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]
    redact: Callable[[str], str] = str


def plain_schedule(noted: NotedSchedule) -> dict[str, Any]:
    """Return a schedule as it is noted."""
    return {**asdict(noted.schedule), "id": noted.id}


def noted_schedule(found: Any) -> dict[str, Any]:
    """Return what any version noted of a schedule as NotedSchedule is read from.

    What it lacks, of its data too, is the default. The first versions, which noted no memory
    format, trained in contiguous memory.
    """
    plain = {"memory_format": "contiguous", **found}
    data = {"kind": "", "classes": 0, **plain.get("data", {})}
    return {"id": plain.get("id", ""), "schedule": {**plain, "data": data}}


def _schedule_of(found: Any) -> NotedSchedule:
    return typing.cast(NotedSchedule, record_of(NotedSchedule, noted_schedule(found)))


def _plain_latency(row: StartLatency) -> dict[str, Any]:
    interval = {"ratio": row.ratio, "low": row.low, "high": row.high}
    rest = {"error": row.error} if row.ms is None else interval
    return {"network": to_json(row.network), "ms": row.ms, **rest}


def _latency_of(found: Any) -> StartLatency:
    plain = {**found, "network": json.loads(found["network"])}
    return typing.cast(StartLatency, record_of(StartLatency, plain))


def _plain_learned(row: Learned) -> dict[str, Any]:
    return {**asdict(row), "networks": [to_json(network) for network in row.networks]}


def _learned_of(found: Any) -> Learned:
    plain = {**found, "networks": [json.loads(text) for text in found["networks"]]}
    learned = typing.cast(Learned, record_of(Learned, plain))
    if len(learned.networks) != len(learned.scores):
        raise ValueError("as many scores as networks")
    return learned


def _addresses_of(text: str) -> Any:
    """Return addresses by mirror; studies begun before there were several have that of the one."""
    if not text.startswith("{"):
        return {"mlflow": text}
    return from_json(dict[str, str], text)


def _redact_tracking(text: str) -> str:
    try:
        places = _addresses_of(text)
    except ValueError:
        return redacted(text)
    kept = {mirror: redacted_address(place) for mirror, place in places.items()}
    return text if kept == places else json.dumps(kept)


TEXT = Form(str, str)
SPACE = Form(str, str, without_secrets)
TRACKING = Form(json.dumps, _addresses_of, _redact_tracking)
SCHEDULE = Form(
    lambda noted: json.dumps(plain_schedule(noted)), lambda text: _schedule_of(json.loads(text))
)
SCHEDULES = Form(
    lambda many: json.dumps(list(map(plain_schedule, many))),
    lambda text: tuple(map(_schedule_of, json.loads(text))),
)
ABLATION = Form(to_json, lambda text: from_json(AblationRecord, text))
"""Refuses numbers that are not finite."""

LATENCIES = Form(
    lambda many: json.dumps(list(map(_plain_latency, many))),
    lambda text: tuple(map(_latency_of, json.loads(text))),
)
LEARNED = Form(
    lambda many: json.dumps(list(map(_plain_learned, many))),
    lambda text: tuple(map(_learned_of, json.loads(text))),
)


def _json(kind: Any) -> Form:
    """Return the form of a field that is JSON as it is: records by the names of their fields."""
    return Form(
        lambda value: json.dumps(value, default=asdict),
        lambda text: record_of(kind, json.loads(text)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a study notes of itself, by the names that study.db has for it; None: not noted.

    To write some of them, give those alone: `Notes(trials=40)`. `identity` is what may not change,
    by the key of the space file. `choices` are paths, `levels` their values, as a space file spells
    both. `hours` of devices are its budget in place of `trials`, of which `spent_s` seconds are
    spent; `trained_s` are those of the trials that had ended by then. `keep` is whose weights stay,
    all where it is not noted; `storage` is where checkpoints were kept last, if not in the study.
    `long_schedule` is what confirms, `arm_schedules` are those of an ablation. `image_sizes`
    are the largest (height, width) by split. `initial` says for people what variants start from.
    `screening_start` was measured before the first trial; `known_points` turned out to spell a
    network that was asked for before, each proposed for a purpose of `known_for`, which says too
    how many trials had ended by then. `first_trials` are the numbers of those that were trained in
    part first, and `first_scores` what the search has learned from them, if anything.
    `learned_from` are earlier studies, each of which has one of `learned_weights` in the model of
    accuracy, as a share of all. `tracking` are addresses by mirror, without passwords. `outcome` is
    how its last run ended, one of OUTCOMES: what is running and has no driver was killed.
    `unreadable` names what is there and is not what its field is.
    """

    name: str | None = None
    study_id: str | None = None
    identity: Mapping[str, Any] | None = None
    space_text: str | None = field(default=None, metadata={"form": SPACE})
    base_yaml: str | None = None
    objectives: tuple[str, ...] | None = None
    choices: tuple[str, ...] | None = None
    levels: tuple[tuple[Any, ...], ...] | None = None
    trials: int | None = None
    hours: float | None = None
    spent_s: float | None = None
    trained_s: float | None = None
    storage: str | None = None
    keep: str | None = None
    schedule: NotedSchedule | None = field(default=None, metadata={"form": SCHEDULE})
    long_schedule: NotedSchedule | None = field(default=None, metadata={"form": SCHEDULE})
    arm_schedules: tuple[NotedSchedule, ...] | None = field(
        default=None, metadata={"form": SCHEDULES}
    )
    data_holds: Inventory | None = None
    image_sizes: Mapping[str, tuple[int, int]] | None = None
    initial: tuple[str, ...] | None = None
    probe: Probe | None = None
    device: str | None = None
    aa_check: AACheck | None = None
    reference_ms: float | None = None
    screening_start: tuple[StartLatency, ...] | None = field(
        default=None, metadata={"form": LATENCIES}
    )
    screening: Screening | None = None
    known_points: tuple[Point, ...] | None = None
    known_for: tuple[tuple[str, int], ...] | None = None
    learned_from: tuple[Learned, ...] | None = field(default=None, metadata={"form": LEARNED})
    learned_weights: tuple[float, ...] | None = None
    rung_audit: RungAudit | None = None
    first_trials: tuple[int, ...] | None = None
    first_scores: tuple[float | None, ...] | None = None
    duels: Duels | None = None
    tracking: Mapping[str, str] | None = field(default=None, metadata={"form": TRACKING})
    ablation: AblationRecord | None = field(default=None, metadata={"form": ABLATION})
    outcome: str | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def signal(self) -> str:
        """What its search learns from; one from before there was a choice learns from mIoU."""
        return str((self.identity or {}).get(SIGNAL, MIOU))

    @property
    def goals(self) -> Goals:
        """What it is to reach; mIoU, where nothing was noted."""
        data = self.schedule.data if self.schedule else None
        floors = [
            (_spelt(name, data) if is_class_iou(name) else name, bound[AT_LEAST])
            for name, bound in (self.identity or {}).get("limits", ())
            if isinstance(bound, Mapping)
        ]
        return Goals.of(self.objectives or (), floors, data)

    @staticmethod
    def read(texts: Mapping[str, str]) -> Notes:
        """Return what texts by name say; names of no field are left out."""
        found: dict[str, Any] = {}
        unreadable = []
        for name, form in _forms().items():
            try:
                if name in texts:
                    found[name] = form.read(texts[name])
            except (ValueError, TypeError, LookupError, RecursionError):
                unreadable.append(name)
        return Notes(**found, unreadable=tuple(unreadable))

    def texts(self) -> dict[str, str]:
        """Return what is noted as texts by name, without the passwords in it."""
        found = ((name, form, getattr(self, name)) for name, form in _forms().items())
        return {
            name: form.redact(form.write(value)) for name, form, value in found if value is not None
        }


@cache
def _forms() -> dict[str, Form]:
    """Return the form of each field: text as it is, anything else as JSON where it has none."""
    kinds = typing.get_type_hints(Notes)
    del kinds["unreadable"]  # no note
    own = {f.name: f.metadata["form"] for f in fields(Notes) if f.metadata}
    text = {name: TEXT for name, kind in kinds.items() if kind == str | None}
    return {name: _json(kind) for name, kind in kinds.items()} | text | own


def redacted_note(name: str, text: str) -> str:
    """Return the text of a note without secrets; most have none to lose."""
    return _forms()[name].redact(text) if name in _forms() else text


def redacted_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return texts of notes by name without secrets."""
    return {name: redacted_note(name, text) for name, text in notes.items()}


def _spelt(key: str, data: DataSpec | None) -> str:
    """Return a class IoU by the names of its classes, where those say which they are."""
    name = spelt(key, data.names if data else ())
    found = known(name, data)
    return name if found is not None and found.key == key else key
