"""What is said of data before anything is trained on them: counts, classes, leftovers, doubts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.dataset import preflight
from hrnet_search.data.inspection import inspect
from hrnet_search.data.places import suffixes
from hrnet_search.records.data_spec import DataSpec, Split

TRAIN, VAL = (Split(f"images/{s}", f"masks/{s}") for s in ("train", "val"))


@pytest.fixture
def spec(tmp_path: Path) -> DataSpec:
    """Two training pairs of classes 0 and 1, and one to judge, of classes 0 and 2, of four."""
    rng = np.random.default_rng(0)
    for split, stem, label in (("train", "a", 1), ("train", "b", 1), ("val", "c", 2)):
        for part in ("images", "masks"):
            (tmp_path / part / split).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{split}/{stem}.png")
        mask = np.zeros((8, 9), dtype=np.uint8)
        mask[4:] = label
        Image.fromarray(mask).save(tmp_path / f"masks/{split}/{stem}.png")
    names = ("road", "car", "sky")
    return DataSpec("folder", 4, names=names, train=TRAIN, val=VAL, root=str(tmp_path))


def lines(spec: DataSpec) -> list[str]:
    inventory, faults = inspect(spec)
    assert faults == []
    return list(inventory.lines(spec))


def test_images_masks_and_classes_of_each_split_are_counted(spec: DataSpec) -> None:
    assert lines(spec) == [
        "train: 2 images, 2 masks; 2 of 4 classes occur, never: sky, class 3",
        "val: 1 image, 1 mask; 2 of 4 classes occur, never: car, class 3",
    ]


def test_what_is_not_used_is_counted_and_named(spec: DataSpec) -> None:
    for name in ("Thumbs.db", "notes.txt", "x.csv", "y.json"):
        Path(spec.root, "images/train", name).write_text("")
    Path(spec.root, "masks/val/LICENSE").write_text("")
    assert [line for line in lines(spec) if "not used" in line] == [
        "train: 4 files not used: Thumbs.db, notes.txt, x.csv, ...",
        "val: 1 file not used: LICENSE",
    ]


def test_many_classes_that_never_occur_are_named_in_part(spec: DataSpec) -> None:
    many = lines(replace(spec, classes=20))[0]
    assert many.endswith(
        "class 3, class 4, class 5, class 6, class 7, class 8, class 9, ... (10 more)"
    )


def test_images_of_both_splits_are_a_warning_by_path(spec: DataSpec) -> None:
    warning = lines(replace(spec, val=spec.train))[-1]
    assert warning == (
        "warning: 2 of 2 validation images are trained on as well (train/a.png, train/b.png): "
        "accuracy on them says little about new images"
    )


@pytest.mark.parametrize(("kind", "pages"), [("tif", 30), ("gif", 3), ("overview", 1)])
def test_images_of_a_file_beyond_the_first_are_said_to_be_left_out(
    kind: str, pages: int, spec: DataSpec
) -> None:
    """A stack of slices in one TIFF; an overview of the same image is no other image."""
    before = lines(spec)
    path = Path(spec.root, "images/train/a.png")
    with Image.open(path) as image:
        first = image.convert("RGB")
    path.unlink()
    if kind == "overview":
        half = first.resize((max(1, first.width // 2), max(1, first.height // 2)))
        first.save(path.with_suffix(".tif"), save_all=True, append_images=[half])
        assert lines(spec) == before
        return
    rng = np.random.default_rng(0)
    shape = (pages - 1, first.height, first.width, 3)
    rest = [Image.fromarray(one) for one in rng.integers(0, 255, shape, dtype=np.uint8)]
    first.save(path.with_suffix(f".{kind}"), save_all=True, append_images=rest)
    assert lines(spec)[-1] == (
        "warning: 1 file holds several images, the first of which is read and the other"
        f" {pages - 1} are not (train/a.{kind}): write each to a file of its own"
    )


@pytest.mark.parametrize("copy", ["copied", "linked", "in another format"])
def test_images_of_both_splits_are_a_warning_by_content(copy: str, spec: DataSpec) -> None:
    """A file of another name or format shows the same to a network."""
    images, masks = Path(spec.root, "images"), Path(spec.root, "masks")
    shutil.copy(masks / "train/a.png", masks / "val/d.png")
    if copy == "copied":
        shutil.copy(images / "train/a.png", images / "val/d.png")
    elif copy == "linked":
        (images / "val/d.png").symlink_to(images / "train/a.png")
    else:
        Image.open(images / "train/a.png").save(images / "val/d.tif")
    copies = ", 1 of them as copies (val/d" if copy != "linked" else " (val/d.png)"
    start = f"warning: 1 of 2 validation images are trained on as well{copies}"
    assert lines(spec)[-1].startswith(start)


def test_masks_that_are_jpeg_are_a_warning_whatever_their_name(spec: DataSpec) -> None:
    """Authority: JPEG's own start of image (ITU-T T.81, marker FFD8)."""
    mask = Path(spec.root, "masks/train/a.png")
    flat = Image.fromarray(np.repeat(np.array([0, 255], dtype=np.uint8), 64).reshape(8, 16))
    flat.save(mask, format="JPEG", quality=100)
    Image.new("RGB", flat.size).save(Path(spec.root, "images/train/a.png"))
    both = replace(spec, mapping=((0, 0), (255, 1), (1, 1), (2, 2)))
    assert lines(both)[-1] == (
        "warning: 1 mask is JPEG (train/a.png), which changes labels at edges: PNG keeps them as "
        "they were drawn"
    )
    noisy = np.where(np.arange(128).reshape(8, 16) % 5, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(mask, format="JPEG", quality=40)
    (fault,) = preflight(both)
    assert "masks/train/a.png holds label" in str(fault)
    assert str(fault).endswith("JPEG changes labels at edges: masks have to be PNG")


@pytest.mark.parametrize(
    ("suffix", "what", "unless"),
    [
        (".webp", "WebP", " unless written as lossless"),
        (".jp2", "JPEG 2000", " unless written as lossless"),
        (".avif", "AVIF", " unless written as lossless"),
        (".tif", "JPEG", ""),
    ],
)
def test_masks_in_other_formats_that_change_pixels_are_a_warning(
    suffix: str, what: str, unless: str, spec: DataSpec
) -> None:
    """Authority: what Pillow reads back of classes that are drawn next to each other."""
    if suffix not in suffixes():
        pytest.skip(f"this Pillow does not read {what}")
    path = Path(spec.root, "masks/train/a.png")
    drawn = np.zeros((64, 64), dtype=np.uint8)
    drawn[10:40, 10:40], drawn[30:, 30:] = 3, 7
    Image.new("RGB", (64, 64)).save(Path(spec.root, "images/train/a.png"))
    options: dict[str, Any] = {
        ".tif": {"compression": "jpeg"},
        ".jp2": {"quality_mode": "rates", "quality_layers": [20]},
        ".avif": {"quality": 20},
    }
    Image.fromarray(drawn).save(path.with_suffix(suffix), **options.get(suffix, {}))
    path.unlink()
    with Image.open(path.with_suffix(suffix)) as stored:
        assert (np.asarray(stored.convert("L")) != drawn).any()
    assert lines(replace(spec, classes=32))[-1] == (
        f"warning: 1 mask is {what} (train/a{suffix}), which changes labels at edges{unless}: "
        "PNG keeps them as they were drawn"
    )


def test_one_palette_is_asked_of_both_splits(spec: DataSpec) -> None:
    """As where each split was exported by itself by what numbers colours anew."""
    for split, colour in (("train/a", 200), ("train/b", 200), ("val/c", 90)):
        mask = Image.fromarray(np.repeat(np.array([[0], [1]], dtype=np.uint8), 36).reshape(8, 9))
        mask = mask.convert("P")
        mask.putpalette([0, 0, 0, colour, 0, 0])
        mask.save(Path(spec.root, f"masks/{split}.png"))
    (fault,) = preflight(spec)
    assert str(fault).startswith(
        f"data.val: {spec.root}/masks/val/c.png has label 1 in the colour [90, 0, 0], a.png in "
        "[200, 0, 0], allowed: one palette"
    )
    assert preflight(replace(spec, mapping=((0, 0), (1, 1)))) == []


def test_what_a_drawn_part_leaves_over_is_counted_once(spec: DataSpec) -> None:
    Path(spec.root, "images/train/Thumbs.db").write_text("")
    part = replace(spec, val=Split(), val_fraction=0.5)
    assert [line for line in lines(part) if "not used" in line] == [
        "train: 1 file not used: Thumbs.db"
    ]


def test_a_part_of_the_training_images_is_looked_at_once(spec: DataSpec) -> None:
    part = replace(spec, val=Split(), val_fraction=0.5)
    assert [line.split(";")[0] for line in lines(part)] == [
        "train: 1 image, 1 mask",
        "val: 1 image, 1 mask",
    ]
    Path(spec.root, "masks/train/a.png").unlink()
    assert [str(f).partition(", allowed")[0] for f in preflight(part)] == [
        f"data.train: {spec.root}/images/train/a.png has no mask"
    ]
