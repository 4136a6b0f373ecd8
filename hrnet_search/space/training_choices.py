"""Choices of how a variant is trained: axes of a space beside those of its network, without a cost.

A path of `vary` such as `schedule.lr` names a key of `schedule`. The schedule that stands for a
study is that of the first levels; each other combination of levels is one more schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import yaml

from hrnet_search.errors import shown
from hrnet_search.records.point import Point
from hrnet_search.records.schedule import CLASS_WEIGHTS, NO_INIT, Schedule
from hrnet_search.records.search_options import ALONE, PART_FIRST, SHARED
from hrnet_search.space.choice import OF_TRAINING, Choice
from hrnet_search.space.kinds import Kind, OneOf
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.search_section import SearchSpec
from hrnet_search.space.sections import SCHEDULE, usual_rate

VARIED = (
    "optimiser", "lr", "momentum", "weight_decay", "power", "warmup", "loss", "class_weights",
    "scale", "flip", "photometric", "ema",
)  # fmt: skip
"""Keys of `schedule` that may be varied: none of them changes what a trial costs."""

TRAINING_PATHS = tuple(f"{OF_TRAINING}{key}" for key in VARIED)
TRAINING_KINDS: dict[str, Kind[Any]] = {
    path: SCHEDULE[key] for path, key in zip(TRAINING_PATHS, VARIED, strict=True)
} | {f"{OF_TRAINING}class_weights": OneOf(CLASS_WEIGHTS)}
"""What one level of each may be."""

MOST_SCHEDULES = 100
"""Schedules of one space: each is a note of every study of it."""

Levels = Mapping[str, Any]
"""Values by key of the schedule."""


def trained_by(schedule: Schedule, levels: Levels) -> Schedule:
    """Return a schedule with other levels of what is varied.

    An optimiser, or a start, whose rate is not varied beside it brings its usual one, and another
    optimiser that from which its trainings from random weights start.
    """
    own = dict(levels)
    optimiser, init = own.get("optimiser", schedule.optimiser), own.get("init", schedule.init)
    if ("optimiser" in own or "init" in own) and "lr" not in own:
        own["lr"] = usual_rate(optimiser, init)
    if schedule.init_lr and optimiser != schedule.optimiser:
        own["init_lr"] = usual_rate(optimiser, NO_INIT)
    return replace(schedule, **own)


class Schedules:
    """The schedules of a search: one for each combination of training choices, and its long one.

    `search` and `long` are by id, those of the first levels first.
    """

    def __init__(
        self,
        schedule: Schedule,
        long_steps: int,
        choices: Sequence[tuple[str, Sequence[Any]]],
        ids: tuple[str, str] = ("", ""),
    ) -> None:
        """`choices` are paths with levels, of networks too; `ids` those noted of the first two.

        An older version may have made them of other fields.
        """
        self.search: dict[str, Schedule] = {}
        self.long: dict[str, Schedule] = {}
        self._long_of: dict[str, str] = {}
        self._ids: dict[Point, str] = {}
        varied = [(i, p, v) for i, (p, v) in enumerate(choices) if p.startswith(OF_TRAINING)]
        self._columns = tuple(column for column, _, _ in varied)
        keys = [path.removeprefix(OF_TRAINING) for _, path, _ in varied]
        for levels in product(*(range(len(values)) for _, _, values in varied)):
            values = [v[level] for (_, _, v), level in zip(varied, levels, strict=True)]
            own = trained_by(schedule, dict(zip(keys, values, strict=True)))
            long = replace(own.from_scratch(), steps=long_steps)
            own_id, long_id = (own.id, long.id) if self.search else _named(ids, own, long)
            self._ids[levels] = own_id
            self._long_of[own_id] = long_id
            self.search[own_id], self.long[long_id] = own, long

    def of(self, point: Sequence[int]) -> str:
        """Return the id of the schedule of a point; of none, that of the first levels."""
        levels = tuple(int(point[column]) for column in self._columns) if point else ()
        return self._ids.get(levels) or next(iter(self.search))

    def long_of(self, schedule: str) -> str:
        """Return the id of the long schedule beside one of the search, by its id."""
        return self._long_of[schedule]

    def get(self, schedule: str) -> Schedule | None:
        """Return the schedule with an id, None for an id of no schedule of the search."""
        return self.search.get(schedule) or self.long.get(schedule)


def _named(ids: tuple[str, str], own: Schedule, long: Schedule) -> tuple[str, str]:
    return ids[0] or own.id, ids[1] or long.id


@lru_cache(maxsize=16)
def schedules_of(
    schedule: Schedule,
    long_steps: int,
    choices: tuple[tuple[str, tuple[Any, ...]], ...],
    ids: tuple[str, str] = ("", ""),
) -> Schedules:
    """Return the schedules of a search, worked out once: their ids are digests of all they say."""
    return Schedules(schedule, long_steps, choices, ids)


def of_choices(choices: Sequence[Choice]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return choices as paths with levels."""
    return tuple((choice.path, choice.values) for choice in choices)


