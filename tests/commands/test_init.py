"""`init`: what it writes works as it is, says what it found, and what it could not find out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.cli import main
from hrnet_search.data import layout as layout_module
from hrnet_search.data.layout import find_layout
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DataSpec, Split
from hrnet_search.space.load import load_space_file
from hrnet_search.space.published import PUBLISHED

RNG = np.random.default_rng(1)
IDS = np.array([[0, 1, 2, 1]] * 4, dtype=np.uint8).repeat(12, 0).repeat(16, 1)
COLOURS_OF_IDS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 64]], dtype=np.uint8)[IDS]


def image(path: Path, shape: tuple[int, int] = (48, 64)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(path)


def mask(path: Path, content: np.ndarray = IDS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(content).save(path)


def names(count: int = 5) -> list[str]:
    return [f"scene_{i:03}" for i in range(count)]


def ade20k_folders(root: Path) -> None:
    for split in ("training", "validation"):
        for name in names():
            image(root / "images" / split / f"{name}.jpg")
            mask(root / "annotations" / split / f"{name}.png")


def splits_outside(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in names():
            image(root / split / "imgs" / f"{name}.png")
            mask(root / split / "labels" / f"{name}.png")


def no_split(root: Path) -> None:
    for name in names():
        image(root / "JPEGImages" / f"{name}.jpg")
        mask(root / "SegmentationClass" / f"{name}.png")


def lists_of_stems(root: Path) -> None:
    no_split(root)
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("\n".join(names()[:3]))
    (folder / "val.txt").write_text("\n".join(names()[3:]))
    (folder / "trainval.txt").write_text("\n".join(names()))


def one_folder_with_endings(root: Path) -> None:
    for name in names():
        image(root / f"{name}.png")
        mask(root / f"{name}_mask.png")


def one_folder_by_suffix(root: Path) -> None:
    for split in ("train", "val"):
        for name in names():
            image(root / split / f"{name}.jpg")
            mask(root / split / f"{name}.png")


def camvid_style(root: Path) -> None:
    for split in ("train", "val"):
        for name in names():
            image(root / split / f"{name}.png")
            mask(root / f"{split}annot" / f"{name}.png")


def cities(root: Path) -> None:
    for split in ("train", "val"):
        for name in names():
            city = name[-1]
            image(root / "photos" / split / city / f"{name}_photo.png")
            mask(root / "gt" / split / city / f"{name}_gt.png")


def sets(root: Path) -> None:
    for split in ("trainset", "valset"):
        for name in names():
            image(root / split / "images" / f"{name}.png")
            mask(root / split / "masks" / f"{name}.png")


def words_of_their_own(root: Path) -> None:
    for one, other in (("training", "train"), ("val", "validation")):
        for name in names():
            image(root / f"{one}_images" / f"{name}.png")
            mask(root / "labels" / other / f"{name}.png")


def other_names(root: Path) -> None:
    for number in range(5):
        image(root / "a" / f"img_{number}.png")
        mask(root / "b" / f"seg_{number}.png")


LAYOUTS: dict[Callable[[Path], None], tuple[Split, Split | None, tuple[str, str]]] = {
    ade20k_folders: (
        Split("images/training", "annotations/training"),
        Split("images/validation", "annotations/validation"),
        ("", ""),
    ),
    splits_outside: (
        Split("train/imgs", "train/labels"), Split("valid/imgs", "valid/labels"), ("", "")
    ),
    no_split: (Split("JPEGImages", "SegmentationClass"), None, ("", "")),
    lists_of_stems: (
        Split("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"),
        Split("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"),
        ("", ""),
    ),
    one_folder_with_endings: (Split(".", "."), None, ("", "_mask")),
    one_folder_by_suffix: (Split("train", "train"), Split("val", "val"), ("", "")),
    camvid_style: (Split("train", "trainannot"), Split("val", "valannot"), ("", "")),
    cities: (
        Split("photos/train", "gt/train"), Split("photos/val", "gt/val"), ("_photo", "_gt")
    ),
    sets: (
        Split("trainset/images", "trainset/masks"), Split("valset/images", "valset/masks"), ("", "")
    ),
    words_of_their_own: (
        Split("training_images", "labels/train"), Split("val_images", "labels/validation"), ("", "")
    ),
    other_names: (Split("a", "b"), None, ("", "")),
}  # fmt: skip


@pytest.mark.parametrize("draw", LAYOUTS, ids=lambda draw: draw.__name__)
def test_a_layout_is_found_and_what_is_written_passes_check(
    draw: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    draw(root)
    found = find_layout(root, DataSpec("folder", 2))
    assert found is not None
    assert (found.train, found.val, found.ends) == LAYOUTS[draw]
    assert main(["init", str(folder), "--data-root", str(root)]) == 0
    out = capsys.readouterr().out
    assert "3 classes occur in the masks" in out
    assert "left to you: data.names" in out
    assert ("a fifth is for validation" in out) == (LAYOUTS[draw][1] is None)
    assert main(["check", str(folder / "space.yaml")]) == 0
    assert "3 of 3 classes occur" in capsys.readouterr().out
    file = load_space_file(folder / "space.yaml")
    assert (file.schedule.data.classes, file.latency.size) == (3, (48, 64))
    assert file.schedule.crop == (32, 64)


def test_a_file_is_read_once_however_many_folders_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of videos, each in a folder of its own, with frames of the same names."""
    for number in range(6):
        for frame in ("00000", "00001"):
            image(tmp_path / "JPEGImages" / f"video{number}" / f"{frame}.png")
            mask(tmp_path / "Annotations" / f"video{number}" / f"{frame}.png")
    read: list[Path] = []
    looks = layout_module._looks_like_mask

    def noted(path: Path) -> float:
        read.append(path)
        return looks(path)

    monkeypatch.setattr(layout_module, "_looks_like_mask", noted)
    found = find_layout(tmp_path, DataSpec("folder", 2))
    assert found is not None
    assert (found.train, found.pairs) == (Split("JPEGImages", "Annotations"), 10)
    assert len(read) == len(set(read)) == 24


