"""space.yaml to objects: every problem of every part that can be read, with line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hrnet_search.arch.hrnet_yaml import Config, read_config
from hrnet_search.arch.targets import ANY
from hrnet_search.arch.yaml_nodes import compose, entries, place, read_text
from hrnet_search.class_iou import IOU, SPELT
from hrnet_search.errors import ArchitectureError, Fault, SpaceError, shown
from hrnet_search.goals import Goals
from hrnet_search.paths import expanded
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.search_options import HANG_S, SHARED
from hrnet_search.space import ablate
from hrnet_search.space.ablate_keys import KINDS as ABLATE
from hrnet_search.space.agreement import check_aux_weight, check_limits, check_sections
from hrnet_search.space.batch_norm import check_arms, check_parts
from hrnet_search.space.choice import Choice
from hrnet_search.space.data_section import read_data
from hrnet_search.space.kinds import Keys, Name, Text
from hrnet_search.space.objectives import LIMITS, OBJECTIVE_KINDS, read_limits, read_objectives
from hrnet_search.space.reader import Reader, Section
from hrnet_search.space.rules import check_rules
from hrnet_search.space.search_section import SEARCH, SearchSpec, read_search
from hrnet_search.space.sections import (
    LATENCY,
    REQUIRE,
    SCHEDULE,
    TARGET,
    read_crop,
    read_hang_s,
    read_latency,
    read_schedule,
    read_slices,
)
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.tracking_section import TRACKING, TrackingSpec, read_tracking
from hrnet_search.space.training_choices import (
    check_training,
    check_warmup,
    first_levels,
    trained_by,
    with_first_levels,
)
from hrnet_search.space.vary import check_levels, read_choices

KEYS = (
    "name", "base", "vary", "ablate", "target", "require", "limits", "objectives", "data",
    "schedule", "latency", "search", "tracking",
)  # fmt: skip
NAME, BASE = Name(), Text()
REQUIRED = ("name", "base", "data", "schedule")
SEARCHED = ("vary", "objectives")
"""What is required too, unless it is an ablation."""

PARTS = {
    "limits": LIMITS,
    "objectives": OBJECTIVE_KINDS,
    "schedule": Keys(SCHEDULE),
    "latency": Keys(LATENCY),
    "search": Keys(SEARCH),
    "tracking": Keys(TRACKING),
    "ablate": Keys(ABLATE),
}
"""The keys of a section, but of those that are judged where they are read."""

_UNQUOTED = re.compile(rf"[{{,]\s*{IOU}\[")
ABLATION_OBJECTIVES = ("miou", "macs")
"""What a front of an ablation's trials is of."""


@dataclass(frozen=True, slots=True)
class SpaceFile:
    """A space file, read: the space, and how its variants are trained, measured and searched."""

    name: str
    path: str
    text: str
    base: Config
    space: SearchSpace
    objectives: tuple[str, ...]
    floors: tuple[tuple[str, float], ...]
    schedule: Schedule
    seeds: tuple[int, ...]
    rungs: tuple[int, ...]
    latency: LatencySpec
    search: SearchSpec
    tracking: TrackingSpec
    init_at: tuple[int, int] = (0, 0)
    """Line and column of `schedule.init`: what it names may only be looked for in a study."""

    ablation: ablate.AblateSpec | None = None
    hang_s: float = HANG_S
    slices: Schedule | None = None
    """How variants are judged by slices of shared weights, None where they are not."""

    @property
    def goals(self) -> Goals:
        """What it asks a study to reach, with the classes of its data."""
        return Goals.of(self.objectives, self.floors, self.schedule.data)


def load_space(path: str | Path) -> SearchSpace:
    """Return the space of a space file; raise SpaceError with every problem of the file."""
    return load_space_file(expanded(str(path))).space


def is_space_file(path: str | Path) -> bool:
    """Return whether a file is meant to be a space file, right or wrong."""
    root, _ = compose(read_text(path)[0], str(path))
    return isinstance(root, yaml.MappingNode) and {"base", "schedule"} <= entries(root).keys()


def load_space_file(path: str | Path, data_root: str | None = None) -> SpaceFile:
    """Read a whole space file; raise SpaceError with every problem.

    `data_root` says where the data lie, instead of what the file says.
    """
    text, faults = read_text(path)
    if faults:
        raise SpaceError(faults)
    return read_space(text, str(path), data_root)


