"""The `ablate` section: factors with their levels, the design, and what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeVar

import yaml

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.hrnet_yaml import Config
from hrnet_search.arch.yaml_nodes import place
from hrnet_search.errors import Fault, nearest, shown
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import MEMORY_FORMATS, PRECISIONS
from hrnet_search.space.ablate_keys import (
    DESIGNS,
    KINDS,
    MARGINS,
    NAME,
    NO_LEVELS,
    PATHS,
    SCHEDULE,
    SCHEDULE_FACTORS,
    AnyLevels,
)
from hrnet_search.space.agreement import NO_AUXILIARY
from hrnet_search.space.choice import Choice
from hrnet_search.space.objectives import known_objectives
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.sections import OHEM_KEYS, read_schedule
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.vary import SAID, read_choices

T = TypeVar("T")
UNREAD = ("objectives", "target", "require", "limits", "search")
"""Sections that say what a search looks for; an ablation would not read them."""

MOST_COMBINATIONS = 4096

_LEVELS = {
    "init": "none, pretrained, a file, trial:KEY",
    "precision": ", ".join(PRECISIONS),
    "memory_format": ", ".join(MEMORY_FORMATS),
}


@dataclass(frozen=True, slots=True)
class Factor:
    """What one factor sets, and its levels: the first is the reference's.

    `path` is one of `vary`, or a key of the schedule behind `schedule.`.
    """

    name: str
    path: str
    levels: tuple[Any, ...]

    @property
    def schedule_key(self) -> str:
        """The key of the schedule that the factor sets, empty for one of the architecture."""
        return self.path.removeprefix(SCHEDULE) if self.path.startswith(SCHEDULE) else ""


@dataclass(frozen=True, slots=True)
class AblateSpec:
    """The `ablate` section, read.

    `equivalence`, `noise` and `detect` are in mIoU (fractions): the margin within which arms
    count as equal, the standard deviation over seeds assumed for a paired difference, and the
    difference that has to be found with a power of 80%. None where nothing was said. `margins` are
    those within which arms count as equal in the IoU of some classes, by its key.
    `detect_at` and `factors_at` are where these stand in the file, (line, column). `lr` says that
    the schedule names a learning rate, which then is that of all arms but those of a factor.
    """

    factors: tuple[Factor, ...]
    design: str = "one-factor"
    resolution: int = 4
    match: tuple[str, ...] = ("none",)
    seeds: tuple[int, ...] = tuple(range(6))
    equivalence: float | None = None
    alpha: float = 0.05
    noise: float | None = None
    detect: float | None = None
    detect_at: tuple[int, int] = (1, 1)
    factors_at: tuple[int, int] = (1, 1)
    margins: tuple[tuple[str, float], ...] = ()
    lr: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Levels of each factor."""
        return tuple(len(factor.levels) for factor in self.factors)

    @property
    def too_many(self) -> bool:
        """Whether the design has more combinations than are looked at."""
        return math.prod(self.shape) > MOST_COMBINATIONS and self.design in DESIGNS[2:]


def least_seeds(alpha: float) -> int:
    """Return the fewest seeds with which a paired sign-flip test can reach `alpha`.

    Of the 2**n flips of n seeds two, the result and its negation, are always as extreme.
    """
    return max(2, math.ceil(1 - math.log2(alpha)))


def read_ablation(
    reader: Reader,
    section: Section,
    base: Config | None,
    data: DataSpec,
    crop: tuple[int, int],
    schedule: Section,
) -> tuple[AblateSpec, tuple[Choice, ...]]:
    """Return the section, and the factors of the architecture as choices."""
    before = len(reader.faults)
    factors, nodes = _factors(reader, section, base, data, crop, schedule)
    readable = len(reader.faults) == before
    if "init" in schedule:
        _refuse_what_is_no_level(reader, schedule.node_of("init"), "init", "schedule.init")

    def value(key: str, default: T) -> T:
        return section.take(key, KINDS[key], default)

    alpha = value("alpha", 0.05)
    margins = _margins(reader, section, data)
    spec = AblateSpec(
        factors=tuple(factors),
        design=value("design", DESIGNS[0]),
        resolution=value("resolution", 4),
        match=value("match", ("none",)),
        seeds=_seeds(reader, section, alpha),
        equivalence=margins.pop(MIOU, None),
        alpha=alpha,
        noise=value("noise", None),
        detect=value("detect", None),
        detect_at=place(section.key_node("detect")) if "detect" in section else (1, 1),
        factors_at=place(section.key_node("factors")) if "factors" in section else (1, 1),
        margins=tuple(margins.items()),
        lr="lr" in schedule,
    )
    _check_rate(reader, spec, nodes, schedule)
    choices = tuple(Choice(f.path, f.levels) for f in factors if not f.schedule_key)
    if "resolution" in section and spec.design != "fractional":
        node = section.key_node("resolution")
        wrong = "is only used with design: fractional; remove it"
        reader.fault(node, "ablate.resolution", wrong)
    if base is not None and factors:
        space = SearchSpace(base.architecture, choices)
        _check_networks(reader, spec, space, nodes, section, readable)
        _check_read(reader, spec, space, nodes)
    return spec, choices


