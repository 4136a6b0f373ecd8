"""Files become images and masks, or faults that name them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.dataset import fingerprint, open_dataset, preflight
from hrnet_search.errors import DataError
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import IGNORED, DataSpec, Split

SPLIT = Split("images", "masks")


def write_image(path: Path, size: tuple[int, int] = (8, 6), level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), (level, 20, 30)).save(path)


def write_mask(path: Path, values: object = None, size: tuple[int, int] = (8, 6)) -> None:
    """Write a mask of `values`; without them of class 1, and of class 2 in its last row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.ones(size, dtype=np.uint8)
    mask[-1] = 2
    if values is not None:
        mask[:] = np.uint8(values)  # type: ignore[arg-type]
    Image.fromarray(mask).save(path)


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    for stem in ("a", "deep/b"):
        write_image(tmp_path / f"images/{stem}.png")
        write_mask(tmp_path / f"masks/{stem}.png")
    return DataSpec("folder", classes=3, train=SPLIT, val=SPLIT, root=str(tmp_path))


def messages(spec: DataSpec) -> list[str]:
    return [str(fault).replace(spec.root + "/", "") for fault in preflight(spec)]


def test_trees_are_paired_by_the_path_below_them(spec: DataSpec) -> None:
    dataset = open_dataset(spec, "train")
    assert [dataset.name(i) for i in range(len(dataset))] == ["a", "deep/b"]
    image, mask = dataset[1]
    assert image.shape == (8, 6, 3)
    assert image[0, 0].tolist() == [90, 20, 30]
    assert (mask[:-1] == 1).all()


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".bmp", ".ppm", ".webp", ".PNG"])
def test_image_formats_are_known_in_any_case(spec: DataSpec, suffix: str) -> None:
    write_image(Path(spec.root, f"images/c{suffix}"))
    write_mask(Path(spec.root, "masks/c.png"))
    Path(spec.root, f"images/._c{suffix}").write_text("what macOS leaves")
    Path(spec.root, "images/notes.txt").write_text("no image")
    assert messages(spec) == []
    assert len(open_dataset(spec, "train")) == 3


def test_a_list_file_names_pairs_below_the_root(spec: DataSpec) -> None:
    Path(spec.root, "train.lst").write_text(
        "images/a.png\tmasks/a.png\n\nimages/a.png masks/deep/b.png\n"
    )
    listed = replace(spec, train=Split(list="train.lst"))
    assert messages(listed) == []
    assert len(open_dataset(listed, "train")) == 2


def test_bad_lines_and_missing_files_of_a_list_are_named(spec: DataSpec) -> None:
    Path(spec.root, "t.lst").write_text(
        "images/c.png\nimages/x.png masks/a.png\nimages/y.png masks/a.png\n"
    )
    assert messages(replace(spec, train=Split(list="t.lst"))) == [
        (
            "data.train.list: t.lst line 1 is 'images/c.png', allowed: an image and a mask, "
            "a tab between them if names hold spaces, or a stem of both"
        ),
        "data.train: images/x.png is missing (and 1 more: images/y.png)",
    ]
    assert messages(replace(spec, train=Split(list="no.lst"))) == [
        "data.train.list: no.lst cannot be read, allowed: a text file"
    ]


def test_a_list_may_begin_at_folders_and_have_more_columns(spec: DataSpec) -> None:
    Path(spec.root, "t.txt").write_text("a.png a.png a.png 0\ndeep/b.png deep/b.png\n")
    listed = replace(spec, train=Split("images", "masks", "t.txt"))
    assert messages(listed) == []
    assert len(open_dataset(listed, "train")) == 2
    Path(spec.root, "t.txt").write_text("my image.png a.png\n")
    assert messages(listed)[0] == "data.train: images/my image.png is missing"


def test_a_list_may_name_stems(spec: DataSpec) -> None:
    Path(spec.root, "t.txt").write_text("deep/b\na.png\n")
    dataset = open_dataset(replace(spec, train=Split("images", "masks", "t.txt")), "train")
    assert [dataset.name(i) for i in range(len(dataset))] == ["deep/b", "a"]
    assert (dataset[0][1][:-1] == 1).all()


def test_a_stem_is_never_its_own_mask(spec: DataSpec) -> None:
    Path(spec.root, "t.txt").write_text("a.png\n")
    one = replace(spec, train=Split("images", "images", "t.txt"))
    assert messages(one)[0].startswith("data.train.list: t.txt line 1 names a.png without a mask")