def test_a_test_split_is_said_to_be_left_out_where_nothing_is_for_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits_outside(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "valid")
    assert main(["init", str(tmp_path / "out"), "--data-root", str(tmp_path / "data")]) == 0
    out = capsys.readouterr().out
    assert "none of the splits is for it, so a fifth is for validation" in out
    assert "data.val: test has masks too, and is left out" in out


def test_without_data_the_shapes_are_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "new" / "first")]) == 0
    space = tmp_path / "new" / "first" / "space.yaml"
    assert f"next: hrnet-search check {space}" in capsys.readouterr().out
    assert main(["check", str(space)]) == 0
    file = load_space_file(space)
    assert (file.name, file.schedule.data.kind) == ("first", "shapes")
    assert file.base.architecture.id == PUBLISHED["w18-small-v1"].id


@pytest.mark.parametrize("base", PUBLISHED)
def test_every_published_network_is_a_base_that_can_be_varied(base: str, tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--base", base]) == 0
    file = load_space_file(tmp_path / "space.yaml")
    assert file.base.architecture.id == PUBLISHED[base].id
    assert file.space.size > 50


@pytest.mark.parametrize("kind", PRESETS)
def test_every_kind_without_its_data_passes_check_and_says_so(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path), "--kind", kind]) == 0
    assert "left to you: data.root" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "space.yaml")]) == 0
    assert load_space_file(tmp_path / "space.yaml").schedule.data.kind == kind


def test_cityscapes_is_known_by_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    for split in ("train", "val"):
        image(root / "leftImg8bit" / split / "ulm" / "a_leftImg8bit.png")
        mask(root / "gtFine" / split / "ulm" / "a_gtFine_labelIds.png", IDS + 7)
        mask(root / "gtFine" / split / "ulm" / "a_gtFine_instanceIds.png", IDS)
    assert main(["init", str(folder), "--data-root", str(root)]) == 0
    assert "in the layout that it is published in" in capsys.readouterr().out
    assert main(["check", str(folder / "space.yaml")]) == 0
    assert load_space_file(folder / "space.yaml").schedule.data.kind == "cityscapes"