def _check_read(
    reader: Reader, spec: AblateSpec, space: SearchSpace, nodes: dict[str, Section]
) -> None:
    """Add a fault for each factor of the schedule that no training, or one loss alone, reads.

    Its arm would be the reference again, trained as often as there are seeds.
    """
    # Of one reference: the others train every level with every other.
    level = {"one-factor": 0, "leave-one-out": -1}.get(spec.design)
    loss = next((f for f in spec.factors if f.schedule_key == "loss"), None)
    said = loss.levels[level] if loss and level is not None else "ohem"
    for factor in spec.factors:
        node, where = nodes[factor.name].node_of("path"), nodes[factor.name].path
        if factor.schedule_key == "aux_weight" and not space.has_ocr:
            allowed = "a base with an OCR head, or a factor HEAD with ocr"
            reader.fault(node, where, NO_AUXILIARY, allowed)
        elif loss and factor.schedule_key in OHEM_KEYS and said != "ohem":
            wrong = f"is not used with loss: {said}, which the reference has"
            reader.fault(node, where, wrong, f"{loss.name}=ohem in the reference")


def _check_rate(
    reader: Reader, spec: AblateSpec, nodes: dict[str, Section], schedule: Section
) -> None:
    """Add a fault where one rate would be that of several optimisers."""
    varied = {factor.schedule_key: factor.name for factor in spec.factors}
    if "optimiser" in varied and "lr" not in varied and spec.lr:
        where = nodes[varied["optimiser"]].path
        wrong = f"is the rate of one optimiser, and {where} compares several"
        allowed = "a factor schedule.lr, or no lr: each optimiser then has its usual one"
        reader.fault(schedule.key_node("lr"), "schedule.lr", wrong, allowed)


def _margins(reader: Reader, section: Section, data: DataSpec) -> dict[str, float]:
    """Return the margins of equivalence by the key of their accuracy."""
    if "equivalence" not in section:
        return {}
    inner = MARGINS.read(reader, section.node_of("equivalence"), section.where("equivalence"))
    found: dict[str, float | None] = {
        row.key: inner.take(row.name, kind, None)
        for row, kind in known_objectives(reader, inner, data, MARGINS)
    }
    return {key: margin for key, margin in found.items() if margin is not None}


def _seeds(reader: Reader, section: Section, alpha: float) -> tuple[int, ...]:
    seeds = section.take("seeds", KINDS["seeds"], tuple(range(least_seeds(alpha))))
    if (least := least_seeds(alpha)) > len(seeds):
        node = section.node_of("seeds") if "seeds" in section else section.node
        reach = 2.0 ** (1 - len(seeds))
        wrong = f"{len(seeds)} seeds cannot give a p-value below {reach:.3g}, asked is {alpha:g}"
        reader.fault(node, "ablate.seeds", wrong, f"{least} seeds or more (or a larger alpha)")
    return seeds


def _factors(
    reader: Reader,
    section: Section,
    base: Config | None,
    data: DataSpec,
    crop: tuple[int, int],
    schedule: Section,
) -> tuple[list[Factor], dict[str, Section]]:
    """Return the factors that could be read, and the section of each in the file by name."""
    node = section.require("factors")
    where = "ablate.factors"
    outer = KINDS["factors"].read(reader, node, where) if node is not None else None
    if outer is None:
        return [], {}
    nodes: dict[str, Section] = {}
    paths: dict[str, str] = {}
    for name in outer.found:
        NAME.read(reader, outer.key_node(name), f"{where}.{shown(name)}")
        inner = reader.section(outer.node_of(name), f"{where}.{shown(name)}", ("path", "levels"))
        path = _path(reader, inner)
        if path and _levels_fit(reader, inner) and _new(reader, inner, path, paths):
            nodes[name], paths[path] = inner, name
    levels = _architecture_levels(reader, nodes, paths, base.architecture if base else None)
    for path, name in paths.items():
        if path.startswith(SCHEDULE):
            beside = (schedule, data, crop, base)
            levels[path] = _schedule_levels(reader, nodes[name], path, *beside)
    found = [Factor(name, path, levels[path]) for path, name in paths.items() if levels.get(path)]
    return found, nodes


