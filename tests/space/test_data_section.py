"""The `data` section: a kind, what its preset knows, and what the file says instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hrnet_search.data.shapes import preflight
from hrnet_search.presets import PRESETS, SHAPES
from hrnet_search.records.data_spec import DATA_KINDS, DataSpec, Split
from hrnet_search.records.schedule import Schedule
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


def test_a_part_of_the_training_images_may_be_set_apart() -> None:
    spec, faults = read(
        "{kind: folder, classes: 4, train: {list: t}, val: {fraction: 0.2, seed: 7}}"
    )
    assert faults == []
    assert (spec.train, spec.val) == (Split(list="t"), Split())
    assert (spec.val_fraction, spec.seed) == (0.2, 7)


def test_a_folder_may_say_all_that_a_preset_knows() -> None:
    spec, faults = read(
        "{kind: folder, classes: 4, ends: ['', _mask], swaps: [[0, 1], [2, 3]], "
        "mapping: {7: 0, 9: ignore}, train: {list: t.lst}, val: {images: i, masks: m}, cache: 0}"
    )
    assert faults == []
    assert (spec.ends, spec.swaps) == (("", "_mask"), ((0, 1), (2, 3)))
    assert (spec.mapping, spec.cache) == (((7, 0), (9, 255)), 0)


SPLITS = "train: {list: t.lst}, val: {list: v.lst}"


def test_colours_of_masks_have_classes_by_id_or_name() -> None:
    spec, faults = read(
        "{kind: folder, classes: 2, names: [road, sky], max_pixels: 2.5G, colors: "
        f"{{[0, 0, 0]: ignore, [128, 64, 128]: road, [70, 70, 70]: 1, other: 0}}, {SPLITS}}}"
    )
    assert faults == []
    assert spec.colors == (((), 0), ((0, 0, 0), 255), ((70, 70, 70), 1), ((128, 64, 128), 0))
    assert spec.max_pixels == 2_500_000_000


@pytest.mark.parametrize("key", ["cache", "max_pixels"])
def test_half_a_byte_is_none_that_was_meant(key: str) -> None:
    _, faults = read(f"{{kind: folder, classes: 2, {key}: 0.5, {SPLITS}}}")
    said = "0.5 is not a whole number, allowed: a whole number, like 500M"
    assert any(said in line for line in faults)


def read_palette(text: str, folder: Path) -> tuple[DataSpec, list[str]]:
    (folder / "palette.txt").write_text(text, encoding="utf-8-sig")
    section = (
        f"{{kind: folder, classes: 2, names: [road, wet road], colors: palette.txt, {SPLITS}}}"
    )
    reader = Reader(str(folder / "space.yaml"))
    spec = read_data(reader, yaml.compose(section), reader.file, None, (64, 64))
    return spec, [str(fault).replace(f"{folder}/", "") for fault in reader.faults]


def test_a_file_beside_the_space_file_may_hold_the_colours(tmp_path: Path) -> None:
    """Lines as CamVid's label_colors.txt has them: red, green and blue, white space, a name."""
    text = "# a comment\n\n 0 0 0\tignore\n128 64 128  wet road\n70, 70, 70, 0\nother ignore\n"
    spec, faults = read_palette(text, tmp_path)
    assert faults == []
    assert spec.colors == (((), 255), ((0, 0, 0), 255), ((70, 70, 70), 0), ((128, 64, 128), 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0 0\n1 2 3\n", "palette.txt line 2: '1 2 3' is not a colour with a class, allowed: "),
        ("0 0 256 0\n", "palette.txt line 1: '0 0 256 0' is not a colour with a class"),
        (
            "0 0 0 2\n",
            "line 1: '2' is not a class: 0 to 1, ignore or one of road, wet road, allowed",
        ),
        (
            "0 0 0 car\n0 0 0 sea\n",
            "'car' is not a class: 0 to 1, ignore or one of road, wet road (and 1",
        ),
        ("0 0 0 0\n0 0 0 1\n", "palette.txt line 2: '0 0 0 1' repeats a colour"),
        ("other 1\n", "data.colors: holds no colour"),
        ("# nothing\n", "palette.txt holds no colour"),
        ("0 0 0 0\0\n", "palette.txt holds a NUL byte"),
    ],
)
def test_what_is_wrong_in_a_file_of_colours_is_named_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    (fault,) = read_palette(text, tmp_path)[1]
    assert fault.startswith("space.yaml:1:")
    assert message in fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{kind: cityscape}", "data.kind: cityscape is not known, did you mean cityscapes?"),
        ("{kind: lip, classes: 19}", "1:13: data.classes: is not a known key"),
        ("{kind: ade20k, mapping: {0: 1}}", "data.mapping: is not a known key"),
        ("{kind: ade20k, root: /no/such}", "1:22: data.root: /no/such is not a folder"),
        (f"{{kind: ade20k, root: /{'n' * 300}}}", "cannot be read (File name too long)"),
        ("{kind: ade20k, train: {images: a}}", "data.train.masks: is missing"),
        ("{kind: ade20k, train: a.lst}", "1:23: data.train: is not a mapping"),
        ("{kind: ade20k, train: {lists: a}}", "did you mean list?"),
        ("{kind: ade20k, cache: much}", "data.cache: much is not an amount"),
        ("{kind: ade20k, size: [0, 9]}", "data.size: 0 is not allowed"),
        ("{kind: folder, classes: 2, val: {list: a}}", "data.train: is missing"),
        (
            "{kind: folder, classes: 1}",
            "data.classes: 1 is not allowed",
        ),
        ("{kind: folder, classes: 3, swaps: [[0, 0]]}", "a class is in two pairs, or twice in one"),
        ("{kind: folder, classes: 3, swaps: [[0, 3]]}", "data.swaps: 3 is not allowed"),
        ("{kind: folder, classes: 3, ends: [a]}", "data.ends: 1 entries, allowed: 2 entries"),
        ("{kind: folder, classes: 3, mapping: {1: 3}}", "data.mapping.1: 3 is not allowed"),
        ("{kind: folder, classes: 3, mapping: {1: 0, 1: 1}}", "data.mapping: 1 is repeated"),
        ("{kind: folder, classes: 3, colors: {[0, 0]: 1}}", "[red, green, blue], like [128, 0, 0]"),
        ("{kind: folder, classes: 3, colors: {[0, 0, 256]: 1}}", "data.colors: 256 is not allowed"),
        (
            "{kind: folder, classes: 3, colors: {rest: 1}}",
            "data.colors: is not a list, allowed: [red",
        ),
        (
            "{kind: folder, classes: 3, colors: {[0, 0, 1]: 3}}",
            "data.colors.[0, 0, 1]: 3 is not allowed, allowed: an integer from 0 to 2",
        ),
        (
            "{kind: folder, classes: 3, colors: {[0, 0, 1]: 0, [0, 0, 1]: 1}}",
            "1:51: data.colors: [0, 0, 1] is repeated, allowed: each once",
        ),
        ("{kind: folder, classes: 3, colors: {other: 1}}", "data.colors: holds no colour"),
        ("{kind: folder, classes: 3, colors: [1]}", "data.colors: is not a mapping, allowed: [R"),
        (
            "{kind: folder, classes: 3, colors: no.txt}",
            "data.colors: no.txt is not a file, allowed",
        ),
        (
            "{kind: folder, classes: 3, mapping: {0: 0}, colors: {[0, 0, 0]: 0}}",
            "1:45: data.colors: is given together with data.mapping, allowed: one of the two",
        ),
        (
            "{kind: folder, classes: 3, mapping: {7: 1, 0: 0}, ignore: 7}",
            "data.ignore: 7 is a class in data.mapping",
        ),
        ("{kind: lip, colors: {[0, 0, 0]: 0}}", "data.colors: is not a known key"),
        ("{kind: lip, max_pixels: 0}", "data.max_pixels: 0 is not an amount"),
        ("{kind: shapes, max_pixels: 9}", "data.max_pixels: is not a known key"),
        ("{kind: folder, classes: 3, names: [a, b]}", "data.names: 2 names for 3 classes"),
        ("{kind: lip, val: {fraction: 0}}", "data.val.fraction: 0 is not allowed"),
        ("{kind: lip, val: {fraction: 1}}", "data.val.fraction: 1 is not allowed"),
        ("{kind: lip, val: {fraction: 0.2, images: a}}", "data.val.images: is not a known key"),
        ("{kind: lip, val: {seed: 1, images: a, masks: b}}", "data.val.seed: is not a known key"),
        ("{kind: lip, train: {fraction: 0.2}}", "data.train.fraction: is not a known key"),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(text: str, message: str) -> None:
    _, faults = read(text)
    assert any(message in fault for fault in faults), faults


@pytest.mark.parametrize("classes", [2, 6, 8])
def test_shapes_have_names_for_as_many_classes_as_are_drawn(classes: int) -> None:
    spec, faults = read(f"{{kind: shapes, classes: {classes}}}")
    assert not faults
    assert spec.names == SHAPES[:classes]
    assert preflight(spec) == []  # as many as docs/space-yaml.md says, and as can be drawn


@pytest.mark.parametrize("classes", [1, 9])
def test_shapes_of_other_counts_of_classes_are_refused(classes: int) -> None:
    _, faults = read(f"{{kind: shapes, classes: {classes}}}")
    assert "an integer from 2 to 8" in faults[0]


def test_where_data_lie_and_are_kept_is_no_part_of_a_schedule() -> None:
    spec = PRESETS["lip"].spec
    here = Schedule(spec).id
    assert Schedule(replace(spec, root="/elsewhere", cache=0, max_pixels=9)).id == here
    assert Schedule(replace(spec, colors=(((0, 0, 0), 1),))).id != here
    assert Schedule(replace(spec, swaps=())).id != here
