"""space.yaml to objects: every problem of every part that can be read, with line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hrnet_search.arch.cost import COST_NAMES
from hrnet_search.arch.hrnet_yaml import Config, read_config
from hrnet_search.arch.targets import ANY
from hrnet_search.arch.yaml_nodes import compose, entries, place, read_text
from hrnet_search.class_iou import IOU, SPELT
from hrnet_search.errors import ArchitectureError, Fault, InputError, SpaceError, shown
from hrnet_search.goals import Goals
from hrnet_search.records.accuracy import MIOU, MIOU_INT8
from hrnet_search.records.latency import INT8, LatencySpec
from hrnet_search.records.schedule import AUTO, Schedule
from hrnet_search.records.search_options import ALONE, FIDELITY, HANG_S, SHARED, THAW
from hrnet_search.space import ablate
from hrnet_search.space.ablate_keys import KINDS as ABLATE
from hrnet_search.space.batch_norm import check_arms, check_parts
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
from hrnet_search.space.survey import least_costs
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
    return load_space_file(path).space


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
    shared = search.evaluator == SHARED
    architecture = base.architecture if base else None
    choices, nodes = read_choices(reader, parts["vary"], architecture)
    check_training(reader, parts["schedule"], parts["vary"], choices, search)
    as_first = with_first_levels(parts["schedule"], parts["vary"], choices)
    schedule, seeds, rungs = read_schedule(reader, as_first, data, crop, base, shared)
    check_warmup(reader, parts["vary"], choices, schedule.steps)
    schedule = trained_by(schedule, first_levels(choices))
    slices = read_slices(reader, parts["schedule"], schedule) if shared else None
    hang_s = read_hang_s(parts["schedule"])
    latency = read_latency(parts["latency"])
    tracking = read_tracking(parts["tracking"])
    objectives = read_objectives(reader, parts["objectives"], data)
    limits, floors = read_limits(reader, parts["limits"], data)
    for key in ("limits", "objectives"):
        _check_int8(reader, parts[key], latency)
    _check_rungs(reader, parts, search, rungs)
    _check_signal(reader, parts["search"], search, Goals.of(objectives, (), data))
    _check_judged(reader, parts["objectives"], search, Goals.of(objectives, (), data))
    ablation = None
    if "ablate" in top:
        objectives = ABLATION_OBJECTIVES
        ablation, choices = ablate.read_ablation(
            reader, parts["ablate"], base, data, crop, parts["schedule"]
        )
    if base is not None:
        space = SearchSpace(
            base.architecture,
            choices,
            limits,
            latency.size,
            data.classes,
            top.take("target", TARGET, ANY),
            top.take("require", REQUIRE, ()),
        )
        _check_aux_weight(reader, parts["schedule"], space)
        if ablation is not None:
            check_arms(reader, ablation, space, schedule, parts["schedule"])
        elif choices:
            check_levels(reader, space, nodes)
            # A choice that could not be read may hold what rules ask for and limits are for.
            read = not any(f.path.split(".")[0] in ("vary", "require") for f in reader.faults)
            if read and check_rules(reader, space, top):
                _check_limits(reader, space, parts["limits"])
            check_parts(reader, space, slices or schedule, parts["schedule"])
    if reader.faults or base is None:
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
        schedule=schedule,
        seeds=seeds,
        rungs=rungs,
        latency=latency,
        search=search,
        tracking=tracking,
        init_at=place(init[1]) if init else (0, 0),
        ablation=ablation,
        hang_s=hang_s,
        slices=slices,
    )


def _check_limits(reader: Reader, space: SearchSpace, limits: Section) -> None:
    if not space.limits:
        return
    try:
        least = dict(zip(COST_NAMES, least_costs(space), strict=True))
    except InputError as error:
        reader.fault(limits.node, "vary", error.faults[0].wrong, "smaller counts")
        return
    for limit in space.limits:
        if limit.objective in least and limit.at_most < least[limit.objective]:
            lowest = least[limit.objective]
            wrong = f"{limit.at_most:g} is below the space's minimum of {lowest}"
            node = limits.node_of(limit.objective)
            reader.fault(node, f"limits.{limit.objective}", wrong, f"at least {lowest}")


def _check_aux_weight(reader: Reader, section: Section, space: SearchSpace) -> None:
    if "aux_weight" in section and not space.has_ocr:
        wrong = "is not used by a plain head, which has no auxiliary output"
        allowed = "a base with an OCR head, or vary.HEAD with ocr"
        reader.fault(section.key_node("aux_weight"), section.where("aux_weight"), wrong, allowed)


def _check_int8(reader: Reader, section: Section, latency: LatencySpec) -> None:
    if MIOU_INT8 in section and latency.precision != INT8:
        wrong = f"is not known where latency is measured in {latency.precision}"
        allowed = "latency: {runtime: onnxruntime, precision: int8}"
        reader.fault(section.key_node(MIOU_INT8), section.where(MIOU_INT8), wrong, allowed)


def _check_judged(reader: Reader, section: Section, search: SearchSpec, goals: Goals) -> None:
    """What is judged by slices is judged as it is, not in int8."""
    if search.evaluator == SHARED and goals.accuracy.key == MIOU_INT8:
        wrong = f"does not go with search.evaluator: {SHARED}, which judges in floating point"
        node, where = section.key_node(MIOU_INT8), section.where(MIOU_INT8)
        reader.fault(node, where, wrong, f"evaluator: {ALONE}, or another accuracy")


def _check_rungs(
    reader: Reader, parts: Mapping[str, Section], search: SearchSpec, rungs: tuple[int, ...]
) -> None:
    if search.fidelity == THAW and len(rungs) < 2:
        node = parts["search"].node_of("fidelity")
        wrong = f"{THAW} pauses trials at the first of schedule.rungs, and there is none"
        reader.fault(node, FIDELITY, wrong, "schedule.rungs: [STEP], an eighth of the steps, say")


def _check_signal(reader: Reader, section: Section, search: SearchSpec, goals: Goals) -> None:
    """Soft IoU and mIoU are of all classes, as trained: nothing else is learned from them."""
    accuracy = goals.accuracy
    if accuracy.key != MIOU and search.signal != AUTO:
        what = "the network as trained" if accuracy.key == MIOU_INT8 else "all classes"
        wrong = f"{search.signal} is of {what}, objectives.{shown(accuracy.name)} is not"
        reader.fault(section.node_of("signal"), "search.signal", wrong, f"{AUTO}, or no such key")


def _either_way(reader: Reader, top: Section) -> None:
    if "ablate" in top:
        if "vary" in top:
            reader.fault(
                top.key_node("vary"), "vary", "cannot be set together with ablate", "one of the two"
            )
        for key in ablate.UNREAD:
            if key in top:
                reader.fault(top.key_node(key), key, "is not read beside ablate", "no such key")
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
