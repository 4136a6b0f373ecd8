"""Presets: what is known of the library's data sets, read from miniature trees in their layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import miniature
import numpy as np
import pytest

from hrnet_search.data.dataset import fingerprint, open_dataset, preflight
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import IGNORED, DataSpec, Split
from hrnet_search.space.data_section import read_data
from hrnet_search.space.reader import Reader

KINDS = sorted(PRESETS)
CITYSCAPES_KEPT = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
COCO_KEPT = [i for i in range(1, 183) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)]

# Stored id to class, as the library's readers map; what it ignores is 255.
RULES: dict[str, Callable[[int], int]] = {
    "cityscapes": lambda i: CITYSCAPES_KEPT.index(i) if i in CITYSCAPES_KEPT else IGNORED,
    "ade20k": lambda i: i - 1 if i else IGNORED,
    "pascal-context-59": lambda i: i - 1 if i else IGNORED,
    "pascal-context-60": lambda i: i,
    "lip": lambda i: i,
    "coco-stuff": lambda i: COCO_KEPT.index(i) if i else IGNORED,
    "camvid": lambda i: i if i < 11 else IGNORED,
}
CLASSES = {
    "cityscapes": 19,
    "ade20k": 150,
    "pascal-context-59": 59,
    "pascal-context-60": 60,
    "lip": 20,
    "coco-stuff": 171,
    "camvid": 11,
}


def messages(spec: DataSpec) -> list[str]:
    return [str(fault).replace(spec.root + "/", "") for fault in preflight(spec)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_has_a_name_and_a_stored_id(kind: str) -> None:
    spec = PRESETS[kind].spec
    assert spec.kind == kind
    assert spec.classes == len(spec.names) == len(set(spec.names)) == CLASSES[kind]
    if spec.mapping:
        assert {target for _, target in spec.mapping} - {IGNORED} == set(range(spec.classes))
        assert len(dict(spec.mapping)) == len(spec.mapping)
    assert spec.root == ""


def test_some_names_stand_where_the_label_lists_have_them() -> None:
    coco = PRESETS["coco-stuff"].spec
    stored = {"person": 1, "stop sign": 13, "wine glass": 46, "tv": 72, "banner": 92, "wood": 182}
    mapping = dict(coco.mapping)
    assert {coco.names[mapping[label]]: label for label in stored.values()} == stored
    ade = PRESETS["ade20k"].spec.names
    assert (ade[0], ade[12], ade[20], ade[149]) == ("wall", "person", "car", "flag")
    city = PRESETS["cityscapes"].spec
    ids = dict(city.mapping)
    named = {"road": 7, "sky": 23, "rider": 25, "bus": 28, "bicycle": 33}
    assert {city.names[ids[label]]: label for label in named.values()} == named


def test_the_classes_of_pascal_context_follow_the_alphabet() -> None:
    names = PRESETS["pascal-context-59"].spec.names
    assert list(names) == sorted(names)
    assert PRESETS["pascal-context-60"].spec.names == ("background", *names)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_become_what_the_library_makes_of_them(kind: str, tmp_path: Path) -> None:
    spec = miniature.make(kind, tmp_path)
    assert messages(spec) == []
    for split, count in miniature.COUNTS.items():
        dataset = open_dataset(spec, split)
        assert len(dataset) == count
        for number in range(count):
            expected = np.vectorize(RULES[kind])(miniature.stored(kind, number))
            assert np.array_equal(dataset[number][1], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_root_may_be_the_data_set_itself(kind: str, tmp_path: Path) -> None:
    spec = miniature.make(kind, tmp_path)
    inside = replace(spec, root=str(tmp_path / spec.home))
    assert messages(inside) == []
    assert fingerprint(inside) == fingerprint(spec)


def listed(kind: str, root: Path, lines: str, name: str = "train.lst") -> DataSpec:
    """Return a preset whose training split is a list of the library, below its ROOT."""
    path = root / "list" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(lines)
    images, masks = PRESETS[kind].begin
    return replace(miniature.make(kind, root), train=Split(images, masks, f"list/{name}"))


# A line of each list that the library ships, as it stands there, with the files of `miniature`.
LINES = {
    "cityscapes": (
        "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png\t"
        "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png\n"
    ),
    "ade20k": "train/image/ADE_train_00000001.jpg train/label/ADE_train_00000001.png\n",
    "coco-stuff": (
        "train/image/COCO_train2014_000000000001.jpg train/label/COCO_train2014_000000000001.png\n"
    ),
    "lip": "train_images/1_500.jpg train_segmentations/1_500.png\n",
    "pascal-context-59": "train_000001\n",
    "pascal-context-60": "train_000001.jpg\n",
}


@pytest.mark.parametrize("kind", LINES)
def test_the_lists_of_the_library_work_as_they_are(kind: str, tmp_path: Path) -> None:
    spec = listed(kind, tmp_path, LINES[kind])
    assert messages(spec) == []
    whole = open_dataset(miniature.make(kind, tmp_path), "train")
    image, mask = open_dataset(spec, "train")[0]
    assert np.array_equal(image, whole[1][0])
    assert np.array_equal(mask, whole[1][1])


def test_a_list_beside_the_data_set_works_where_the_root_is_the_data_set(tmp_path: Path) -> None:
    spec = listed("cityscapes", tmp_path, LINES["cityscapes"])
    (tmp_path / "list/train.lst").rename(tmp_path / "cityscapes/train.lst")
    inside = replace(
        spec, root=str(tmp_path / "cityscapes"), train=replace(spec.train, list="train.lst")
    )
    assert messages(inside) == []


def test_columns_behind_image_and_mask_are_allowed_as_in_lips_lists(tmp_path: Path) -> None:
    line = (
        "train_images/1_500.jpg train_segmentations/1_500.png "
        "train_segmentations_reversed/1_500.png 1\n"
    )
    assert messages(listed("lip", tmp_path, line)) == []


def test_a_test_list_of_images_alone_is_a_fault_that_says_so(tmp_path: Path) -> None:
    line = "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png\n"
    assert messages(listed("cityscapes", tmp_path, line, "test.lst")) == [
        (
            f"data.train.list: list/test.lst line 1 names {line.strip()} without a mask, "
            "allowed: lists with masks; images alone can be neither trained on nor judged"
        )
    ]


def test_other_pictures_of_cityscapes_are_no_masks(tmp_path: Path) -> None:
    """Colours and training ids lie beside the label ids and would be read as something else."""
    spec = miniature.make("cityscapes", tmp_path)
    folder = tmp_path / "cityscapes/gtFine/train/aachen"
    mask = folder / "aachen_000001_000019_gtFine_labelIds.png"
    for end in ("color", "instanceIds", "labelTrainIds"):
        other = mask.with_name(f"aachen_000001_000019_gtFine_{end}.png")
        other.write_bytes(mask.read_bytes())
    assert messages(spec) == []
    line = LINES["cityscapes"].replace("labelIds", "labelTrainIds")
    assert messages(listed("cityscapes", tmp_path, line)) == [
        (
            "data.train: cityscapes/gtFine/train/aachen/"
            "aachen_000001_000019_gtFine_labelTrainIds.png is not a mask of this data set, "
            "allowed: a name that ends in _labelIds.png"
        )
    ]


def test_a_list_may_name_coarse_masks_and_images_of_any_name(tmp_path: Path) -> None:
    miniature.make("cityscapes", tmp_path)
    folder = tmp_path / "cityscapes"
    image, mask = (folder / word for word in LINES["cityscapes"].split())
    image.rename(image.with_name("own.png"))
    mask.rename(mask.with_name("own_gtCoarse_labelIds.png"))
    line = LINES["cityscapes"].replace(image.name, "own.png")
    line = line.replace(mask.name, "own_gtCoarse_labelIds.png")
    assert messages(listed("cityscapes", tmp_path, line)) == []


def test_an_id_that_the_data_set_does_not_have_is_out_of_range(tmp_path: Path) -> None:
    spec = miniature.make("coco-stuff", tmp_path)
    label = tmp_path / "cocostuff/val/label/COCO_train2014_000000000002.png"
    miniature.write_mask(label, np.full(miniature.SIZE, 12, dtype=np.uint8))
    assert messages(spec)[0].startswith(
        "data.val: cocostuff/val/label/COCO_train2014_000000000002.png holds label 12, allowed: "
    )


def test_left_and_right_trade_places_in_a_mirror_on_lip_alone() -> None:
    swaps = {kind: PRESETS[kind].spec.swaps for kind in KINDS}
    names = PRESETS["lip"].spec.names
    assert [(names[a], names[b]) for a, b in swaps.pop("lip")] == [
        ("left arm", "right arm"),
        ("left leg", "right leg"),
        ("left shoe", "right shoe"),
    ]
    assert set(swaps.values()) == {()}


def test_a_space_file_gives_what_the_table_has() -> None:
    import yaml

    for kind in KINDS:
        node = yaml.compose(f"kind: {kind}")
        reader = Reader("space.yaml")
        assert read_data(reader, node, "space.yaml", None, (64, 64)) == PRESETS[kind].spec
        assert reader.faults == []
        assert Split() not in (PRESETS[kind].spec.train, PRESETS[kind].spec.val)