def test_a_kind_in_folders_of_ones_own(tmp_path: Path) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    ade20k_folders(root)
    assert main(["init", str(folder), "--data-root", str(root), "--kind", "ade20k"]) == 0
    data = load_space_file(folder / "space.yaml").schedule.data
    assert (data.kind, data.train) == ("ade20k", Split("images/training", "annotations/training"))
    assert main(["check", str(folder / "space.yaml")]) == 0


def camvid_layout(root: Path, ids: np.ndarray) -> None:
    """Draw SegNet's folders with some of CamVid's classes, and 11 where nothing is labelled."""
    camvid_style(root)
    for split in ("train", "val"):
        for name in names():
            mask(root / f"{split}annot" / f"{name}.png", ids)


PARTLY_LABELLED = np.where(IDS == 2, 11, IDS).astype(np.uint8)


@pytest.mark.parametrize("given", [".", "CamVid"], ids=["the-folder-above", "the-folder"])
def test_the_folder_of_a_known_data_set_is_that_data_set(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    camvid_layout(root / "CamVid", PARTLY_LABELLED)
    assert main(["init", str(folder), "--data-root", str(root / given)]) == 0
    assert "data: camvid, in the layout that it is published in" in capsys.readouterr().out
    data = load_space_file(folder / "space.yaml").schedule.data
    assert (data.kind, data.classes, data.ignore) == ("camvid", 11, 11)
    assert main(["check", str(folder / "space.yaml")]) == 0


def test_folders_like_those_of_a_known_data_set_are_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    camvid_layout(root, PARTLY_LABELLED)
    assert main(["init", str(tmp_path / "out"), "--data-root", str(root)]) == 0
    said = "left to you: data.kind: folders and ids are those of a known data set: --kind camvid?"
    assert said in capsys.readouterr().out
    assert load_space_file(tmp_path / "out" / "space.yaml").schedule.data.kind == "folder"


@pytest.mark.parametrize(
    ("ids", "asked"),
    [(IDS * 20, []), (COLOURS_OF_IDS, []), (IDS, ["--kind", "folder"])],
    ids=["other-ids", "colours", "as-asked-for"],
)
def test_what_a_known_data_set_does_not_hold_is_not_taken_for_it(
    ids: np.ndarray, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "CamVid", tmp_path / "out"
    camvid_layout(root, ids)
    assert main(["init", str(folder), "--data-root", str(root), *asked]) == 0
    assert "camvid" not in capsys.readouterr().out
    assert load_space_file(folder / "space.yaml").schedule.data.kind == "folder"


def test_of_two_data_sets_in_the_same_folders_the_user_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    context = root / "pascal_ctx" / "VOCdevkit" / "VOC2010"
    for split in ("train", "val"):
        listed = context / "ImageSets" / "SegmentationContext" / f"{split}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(f"{split}_{name}\n" for name in names()))
        for name in names():
            image(context / "JPEGImages" / f"{split}_{name}.jpg")
            mask(context / "SegmentationClassContext" / f"{split}_{name}.png")
    assert main(["init", str(folder), "--data-root", str(root)]) == 0
    both = "--kind pascal-context-59 or --kind pascal-context-60?"
    assert both in capsys.readouterr().out
    assert load_space_file(folder / "space.yaml").schedule.data.kind == "folder"


def test_what_is_written_names_no_rungs_as_no_shipped_space_does(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "out"), "--kind", "cityscapes"]) == 0
    assert "rungs" not in (tmp_path / "out" / "space.yaml").read_text()


def masks_of(root: Path, *contents: np.ndarray) -> None:
    for i, content in enumerate([*contents, *contents]):
        image(root / "images" / f"{i}.jpg", content.shape[:2])
        mask(root / "masks" / f"{i}.png", content)


