"""The HRNet library's yaml dialect: read a config, keep what is no architecture, write one back.

What is read of MODEL.EXTRA is what the official `lib/models/seg_hrnet.py` reads; everything else
(DATASET, TRAIN, TEST, ...) travels along untouched, so that a written variant is a complete
config for `tools/train.py`.
"""

from __future__ import annotations

import copy
import difflib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hrnet_search.arch.architecture import MAX_BRANCHES, Architecture, Stage
from hrnet_search.arch.yaml_nodes import (
    Scalar,
    Trap,
    compose,
    entries,
    place,
    read_scalar,
    read_text,
)
from hrnet_search.errors import ArchitectureError, Fault, shown

STAGE_KEYS = ("NUM_MODULES", "NUM_BRANCHES", "BLOCK", "NUM_BLOCKS", "NUM_CHANNELS", "FUSE_METHOD")
STAGE1_ALIASES = {"NUM_RANCHES": "NUM_BRANCHES"}
"""The typo that every published config has in STAGE1, where the key is never read."""

STAGE1_REQUIRED = ("BLOCK", "NUM_BLOCKS", "NUM_CHANNELS")
EXTRA_KEYS = ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4")


@dataclass(frozen=True, slots=True)
class Config:
    """A whole config: its architecture, and every section as plain Python (`MODEL` too)."""

    architecture: Architecture
    sections: dict[str, Any]
    path: str = ""


def read_config(path: str | Path) -> Config:
    """Read a config of any branch of the HRNet library.

    A missing ALIGN_CORNERS is False: the branches without the key behave so. Raises
    ArchitectureError with every problem, each with file, line and column.
    """
    name = str(path)
    text, faults = read_text(path)
    root, more = (None, []) if faults else compose(text, name)
    reader = _Reader(name, [*faults, *more])
    if root is None or reader.faults:
        if not reader.faults:
            reader.missing("", "MODEL", None)
        raise ArchitectureError(reader.faults)
    architecture = reader.architecture(root)
    sections = reader.plain(root)
    if architecture is None or reader.faults:
        raise ArchitectureError(reader.faults)
    return Config(architecture, sections, name)


