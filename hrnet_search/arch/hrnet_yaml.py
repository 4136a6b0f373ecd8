"""The HRNet library's yaml dialect: read a config, keep what is not architecture, write one back.

What is read of MODEL is what the official `lib/models/seg_hrnet.py` and `seg_hrnet_ocr.py` read;
everything else (DATASET, TRAIN, TEST, ...) travels along untouched, so that a written variant is a
complete config for `tools/train.py`.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hrnet_search.arch.architecture import MAX_COUNT, Architecture
from hrnet_search.arch.config_reader import ConfigReader, python_config
from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.arch.yaml_nodes import compose, decoded, read_text
from hrnet_search.errors import ArchitectureError, Fault, InputError, StorageLostError, shown

DEFAULT_CLASSES = 19
"""Cityscapes, and the official default where a yaml has no DATASET.NUM_CLASSES."""


BALANCE_WEIGHTS = (0.4, 1)
"""What the losses of the auxiliary and of the main output count, in all published configs."""


@dataclass(frozen=True, slots=True)
class Config:
    """A whole config: its architecture, and every section as plain Python (`MODEL` too)."""

    architecture: Architecture
    sections: dict[str, Any]
    path: str = ""


def read_config(path: str | Path) -> Config:
    """Read a config of any branch of the HRNet library.

    A missing ALIGN_CORNERS is True where the file has keys of the branch HRNet-OCR, whose default
    that is, else False: the branches without the key behave so. Raises ArchitectureError with
    every problem, each with file, line and column.
    """
    text, faults = read_text(path)
    return _read(text, str(path), faults)


def parse_config(text: str) -> Config:
    """Read the text of a config, as `read_config` does a file."""
    return _read(text, "", [])


def _read(text: str, name: str, faults: list[Fault]) -> Config:
    if not faults and (fault := python_config(text, name)):
        raise ArchitectureError(fault)
    root, more = (None, []) if faults else compose(text, name)
    reader = ConfigReader(name, [*faults, *more])
    if root is None:
        if not reader.faults:
            reader.missing("", "MODEL", None)
        raise ArchitectureError(reader.faults)
    architecture = reader.architecture(root)
    sections = reader.plain(root)
    if architecture is None or reader.faults:
        raise ArchitectureError(sorted(reader.faults, key=lambda f: (f.line, f.column)))
    return Config(architecture, sections, name)


def class_count(config: Config) -> int:
    """Return the DATASET.NUM_CLASSES of a config; raise InputError if it is not a class count."""
    classes = decoded(config.sections.get("DATASET", {}).get("NUM_CLASSES", DEFAULT_CLASSES))
    check_classes("DATASET.NUM_CLASSES", classes, config.path)
    return int(classes)


def check_classes(key: str, classes: object, file: str = "") -> None:
    """Raise InputError where a network with `classes` classes cannot be built."""
    if type(classes) is not int or not 1 <= classes <= MAX_COUNT:
        wrong = f"{shown(classes)} is not a class count"
        allowed = f"an integer from 1 to {MAX_COUNT}"
        raise InputError(Fault(key, classes, wrong, allowed, file))


def write_config(architecture: Architecture, path: str | Path, like: str | Path | None) -> None:
    """Write a complete config; the other sections are those of `like` or Cityscapes defaults.

    Raise StorageLostError where it cannot be written.
    """
    source = read_config(like) if like is not None else None
    text = config_text(architecture, source)
    target = Path(path)
    # Made anew, with the rights that the user's umask leaves, and named when it is whole.
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(target)
    except OSError as error:
        raise StorageLostError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def config_text(
    architecture: Architecture, like: Config | None = None, notes: Sequence[str] = ()
) -> str:
    """Return the yaml text of a complete config, with a comment on the official library.

    Weights that `like` starts from are named only where its architecture is the same: they
    would not fit another. Its TRAIN.RESUME becomes false: a second start of the official trainer
    would read its own checkpoint, which torch 2.6 and later refuse. `notes` are lines of the
    comment.
    """
    architecture.check()
    sections = copy.deepcopy(like.sections) if like else cityscapes_sections()
    train = sections.get("TRAIN")
    if isinstance(train, dict) and "RESUME" in train:
        train["RESUME"] = False
    model = sections.get("MODEL") or {}
    if architecture.has_ocr:
        _two_outputs(sections, model, architecture)
    else:
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
    return "".join(f"# {line}\n" for line in (*_comment(architecture), *notes)) + body


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
            "RESUME": False,
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


def _two_outputs(
    sections: dict[str, Any], model: dict[str, Any], architecture: Architecture
) -> None:
    """Put in what train.py needs for a network with two outputs: it stops without any of it."""
    model["NUM_OUTPUTS"] = 2
    ocr = model.get("OCR") or {}
    own = {"MID_CHANNELS": architecture.mid_channels, "KEY_CHANNELS": architecture.key_channels}
    model["OCR"] = {**ocr, **own}
    if not isinstance(sections.get("LOSS"), dict):
        sections["LOSS"] = {}
    weights = sections["LOSS"].get("BALANCE_WEIGHTS")
    if not (isinstance(weights, list) and len(weights) == 2):
        sections["LOSS"]["BALANCE_WEIGHTS"] = list(BALANCE_WEIGHTS)


def _single_output(sections: dict[str, Any], model: dict[str, Any]) -> None:
    """Take away what only a network with two outputs may have: train.py counts them."""
    for key in ("NUM_OUTPUTS", "OCR"):
        model.pop(key, None)
    if isinstance(sections.get("LOSS"), dict):
        sections["LOSS"].pop("BALANCE_WEIGHTS", None)


def _comment(architecture: Architecture) -> list[str]:
    lines = [f"architecture {architecture.id}, written by hrnet-search"]
    if reasons := target_problems(HRNET, architecture):
        lines.append("NOT for the official HRNet library as it is:")
        return lines + [f"  {reason}" for reason in reasons]
    return [*lines, "the official HRNet library runs it as meant"]