@pytest.mark.parametrize(
    ("contents", "classes", "said"),
    [
        ([np.where(IDS == 2, 255, 0)], 2, "class 1 is what the masks store as 255"),
        ([np.where(IDS == 2, 255, IDS)], 2, "255 in masks is taken for not labelled"),
        ([IDS * 100], 3, "numbered in their order (mapping)"),
        ([IDS + (IDS == 2)], 4, "classes that occur in no mask: 2"),
        ([COLOURS_OF_IDS], 3, "which class each colour is could not be found out"),
        # One that shows the background alone is grey.
        ([COLOURS_OF_IDS, COLOURS_OF_IDS * 0], 3, "which class each colour is could not be found"),
        ([COLOURS_OF_IDS, IDS * 0], 3, "which class each colour is could not be found out"),
        ([IDS, IDS[:32]], 3, "data.size: images differ, 32 x 64 to 48 x 64"),
        ([np.arange(48 * 64).reshape(48, 64) % 256], 255, "255 are many: the levels of soft"),
    ],
    ids=["binary", "ignored", "gaps", "one-missing", "colours", "black", "grey", "sizes", "soft"],
)
def test_classes_are_those_that_masks_hold(
    contents: list[np.ndarray],
    classes: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    masks_of(root, *(content.astype(np.uint8) for content in contents))
    assert main(["init", str(folder), "--data-root", str(root)]) == 0
    assert f"{said}" in capsys.readouterr().out
    assert load_space_file(folder / "space.yaml").schedule.data.classes == classes
    assert main(["check", str(folder / "space.yaml")]) == 0


def test_names_beside_the_data_are_taken(tmp_path: Path) -> None:
    root = tmp_path / "data"
    masks_of(root, IDS)
    (root / "classes.txt").write_text("sky\nno\ntree: tall\n")
    assert main(["init", str(tmp_path / "out"), "--data-root", str(root)]) == 0
    data = load_space_file(tmp_path / "out" / "space.yaml").schedule.data
    assert data.names == ("sky", "no", "tree: tall")


def photos(root: Path) -> None:
    for number in range(2):
        image(root / "images" / f"{number}.png")
        image(root / "masks" / f"{number}.png")


def kinds_of_photos(root: Path) -> None:
    """As of a data set for classification: a folder a class."""
    for number in range(3):
        image(root / "cats" / f"cat_{number}.jpg")
        image(root / "dogs" / f"dog_{number}.jpg")


def sixteen_bits(root: Path) -> None:
    for number in range(2):
        image(root / "images" / f"{number}.png")
        mask(root / "masks" / f"{number}.png", IDS.astype(np.uint16))


def jpegs(root: Path) -> None:
    for number in range(2):
        image(root / "images" / f"{number}.png")
        content = np.roll(np.where(IDS == 2, 255, 0).astype(np.uint8), 3, axis=1)
        mask(root / "masks" / f"{number}.jpg", content)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda root: root.mkdir(), "no images with masks were found"),
        (kinds_of_photos, "no images with masks were found"),
        (sixteen_bits, "0.png is a mask of mode I;16 (and 1 more: "),
        (jpegs, "numbers with gaps, and some are JPEG, which changes labels at edges"),
        (lambda root: masks_of(root, IDS * 0 + 1), "the masks hold 1 alone"),
        (photos, "colours, which are hardly 2 to 64 classes"),
    ],
    ids=["empty", "classes", "16-bits", "jpeg", "one-class", "photos"],
)  # fmt: skip
def test_what_cannot_be_found_out_is_said_and_left_in_comments(
    draw: Callable[[Path], None],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, folder = tmp_path / "data", tmp_path / "out"
    draw(root)
    assert main(["init", str(folder), "--data-root", str(root)]) == 0
    left = [line for line in capsys.readouterr().out.splitlines() if "left to you" in line]
    assert any(said in line for line in left)
    assert f"#   root: {root}" in (folder / "space.yaml").read_text()
    assert "#   classes: 2" in (folder / "space.yaml").read_text()
    assert main(["check", str(folder / "space.yaml")]) == 0


@pytest.mark.parametrize("name", ["space.yaml", "base.yaml"])
def test_nothing_is_overwritten(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert main(["init", str(tmp_path)]) == 2
    said = f"{tmp_path / name}: is there already and is not overwritten, allowed: another folder\n"
    assert capsys.readouterr().err.endswith(said)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_names_that_are_not_known_are_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init", str(tmp_path / "out"), "--kind", "citiscapes", "--base", "w20"]
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "--kind: citiscapes is not known, did you mean cityscapes?" in lines[0]
    assert "--base: w20 is not known" in lines[1]
    assert main(["init", str(tmp_path / "out"), "--data-root", str(tmp_path / "no")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