def write_config(architecture: Architecture, path: str | Path, like: str | Path | None) -> None:
    """Write a complete config; the other sections are those of `like` or Cityscapes defaults."""
    source = read_config(like) if like is not None else None
    text = config_text(architecture, source)
    target = Path(path)
    with tempfile.NamedTemporaryFile(
        "w", dir=target.parent, prefix=f".{target.name}.", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    Path(file.name).chmod(0o666 & ~_umask())
    Path(file.name).replace(target)


def config_text(
    architecture: Architecture, like: Config | None = None, classes: int | None = None
) -> str:
    """Return the yaml text of a complete config, with a comment on the official library.

    Weights that `like` starts from are named only where its architecture is the same: they
    would not fit another. `classes` takes the place of its DATASET.NUM_CLASSES.
    """
    architecture.check()
    sections = copy.deepcopy(like.sections) if like else cityscapes_sections()
    data = sections.get("DATASET") or {}
    if classes is not None and isinstance(data, dict):
        sections["DATASET"] = {**data, "NUM_CLASSES": classes}
    model = sections.get("MODEL") or {}
    if like and like.architecture.head != architecture.head:
        _single_output(sections, model)
    pretrained = model.get("PRETRAINED", "")
    if not like or like.architecture.id != architecture.id:
        pretrained = ""
    own = {
        "NAME": architecture.head,
        "ALIGN_CORNERS": architecture.align_corners,
        "PRETRAINED": pretrained,
    }
    rest = {k: v for k, v in model.items() if k not in own and k != "EXTRA"}
    sections["MODEL"] = {**own, **rest, "EXTRA": _extra(architecture)}
    body = yaml.dump(sections, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return "".join(f"# {line}\n" for line in _comment(architecture)) + body


def official_problems(architecture: Architecture) -> list[str]:
    """Return why the official library would run something else or crash; empty if it would not.

    It stores FUSE_METHOD and never reads it, and its head takes exactly four branches.
    """
    reasons = []
    for number, stage in enumerate(architecture.stages[1:], start=2):
        if stage.fuse != "SUM" and stage.branches > 1 and stage.modules > 0:
            reasons.append(f"STAGE{number}.FUSE_METHOD {stage.fuse} runs as SUM there")
    branches = architecture.stages[3].branches
    if branches != MAX_BRANCHES:
        reasons.append(f"its head crashes on {branches} branches in STAGE4, it needs 4")
    return reasons


def cityscapes_sections() -> dict[str, Any]:
    """Return the sections of a config for 19-class Cityscapes, without an architecture."""
    return {
        "CUDNN": {"BENCHMARK": True, "DETERMINISTIC": False, "ENABLED": True},
        "GPUS": "(0,1,2,3)",
        "OUTPUT_DIR": "output",
        "LOG_DIR": "log",
        "WORKERS": 4,
        "PRINT_FREQ": 100,
        "DATASET": {
            "DATASET": "cityscapes",
            "ROOT": "data/",
            "TEST_SET": "list/cityscapes/val.lst",
            "TRAIN_SET": "list/cityscapes/train.lst",
            "NUM_CLASSES": 19,
        },
        "MODEL": {},
        "LOSS": {"USE_OHEM": False, "OHEMTHRES": 0.9, "OHEMKEEP": 131072},
        "TRAIN": {
            "IMAGE_SIZE": [1024, 512],
            "BASE_SIZE": 2048,
            "BATCH_SIZE_PER_GPU": 3,
            "SHUFFLE": True,
            "BEGIN_EPOCH": 0,
            "END_EPOCH": 484,
            "RESUME": True,
            "OPTIMIZER": "sgd",
            "LR": 0.01,
            "WD": 0.0005,
            "MOMENTUM": 0.9,
            "NESTEROV": False,
            "FLIP": True,
            "MULTI_SCALE": True,
            "DOWNSAMPLERATE": 1,
            "IGNORE_LABEL": 255,
            "SCALE_FACTOR": 16,
        },
        "TEST": {
            "IMAGE_SIZE": [2048, 1024],
            "BASE_SIZE": 2048,
            "BATCH_SIZE_PER_GPU": 4,
            "FLIP_TEST": False,
            "MULTI_SCALE": False,
        },
    }


class _Reader:
    """Collects faults while a config's nodes become an architecture."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
        self.file = file
        self.faults = faults

    def fault(self, node: yaml.Node, path: str, wrong: str, allowed: str = "") -> None:
        line, column = place(node)
        self.faults.append(Fault(path, None, wrong, allowed, self.file, line, column))

    def missing(self, path: str, key: str, parent: tuple[yaml.Node, yaml.Node] | None) -> None:
        line, column = place(parent[0]) if parent else (1, 1)
        where = f"{path}.{key}" if path else key
        self.faults.append(Fault(where, None, "is missing", "", self.file, line, column))

    def architecture(self, root: yaml.Node) -> Architecture | None:
        top = self.section(root, "the file", {})
        model = self.child(top, "", "MODEL", None)
        if model is None:
            return None
        found = self.section(model[1], "MODEL", top)
        head = self.value(found, "MODEL", "NAME", default="seg_hrnet")
        corners = self.value(found, "MODEL", "ALIGN_CORNERS", default=False)
        extra = self.child(found, "MODEL", "EXTRA", model)
        if extra is None:
            return None
        keys = self.section(extra[1], "MODEL.EXTRA", found)
        for key, (node, _) in keys.items():
            if key not in EXTRA_KEYS:
                self.unknown(node, "MODEL.EXTRA", key, EXTRA_KEYS)
        default = None if head == "seg_hrnet" else 1  # the OCR heads never read it
        kernel = self.value(keys, "MODEL.EXTRA", "FINAL_CONV_KERNEL", default, extra)
        stages = [self.stage(keys, number, extra) for number in range(1, 5)]
        found_stages = tuple(stage for stage in stages if stage is not None)
        if self.faults or len(found_stages) != 4:
            return None
        corners = False if corners is None else corners
        result = Architecture(found_stages, head, kernel, corners)
        self.place_problems(result, found, keys)
        return None if self.faults else result

    def stage(
        self, extra: dict[str, tuple[yaml.Node, yaml.Node]], number: int, parent: Any
    ) -> Stage | None:
        name = f"MODEL.EXTRA.STAGE{number}"
        entry = self.child(extra, "MODEL.EXTRA", f"STAGE{number}", parent)
        if entry is None:
            return None
        keys = self.section(entry[1], name, extra)
        if number == 1:
            keys = {STAGE1_ALIASES.get(k, k): v for k, v in keys.items()}
        for key, (node, _) in keys.items():
            if key not in STAGE_KEYS:
                self.unknown(node, name, key, STAGE_KEYS)
        first = number == 1
        modules = self.value(keys, name, "NUM_MODULES", 1 if first else None, entry)
        branches = self.value(keys, name, "NUM_BRANCHES", 1 if first else None, entry)
        block = self.value(keys, name, "BLOCK", None, entry)
        blocks = self.counts(keys, name, "NUM_BLOCKS", entry)
        channels = self.counts(keys, name, "NUM_CHANNELS", entry)
        fuse = self.value(keys, name, "FUSE_METHOD", "SUM" if first else None, entry)
        if blocks is None or channels is None:
            return None
        if first:  # only the first entry of each list is read there, and no FUSE_METHOD
            blocks, channels, fuse = blocks[:1], channels[:1], "SUM"
        else:
            self.check_lengths(keys, name, branches, blocks, channels)
        return Stage(modules, block, blocks, channels, fuse)

    def check_lengths(
        self, keys: Any, name: str, branches: Any, blocks: tuple[int, ...], channels: Any
    ) -> None:
        if type(branches) is not int or not 1 <= branches <= MAX_BRANCHES:
            if "NUM_BRANCHES" in keys:
                allowed = f"allowed: an integer from 1 to {MAX_BRANCHES}"
                path = f"{name}.NUM_BRANCHES"
                self.fault(keys["NUM_BRANCHES"][1], path, f"{shown(branches)}", allowed)
            return
        for key, counts in (("NUM_BLOCKS", blocks), ("NUM_CHANNELS", channels)):
            if len(counts) != branches:
                wrong = f"{len(counts)} entries for {branches} branches"
                self.fault(keys[key][1], f"{name}.{key}", wrong, "allowed: one entry a branch")

    def place_problems(self, architecture: Architecture, model: Any, extra: Any) -> None:
        """Put what the architecture says of itself where it stands in the file."""
        for problem in architecture.problems():
            section, _, key = problem.path.rpartition(".")
            if section == "MODEL" or problem.path == "ALIGN_CORNERS":
                name, node = f"MODEL.{key or problem.path}", model.get(key or problem.path)
            elif not section:
                name, node = f"MODEL.EXTRA.{key}", extra.get(key)
            else:
                name, node = f"MODEL.EXTRA.{problem.path}", self.in_stage(extra, section, key)
            at = node[1] if node else extra["STAGE1"][0]
            self.fault(at, name, problem.wrong, problem.allowed)

    def in_stage(self, extra: Any, section: str, key: str) -> tuple[yaml.Node, yaml.Node] | None:
        stage: tuple[yaml.Node, yaml.MappingNode] = extra[section]
        return entries(stage[1]).get(key, stage)

    def section(self, node: yaml.Node, path: str, _: object) -> Any:
        if isinstance(node, yaml.MappingNode):
            return entries(node)
        self.fault(node, path, "is no mapping", "allowed: keys with values")
        return {}

    def child(self, keys: Any, path: str, key: str, parent: Any) -> Any:
        if key not in keys and (keys or parent is None):
            self.missing(path, key, parent)
        return keys.get(key)

    def unknown(self, node: yaml.Node, path: str, key: str, known: tuple[str, ...]) -> None:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        allowed = f"did you mean {near[0]}? allowed: {', '.join(known)}"
        self.fault(node, f"{path}.{shown(key)}", "is not a known key", allowed)

    def value(self, keys: Any, path: str, key: str, default: Any, parent: Any = None) -> Any:
        """Return a scalar as written; a missing one is `default` or, if that is None, a fault."""
        if key not in keys:
            if default is None and keys:
                self.missing(path, key, parent)
            return default
        node = keys[key][1]
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, f"{path}.{key}", "is no single value", "allowed: one value")
            return default
        return self.scalar(node, f"{path}.{key}")

    def scalar(self, node: yaml.ScalarNode, path: str) -> Scalar:
        value = read_scalar(node)
        if isinstance(value, Trap):
            self.fault(node, path, f"{value.text}: {value.why}")
            return None
        return value

    def counts(self, keys: Any, path: str, key: str, parent: Any) -> tuple[int, ...] | None:
        if key not in keys:
            if keys:
                self.missing(path, key, parent)
            return None
        node = keys[key][1]
        where = f"{path}.{key}"
        if not isinstance(node, yaml.SequenceNode) or not 1 <= len(node.value) <= 64:
            self.fault(node, where, "is no list of counts", "allowed: a list, one entry a branch")
            return None
        items = list(self.items(node, where))
        return tuple(items) if len(items) == len(node.value) else None

    def items(self, node: yaml.SequenceNode, path: str) -> Iterator[int]:
        for item in node.value:
            value = self.scalar(item, path) if isinstance(item, yaml.ScalarNode) else None
            if type(value) is int:
                yield value
            else:
                self.fault(item, path, "holds an entry that is no integer", "allowed: integers")

    def plain(self, root: yaml.Node) -> dict[str, Any]:
        """Return the whole file as PyYAML, and so the HRNet library, reads it."""
        loader = yaml.SafeLoader("")
        try:
            sections = loader.construct_document(root)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            line, column = place(root)
            wrong = f"a value that YAML cannot read: {' '.join(str(error).split())}"
            self.faults.append(Fault("", None, wrong, "", self.file, line, column))
            return {}
        return sections if isinstance(sections, dict) else {}


class _Dumper(yaml.SafeDumper):
    """Writes lists in one line, as the published configs do for readers."""


_Dumper.add_representer(
    list, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True)
)


def _extra(architecture: Architecture) -> dict[str, Any]:
    extra: dict[str, Any] = {"FINAL_CONV_KERNEL": architecture.final_kernel}
    for number, stage in enumerate(architecture.stages, start=1):
        extra[f"STAGE{number}"] = {
            "NUM_MODULES": stage.modules,
            "NUM_BRANCHES": stage.branches,
            "BLOCK": stage.block,
            "NUM_BLOCKS": list(stage.blocks),
            "NUM_CHANNELS": list(stage.channels),
            "FUSE_METHOD": stage.fuse,
        }
    return extra


def _single_output(sections: dict[str, Any], model: dict[str, Any]) -> None:
    """Take away what only a network with two outputs may have: train.py counts them."""
    for key in ("NUM_OUTPUTS", "OCR"):
        model.pop(key, None)
    if isinstance(sections.get("LOSS"), dict):
        sections["LOSS"].pop("BALANCE_WEIGHTS", None)


def _comment(architecture: Architecture) -> list[str]:
    lines = [f"architecture {architecture.id}, written by hrnet-search"]
    if reasons := official_problems(architecture):
        lines.append("NOT for the official HRNet library as it is:")
        return lines + [f"  {reason}" for reason in reasons]
    return [*lines, "the official HRNet library runs it as meant"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
