"""The `data` section of a space file: a kind, what its preset knows, what the file says instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hrnet_search.arch.yaml_nodes import entries
from hrnet_search.errors import shown
from hrnet_search.paths import absolute, why_no_folder
from hrnet_search.presets import PRESETS, SHAPES, Preset
from hrnet_search.records.data_spec import DATA_KINDS, IGNORED, DataSpec, Split
from hrnet_search.space.kinds import (
    Amount,
    Boolean,
    Integer,
    Keys,
    Kind,
    ListOf,
    Number,
    OneOf,
    Schema,
    Size,
    Text,
)
from hrnet_search.space.labels import ColorTable, Mapping
from hrnet_search.space.reader import Reader, Section

T = TypeVar("T")
SHAPES_CLASSES = 8
SHAPES_IMAGES = {"train": 256, "val": 64}
NO_NAMES: tuple[str, ...] = ()
FOLDER = Preset("folder", (), home="", images="", masks="")
"""A data set of which nothing is known."""


@dataclass(frozen=True)
class Count(Kind[int]):
    """A positive amount, in whole numbers."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> int | None:
        amount = reader.amount(node, path)
        if amount is not None and (amount < 1 or amount != int(amount)):
            reader.fault(
                node, path, f"{shown(amount)} is not a whole number", "a whole number, like 500M"
            )
            return None
        return None if amount is None else int(amount)

    @property
    def schema(self) -> Schema:
        return Amount().schema


