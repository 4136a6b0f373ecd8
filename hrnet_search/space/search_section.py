"""The section `search`: which sampler searches, for how long, and what it learns from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from hrnet_search.errors import shown
from hrnet_search.paths import absolute
from hrnet_search.records.accuracy import SIGNALS
from hrnet_search.records.schedule import AUTO
from hrnet_search.records.search_options import (
    ALONE,
    CONFIRMED_FROM,
    EVALUATORS,
    FIDELITIES,
    KEEP_ALL,
    KEEPS,
    PART_FIRST,
    PAUSED_BYTES,
    SAMPLER_NAMES,
    SHARED,
    STOP_EARLY,
    THAW,
)
from hrnet_search.space.data_section import Count
from hrnet_search.space.kinds import Integer, Kind, ListOf, Number, OneOf, Schema, Text
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.sections import taken

DEFAULT_SAMPLER = "pareto"
OWN_SAMPLER = "package.module:factory"
LEARNING = f"sampler: {DEFAULT_SAMPLER}, or one of your own"
_OWN_SAMPLER = re.compile(r"(?!optuna:)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class SearchSpec:
    """The `search` section: which sampler, how many trials or hours, its seed.

    `hours` of devices are a budget in place of `trials`, 0 where trials are.
    `confirm` is the share of device time that confirms what the search found, `long` the steps
    of the confirming schedule over those of the search. `stop` is the chance to end on the front
    of its cost neighbourhood below which a trial ends at its rung; 0 stops none. `fidelity` is how
    training is saved, one of FIDELITIES; auto leaves it to rungs. `paused` bytes are what
    checkpoints of paused trials may take. `signal` is what a search learns from, one of SIGNALS.
    `learn_from` are folders of earlier studies, absolute. `evaluator` is by what variants are
    judged, one of EVALUATORS. `keep` is whose weights stay, one of KEEPS.
    """

    sampler: str = DEFAULT_SAMPLER
    signal: str = AUTO
    trials: int = 40
    hours: float = 0.0
    seed: int = 0
    confirm: float = 0.3
    long: int = 3
    stop: float = 0.1
    fidelity: str = AUTO
    paused: int = PAUSED_BYTES
    learn_from: tuple[str, ...] = ()
    evaluator: str = ALONE
    keep: str = KEEP_ALL


@dataclass(frozen=True)
class Sampler(Kind[str]):
    """A sampler's name, or `package.module:factory`, which is looked for later."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        value = reader.scalar(node, path)
        if isinstance(value, str) and _OWN_SAMPLER.fullmatch(value):
            return value
        if value is None:
            return None
        return reader.one_of(node, path, (*SAMPLER_NAMES, OWN_SAMPLER))

    @property
    def schema(self) -> Schema:
        own = {"type": "string", "pattern": f"^{_OWN_SAMPLER.pattern}$"}
        return {"anyOf": [OneOf(SAMPLER_NAMES).schema, own]}


MOST_HOURS = 10**6
"""Device-hours of a study at most."""

SEARCH: dict[str, Kind[Any]] = {
    "sampler": Sampler(),
    "signal": OneOf(SIGNALS),
    "trials": Integer(1, 10**6),
    "hours": Number(0, MOST_HOURS, open_=True),
    "seed": Integer(0),
    "confirm": Number(0, 0.9),
    "long": Integer(2, 100),
    "stop": Number(0, 1),
    "fidelity": OneOf(FIDELITIES),
    "paused": Count(),
    "learn_from": ListOf(Text(), distinct=True),
    "evaluator": OneOf(EVALUATORS),
    "keep": OneOf(KEEPS),
}

OF_FIDELITY = {"stop": STOP_EARLY, "paused": THAW}
"""Keys that one rule alone has."""

SHARED_CONFIRM = 0.5
"""The share that confirms where nothing is said and slices judge: trainings alone beside duels."""


def why_not_learning(sampler: str) -> str:
    """Return why a sampler cannot learn from earlier studies, empty if it can."""
    others = set(SAMPLER_NAMES) - {DEFAULT_SAMPLER}
    return f"the sampler {sampler} does not learn from earlier studies" if sampler in others else ""


