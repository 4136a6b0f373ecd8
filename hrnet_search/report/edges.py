"""Which levels of the choices the front leans on, which it leaves alone, and a wider space file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_search.arch.architecture import Architecture
from hrnet_search.content_hash import hash_of
from hrnet_search.errors import InputError, shown
from hrnet_search.files import write_file
from hrnet_search.report.commands import run_again, shell
from hrnet_search.report.trust.evidence import MAY_BELONG, Evidence
from hrnet_search.report.trust.statistics import by_chance
from hrnet_search.space.choice import PATH, Choice
from hrnet_search.space.load import read_space
from hrnet_search.space.rewrite import with_entry
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.vary import EACH, path_in_file
from hrnet_search.store.schedules import shares_weights
from hrnet_search.store.study import Study

FEWEST = 3
"""Networks on the front with one level, at least: of fewer nothing is said."""

BY_CHANCE = 0.05
"""Chance below which equally likely levels would give what is said of a level."""

BEYOND = 2
"""Levels that are added beyond the last one."""

FILE = "space-wider.yaml"
"""The study's space file with those levels, beside its space.yaml, whose base it shares."""

ALL = "every training of this study"
OF_ONE_SPACE = "the trainings of this study from random weights"
"""What a wider study takes over."""

WRITTEN = "# by hrnet-search report, which leaves the file alone once it was edited; "
"""Its first line, with a hash of the rest."""


@dataclass(frozen=True, slots=True)
class Lean:
    """A choice of numbers whose first or last level most of the front has.

    `path` is the choice as results have it. `has` of the `front` networks that read it have
    `level`, the `largest` or else the smallest. `wider` are all levels with those to try next.
    """

    path: str
    level: Any
    largest: bool
    has: int
    front: int
    wider: tuple[Any, ...]

    @property
    def line(self) -> str:
        """The finding in one sentence for people, without a full stop."""
        end = "largest" if self.largest else "smallest"
        which = f"the {end} {shown(self.path, 60)}, {self.level}"
        return f"{self.has} of {self.front} front networks have {which}"


@dataclass(frozen=True, slots=True)
class Unused:
    """A level that none of the `good` networks that read its choice has, and `trained` others."""

    path: str
    level: Any
    good: int
    trained: int

    @property
    def line(self) -> str:
        """The finding in one sentence for people, without a full stop."""
        which = f"{shown(self.path, 60)} {shown(str(self.level), 40)}"
        return (
            f"none of the {self.good} networks on the front or close to it has {which},"
            f" which {self.trained} others have"
        )