def _path(reader: Reader, inner: Section) -> str:
    node = inner.require("path")
    path = (reader.text(node, inner.where("path")) if node is not None else None) or ""
    key = path.removeprefix(SCHEDULE)
    if not path or path in PATHS:
        return path
    allowed = f"{SAID}; {SCHEDULE}KEY of a key of the schedule"
    if path.startswith(SCHEDULE):
        allowed = f"schedule. with {', '.join(SCHEDULE_FACTORS)}"
    wrong = f"{shown(path)} cannot be ablated{nearest(path, PATHS)}"
    if path in ("STAGE1.NUM_MODULES", "STAGE1.NUM_BRANCHES", "STAGE1.FUSE_METHOD"):
        wrong = f"{path}: the network never reads it"
    if key in ("seeds", "rungs"):
        wrong = f"{path} is not a factor: every arm has the same seeds and rungs"
    reader.fault(node, inner.where("path"), wrong, allowed)
    return ""


def _levels_fit(reader: Reader, inner: Section) -> bool:
    node = inner.require("levels")
    return node is not None and bool(AnyLevels().read(reader, node, inner.where("levels")))


def _new(reader: Reader, inner: Section, path: str, paths: dict[str, str]) -> bool:
    if path not in paths:
        return True
    wrong = f"{path} is set by factor {paths[path]} already"
    reader.fault(inner.node_of("path"), inner.where("path"), wrong, "one factor for each path")
    return False


def _architecture_levels(
    reader: Reader, nodes: dict[str, Section], paths: dict[str, str], base: Architecture | None
) -> dict[str, tuple[Any, ...]]:
    """Read levels as `vary` reads them; its faults are said of the factors."""
    found = {
        path: (nodes[name].node_of("path"), nodes[name].node_of("levels"))
        for path, name in paths.items()
        if not path.startswith(SCHEDULE)
    }
    quiet = Reader(reader.file)
    choices, _ = read_choices(quiet, Section(quiet, "vary", None, found), base)
    for fault in quiet.faults:
        path = fault.path.removeprefix("vary.")
        name = next((paths[p] for p in sorted(found, key=len, reverse=True) if p in path), path)
        wrong = fault.wrong.replace("vary.", "")
        reader.faults.append(replace(fault, path=f"ablate.factors.{name}", wrong=wrong))
    return {choice.path: choice.values for choice in choices}


def _schedule_levels(
    reader: Reader,
    inner: Section,
    path: str,
    schedule: Section,
    data: DataSpec,
    crop: tuple[int, int],
    base: Config | None,
) -> tuple[Any, ...]:
    """Read each level as the schedule itself would, beside its other keys."""
    key, node = path.removeprefix(SCHEDULE), inner.node_of("levels")
    assert isinstance(node, yaml.SequenceNode)
    quiet, values = Reader(reader.file), []
    for level in node.value:
        found = {**schedule.found, key: (inner.node_of("path"), level)}
        beside = Section(quiet, "schedule", schedule.node, found)
        values.append(getattr(read_schedule(quiet, beside, data, crop, base)[0], key))
        _refuse_what_is_no_level(quiet, level, key, path)
    # Faults that other keys have without the level too are said where they stand.
    own = [fault for fault in quiet.faults if fault.path == path]
    if not own:
        checked = Reader(reader.file)
        checked.distinct(node, path, values)
        own = checked.faults
    if key in schedule and key != "init" and not own:  # init is refused for itself
        alone = getattr(read_schedule(Reader(reader.file), schedule, data, crop, base)[0], key)
        if alone not in values:
            wrong = f"{shown(alone)} is never trained by: {inner.path} sets it"
            allowed = f"no {key} beside the factor, or one of its levels"
            reader.fault(schedule.key_node(key), path, wrong, allowed)
    # What is wrong with the factor is wrong with each level: it is said once.
    reader.faults += dict.fromkeys(replace(fault, path=inner.path) for fault in own)
    return () if own else tuple(values)


