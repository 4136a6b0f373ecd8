"""The `data` section of a space file: a kind, what its preset knows, what the file says instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hrnet_search.arch.yaml_nodes import entries
from hrnet_search.errors import shown
from hrnet_search.paths import absolute
from hrnet_search.presets import PRESETS, SHAPES, Preset
from hrnet_search.records import DATA_KINDS, IGNORED, MAX_PIXELS, DataSpec, Split
from hrnet_search.space.labels import read_colors, read_mapping
from hrnet_search.space.reader import Reader, Section

SHAPES_CLASSES = 8
SHAPES_IMAGES = {"train": 256, "val": 64}
NO_NAMES: tuple[str, ...] = ()
FOLDER = Preset("folder", (), home="", images="", masks="")
"""A data set of which nothing is known."""

COMMON_DATA = ("kind", "size", "mean", "std", "cache", "train", "val")
IN_FILES = (*COMMON_DATA, "root", "max_pixels", "outside")
OWN = ("classes", "names", "ignore", "mapping", "colors", "ends", "swaps")
DATA_KEYS = {
    "shapes": (*COMMON_DATA, "classes", "names", "seed"),
    "folder": (*IN_FILES, *OWN),
    **dict.fromkeys(PRESETS, IN_FILES),
}


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
        spec = _shapes(reader, section, crop)
    else:
        spec = _files(reader, section, PRESETS.get(kind, FOLDER), space_file, data_root)
    if spec.names and len(spec.names) != spec.classes and "names" in section:
        wrong = f"{len(spec.names)} names for {spec.classes} classes"
        reader.fault(section.node_of("names"), "data.names", wrong, "one name a class")
    return spec


def _common(reader: Reader, section: Section, default: DataSpec) -> dict[str, Any]:
    return {
        "names": section.read("names", lambda n, p: reader.listed(n, p, reader.text), NO_NAMES)
        or default.names,
        "mean": section.read("mean", lambda n, p: _colour(reader, n, p, 0.0), default.mean),
        "std": section.read("std", lambda n, p: _colour(reader, n, p, 1e-6), default.std),
        "cache": section.read("cache", lambda n, p: _bytes(reader, n, p), default.cache),
    }


def _shapes(reader: Reader, section: Section, crop: tuple[int, int]) -> DataSpec:
    def images(key: str) -> int:
        return section.read(key, lambda n, p: reader.integer(n, p, 1, 10**6), SHAPES_IMAGES[key])

    classes = section.read("classes", lambda n, p: reader.integer(n, p, 2, 8), SHAPES_CLASSES)
    return DataSpec(
        kind="shapes",
        classes=classes,
        size=section.read("size", lambda n, p: reader.size(n, p, 32), crop),
        train_images=images("train"),
        val_images=images("val"),
        seed=section.read("seed", lambda n, p: reader.integer(n, p, 0), 0),
        **_common(reader, section, DataSpec("shapes", classes, SHAPES[:classes])),
    )


def _files(
    reader: Reader, section: Section, preset: Preset, space_file: str, data_root: str | None
) -> DataSpec:
    """Return data in files: what the preset knows, and what the file says instead."""
    default = preset.spec
    classes = default.classes or _class_count(reader, section)
    common = _common(reader, section, default)
    if {"mapping", "colors"} <= section.found.keys():
        wrong = "is given together with data.mapping"
        reader.fault(section.key_node("colors"), "data.colors", wrong, "one of the two")
    drawn = _drawn_part(reader, section)
    val = drawn or {"val": _split(reader, section, "val", default.val, preset.begin)}
    return DataSpec(
        kind=default.kind,
        classes=classes,
        ignore=section.read("ignore", lambda n, p: reader.integer(n, p, 0, 255), default.ignore),
        mapping=section.read(
            "mapping", lambda n, p: read_mapping(reader, n, p, classes), default.mapping
        ),
        colors=section.read(
            "colors", lambda n, p: read_colors(reader, n, p, classes, common["names"]), ()
        ),
        max_pixels=section.read("max_pixels", lambda n, p: _count(reader, n, p), MAX_PIXELS),
        outside=section.read("outside", reader.boolean, default.outside),
        size=section.read("size", lambda n, p: reader.size(n, p, 1), default.size),
        swaps=section.read("swaps", lambda n, p: _swaps(reader, n, p, classes), default.swaps),
        home=default.home,
        ends=section.read("ends", lambda n, p: _ends(reader, n, p), default.ends),
        root=_root(reader, section, space_file, data_root),
        train=_split(reader, section, "train", default.train, preset.begin),
        **val,
        **common,
    )


def _root(reader: Reader, section: Section, space_file: str, data_root: str | None) -> str:
    root = section.read("root", reader.text, "")
    if data_root is not None:
        root = str(absolute(data_root)) if data_root else ""
    elif root:
        root = str(absolute(root, Path(space_file).parent))
    if root and not Path(root).is_dir():
        node = section.found["root"][1] if "root" in section and data_root is None else None
        where = "data.root" if data_root is None else "--data-root"
        reader.fault(node or section.node, where, f"{shown(root)} is not a folder", "a folder")
    return root


def _class_count(reader: Reader, section: Section) -> int:
    node = section.require("classes")
    read = reader.integer(node, "data.classes", 2, IGNORED) if node is not None else None
    return read or 2


def _drawn_part(reader: Reader, data: Section) -> dict[str, Any]:
    """Read `val: {fraction: 0.2, seed: 0}`, a part of the training images; empty if it is none."""
    node = data.found.get("val", (None, None))[1]
    if not isinstance(node, yaml.MappingNode) or "fraction" not in entries(node):
        return {}
    section = reader.section(node, "data.val", ("fraction", "seed"))
    fraction = section.read("fraction", lambda n, p: reader.number(n, p, 0, 0.9, open_=True), 0.0)
    seed = section.read("seed", lambda n, p: reader.integer(n, p, 0), 0)
    return {"val": Split(), "val_fraction": fraction, "seed": seed}


def _split(
    reader: Reader, data: Section, key: str, default: Split, begin: tuple[str, str]
) -> Split:
    """Return a split; lines of a list that names no folders begin at those of `begin`."""
    node = data.require(key) if default == Split() else data.found.get(key, (None, None))[1]
    if node is None:
        return default
    path = data.where(key)
    known = ("images", "masks", "list", *(("fraction",) if key == "val" else ()))
    section = reader.section(node, path, known)
    if not isinstance(node, yaml.MappingNode):
        return default
    listed = "list" in section
    if not listed:
        for part in ("images", "masks"):
            section.require(part)
    return Split(
        images=section.read("images", reader.text, begin[0] if listed else ""),
        masks=section.read("masks", reader.text, begin[1] if listed else ""),
        list=section.read("list", reader.text, ""),
    )


def _bytes(reader: Reader, node: yaml.Node, path: str) -> int | None:
    if isinstance(node, yaml.ScalarNode) and node.value == "0":
        return 0
    return _count(reader, node, path)


def _count(reader: Reader, node: yaml.Node, path: str) -> int | None:
    amount = reader.amount(node, path)
    return None if amount is None else int(amount)


def _ends(reader: Reader, node: yaml.Node, path: str) -> tuple[str, str] | None:
    """Read what stems of images and masks end in; either may be empty."""

    def end(item: yaml.Node, path: str) -> str | None:
        empty = isinstance(item, yaml.ScalarNode) and bool(item.style) and not item.value
        return "" if empty else reader.text(item, path)

    read = reader.listed(node, path, end, length=2)
    return (read[0], read[1]) if read else None


def _swaps(
    reader: Reader, node: yaml.Node, path: str, classes: int
) -> tuple[tuple[int, int], ...] | None:
    """Read pairs of classes that trade places in a mirror; each class in one pair at most."""

    def pair(item: yaml.Node, path: str) -> tuple[int, int] | None:
        read = reader.listed(
            item, path, lambda n, p: reader.integer(n, p, 0, classes - 1), length=2
        )
        return (read[0], read[1]) if read else None

    read = reader.listed(node, path, pair)
    flat = [label for one in read or () for label in one]
    if len(set(flat)) < len(flat):
        reader.fault(node, path, "a class stands in two places", "each once")
        return None
    return read


def _colour(
    reader: Reader, node: yaml.Node, path: str, least: float
) -> tuple[float, float, float] | None:
    read = reader.listed(node, path, lambda n, p: reader.number(n, p, least, 1), length=3)
    return (read[0], read[1], read[2]) if read else None
