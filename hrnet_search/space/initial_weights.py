"""What `schedule.init` names, and what becomes of the weights that a base names itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.pretrained import pretrained_file, pretrained_name, pretrained_places
from hrnet_search.errors import nearest, shown
from hrnet_search.records import (
    BASE_INIT,
    NO_INIT,
    PRETRAINED_INIT,
    TRIAL_INIT,
    TRIAL_KEY,
    Schedule,
    TrialKey,
)
from hrnet_search.space.kinds import Kind, OneOf, Schema, Text
from hrnet_search.space.reader import Reader

WORDS = (NO_INIT, BASE_INIT, PRETRAINED_INIT)
KEY = "MODEL.PRETRAINED"


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
        if named is None or named in (NO_INIT, BASE_INIT):
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


def init_path(named: str, space_file: str, base: Config) -> str:
    """Return where the weight file is that `init` names by itself, empty if it names none.

    It has been read as `Init`.
    """
    if named in (NO_INIT, BASE_INIT) or named.startswith(TRIAL_INIT):
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
