"""Nodes of an HRNet-library yaml to an architecture: every fault of the file in one round."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from hrnet_search.arch.architecture import (
    FINAL_KERNELS,
    HEADS,
    KEY_CHANNELS,
    MAX_BRANCHES,
    MID_CHANNELS,
    OCR,
    PLAIN,
    Architecture,
    Stage,
    choice_problems,
    ocr_problems,
    order_problems,
    stage_problems,
)
from hrnet_search.arch.yaml_nodes import Scalar, Trap, entries, place, read_scalar
from hrnet_search.errors import Fault, nearest, shown

STAGE_KEYS = ("NUM_MODULES", "NUM_BRANCHES", "BLOCK", "NUM_BLOCKS", "NUM_CHANNELS", "FUSE_METHOD")
STAGE1_ALIASES = {"NUM_RANCHES": "NUM_BRANCHES"}
"""The typo that every published config has in STAGE1, where the key is never read."""

OCR_KEYS = ("MID_CHANNELS", "KEY_CHANNELS", "DROPOUT", "SCALE")
"""Keys of MODEL.OCR; the official code never reads the last two."""

MODEL_KEYS = ("NAME", "PRETRAINED", "ALIGN_CORNERS", "NUM_OUTPUTS", "EXTRA", "OCR")
"""Keys of MODEL that the library's segmentation branches know."""

OCR_BRANCH = (
    "MODEL.NUM_OUTPUTS", "MODEL.OCR", "LOSS.BALANCE_WEIGHTS", "TRAIN.FREEZE_LAYERS",
    "TRAIN.FREEZE_EPOCHS", "TRAIN.NONBACKBONE_KEYWORDS", "TRAIN.NONBACKBONE_MULT",
    "TRAIN.RANDOM_BRIGHTNESS", "TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE", "TEST.OUTPUT_INDEX",
)  # fmt: skip
"""Keys that the library's branch HRNet-OCR alone knows, beside MODEL.ALIGN_CORNERS."""

OCR_READERS = ("ade20k", "cocostuff")
"""Data readers (DATASET.DATASET) that it alone has."""

EXTRA_KEYS = ("FINAL_CONV_KERNEL", "STAGE1", "STAGE2", "STAGE3", "STAGE4")

SECTIONS = ("CUDNN", "LOSS", "DATASET", "TRAIN", "TEST", "DEBUG")
"""Keys beside MODEL that stand for a section in the library (`lib/config/default.py`)."""

KEYPOINTS = ("NUM_JOINTS", "HEATMAP_SIZE")
"""Keys of MODEL in the libraries for human poses and for landmarks of faces."""

DETECTRON_MODEL = ("META_ARCHITECTURE", "RPN", "ROI_HEADS", "RESNETS")
DETECTRON = ("_BASE_", "SOLVER", "DATALOADER")
"""Keys of MODEL, and beside it, in the libraries for detection that stand on detectron."""

SEGMENTATION = "a yaml of the HRNet library"

_PYTHON = re.compile(r"^(_base_\s*=|model\s*=\s*dict\(|(from|import)\s+\w)", re.MULTILINE)

Entry = tuple[yaml.Node, yaml.Node]
Keys = dict[str, Entry]

NULL = "tag:yaml.org,2002:null"


def python_config(text: str, file: str) -> Fault | None:
    """Return what to say of a config written in Python, None if a file is not one."""
    if not file.endswith(".py") and not _PYTHON.search(text):
        return None
    wrong = "is a config in Python, as mmsegmentation's are"
    return Fault("", None, wrong, SEGMENTATION, file, 1, 1)