def read_space(text: str, file: str, data_root: str | None = None) -> SpaceFile:
    """Read the text of a space file as if it stood in `file`; raise SpaceError as above."""
    root, more = compose(text, file)
    if root is None:
        empty = Fault("", None, "is empty", "a space file", file, 1, 1)
        raise SpaceError([_with_quotes(fault, text) for fault in more] or [empty])
    reader = Reader(file)
    reader.faults += [fault for fault in more if not _is_label(fault)]
    return _load(reader, root, file, text, data_root)


def placed(file: SpaceFile, faults: Iterable[Fault]) -> list[Fault]:
    """Return faults of a space file's keys with their places in it.

    A key that is not there is placed at its parent; what is not a key of the file stays as it is.
    """
    root, _ = compose(file.text, file.path)
    assert root, "it was read before"
    return [
        fault.at(file.path, *_place_of(root, fault.path))
        if not fault.file and fault.path.split(".")[0] in KEYS
        else fault
        for fault in faults
    ]


def _place_of(node: yaml.Node, path: str) -> tuple[int, int]:
    for key, (_, value) in entries(node).items() if isinstance(node, yaml.MappingNode) else ():
        if path == key or path.startswith((f"{key}.", f"{key}[")):
            return _place_of(value, path[len(key) + 1 :])
    return place(node)


def _with_quotes(fault: Fault, text: str) -> Fault:
    """Return a fault of YAML's syntax with what helps where a name of classes lacks its quotes."""
    lines = text.splitlines()[: fault.line]
    if fault.wrong.startswith("not YAML") and lines and _UNQUOTED.search(lines[-1]):
        return replace(fault, allowed=f'in {{...}} quotes, "{SPELT}"')
    return fault


def _is_label(fault: Fault) -> bool:
    """Labels have numbers and colours as keys, which are read where they stand."""
    return fault.path in ("data.mapping", "data.colors") and "is not a string" in fault.wrong


def _load(
    reader: Reader, root: yaml.Node, file: str, text: str, data_root: str | None
) -> SpaceFile:
    top = reader.section(root, "", KEYS)
    for key in REQUIRED:
        top.require(key)
    _either_way(reader, top)
    name = top.take("name", NAME, "")
    base = _base(reader, top)
    parts = {key: _part(reader, top, key) for key in KEYS}
    crop = read_crop(parts["schedule"])
    data = read_data(reader, _node(top, "data"), file, data_root, crop)
    search = read_search(parts["search"], Path(file).parent)
    trained = _trained(reader, parts, base, data, crop, search)
    hang_s = read_hang_s(parts["schedule"])
    latency = read_latency(parts["latency"])
    tracking = read_tracking(parts["tracking"])
    objectives = read_objectives(reader, parts["objectives"], data)
    limits, floors = read_limits(reader, parts["limits"], data)
    check_sections(reader, parts, latency, search, trained.rungs, Goals.of(objectives, (), data))
    ablation, choices = None, trained.choices
    if "ablate" in top:
        objectives = ABLATION_OBJECTIVES
        ablation, choices = ablate.read_ablation(
            reader, parts["ablate"], base, data, crop, parts["schedule"]
        )
    space = None
    if base is not None:
        target, require = top.take("target", TARGET, ANY), top.take("require", REQUIRE, ())
        sizes = latency.size, data.classes
        space = SearchSpace(base.architecture, choices, limits, *sizes, target, require)
        _check_space(reader, top, parts, space, trained, ablation)
    if reader.faults or base is None or space is None:
        raise SpaceError(sorted(reader.faults, key=lambda f: (f.file != file, f.line, f.column)))
    init = parts["schedule"].found.get("init")
    return SpaceFile(
        name=name,
        path=file,
        text=text,
        base=base,
        space=space,
        objectives=objectives,
        floors=floors,
        schedule=trained.schedule,
        seeds=trained.seeds,
        rungs=trained.rungs,
        latency=latency,
        search=search,
        tracking=tracking,
        init_at=place(init[1]) if init else (0, 0),
        ablation=ablation,
        hang_s=hang_s,
        slices=trained.slices,
    )


@dataclass(frozen=True, slots=True)
class _Trained:
    """What `vary` and `schedule` say together; `nodes` are where choices stand in the file."""

    choices: tuple[Choice, ...]
    nodes: dict[str, yaml.Node]
    schedule: Schedule
    seeds: tuple[int, ...]
    rungs: tuple[int, ...]
    slices: Schedule | None