@dataclass(frozen=True, slots=True)
class Edges:
    """What a study says of the ends of its choices.

    `changes` are the lines of `vary` that widen the leans, `text` is the whole space file with
    them, `command` what searches it, and `taken` what that trains not again; all are empty where
    there is nothing to widen, or where the study's space file cannot be read any more.
    """

    leans: tuple[Lean, ...] = ()
    unused: tuple[Unused, ...] = ()
    changes: tuple[str, ...] = ()
    text: str = ""
    command: str = ""
    taken: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything as lines for people."""
        found = [one.line for one in self.leans]
        if self.changes:
            found += [f"to go beyond, in the space file ({FILE} in the study has it):", "  vary:"]
            found += [f"    {line}" for line in self.changes]
            found += [f"and, with {self.taken} taken over:", f"  {self.command}"]
        return (*found, *(one.line for one in self.unused))


@dataclass(frozen=True, slots=True)
class _Network:
    """A trained variant: its network, and the level of every choice."""

    network: Architecture
    levels: tuple[Any, ...]


def edges_of(study: Study, evidence: Evidence) -> Edges:
    """Return what the front of a study leans on; nothing for an ablation, or for a small front."""
    notes = study.notes
    choices = [
        Choice(path, tuple(map(_level, levels)))
        for path, levels in zip(notes.choices or (), notes.levels or (), strict=False)
    ]
    if notes.ablation is not None or not choices:
        return Edges()
    trained = _networks(study, choices)
    on_front = [int(n) for n in study.front()["number"]]
    front = [trained[n] for n in on_front if n in trained]
    close = {n for n, chance in evidence.chances.items() if chance >= MAY_BELONG}
    good = [one for n, one in trained.items() if n in close or n in on_front]
    rest = [one for n, one in trained.items() if n not in close and n not in on_front]
    leans = [lean for i, _ in enumerate(choices) for lean in _leans(choices, i, front)]
    unused = tuple(one for i, _ in enumerate(choices) for one in _unused(choices, i, good, rest))
    return _widened(study, choices, front, leans, unused)


def write_wider(folder: Path, edges: Edges) -> Path | None:
    """Write the wider space file of a study, or remove one that nothing speaks of any more.

    One that somebody has changed is theirs, and stays as it is.
    """
    path = folder / FILE
    if path.exists() and not _as_written(_text_of(path)):
        return None
    if edges.text:
        return write_file(path, _signed(edges.text).encode())
    path.unlink(missing_ok=True)
    return None


def _signed(text: str) -> str:
    return f"{WRITTEN}{hash_of(text)}\n{text}"


def _as_written(text: str) -> bool:
    return text == _signed(text.partition("\n")[2])


def is_read(choice: Choice, network: Architecture) -> bool:
    """Return whether a network has anything that a choice sets."""
    if not PATH.fullmatch(choice.path):
        return True
    if choice.key.startswith("OCR."):
        return network.has_ocr
    if choice.key == "FINAL_CONV_KERNEL":
        return not network.has_ocr
    if choice.path == "width" or choice.key not in ("NUM_BLOCKS", "NUM_CHANNELS", "FUSE_METHOD"):
        return True
    least = 1 if choice.key == "FUSE_METHOD" else choice.branch or 0
    stages = [network.stages[s] for s in choice.stages]
    return any(s.modules > 0 and s.branches > least for s in stages)


def beyond(levels: Sequence[Any], largest: bool) -> tuple[Any, ...]:
    """Return rising numbers with more of them beyond one end, at the last step or ratio there.

    Integers stay at 1 or above; the same levels come back where there are none to add.
    """
    found = list(levels) if largest else list(levels)[::-1]
    for _ in range(BEYOND):
        last, before = found[-1], found[-2]
        if isinstance(last, float) or isinstance(before, float):
            following: Any = float(f"{last * last / before:.2g}") if last > 0 < before else last
        else:
            following = last + (last - before)
            following = following if following > 0 else last // 2
        if not following or following == last:
            break
        found.append(following)
    return tuple(found if largest else found[::-1])


def _networks(study: Study, choices: Sequence[Choice]) -> dict[int, _Network]:
    """Return the trained variants by number, of those that have a level of every choice."""
    asks = {ask.number: ask for ask, _ in study.trials()}
    found = {}
    for number in study.variants()["number"]:
        ask = asks[int(number)]
        if len(ask.point) == len(choices):
            levels = tuple(c.values[i] for c, i in zip(choices, ask.point, strict=True))
            found[ask.number] = _Network(ask.architecture, levels)
    return found


def _leans(choices: Sequence[Choice], column: int, front: Sequence[_Network]) -> Iterator[Lean]:
    choice = choices[column]
    levels = sorted(choice.values) if choice.ordered else []
    if len(levels) < 2:
        return
    seen = [one.levels[column] for one in front if is_read(choice, one.network)]
    for level, largest in ((levels[0], False), (levels[-1], True)):
        has = seen.count(level)
        most = has >= FEWEST and 2 * has > len(seen)
        wider = beyond(levels, largest)
        if most and by_chance(has, len(seen), 1 / len(levels)) <= BY_CHANCE and wider != (*levels,):
            yield Lean(choice.path, level, largest, has, len(seen), wider)


def _unused(
    choices: Sequence[Choice], column: int, good: Sequence[_Network], rest: Sequence[_Network]
) -> Iterator[Unused]:
    choice = choices[column]
    seen, others = (
        Counter(one.levels[column] for one in part if is_read(choice, one.network))
        for part in (good, rest)
    )
    for level in choice.values:
        trained, tried = others[level], others.total() + seen.total()
        # By how many others have it, its absence among the good ones has to be more than chance.
        absent = 1 - by_chance(1, seen.total(), trained / tried) if tried else 1.0
        if seen.total() >= FEWEST <= trained and not seen[level] and absent <= BY_CHANCE:
            yield Unused(choice.path, level, seen.total(), trained)


def _widened(
    study: Study,
    choices: Sequence[Choice],
    front: Sequence[_Network],
    leans: Sequence[Lean],
    unused: tuple[Unused, ...],
) -> Edges:
    """Return the leans beyond which there is something, with the file that goes there."""
    path = study.folder / "space.yaml"
    text = _text_of(path) or study.space_text
    if not leans or _read(text, path) is None:  # what cannot be read cannot be widened
        return Edges(tuple(leans), unused)
    kept: list[Lean] = []
    for lean in leans:
        wider = _with_all(text, [*kept, lean])
        space = _read(wider, path)
        if space is not None and _has_room(space, choices, front, lean):
            kept.append(lean)
    if not kept:
        return Edges((), unused)
    changes = tuple(f"{key}: {json.dumps(value)}" for key, value in _entries(kept).items())
    # Shared weights are taught to the networks of one space: a wider one begins with its own.
    taken = OF_ONE_SPACE if shares_weights(study.notes) else ALL
    return Edges(tuple(kept), unused, changes, _with_all(text, kept), _command(study), taken)


def _with_all(text: str, leans: Sequence[Lean]) -> str:
    for key, value in _entries(leans).items():
        text = with_entry(text, "vary", key, value)
    return text


def _entries(leans: Sequence[Lean]) -> dict[str, Any]:
    """Return what stands in `vary` for choices with wider levels: branches share those of a key."""
    levels: dict[str, set[Any]] = {}
    for lean in leans:
        levels.setdefault(path_in_file(lean.path), set()).update(lean.wider)
    each = {path_in_file(lean.path) for lean in leans if path_in_file(lean.path) != lean.path}
    return {
        key: {EACH: sorted(found)} if key in each else sorted(found)
        for key, found in levels.items()
    }


def _has_room(
    space: SearchSpace, choices: Sequence[Choice], front: Sequence[_Network], lean: Lean
) -> bool:
    """Return whether a network of the front may have the next level: valid, and within limits."""
    new = {choice.path: choice for choice in space.choices}
    if set(new) != {choice.path for choice in choices}:
        return False  # the file was changed since
    following = _next(lean)
    columns = {choice.path: i for i, choice in enumerate(choices)}
    for one in front:
        levels = {path: one.levels[i] for path, i in columns.items()}
        if levels[lean.path] != lean.level:
            continue
        levels[lean.path] = following
        if any(level not in new[path].values for path, level in levels.items()):
            return False
        point = [new[path].values.index(levels[path]) for path in new]
        if _fits(space, point):
            return True
    return False


def _next(lean: Lean) -> Any:
    at = lean.wider.index(lean.level)
    return lean.wider[at + 1 if lean.largest else at - 1]


def _fits(space: SearchSpace, point: Sequence[int]) -> bool:
    import numpy as np

    row = np.array([point], dtype=np.int64)
    return bool(space.valid(row)[0] and space.within_limits(row)[0])


def _read(text: str, path: Path) -> SearchSpace | None:
    try:
        return read_space(text, str(path)).space
    except InputError:
        return None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _command(study: Study) -> str:
    words = run_again(study, study.folder / FILE)
    folder = str(study.folder)
    return shell(*words, "-o", f"{folder}-wider", "--reuse", folder)


def _level(value: Any) -> Any:
    """Return a level as a choice has it: lists are tuples."""
    return tuple(value) if isinstance(value, list) else value
