"""The sections `objectives` and `limits` of a space file: what a study is to reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from hrnet_search.class_iou import IOU, PATTERN, SPELT, UnknownClassError
from hrnet_search.errors import shown
from hrnet_search.goals import AT_LEAST, AT_MOST
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.objective import OBJECTIVES, PLAIN, Objective, objective
from hrnet_search.space.kinds import Amount, Keys, Kind, Number, OneOf, Schema
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.space import Limit

MOST_COSTS = 2
ONE_ACCURACY = f"{MIOU}: max or {SPELT}: max"


@dataclass(frozen=True)
class Bound(Kind[float]):
    """A limit: `{at_most: 40G}` of a cost, which may be written 40G; `{at_least: 0.5}` else."""

    word: str
    value: Kind[float]
    alone: bool

    def read(self, reader: Reader, node: yaml.Node, path: str) -> float | None:
        if isinstance(node, yaml.MappingNode):
            section = reader.section(node, path, (self.word,))
            section.require(self.word)
            found: float | None = section.take(self.word, self.value, None)
            return found
        if self.alone:
            return self.value.read(reader, node, path)
        given = shown(node.value) if isinstance(node, yaml.ScalarNode) else "a list"
        reader.fault(node, path, f"{given} does not say which side", f"{{{self.word}: 0.5}}")
        return None

    @property
    def schema(self) -> Schema:
        spelt = Keys({self.word: self.value}, (self.word,)).schema
        return {"anyOf": [self.value.schema, spelt]} if self.alone else spelt


COST = Bound(AT_MOST, Amount(), alone=True)
ACCURACY = Bound(AT_LEAST, Number(0, 1, open_=True), alone=False)
MAXIMISED = OneOf((OBJECTIVES[IOU].direction,))

LIMITS = Keys(
    {**{n: COST if row.is_cost else ACCURACY for n, row in PLAIN.items()}, SPELT: ACCURACY},
    like={PATTERN: ACCURACY},
)
OBJECTIVE_KINDS = Keys(
    {**{n: OneOf((row.direction,)) for n, row in PLAIN.items()}, SPELT: MAXIMISED},
    like={PATTERN: MAXIMISED},
)


def read_objectives(reader: Reader, section: Section, data: DataSpec) -> tuple[str, ...]:
    """Return the names in their order: one accuracy, with at most two costs beside it."""
    found = list(known_objectives(reader, section, data, OBJECTIVE_KINDS))
    for row, kind in found:
        section.take(row.name, kind, "")
    if section.node is None:
        return ()
    accuracies = [row.name for row, _ in found if not row.is_cost]
    if not accuracies and not any(_is_accuracy(name) for name in section.found):
        reader.fault(section.node, "objectives.miou", "is missing", f"{ONE_ACCURACY} among them")
    if len(accuracies) > 1:
        wrong = f"{' and '.join(map(shown, accuracies))} are both accuracies"
        allowed = f"one of them; limits may have the other, {{{AT_LEAST}: 0.5}}"
        reader.fault(section.node, "objectives", wrong, allowed)
    elif len(found) > 1 + MOST_COSTS:
        allowed = "one accuracy and two costs"
        reader.fault(section.node, "objectives", f"{len(found)} objectives", allowed)
    return tuple(row.name for row, _ in found)


def read_limits(
    reader: Reader, section: Section, data: DataSpec
) -> tuple[tuple[Limit, ...], tuple[tuple[str, float], ...]]:
    """Return what costs may be at most, and what accuracies must be at least, by name."""
    limits, floors = [], []
    for row, kind in known_objectives(reader, section, data, LIMITS):
        bound: float | None = section.take(row.name, kind, None)
        if bound is not None and row.is_cost:
            limits.append(Limit(row.name, bound))
        elif bound is not None:
            floors.append((row.name, bound))
    return tuple(limits), tuple(floors)


def known_objectives(
    reader: Reader, section: Section, data: DataSpec, kinds: Keys
) -> Iterator[tuple[Objective, Kind[Any]]]:
    """Yield the objectives that a section names, each once, with a fault for unknown classes."""
    seen: dict[str, str] = {}
    for name, kind in ((name, kinds.kind_of(name)) for name in section.found):
        if kind is None:
            continue  # an unknown key, which has a fault
        row = _objective(reader, section, name, data)
        if row is None:
            continue
        if row.key in seen:
            wrong = f"is the same as {shown(seen[row.key])}"
            reader.fault(section.key_node(name), section.where(shown(name)), wrong, "one of them")
            continue
        seen[row.key] = name
        yield row, kind


def _objective(reader: Reader, section: Section, name: str, data: DataSpec) -> Objective | None:
    try:
        return objective(name, data.classes, data.names)
    except UnknownClassError as error:
        # Which classes there are is not known where the data could not be read.
        if not any(fault.path.startswith("data") for fault in reader.faults):
            where = section.where(shown(name))
            reader.fault(section.key_node(name), where, error.wrong, error.allowed)
        return None


def _is_accuracy(name: str) -> bool:
    return name not in PLAIN or not PLAIN[name].is_cost