def test_endings_pick_the_masks_of_a_folder(spec: DataSpec) -> None:
    for name in ("c_rgb.jpg", "c_ids.png", "c_colour.png"):
        (write_image if name.endswith("jpg") else write_mask)(Path(spec.root, "mixed", name))
    mixed = replace(spec, ends=("_rgb", "_ids"), train=Split("mixed", "mixed"))
    dataset = open_dataset(mixed, "train")
    assert [dataset.name(i) for i in range(len(dataset))] == ["c"]


def test_a_listed_mask_of_another_ending_is_a_fault(spec: DataSpec) -> None:
    for name in ("c_rgb.jpg", "c_road_ids.png", "c_lane_ids.png"):
        (write_image if name.endswith("jpg") else write_mask)(Path(spec.root, name))
    Path(spec.root, "t.lst").write_text("c_rgb.jpg c_lane_ids.png\n")
    mixed = replace(
        spec, ends=("_rgb", "_road_ids"), train=Split(list="t.lst"), val=Split(list="t.lst")
    )
    assert messages(mixed) == [
        (
            "data.train: c_lane_ids.png is not a mask of this data set "
            "(and 1 more: data.val: c_lane_ids.png), allowed: a name that ends in _road_ids.png"
        )
    ]


@pytest.mark.parametrize(
    ("values", "held"), [(0, "class 0 alone"), (255, "no labelled pixel"), (1, "class 1 alone")]
)
def test_masks_that_leave_nothing_to_tell_apart_are_a_fault(
    spec: DataSpec, values: int, held: str
) -> None:
    """Masks of 0 and 255 are what painting programs write: 255 then counts nowhere."""
    Path(spec.root, "val").mkdir()
    Path(spec.root, "images").rename(Path(spec.root, "val/images"))
    Path(spec.root, "masks").rename(Path(spec.root, "val/masks"))
    for stem in ("a", "b"):
        write_image(Path(spec.root, f"images/{stem}.png"))
        write_mask(Path(spec.root, f"masks/{stem}.png"), values)
    two = replace(spec, val=Split("val/images", "val/masks"))
    assert messages(two) == [
        (
            f"data.train: masks/a.png and the other 1 masks: {held}, allowed: 2 classes or more; "
            "mapping says what stored ids mean, ignore which one is no class"
        )
    ]


def test_a_palette_mask_keeps_its_indices(spec: DataSpec) -> None:
    indices = np.arange(48, dtype=np.uint8).reshape(8, 6) % 3
    mask = Image.fromarray(indices).convert("L")
    palette = Image.new("P", mask.size)
    palette.putdata(indices.ravel().tolist())
    palette.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    palette.save(Path(spec.root, "masks/a.png"))
    assert np.array_equal(open_dataset(spec, "train")[0][1], indices)


def write_palette_mask(path: Path, colours: list[tuple[int, int, int]]) -> None:
    """Write a mask whose rows have these colours, each of which is the index of its place."""
    rows = np.repeat(np.arange(8, dtype=np.uint8)[:, None] % len(colours), 6, axis=1)
    mask = Image.fromarray(rows).convert("P")
    mask.putpalette([part for colour in colours for part in colour])
    mask.save(path)


def test_palettes_that_number_colours_differently_are_a_fault(spec: DataSpec) -> None:
    """As pngquant, optipng and Pillow's GIF writer number the colours of each file anew."""
    black, red, green = (0, 0, 0), (200, 10, 10), (10, 200, 10)
    a, b = (Path(spec.root, f"masks/{name}.png") for name in ("a", "deep/b"))
    write_palette_mask(a, [black, red, green])
    write_palette_mask(b, [black, red])  # without what it does not use
    assert messages(spec) == []
    write_palette_mask(b, [black, green])
    assert messages(spec) == [
        (
            "data.train: masks/deep/b.png has label 1 in the colour [10, 200, 10], a.png in "
            "[200, 10, 10] (and 1 more: data.val: masks/deep/b.png), allowed: one palette, "
            "data.colors, or data.mapping if indices are meant"
        )
    ]
    assert messages(replace(spec, mapping=((0, 0), (1, 1), (2, 2)))) == []
    colors = ((black, 0), (red, 1), (green, 2))
    assert messages(replace(spec, colors=colors)) == []
    dataset = open_dataset(replace(spec, colors=colors), "train")
    assert [dataset[i][1][:3, 0].tolist() for i in (0, 1)] == [[0, 1, 2], [0, 2, 0]]


