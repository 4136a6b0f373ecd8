"""What `schedule.init` names, and what becomes of the weights that a base names itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.pretrained import pretrained_file, pretrained_name, pretrained_places
from hrnet_search.errors import nearest, shown
from hrnet_search.records.schedule import (
    BASE_INIT,
    NO_INIT,
    PRETRAINED_INIT,
    SHARED_INIT,
    TRAINED_FIRST,
    TRIAL_INIT,
    Schedule,
)
from hrnet_search.records.trial import TRIAL_KEY, TrialKey
from hrnet_search.space.kinds import Integer, Keys, Kind, Number, OneOf, Schema, Text
from hrnet_search.space.reader import Reader

WORDS = (NO_INIT, BASE_INIT, SHARED_INIT, PRETRAINED_INIT)
KEY = "MODEL.PRETRAINED"

FIRST_KEYS = {
    "init_steps": (BASE_INIT,),
    "init_lr": TRAINED_FIRST,
    "shared": (SHARED_INIT,),
}
"""Keys of the schedule about what is trained before all variants, and with which `init`."""

MOST_STEPS = 10**8

SHARED_LENGTH, USUAL_NETWORKS, MOST_NETWORKS = 5, 4, 64
"""Steps of shared weights for each of a variant's, and how many networks one of them teaches."""

TEACHER_WEIGHT = 0.5
"""How much the teacher of a step of shared weights counts, where there are others in it."""

SHARED_STEPS, SHARED_NETWORKS = Integer(1, MOST_STEPS), Integer(1, MOST_NETWORKS)
SHARED: dict[str, Kind[Any]] = {
    "steps": SHARED_STEPS,
    "networks": SHARED_NETWORKS,
    "warm": Integer(0, MOST_STEPS - 1),
    "teacher_weight": Number(0, 1),
}


SHARED_FIELDS = {
    "init_steps": "steps",
    "init_networks": "networks",
    "init_warmup": "warm",
    "init_teacher_weight": "teacher_weight",
}
"""Fields of a schedule by which shared weights are trained, and their keys in `schedule.shared`."""


@dataclass(frozen=True)
class Init(Kind[tuple[str, str]]):
    """What variants start from, and the weight file if one is named.

    A file's name is relative to the space file, that of the base's own key as
    `pretrained_places` says. The weights of a trial are looked for later: the reader does not
    know where studies lie.
    """

    base: Config | None = field(default=None, compare=False)

    def read(self, reader: Reader, node: yaml.Node, path: str) -> tuple[str, str] | None:
        named = reader.text(node, path)
        if named is None or named in (NO_INIT, *TRAINED_FIRST):
            return None if named is None else (named, "")
        if named == PRETRAINED_INIT:
            return _read_pretrained(reader, node, path, self.base)
        if named.startswith(TRIAL_INIT):
            return _read_trial(reader, node, path, named)
        file, there = reader.beside(named)
        if not there:
            wrong = f"{shown(named)} is not a file{nearest(named, WORDS)}"
            allowed = f"{', '.join(WORDS)}, {TRIAL_INIT}KEY or a weight file, relative to this file"
            reader.fault(node, path, wrong, allowed)
            return None
        return named, str(file)

    @property
    def schema(self) -> Schema:
        file = {**Text().schema, "not": {"pattern": f"^{TRIAL_INIT}"}}
        trial = {"type": "string", "pattern": f"^{TRIAL_INIT}{TRIAL_KEY.pattern}$"}
        return {"anyOf": [OneOf(WORDS).schema, trial, file]}


@dataclass(frozen=True)
class Shared(Kind[dict[str, Any]]):
    """How weights that variants share are trained, as fields of a schedule.

    `steps` and `warmup` are a variant's own, by which goes what is not said.
    """

    steps: int = 1
    warmup: int = 0

    @property
    def usual(self) -> dict[str, Any]:
        steps = min(SHARED_LENGTH * self.steps, MOST_STEPS)
        return _fields(steps, USUAL_NETWORKS, self.warmup, TEACHER_WEIGHT)

    def read(self, reader: Reader, node: yaml.Node, path: str) -> dict[str, Any]:
        section = Keys(SHARED).read(reader, node, path)
        steps = section.take("steps", SHARED_STEPS, self.usual["init_steps"])
        networks = section.take("networks", SHARED_NETWORKS, USUAL_NETWORKS)
        warm = section.take("warm", Integer(0, steps - 1), min(self.warmup, steps - 1))
        weight = section.take("teacher_weight", Number(0, 1), TEACHER_WEIGHT if networks > 1 else 0)
        if weight and networks == 1:
            wrong, allowed = "one network a step has none to teach", "networks: 2 or more"
            key = "teacher_weight"
            reader.fault(section.key_node(key), section.where(key), wrong, allowed)
        return _fields(steps, networks, warm, weight)

    @property
    def schema(self) -> Schema:
        return Keys(SHARED).schema


def _fields(steps: int, networks: int, warm: int, weight: float) -> dict[str, Any]:
    return dict(zip(SHARED_FIELDS, (steps, networks, warm, weight), strict=True))


def init_path(named: str, space_file: str, base: Config) -> str:
    """Return where the weight file is that `init` names by itself, empty if it names none.

    It has been read as `Init`.
    """
    if named in (NO_INIT, *TRAINED_FIRST) or named.startswith(TRIAL_INIT):
        return ""
    if named == PRETRAINED_INIT:
        return str(pretrained_file(base) or pretrained_name(base))
    return str(Reader(space_file).beside(named)[0])


def pretrained_line(base: Config, schedule: Schedule) -> str:
    """Return what becomes of the weights that a base names itself, empty if it names none."""
    named = pretrained_name(base)
    if not named or schedule.init == PRETRAINED_INIT:
        return ""
    line = f"base: {KEY} {shown(named)} is not used: "
    if schedule.init == NO_INIT:
        ways = f"schedule.init: {PRETRAINED_INIT} starts them from it, FILE from other weights"
        return f"{line}variants start from random weights ({ways})"
    return f"{line}variants start from what schedule.init names ({shown(schedule.init)})"


def _read_trial(reader: Reader, node: yaml.Node, path: str, named: str) -> tuple[str, str] | None:
    if TrialKey.is_spelt(named.removeprefix(TRIAL_INIT)):
        return named, ""
    wrong = f"{shown(named)} names no trial"
    allowed = f"{TRIAL_INIT}KEY, the name of a file in a study's weights, without its ending"
    reader.fault(node, path, wrong, allowed)
    return None


def _read_pretrained(
    reader: Reader, node: yaml.Node, path: str, base: Config | None
) -> tuple[str, str] | None:
    if base is None:  # it has a fault of its own
        return PRETRAINED_INIT, ""
    named = pretrained_name(base)
    if not named:
        reader.fault(node, path, f"the base names no {KEY}", "a base that does, or a weight file")
        return None
    if (file := pretrained_file(base)) is None:
        wrong = f"{KEY} of the base, {shown(named, 200)}, is not a file"
        places = ", ".join(shown(str(place), 200) for place in pretrained_places(base))
        reader.fault(node, path, wrong, f"a file at one of {places}")
        return None
    return PRETRAINED_INIT, str(file)