def read_search(section: Section, folder: Path) -> SearchSpec:
    """Return which sampler searches, and for how long; paths start at `folder`."""
    found = SearchSpec(**taken(section, SEARCH, SearchSpec()))
    found = _as_said(section, found)
    if "hours" in section:
        _check_hours(section, found)
    if found.evaluator == SHARED:
        if "confirm" not in section:
            found = replace(found, confirm=SHARED_CONFIRM)
        _check_shared(section, found)
    if found.fidelity in PART_FIRST:
        key = said_by(section)
        for said, allowed in part_first_misfits(found):
            wrong = f"{found.fidelity} does not go with {said}"
            section.reader.fault(section.node_of(key), section.where(key), wrong, allowed)
    for key, fidelity in OF_FIDELITY.items():
        if found.fidelity != fidelity and key in section:
            wrong = f"is only used with fidelity: {fidelity}, and here it is {found.fidelity}"
            allowed = f"fidelity: {fidelity}, or remove {key}"
            section.reader.fault(section.key_node(key), section.where(key), wrong, allowed)
    if found.learn_from and (why := why_not_learning(found.sampler)):
        where = section.where("learn_from")
        section.reader.fault(section.key_node("learn_from"), where, why, LEARNING)
    studies = tuple(str(absolute(named, folder)) for named in found.learn_from)
    return replace(found, learn_from=studies)


def part_first_misfits(found: SearchSpec) -> Iterator[tuple[str, str]]:
    """Yield what of a search does not go with a rule of PART_FIRST, and what is allowed instead.

    What follows is learned from what comes first, as from an earlier study.
    """
    if why_not_learning(found.sampler):
        yield f"sampler: {found.sampler}", LEARNING
    if found.evaluator == SHARED:
        yield f"evaluator: {SHARED}", f"evaluator: {ALONE}"
    if found.trials < CONFIRMED_FROM:
        yield f"trials: {found.trials}", f"trials: {CONFIRMED_FROM} or more"


def _as_said(section: Section, found: SearchSpec) -> SearchSpec:
    """Return a search with the rule that a key names which only one rule has."""
    named = [fidelity for key, fidelity in OF_FIDELITY.items() if key in section]
    return replace(found, fidelity=named[0]) if named and found.fidelity == AUTO else found


def said_by(section: Section) -> str:
    """Return the key of a section that says which rule there is."""
    return "fidelity" if "fidelity" in section else "paused"


def _check_hours(section: Section, found: SearchSpec) -> None:
    """A budget is one of trials or of time, and one of time is divided among trainings alone."""
    node, where = section.key_node("hours"), section.where("hours")
    if "trials" in section:
        wrong = "cannot be set together with search.trials: a study has one budget"
        section.reader.fault(node, where, wrong, "one of hours and trials")
    if found.evaluator == SHARED:
        wrong = f"does not go with evaluator: {SHARED}"
        section.reader.fault(node, where, wrong, "trials, or evaluator: " + ALONE)
    if found.fidelity in PART_FIRST:  # how many come first follows from how many there are
        wrong = f"does not go with fidelity: {found.fidelity}"
        section.reader.fault(node, where, wrong, "trials, or another fidelity")


def _check_shared(section: Section, found: SearchSpec) -> None:
    """Scores by slices are held against trainings, which have to be paid for."""
    wanted = {
        "trials": (found.trials < CONFIRMED_FROM, f"at least {CONFIRMED_FROM}"),
        "confirm": (not found.confirm, "above 0"),
        "learn_from": (bool(found.learn_from), f"evaluator: {ALONE}"),
    }
    for key, (wrong, allowed) in wanted.items():
        if wrong:
            value = getattr(found, key)
            said = ", ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)
            said += f" does not go with evaluator: {SHARED}"
            node = section.node_of(key) if key in section else section.node
            section.reader.fault(node, section.where(key), said, allowed)