def _trained(
    reader: Reader,
    parts: Mapping[str, Section],
    base: Config | None,
    data: DataSpec,
    crop: tuple[int, int],
    search: SearchSpec,
) -> _Trained:
    vary, section = parts["vary"], parts["schedule"]
    shared = search.evaluator == SHARED
    choices, nodes = read_choices(reader, vary, base.architecture if base else None)
    check_training(reader, section, vary, choices, search)
    as_first = with_first_levels(section, vary, choices)
    schedule, seeds, rungs = read_schedule(reader, as_first, data, crop, base, shared)
    check_warmup(reader, vary, choices, schedule.steps)
    schedule = trained_by(schedule, first_levels(choices))
    slices = read_slices(reader, section, schedule) if shared else None
    return _Trained(choices, nodes, schedule, seeds, rungs, slices)


def _check_space(
    reader: Reader,
    top: Section,
    parts: Mapping[str, Section],
    space: SearchSpace,
    trained: _Trained,
    ablation: ablate.AblateSpec | None,
) -> None:
    schedule = parts["schedule"]
    check_aux_weight(reader, schedule, space)
    if ablation is not None:
        check_arms(reader, ablation, space, trained.schedule, schedule)
    elif space.choices:
        check_levels(reader, space, trained.nodes)
        # A choice that could not be read may hold what rules ask for and limits are for.
        read = not any(f.path.split(".")[0] in ("vary", "require") for f in reader.faults)
        if read and check_rules(reader, space, top):
            check_limits(reader, space, parts["limits"])
        check_parts(reader, space, trained.slices or trained.schedule, schedule)


def _either_way(reader: Reader, top: Section) -> None:
    if "ablate" in top:
        if "vary" in top:
            reader.fault(
                top.key_node("vary"), "vary", "cannot be set together with ablate", "one of the two"
            )
        for key in ablate.UNREAD:
            if key in top:
                reader.fault(top.key_node(key), key, "is not used with ablate; remove it")
        _one_list_of_seeds(reader, top)
        return
    for key in SEARCHED:
        top.require(key)


def _one_list_of_seeds(reader: Reader, top: Section) -> None:
    node = _node(top, "schedule")
    found = entries(node) if isinstance(node, yaml.MappingNode) else {}
    if "seeds" in found:
        reader.fault(
            found["seeds"][0],
            "schedule.seeds",
            "cannot be set together with ablate",
            "ablate.seeds",
        )


def _node(top: Section, key: str) -> yaml.Node | None:
    return top.node_of(key) if key in top else None


def _part(reader: Reader, top: Section, key: str) -> Section:
    """Return a section of the file; keys of `vary` and `data` are judged where they are read."""
    node = _node(top, key)
    if key == "limits" and isinstance(node, yaml.MappingNode):
        node = _without_flops(reader, node)
    if key in PARTS:
        section = PARTS[key].read(reader, node, key)
    elif key == "vary":
        section = Section(reader, key, node, {})
        if isinstance(node, yaml.MappingNode):
            open_keys = tuple(k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode))
            section = reader.section(node, key, open_keys)
        elif node is not None:
            reader.fault(node, key, "is not a mapping", "choices by path")
    else:
        section = Section(reader, key, node, {})
    if key in ("vary", "objectives") and isinstance(node, yaml.MappingNode) and not node.value:
        reader.fault(top.key_node(key), key, "is empty", "one entry or more")
    return section


def _without_flops(reader: Reader, node: yaml.MappingNode) -> yaml.MappingNode:
    kept = []
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value.lower() in ("flops", "gflops"):
            wrong = "FLOPs are counted in two ways"
            reader.fault(key, f"limits.{key.value}", wrong, "macs (one MAC is two FLOPs)")
        else:
            kept.append((key, value))
    return yaml.MappingNode(node.tag, kept, node.start_mark, node.end_mark)


def _base(reader: Reader, top: Section) -> Config | None:
    if "base" not in top:
        return None
    named = BASE.read(reader, top.node_of("base"), "base")
    if named is None:
        return None
    path, there = reader.beside(named)
    if not there:
        wrong = f"{shown(os.path.realpath(path), 300)} is not a file"
        allowed = "an HRNet-library yaml, its path relative to this file"
        reader.fault(top.node_of("base"), "base", wrong, allowed)
        return None
    try:
        return read_config(path)
    except ArchitectureError as error:
        reader.faults += error.faults
        return None
