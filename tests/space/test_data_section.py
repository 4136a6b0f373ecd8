"""The `data` section: a kind, what its preset knows, and what the file says instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hrnet_search.presets import PRESETS, SHAPES
from hrnet_search.records import DATA_KINDS, DataSpec, Schedule, Split
from hrnet_search.space.data_section import DATA_KEYS, read_data
from hrnet_search.space.reader import Reader


def read(text: str, data_root: str | None = None) -> tuple[DataSpec, list[str]]:
    """Return what a section reads as, and its faults without the file."""
    reader = Reader("space.yaml")
    spec = read_data(reader, yaml.compose(text), "space.yaml", data_root, (64, 64))
    return spec, [str(fault).removeprefix("space.yaml:") for fault in reader.faults]


def test_the_tables_know_the_same_kinds() -> None:
    assert tuple(DATA_KEYS) == DATA_KINDS
    assert set(PRESETS) == set(DATA_KINDS) - {"shapes", "folder"}


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_needs_its_kind_alone(kind: str) -> None:
    assert read(f"kind: {kind}") == (PRESETS[kind].spec, [])


def test_a_file_says_root_size_folders_and_colours_instead(tmp_path: Path) -> None:
    spec, faults = read(
        f"{{kind: cityscapes, root: {tmp_path}, size: [256, 512], mean: [0.3, 0.3, 0.3], "
        "std: [0.2, 0.2, 0.2], val: {images: a, masks: b}, cache: 64G}"
    )
    assert faults == []
    assert spec == replace(
        PRESETS["cityscapes"].spec,
        root=str(tmp_path),
        size=(256, 512),
        mean=(0.3, 0.3, 0.3),
        std=(0.2, 0.2, 0.2),
        val=Split("a", "b"),
        cache=64 * 10**9,
    )


def test_lines_of_a_list_begin_where_the_data_set_has_them_begin() -> None:
    for kind, expected in (
        ("cityscapes", Split("", "", "l.lst")),
        ("lip", Split("TrainVal_images", "TrainVal_parsing_annotations", "l.lst")),
        ("pascal-context-59", Split("JPEGImages", "SegmentationClassContext", "l.lst")),
    ):
        spec, faults = read(f"{{kind: {kind}, train: {{list: l.lst}}}}")
        assert (spec.train, spec.val, faults) == (expected, PRESETS[kind].spec.val, [])
    spec, _ = read("{kind: lip, train: {list: l.lst, images: a, masks: b}}")
    assert spec.train == Split("a", "b", "l.lst")


def test_a_folder_may_say_all_that_a_preset_knows() -> None:
    spec, faults = read(
        "{kind: folder, classes: 4, ends: ['', _mask], swaps: [[0, 1], [2, 3]], "
        "mapping: {7: 0, 9: ignore}, train: {list: t.lst}, val: {images: i, masks: m}, cache: 0}"
    )
    assert faults == []
    assert (spec.ends, spec.swaps) == (("", "_mask"), ((0, 1), (2, 3)))
    assert (spec.mapping, spec.cache) == (((7, 0), (9, 255)), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{kind: cityscape}", "data.kind: cityscape is not known, did you mean cityscapes?"),
        ("{kind: lip, classes: 19}", "1:13: data.classes: is not a known key"),
        ("{kind: ade20k, mapping: {0: 1}}", "data.mapping: is not a known key"),
        ("{kind: ade20k, root: /no/such}", "1:22: data.root: /no/such is no folder"),
        ("{kind: ade20k, train: {images: a}}", "data.train.masks: is missing"),
        ("{kind: ade20k, train: a.lst}", "1:23: data.train: is no mapping"),
        ("{kind: ade20k, train: {lists: a}}", "did you mean list?"),
        ("{kind: ade20k, cache: much}", "data.cache: much is no amount"),
        ("{kind: ade20k, size: [0, 9]}", "data.size: 0 is not allowed"),
        ("{kind: folder, classes: 2, val: {list: a}}", "data.train: is missing"),
        (
            "{kind: folder, classes: 1}",
            "data.classes: 1 is not allowed",
        ),
        ("{kind: folder, classes: 3, swaps: [[0, 0]]}", "a class stands in two places"),
        ("{kind: folder, classes: 3, swaps: [[0, 3]]}", "data.swaps: 3 is not allowed"),
        ("{kind: folder, classes: 3, ends: [a]}", "data.ends: 1 entries, allowed: 2 entries"),
        ("{kind: folder, classes: 3, mapping: {1: 3}}", "data.mapping.1: 3 is not allowed"),
        ("{kind: folder, classes: 3, names: [a, b]}", "data.names: 2 names for 3 classes"),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(text: str, message: str) -> None:
    _, faults = read(text)
    assert any(message in fault for fault in faults), faults


def test_shapes_have_names_for_as_many_classes_as_are_drawn() -> None:
    spec, _ = read("{kind: shapes, classes: 6}")
    assert spec.names == SHAPES[:6]


def test_where_data_lie_and_are_kept_is_no_part_of_a_schedule() -> None:
    spec = PRESETS["lip"].spec
    here = Schedule(spec).id
    assert Schedule(replace(spec, root="/elsewhere", cache=0)).id == here
    assert Schedule(replace(spec, swaps=())).id != here