def first_levels(choices: Sequence[Choice]) -> Levels:
    """Return the first level of each training choice, by key of the schedule."""
    return {choice.training: choice.values[0] for choice in choices if choice.training}


def with_first_levels(section: Section, vary: Section, choices: Sequence[Choice]) -> Section:
    """Return the section `schedule` as if it said the first level of each key that is varied.

    Of a loss it says ohem where that is one of the levels, so that ohem's keys may stand beside.
    What is varied was read; a warm-up, which depends on the steps, is checked with all its levels.
    """
    found = dict(section.found)
    for choice in choices:
        if choice.training and choice.training != "warmup":
            node = vary.node_of(choice.path)
            assert isinstance(node, yaml.SequenceNode), "only whole numbers may be a range"
            level = choice.values.index("ohem") if "ohem" in choice.values else 0
            found[choice.training] = (vary.key_node(choice.path), node.value[level])
    return replace(section, found=found)


def check_training(
    reader: Reader, section: Section, vary: Section, choices: Sequence[Choice], search: SearchSpec
) -> None:
    """Add a fault for each training choice that does not go with another part of the file."""
    varied = {choice.training: choice for choice in choices if choice.training}
    for key, choice in varied.items():
        if key in section:
            wrong = f"is varied too, as vary.{choice.path}"
            allowed = f"schedule.{key} or vary.{choice.path}, not both"
            reader.fault(section.key_node(key), section.where(key), wrong, allowed)
    if "optimiser" in varied and "lr" not in varied and "lr" in section:
        wrong = "is the rate of one optimiser, and schedule.optimiser is varied"
        allowed = "vary.schedule.lr, or no lr: each optimiser then has its usual one"
        reader.fault(section.key_node("lr"), section.where("lr"), wrong, allowed)
    if search.evaluator == SHARED and varied:
        first = next(iter(varied.values())).path
        wrong = f"cannot be varied with search.evaluator: {SHARED}, which trains no variant alone"
        reader.fault(vary.key_node(first), f"vary.{first}", wrong, f"evaluator: {ALONE}")
    if search.fidelity in PART_FIRST and varied:  # what comes first is trained by one schedule
        first = next(iter(varied.values())).path
        wrong = f"cannot be varied where search.fidelity is {search.fidelity}"
        reader.fault(vary.key_node(first), f"vary.{first}", wrong, "another fidelity")
    _check_count(reader, vary, list(varied.values()))


def _check_count(reader: Reader, vary: Section, varied: Sequence[Choice]) -> None:
    count = prod(len(choice.values) for choice in varied)
    if count > MOST_SCHEDULES:
        wrong = f"with the other keys of schedule it makes {count} schedules"
        node, path = vary.key_node(varied[-1].path), f"vary.{varied[-1].path}"
        reader.fault(node, path, wrong, f"at most {MOST_SCHEDULES} in all")


def check_warmup(reader: Reader, vary: Section, choices: Sequence[Choice], steps: int) -> None:
    """Add a fault for each warm-up that would not end before the last step."""
    for choice in choices:
        if choice.training == "warmup":
            for value in choice.values:
                if value >= steps:
                    wrong = f"{shown(value)} is not below schedule.steps, {steps}"
                    node, path = vary.node_of(choice.path), f"vary.{choice.path}"
                    reader.fault(node, path, wrong, f"integers from 0 to {steps - 1}")