class ConfigReader:
    """Collects faults while a config's nodes become an architecture."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
        self.file = file
        self.faults = faults

    def fault(self, node: yaml.Node, path: str, wrong: str, allowed: str = "") -> None:
        line, column = place(node)
        self.faults.append(Fault(path, None, wrong, allowed, self.file, line, column))

    def missing(self, path: str, key: str, parent: Entry | None) -> None:
        line, column = place(parent[0]) if parent else (1, 1)
        where = f"{path}.{key}" if path else key
        self.faults.append(Fault(where, None, "is missing", "", self.file, line, column))

    def architecture(self, root: yaml.Node) -> Architecture | None:
        """Return the architecture; None where there are faults, each of which is said."""
        top = self.section(root, "the file")
        if not isinstance(root, yaml.MappingNode):
            return None
        for name in SECTIONS:
            if name in top:
                self.section(top[name][1], name)
        model = self.child(top, "", "MODEL", None)
        if model is None:
            return None
        found = self.section(model[1], "MODEL")
        if self.is_of_detectron(top, found):
            return None
        for key, (node, _) in found.items():  # other libraries have more of them
            if key not in MODEL_KEYS and nearest(key, MODEL_KEYS):
                self.unknown(node, "MODEL", key, MODEL_KEYS)
        head = self.head(found)
        widths = self.ocr(found, head)
        usual = self.is_of_ocr_branch(top, head)
        corners = self.value(found, "MODEL", "ALIGN_CORNERS", default=usual)
        corners = False if corners is None else corners
        self.judge(found, "MODEL", choice_problems("ALIGN_CORNERS", corners, (False, True)))
        extra = self.child(found, "MODEL", "EXTRA", model)
        if extra is None:
            return None
        keys = self.section(extra[1], "MODEL.EXTRA")
        for key, (node, _) in keys.items():
            if key not in EXTRA_KEYS:
                self.unknown(node, "MODEL.EXTRA", key, EXTRA_KEYS)
        kernel = self.kernel(keys, head, extra)
        stages = [self.stage(keys, number, extra) for number in range(1, 5)]
        if not all(stages[1:]):
            return None
        four = (stages[0] or Stage(1, "BASIC", (1,), (1,)), *stages[1:])
        self.order(four, keys)
        if self.faults or not stages[0]:
            return None
        return Architecture(four, head, kernel, corners, *widths)  # type: ignore[arg-type]

    def is_of_ocr_branch(self, top: Keys, head: Any) -> bool:
        """Return whether a config is one that the library's branch HRNet-OCR alone can read.

        There a missing ALIGN_CORNERS is true; the other branches, which refuse keys that they do
        not know, compute as with false.
        """
        sections = {name: node for name, (_, node) in top.items()}
        keys = {
            f"{name}.{key.value}": value.value
            for name, node in sections.items()
            if isinstance(node, yaml.MappingNode)
            for key, value in node.value
        }
        own = not keys.keys().isdisjoint(OCR_BRANCH)
        return head == OCR or own or keys.get("DATASET.DATASET") in OCR_READERS

    def ocr(self, model: Keys, head: Any) -> tuple[int, int]:
        """Return the widths of an OCR head, the official ones where none are given."""
        usual = MID_CHANNELS, KEY_CHANNELS
        if "OCR" not in model:
            return usual
        keys = self.section(model["OCR"][1], "MODEL.OCR")
        if head != OCR:  # which no other head reads
            return usual
        for key, (node, _) in keys.items():
            if key not in OCR_KEYS:
                self.unknown(node, "MODEL.OCR", key, OCR_KEYS)
        mid, key = (
            self.value(keys, "MODEL.OCR", name, default)
            for name, default in zip(OCR_KEYS, usual, strict=False)
        )
        self.judge(keys, "MODEL", ocr_problems(mid, key))
        return mid, key

    def is_of_detectron(self, top: Keys, model: Keys) -> bool:
        """Return whether a config is of a library for detection, which is said in one fault."""
        keys = [(f"MODEL.{key}", model[key][0]) for key in DETECTRON_MODEL if key in model]
        keys += [(key, top[key][0]) for key in DETECTRON if key in top]
        if not keys or "EXTRA" in model:
            return False
        path, node = keys[0]
        wrong = "is a key of detectron2 and maskrcnn-benchmark, whose networks detect objects"
        self.fault(node, path, wrong, SEGMENTATION)
        return True

    def head(self, model: Keys) -> Any:
        """Return MODEL.NAME; one of another library of the family is named for what it is."""
        head = self.value(model, "MODEL", "NAME", default=PLAIN)
        if head is None:
            return None
        faults = choice_problems("NAME", head, HEADS)
        for fault in faults if "NAME" in model else ():
            of = _family(str(head), model)
            what = f"{shown(head)} is the name of {of}" if of else fault.wrong
            self.fault(model["NAME"][1], "MODEL.NAME", what, fault.allowed)
        return head

    def kernel(self, extra: Keys, head: Any, parent: Entry) -> Any:
        default = 1 if head == OCR else None  # whose heads never read it
        kernel = self.value(extra, "MODEL.EXTRA", "FINAL_CONV_KERNEL", default, parent)
        if kernel is not None:
            problems = choice_problems("FINAL_CONV_KERNEL", kernel, FINAL_KERNELS)
            self.judge(extra, "MODEL.EXTRA", problems)
        return kernel

    def stage(self, extra: Keys, number: int, parent: Entry) -> Stage | None:
        name = f"MODEL.EXTRA.STAGE{number}"
        entry = self.child(extra, "MODEL.EXTRA", f"STAGE{number}", parent)
        if entry is None:
            return None
        before = len(self.faults)
        keys = self.section(entry[1], name)
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
        if first:  # only the first entry of each list is read there, and no FUSE_METHOD
            blocks, channels, fuse = blocks and blocks[:1], channels and channels[:1], "SUM"
        else:
            self.check_lengths(keys, name, branches, blocks, channels)
        # What could not be read is said already: something that fits stands in its place.
        stage = Stage(
            modules=1 if modules is None else modules,
            block="BASIC" if block is None else block,
            blocks=blocks or (1,) * len(channels or (1,)),
            channels=channels or (1,) * len(blocks or (1,)),
            fuse="SUM" if fuse is None else fuse,
        )
        self.judge(keys, "MODEL.EXTRA", stage_problems(stage, number))
        return stage if len(self.faults) == before and keys else None

    def check_lengths(
        self,
        keys: Keys,
        name: str,
        branches: Any,
        blocks: tuple[int, ...] | None,
        channels: tuple[int, ...] | None,
    ) -> None:
        if "NUM_BRANCHES" not in keys or branches is None:
            return
        if type(branches) is not int or not 1 <= branches <= MAX_BRANCHES:
            allowed = f"an integer from 1 to {MAX_BRANCHES}"
            path = f"{name}.NUM_BRANCHES"
            self.fault(keys["NUM_BRANCHES"][1], path, f"{shown(branches)}", allowed)
            return
        for key, counts in (("NUM_BLOCKS", blocks), ("NUM_CHANNELS", channels)):
            if counts is not None and len(counts) != branches:
                wrong = f"{len(counts)} entries for {branches} branches"
                self.fault(keys[key][1], f"{name}.{key}", wrong, "one entry a branch")

    def order(self, stages: Iterable[Any], extra: Keys) -> None:
        """Say where branches become fewer; stages are sound by themselves."""
        for problem in order_problems(tuple(stages)):
            stage = extra[problem.path.partition(".")[0]][1]
            assert isinstance(stage, yaml.MappingNode), "it was read as one"
            self.judge(entries(stage), "MODEL.EXTRA", [problem])

    def judge(self, keys: Keys, section: str, problems: Iterable[Fault]) -> None:
        """Say problems of keys where these stand, unless another of the key was said."""
        said = {fault.path for fault in self.faults}
        for problem in problems:
            path, key = f"{section}.{problem.path}", problem.path.rpartition(".")[2]
            if key in keys and path not in said:
                self.fault(keys[key][1], path, problem.wrong, problem.allowed)

    def section(self, node: yaml.Node, path: str) -> Keys:
        if isinstance(node, yaml.MappingNode):
            return entries(node)
        self.fault(node, path, "is not a mapping", "keys with values")
        return {}

    def child(self, keys: Keys, path: str, key: str, parent: Entry | None) -> Entry | None:
        if key not in keys and (keys or parent is None):
            self.missing(path, key, parent)
        return keys.get(key)

    def unknown(self, node: yaml.Node, path: str, key: str, known: tuple[str, ...]) -> None:
        wrong = f"is not a known key{nearest(key, known, len(self.faults))}"
        self.fault(node, f"{path}.{shown(key)}", wrong, ", ".join(known))

    def value(
        self, keys: Keys, path: str, key: str, default: Any, parent: Entry | None = None
    ) -> Any:
        """Return a scalar as written; a missing one is `default` or, if that is None, a fault."""
        if key not in keys:
            if default is None and keys:
                self.missing(path, key, parent)
            return default
        node = keys[key][1]
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, f"{path}.{key}", "is not a single value", "one value")
            return default
        found = self.scalar(node, f"{path}.{key}")
        if found is None and node.tag == NULL:
            self.fault(node, f"{path}.{key}", "is empty", "a value")
        return default if found is None else found

    def scalar(self, node: yaml.ScalarNode, path: str) -> Scalar:
        value = read_scalar(node)
        if isinstance(value, Trap):
            self.fault(node, path, f"{value.text}: {value.why}", value.allowed)
            return None
        return value

    def counts(self, keys: Keys, path: str, key: str, parent: Entry) -> tuple[int, ...] | None:
        """Return a list of integers; None, with a fault for each entry that is not one."""
        if key not in keys:
            if keys:
                self.missing(path, key, parent)
            return None
        node = keys[key][1]
        where = f"{path}.{key}"
        if not isinstance(node, yaml.SequenceNode) or not 1 <= len(node.value) <= 64:
            self.fault(node, where, "is not a list of counts", "a list, one entry a branch")
            return None
        before = len(self.faults)
        found: list[Any] = [self.count(item, where) for item in node.value]
        return tuple(found) if len(self.faults) == before else None

    def count(self, node: yaml.Node, path: str) -> Scalar:
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, path, "holds an entry that is not an integer", "integers")
            return None
        before = len(self.faults)
        value = self.scalar(node, path)
        if type(value) is not int and len(self.faults) == before:
            self.fault(node, path, f"{shown(value)} is not an integer", "integers")
        return value

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


def _family(name: str, model: Keys) -> str:
    """Return which of the family's other libraries a config is of, empty if none is known."""
    if name.startswith("cls_"):
        return "an image classification network"
    if name.startswith("pose_") or any(key in model for key in KEYPOINTS):
        return "a keypoint network (poses or faces)"
    return ""
