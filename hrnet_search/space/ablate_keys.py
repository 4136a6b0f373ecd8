"""The keys of the `ablate` section: factors, their levels, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import yaml

from hrnet_search.class_iou import PATTERN, SPELT
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.schedule import AUTO, TRAINED_FIRST, Schedule
from hrnet_search.space import sections
from hrnet_search.space.kinds import Integer, Keys, Kind, ListOf, Name, Number, OneOf, Schema
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.sections import SEEDS
from hrnet_search.space.vary import KNOWN, level_of

DESIGNS = ("one-factor", "leave-one-out", "factorial", "fractional")
MATCHES = ("none", "macs")
UNSETTLED = {"data", "crop", "init_steps", "init_lr"}
"""Fields of a schedule that are not factors: shared by all arms, or of a search's own base."""

SCHEDULE = "schedule."
SCHEDULE_FACTORS = tuple(
    sorted({f.name for f in fields(Schedule)} & set(sections.SCHEDULE) - UNSETTLED)
)
PATHS = (*KNOWN, *(SCHEDULE + key for key in SCHEDULE_FACTORS))
"""What a factor may set."""

NO_LEVELS = {
    "init": (TRAINED_FIRST, "is trained by a search alone"),
    "precision": ((AUTO,), "is settled once for all arms, by measuring the reference"),
    "memory_format": ((AUTO,), "is settled once for all arms, by measuring the reference"),
}
"""Words that a key of the schedule may say and no level of a factor can, and why."""

MOST_FACTORS, MOST_LEVELS, MOST_SEEDS = 10, 12, 64
NAME = Name()
POINTS = Number(0, 1, open_=True)
OF_MIOU = {MIOU: POINTS}


@dataclass(frozen=True)
class Margins(Keys):
    """Margins of equivalence, one or more, by the name of their accuracy."""

    def read(self, reader: Reader, node: yaml.Node | None, path: str) -> Section:
        if isinstance(node, yaml.MappingNode) and not node.value:
            reader.fault(node, path, "is empty", f"{{{MIOU}: 0.005}}")
        return super().read(reader, node, path)

    @property
    def schema(self) -> Schema:
        return {**super().schema, "minProperties": 1}


MARGINS = Margins({**OF_MIOU, SPELT: POINTS}, like={PATTERN: POINTS})
"""Those of mIoU, and of IoU of classes, which is then judged beside it."""


@dataclass(frozen=True)
class Factors(Kind[Section]):
    """Factors by name."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> Section | None:
        if not isinstance(node, yaml.MappingNode) or not 1 <= len(node.value) <= MOST_FACTORS:
            count = f"a mapping of 1 to {MOST_FACTORS} factors by name"
            reader.fault(node, path, "is not a mapping, empty or too long", count)
            return None
        keys = tuple(k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode))
        return reader.section(node, path, keys)

    @property
    def schema(self) -> Schema:
        factor = Keys({"path": OneOf(PATHS), "levels": AnyLevels()}, ("path", "levels")).schema
        factor["allOf"] = [
            {
                "if": {"properties": {"path": {"enum": paths}}, "required": ["path"]},
                "then": {"properties": {"levels": {"items": level_schema(paths[0])}}},
            }
            for paths in _alike()
        ]
        return {
            "type": "object",
            "propertyNames": NAME.schema,
            "additionalProperties": factor,
            "minProperties": 1,
            "maxProperties": MOST_FACTORS,
        }


@dataclass(frozen=True)
class AnyLevels(Kind[yaml.SequenceNode]):
    """Levels as they are written: what they may be is said by the path."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> yaml.SequenceNode | None:
        if isinstance(node, yaml.SequenceNode) and 2 <= len(node.value) <= MOST_LEVELS:
            return node
        wrong = "is not a list"
        if isinstance(node, yaml.SequenceNode):
            few = ("no level", "one level compares nothing")
            count = len(node.value)
            wrong = few[count] if count < len(few) else f"{count} levels"
        allowed = f"a list of 2 to {MOST_LEVELS} levels, the reference's first"
        reader.fault(node, path, wrong, allowed)
        return None

    @property
    def schema(self) -> Schema:
        return {"type": "array", "minItems": 2, "maxItems": MOST_LEVELS, "uniqueItems": True}


def level_schema(path: str) -> Schema:
    """Return what one level of a factor may be, as JSON Schema."""
    if not path.startswith(SCHEDULE):
        return level_of(path).schema
    key = path.removeprefix(SCHEDULE)
    schema = sections.SCHEDULE[key].schema
    return {**schema, "not": {"enum": list(NO_LEVELS[key][0])}} if key in NO_LEVELS else schema


def _alike() -> list[list[str]]:
    """Return the paths, those of the same levels together."""
    by_schema: dict[str, list[str]] = {}
    for path in PATHS:
        by_schema.setdefault(repr(level_schema(path)), []).append(path)
    return list(by_schema.values())


@dataclass(frozen=True)
class Seeds(Kind[tuple[int, ...]]):
    """How many seeds, or which."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[int, ...] | None:
        if isinstance(node, yaml.SequenceNode):
            return SEEDS.read(reader, node, path)
        count = _HOW_MANY.read(reader, node, path)
        return None if count is None else tuple(range(count))

    @property
    def schema(self) -> Schema:
        return {"anyOf": [_HOW_MANY.schema, SEEDS.schema]}


_HOW_MANY = Integer(1, MOST_SEEDS)


@dataclass(frozen=True)
class OfMiou(Kind[float]):
    """A difference in mIoU, `{miou: 0.005}`."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> float | None:
        inner = reader.section(node, path, tuple(OF_MIOU))
        if isinstance(node, yaml.MappingNode):
            inner.require(MIOU)
        return inner.take(MIOU, POINTS, None)

    @property
    def schema(self) -> Schema:
        return Keys(OF_MIOU, (MIOU,)).schema


KINDS: dict[str, Kind[Any]] = {
    "factors": Factors(),
    "design": OneOf(DESIGNS),
    "resolution": Integer(3, 5),
    "match": ListOf(OneOf(MATCHES), distinct=True),
    "seeds": Seeds(),
    "equivalence": MARGINS,
    "alpha": Number(0.0001, 0.5),
    "noise": OfMiou(),
    "detect": OfMiou(),
}