@dataclass(frozen=True)
class Bytes(Count):
    """Bytes, or 0 for none."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> int | None:
        if isinstance(node, yaml.ScalarNode) and node.value == "0":
            return 0
        return super().read(reader, node, path)

    @property
    def schema(self) -> Schema:
        return {"anyOf": [{"enum": [0, "0"]}, *super().schema["anyOf"]]}


@dataclass(frozen=True)
class End(Text):
    """What stems end in; it may be empty, in quotes."""

    def read(self, reader: Reader, node: yaml.Node, path: str) -> str | None:
        empty = isinstance(node, yaml.ScalarNode) and bool(node.style) and not node.value
        return "" if empty else super().read(reader, node, path)

    @property
    def schema(self) -> Schema:
        return {"anyOf": [{"const": ""}, super().schema]}


@dataclass(frozen=True)
class Swaps(ListOf[tuple[int, ...]]):
    """Pairs of classes that trade places in a mirror; each class in one pair at most."""

    def read(
        self, reader: Reader, node: yaml.Node, path: str
    ) -> tuple[tuple[int, ...], ...] | None:
        read = super().read(reader, node, path)
        flat = [label for one in read or () for label in one]
        if len(set(flat)) < len(flat):
            reader.fault(node, path, "a class is in two pairs, or twice in one", "each once")
            return None
        return read


@dataclass(frozen=True)
class Files(Kind[Split]):
    """A split in folders or a list; that for validation may be drawn from the other one instead.

    Lines of a list that names no folders begin at those of `begin`.
    """

    drawn: bool = False
    begin: tuple[str, str] = ("", "")

    def read(self, reader: Reader, node: yaml.Node, path: str) -> Split | None:
        known = (*IMAGES, *(("fraction",) if self.drawn else ()))
        section = reader.section(node, path, known)
        if not isinstance(node, yaml.MappingNode):
            return None
        listed = "list" in section
        if not listed:
            for part in FOLDERS:
                section.require(part)
        return Split(
            images=section.take("images", IMAGES["images"], self.begin[0] if listed else ""),
            masks=section.take("masks", IMAGES["masks"], self.begin[1] if listed else ""),
            list=section.take("list", IMAGES["list"], ""),
        )

    @property
    def schema(self) -> Schema:
        drawn = [Keys(DRAWN, ("fraction",))] if self.drawn else []
        ways = (Keys(IMAGES, ("list",)), Keys(IMAGES, FOLDERS), *drawn)
        return {"anyOf": [keys.schema for keys in ways]}


def _pairs(classes: int) -> Swaps:
    return Swaps(ListOf(Integer(0, classes - 1), 2))


FOLDERS = ("images", "masks")
IMAGES: dict[str, Kind[Any]] = {"images": Text(), "masks": Text(), "list": Text()}
DRAWN: dict[str, Kind[Any]] = {"fraction": Number(0, 0.9, open_=True), "seed": Integer(0)}
COMMON: dict[str, Kind[Any]] = {
    "kind": OneOf(DATA_KINDS),
    "size": Size(1),
    "mean": ListOf(Number(0, 1), 3),
    "std": ListOf(Number(1e-6, 1), 3),
    "cache": Bytes(),
    "train": Files(),
    "val": Files(drawn=True),
}
NAMES: Kind[Any] = ListOf(Text())
IN_FILES: dict[str, Kind[Any]] = {
    **COMMON, "root": Text(), "max_pixels": Count(), "outside": Boolean(),
}  # fmt: skip
OWN: dict[str, Kind[Any]] = {
    "classes": Integer(2, IGNORED),
    "names": NAMES,
    "ignore": Integer(0, 255),
    "mapping": Mapping(),
    "colors": ColorTable(),
    "ends": ListOf(End(), 2),
    "swaps": _pairs(IGNORED),
}
DRAWN_SHAPES: dict[str, Kind[Any]] = {
    **COMMON,
    "size": Size(32),
    **dict.fromkeys(SHAPES_IMAGES, Integer(1, 10**6)),
    "classes": Integer(2, SHAPES_CLASSES),
    "names": NAMES,
    "seed": Integer(0),
}
DATA: dict[str, dict[str, Kind[Any]]] = {
    "shapes": DRAWN_SHAPES,
    "folder": IN_FILES | OWN,
    **dict.fromkeys(PRESETS, IN_FILES),
}
DATA_KEYS = {kind: tuple(known) for kind, known in DATA.items()}
PLAIN = ("ignore", "max_pixels", "outside", "size", "ends")
"""Keys of data in files that depend on no other."""


def required_data(kind: str) -> tuple[str, ...]:
    """Return the keys that data of a kind cannot do without."""
    if kind == "shapes":
        return ("kind",)
    known = PRESETS.get(kind, FOLDER).spec
    classes = () if known.classes else ("classes",)
    return ("kind", *classes, *(key for key in ("train", "val") if getattr(known, key) == Split()))


def read_data(
    reader: Reader,
    node: yaml.Node | None,
    space_file: str,
    data_root: str | None,
    crop: tuple[int, int],
) -> DataSpec:
    """Return what to train on; `crop` is the size of shapes without one of their own."""
    kind = "shapes"
    if isinstance(node, yaml.MappingNode):
        probe = Reader("")
        found = probe.section(node, "data", ())
        kind_node = found.require("kind")
        kind = (probe.one_of(kind_node, "", DATA_KINDS) if kind_node else None) or ""
        if not kind:
            section = reader.section(
                node, "data", sorted({k for v in DATA_KEYS.values() for k in v})
            )
            kind_node = section.require("kind")
            if kind_node is not None:
                reader.one_of(kind_node, "data.kind", DATA_KINDS)
            return DataSpec("shapes", SHAPES_CLASSES)
    section = reader.section(node, "data", DATA_KEYS[kind])
    if kind == "shapes":
        spec = _shapes(section, crop)
    else:
        spec = _files(reader, section, PRESETS.get(kind, FOLDER), space_file, data_root)
    if spec.names and len(spec.names) != spec.classes and "names" in section:
        wrong = f"{len(spec.names)} names for {spec.classes} classes"
        reader.fault(section.node_of("names"), "data.names", wrong, "one name a class")
    return spec


def _common(section: Section, default: DataSpec) -> dict[str, Any]:
    return {
        "names": section.take("names", NAMES, NO_NAMES) or default.names,
        **{key: _taken(section, key, getattr(default, key)) for key in ("mean", "std", "cache")},
    }


def _taken(section: Section, key: str, default: T) -> T:
    """Return what a key holds that is read alike wherever it may stand."""
    return section.take(key, (IN_FILES | OWN)[key], default)


def _shapes(section: Section, crop: tuple[int, int]) -> DataSpec:
    def value(key: str, default: T) -> T:
        return section.take(key, DRAWN_SHAPES[key], default)

    classes = value("classes", SHAPES_CLASSES)
    return DataSpec(
        kind="shapes",
        classes=classes,
        size=value("size", crop),
        train_images=value("train", SHAPES_IMAGES["train"]),
        val_images=value("val", SHAPES_IMAGES["val"]),
        seed=value("seed", 0),
        **_common(section, DataSpec("shapes", classes, SHAPES[:classes])),
    )


def _files(
    reader: Reader, section: Section, preset: Preset, space_file: str, data_root: str | None
) -> DataSpec:
    """Return data in files: what the preset knows, and what the file says instead."""
    default = preset.spec
    classes = default.classes or _class_count(reader, section)
    common = _common(section, default)
    if {"mapping", "colors"} <= section.found.keys():
        wrong = "is given together with data.mapping"
        reader.fault(section.key_node("colors"), "data.colors", wrong, "one of the two")
    mapping = section.take("mapping", Mapping(classes), default.mapping)
    ignore = _taken(section, "ignore", default.ignore)
    if "ignore" in section and dict(mapping).get(ignore, IGNORED) != IGNORED:
        wrong = f"{ignore} is a class in data.mapping"
        reader.fault(section.node_of("ignore"), "data.ignore", wrong, "another, or none of the two")
    drawn = _drawn_part(reader, section)
    val = drawn or {"val": _split(section, "val", default.val, preset.begin)}
    return DataSpec(
        kind=default.kind,
        classes=classes,
        mapping=mapping,
        colors=section.take("colors", ColorTable(classes, common["names"]), ()),
        swaps=section.take("swaps", _pairs(classes), default.swaps),
        **{key: _taken(section, key, getattr(default, key)) for key in PLAIN},
        home=default.home,
        root=_root(reader, section, space_file, data_root),
        train=_split(section, "train", default.train, preset.begin),
        **val,
        **common,
    )


def _root(reader: Reader, section: Section, space_file: str, data_root: str | None) -> str:
    root = _taken(section, "root", "")
    if data_root is not None:
        root = str(absolute(data_root)) if data_root else ""
    elif root:
        root = str(absolute(root, Path(space_file).parent))
    if root and (wrong := why_no_folder(root)):
        node = section.found["root"][1] if "root" in section and data_root is None else None
        where = "data.root" if data_root is None else "--data-root"
        reader.fault(node or section.node, where, f"{shown(root)} {wrong}", "a folder")
    return root


def _class_count(reader: Reader, section: Section) -> int:
    node = section.require("classes")
    read = OWN["classes"].read(reader, node, "data.classes") if node is not None else None
    return read or 2


def _drawn_part(reader: Reader, data: Section) -> dict[str, Any]:
    """Read `val: {fraction: 0.2, seed: 0}`, a part of the training images; empty if it is not."""
    node = data.found.get("val", (None, None))[1]
    if not isinstance(node, yaml.MappingNode) or "fraction" not in entries(node):
        return {}
    section = reader.section(node, "data.val", tuple(DRAWN))
    fraction = section.take("fraction", DRAWN["fraction"], 0.0)
    seed = section.take("seed", DRAWN["seed"], 0)
    return {"val": Split(), "val_fraction": fraction, "seed": seed}


def _split(data: Section, key: str, default: Split, begin: tuple[str, str]) -> Split:
    if default == Split():
        data.require(key)
    return data.take(key, Files(key == "val", begin), default)