def _refuse_what_is_no_level(reader: Reader, node: yaml.Node, key: str, path: str) -> None:
    words, why = NO_LEVELS.get(key, ((), ""))
    if isinstance(node, yaml.ScalarNode) and node.value in words:
        reader.fault(node, path, f"{node.value} {why}", _LEVELS[key])


def _check_networks(
    reader: Reader,
    spec: AblateSpec,
    space: SearchSpace,
    nodes: dict[str, Section],
    section: Section,
    all_read: bool,
) -> None:
    """Add a fault for each arm that is not a valid network, or the same as its reference.

    Where not all factors could be read, those that could are judged one at a time.
    """
    if spec.too_many:
        wrong = f"{math.prod(spec.shape)} combinations of levels"
        reader.fault(section.key_node("factors"), "ablate.factors", wrong, "at most 4096")
        return
    factors = [f for f in spec.factors if not f.schedule_key]
    first = (0,) * len(factors)
    if _invalid(space, first):
        _combination(reader, section, "factors", factors, first, _invalid(space, first))
        return
    before = len(reader.faults)
    for column, factor in enumerate(factors):
        levels = nodes[factor.name].node_of("levels")
        assert isinstance(levels, yaml.SequenceNode)
        points = [(*first[:column], n, *first[column + 1 :]) for n in range(len(factor.levels))]
        for level, point in enumerate(points[1:], start=1):
            if problem := _level_problem(space, points[:level], point):
                where = f"ablate.factors.{factor.name}"
                said = f"level {shown(factor.levels[level])} {problem[0]}"
                reader.faults.append(_at(reader, levels.value[level], where, said, problem[1]))
    if all_read and len(reader.faults) == before:
        for point in _combinations(spec.design, tuple(len(f.levels) for f in factors)):
            if fault := _invalid(space, point):
                _combination(reader, section, "design", factors, point, fault)


def _level_problem(
    space: SearchSpace, before: Sequence[Sequence[int]], point: Sequence[int]
) -> tuple[str, str] | None:
    if fault := _invalid(space, point):
        return f"makes no valid network: {fault.path}: {fault.wrong}", fault.allowed
    network = space.decode(point).id
    for number, earlier in enumerate(before, start=1):
        if space.decode(earlier).id == network:
            which = "the first level" if number == 1 else f"level {number}"
            return f"makes the same network as {which}", "levels that change something"
    return None


def _invalid(space: SearchSpace, point: Sequence[int]) -> Fault | None:
    problems = space.decode(point).problems()
    return problems[0] if problems else None


def _at(reader: Reader, node: yaml.Node, path: str, wrong: str, allowed: str) -> Fault:
    return Fault(path, None, wrong, allowed, reader.file, *place(node))


def _combination(
    reader: Reader,
    section: Section,
    key: str,
    factors: Sequence[Factor],
    point: Sequence[int],
    fault: Fault | None,
) -> None:
    assert fault is not None
    pairs = zip(factors, point, strict=True)
    names = ", ".join(f"{f.name}={shown(f.levels[level])}" for f, level in pairs)
    key = key if key in section else "factors"
    wrong = f"{names} together make no valid network: {fault.path}: {fault.wrong}"
    node = section.key_node(key)
    reader.faults.append(_at(reader, node, f"ablate.{key}", wrong, fault.allowed))


def _combinations(design: str, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield what a design combines beyond one level at a time."""
    offered: dict[str, Callable[[], Iterator[tuple[int, ...]]]] = {
        "one-factor": lambda: iter(()),
        "leave-one-out": lambda: _leave_one_out(shape),
        "factorial": lambda: product(*map(range, shape)),
        "fractional": lambda: product(*map(range, shape)),
    }
    yield from offered[design]()


def points_of(spec: AblateSpec) -> Iterator[tuple[int, ...]]:
    """Yield what the design may combine: the levels of all factors, the reference first."""
    first = (0,) * len(spec.factors)
    yield first
    for column, levels in enumerate(spec.shape):
        yield from ((*first[:column], level, *first[column + 1 :]) for level in range(1, levels))
    yield from _combinations(spec.design, spec.shape)


def _leave_one_out(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    last = tuple(n - 1 for n in shape)
    yield last
    yield from ((*last[:i], 0, *last[i + 1 :]) for i in range(len(shape)))