def test_the_ignored_label_becomes_ours(spec: DataSpec) -> None:
    write_mask(Path(spec.root, "masks/a.png"), [0, 1, 2, 7, 7, 0])
    mask = open_dataset(replace(spec, ignore=7), "train")[0][1]
    assert mask[0].tolist() == [0, 1, 2, IGNORED, IGNORED, 0]


def test_a_mapping_sends_stored_ids_to_classes(spec: DataSpec) -> None:
    for stem in ("a", "deep/b"):
        write_mask(Path(spec.root, f"masks/{stem}.png"), [7, 11, 26, 7, 0, 0])
    mapped = replace(spec, mapping=((7, 0), (11, 1), (26, 2)), ignore=0)
    assert open_dataset(mapped, "train")[0][1][0].tolist() == [0, 1, 2, 0, IGNORED, IGNORED]
    assert messages(replace(mapped, ignore=9)) == [
        (
            "data.train: masks/a.png holds label 0 (and 3 more: masks/deep/b.png, "
            "data.val: masks/a.png, ...), allowed: 7, 9, 11, 26"
        )
    ]


def test_a_mapping_may_give_the_ignored_label_a_meaning(spec: DataSpec) -> None:
    for stem in ("a", "deep/b"):
        write_mask(Path(spec.root, f"masks/{stem}.png"), [0, 255, 0, 255, 0, 0])
    painted = replace(spec, classes=2, mapping=((0, 0), (255, 1)))
    assert messages(painted) == []
    assert open_dataset(painted, "train")[0][1][0].tolist() == [0, 1, 0, 1, 0, 0]


def test_a_mapping_to_no_class_is_a_fault(spec: DataSpec) -> None:
    assert messages(replace(spec, mapping=((7, 3),))) == [
        "data.mapping: 7: 3 maps to no class, allowed: 0..255 to 0..2 or 255"
    ]


def test_a_working_size_resizes_images_smoothly_and_masks_by_the_nearest(spec: DataSpec) -> None:
    stripes = np.zeros((8, 6), dtype=np.uint8)
    stripes[:, 3:] = 2
    write_mask(Path(spec.root, "masks/a.png"), stripes)
    Image.fromarray(np.repeat(stripes[:, :, None] * 100, 3, axis=2)).save(
        Path(spec.root, "images/a.png")
    )
    image, mask = open_dataset(replace(spec, size=(16, 24)), "train")[0]
    assert image.shape == (16, 24, 3)
    assert set(np.unique(mask)) == {0, 2}
    assert 0 < image[0, 11, 0] < image[0, 12, 0] < 200
    assert np.array_equal(image[:, :, 0] > 100, mask == 2)


def test_missing_partners_are_faults_that_name_the_file(spec: DataSpec) -> None:
    write_image(Path(spec.root, "images/only.png"))
    write_mask(Path(spec.root, "masks/lone.png"))
    assert messages(spec) == [
        (
            "data.train: masks/lone.png has no image (and 1 more: data.val: masks/lone.png), "
            "allowed: image and mask of one path but the suffix, and ends if they differ"
        ),
        (
            "data.train: images/only.png has no mask (and 1 more: data.val: images/only.png), "
            "allowed: image and mask of one path but the suffix, and ends if they differ"
        ),
    ]
    with pytest.raises(DataError, match=r"lone\.png has no image"):
        open_dataset(spec, "train")
    with pytest.raises(DataError, match=r"lone\.png has no image"):
        fingerprint(spec)


def test_two_images_of_one_stem_are_a_fault(spec: DataSpec) -> None:
    write_image(Path(spec.root, "images/a.jpg"))
    assert messages(spec) == [
        (
            "data.train.images: images/a.png has the stem of a.jpg "
            "(and 1 more: data.val.images: images/a.png)"
        )
    ]


def test_all_sorts_of_bad_files_are_found_at_once(spec: DataSpec) -> None:
    root = Path(spec.root)
    for stem in "cdefgh":
        write_image(root / f"images/{stem}.png", size=(40, 30))
        write_mask(root / f"masks/{stem}.png", size=(40, 30))
    whole = (root / "images/c.png").read_bytes()
    (root / "images/c.png").write_bytes(whole[: len(whole) // 2])
    (root / "masks/d.png").write_bytes(b"")
    write_mask(root / "masks/e.png", size=(30, 40))
    write_mask(root / "masks/f.png", 3, size=(40, 30))
    for stem in "gh":
        Image.new("I;16", (30, 40)).save(root / f"masks/{stem}.png")
    found = messages(replace(spec, val=Split("good", "good_masks")))
    assert len(found) == 6
    assert found[0].startswith("data.train: images/c.png cannot be read (")
    assert found[0].endswith("(and 1 more: masks/d.png), allowed: a whole image file")
    assert found[1:4] == [
        "data.train: masks/e.png is 40 x 30, its image e.png 30 x 40, allowed: the same size",
        "data.train: masks/f.png holds label 3, allowed: 0, 1, 2, 255",
        (
            "data.train: masks/g.png is a mask of mode I;16 (and 1 more: masks/h.png), "
            "allowed: one channel of 8 bits, a palette, or RGB"
        ),
    ]
    layout = "allowed: images in good, masks in good_masks, below the root"
    assert found[4] == f"data.val.images: good is not a folder, {layout}"


def test_folders_that_are_not_there_come_with_the_layout_and_all_their_names(
    tmp_path: Path,
) -> None:
    cityscapes = replace(PRESETS["cityscapes"].spec, root=str(tmp_path))
    layout = (
        "allowed: images *_leftImg8bit.* in leftImg8bit/train, masks *_gtFine_labelIds.* in "
        "gtFine/train, below the root or its folder cityscapes"
    )
    assert messages(cityscapes) == [
        (
            f"data.train.{part}: {folder}/train is not a folder "
            f"(and 1 more: data.val.{part}: {folder}/val), {layout}"
        )
        for part, folder in (("images", "leftImg8bit"), ("masks", "gtFine"))
    ]


@pytest.mark.parametrize(("given", "right"), [("top/data/images", "top/data"), ("top", "top/data")])
def test_a_root_beside_the_right_one_is_told_the_right_one(
    given: str, right: str, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        write_image(tmp_path / f"top/data/images/{split}/a.png")
        write_mask(tmp_path / f"top/data/masks/{split}/a.png")
    splits = [Split(f"images/{s}", f"masks/{s}") for s in ("train", "val")]
    spec = DataSpec("folder", 3, train=splits[0], val=splits[1], root=str(tmp_path / right))
    assert messages(spec) == []
    hint = f"is not a folder, did you mean the root {(tmp_path / right).resolve()}? (and 1 more"
    found = preflight(replace(spec, root=str(tmp_path / given)))
    assert [hint in str(fault) for fault in found] == [True, True]
    # The same of a list; a path that is absolute has nothing to do with the root.
    (tmp_path / right / "t.lst").write_text("images/train/a.png masks/train/a.png\n")
    listed = replace(spec, train=Split(list="t.lst"), root=str(tmp_path / given))
    assert "t.lst cannot be read, did you mean the root" in messages(listed)[0]
    absolute = replace(spec, train=Split(str(tmp_path / right / "t.lst"), "masks/train"))
    assert "t.lst is not a folder, allowed" in messages(absolute)[0]


def test_a_corrupt_image_is_an_error_that_names_it_when_it_is_met(spec: DataSpec) -> None:
    Path(spec.root, "images/a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(DataError, match=r"images/a\.png cannot be read"):
        open_dataset(spec, "train")[0]


def test_an_empty_split_and_too_few_classes_are_faults(spec: DataSpec) -> None:
    Path(spec.root, "none").mkdir()
    assert messages(replace(spec, classes=1, val=Split("none", "none"))) == [
        "data.classes: 1 classes cannot be distinguished, allowed: 2 to 255",
        "data.val: none with none holds no image with a mask, allowed: at least 1",
    ]


def test_a_missing_root_is_one_fault(spec: DataSpec) -> None:
    assert [fault.path for fault in preflight(replace(spec, root=spec.root + "/no"))] == [
        "data.root"
    ]


def test_the_fingerprint_sees_masks_names_sizes_and_lists(spec: DataSpec) -> None:
    root = Path(spec.root)
    (root / "t.lst").write_text("images/a.png masks/a.png\n")
    spec = replace(spec, val=Split(list="t.lst"))
    seen = {fingerprint(spec)}
    write_mask(root / "masks/a.png", 2)
    seen.add(fingerprint(spec))
    write_image(root / "images/a.png", size=(80, 60))
    seen.add(fingerprint(spec))
    (root / "t.lst").write_text("images/a.png  masks/a.png\n")
    seen.add(fingerprint(spec))
    seen.add(fingerprint(replace(spec, mapping=((1, 0), (2, 1)))))
    seen.add(fingerprint(replace(spec, ignore=2)))
    for tree in ("images", "masks"):
        (root / tree / "deep/b.png").rename(root / tree / "deep/c.png")
    seen.add(fingerprint(spec))
    assert len(seen) == 7
