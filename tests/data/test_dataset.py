"""What every data kind promises, held for all of the table."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import miniature
import numpy as np
import pytest
from PIL import Image

from hrnet_search.data.dataset import DATASETS, fingerprint, open_dataset, preflight
from hrnet_search.errors import DataError
from hrnet_search.presets import PRESETS
from hrnet_search.records.data_spec import DATA_KINDS, IGNORED, DataSpec, Split


def shapes(_: Path) -> DataSpec:
    return DataSpec("shapes", classes=8, size=(48, 64), train_images=5, val_images=3)


def folder(root: Path) -> DataSpec:
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 3)):
        for tree, shape in (("images", (48, 64, 3)), ("masks", (48, 64))):
            place = root / split / tree
            place.mkdir(parents=True)
            for i in range(count):
                values = rng.integers(0, 256 if tree == "images" else 8, shape, dtype=np.uint8)
                Image.fromarray(values).save(place / f"{i}.png")
    train, val = (Split(f"{split}/images", f"{split}/masks") for split in ("train", "val"))
    return DataSpec("folder", classes=8, train=train, val=val, root=str(root))


SPECS: dict[str, Callable[[Path], DataSpec]] = {
    "shapes": shapes,
    "folder": folder,
    **{kind: partial(miniature.make, kind) for kind in PRESETS},
}


@pytest.fixture(params=DATA_KINDS)
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> DataSpec:
    return SPECS[request.param](tmp_path / "data")


def test_the_table_has_the_kinds_that_a_space_file_may_name() -> None:
    assert tuple(DATASETS) == DATA_KINDS


def test_sizes_are_known_without_decoding(spec: DataSpec) -> None:
    for size in (None, (40, 56)):
        dataset = open_dataset(replace(spec, size=size or spec.size), "val")
        assert [dataset.size(i) for i in range(3)] == [size or (48, 64)] * 3
        assert dataset[0][1].shape == dataset.size(0)


def test_keys_tell_splits_and_options_apart(spec: DataSpec) -> None:
    other = replace(spec, size=(96, 96))
    keys = {open_dataset(s, split).key for s in (spec, other) for split in ("train", "val")}
    assert len(keys) == 4
    assert all(key.replace("-", "").isalnum() for key in keys)
    assert open_dataset(spec, "val").stamp() == open_dataset(spec, "val").stamp()
    assert open_dataset(other, "val").stamp() != open_dataset(spec, "val").stamp()


def test_good_data_pass_preflight(spec: DataSpec) -> None:
    assert preflight(spec) == []


def test_lengths_names_and_arrays_are_as_promised(spec: DataSpec) -> None:
    for split, count in (("train", 5), ("val", 3)):
        dataset = open_dataset(spec, split)
        assert len(dataset) == count
        assert len({dataset.name(i) for i in range(count)}) == count
        for i in range(count):
            image, mask = dataset[i]
            assert image.dtype == mask.dtype == np.uint8
            assert image.shape == (48, 64, 3)
            assert mask.shape == (48, 64)
            assert ((mask < spec.classes) | (mask == IGNORED)).all()
            assert image.flags.writeable
            assert mask.flags.writeable


@pytest.mark.parametrize("index", [5, -1])
def test_an_index_outside_is_an_index_error(spec: DataSpec, index: int) -> None:
    with pytest.raises(IndexError):
        open_dataset(spec, "train")[index]


def test_images_do_not_depend_on_order_or_thread(spec: DataSpec) -> None:
    forward = list(map(open_dataset(spec, "train").__getitem__, range(5)))
    with ThreadPoolExecutor(4) as pool:
        backward = list(pool.map(open_dataset(spec, "train").__getitem__, range(4, -1, -1)))
    for (image, mask), (again, same) in zip(forward, reversed(backward), strict=True):
        assert np.array_equal(image, again)
        assert np.array_equal(mask, same)


def test_splits_have_other_images(spec: DataSpec) -> None:
    train, val = open_dataset(spec, "train"), open_dataset(spec, "val")
    assert not any(np.array_equal(train[i][0], val[i][0]) for i in range(3))


def test_the_fingerprint_is_twelve_hex_digits_that_repeat(spec: DataSpec) -> None:
    assert len(fingerprint(spec)) == 12
    assert int(fingerprint(spec), 16) >= 0
    assert fingerprint(spec) == fingerprint(spec)


def test_a_copy_elsewhere_at_another_time_has_the_same_fingerprint(tmp_path: Path) -> None:
    spec = folder(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for path in (tmp_path / "two").rglob("*.png"):
        os.utime(path, (1, 1))
    assert fingerprint(replace(spec, root=str(tmp_path / "two"))) == fingerprint(spec)


def test_an_unknown_kind_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(DataError, match="'tfds' is not a kind of data, allowed: shapes, folder, "):
        open_dataset(DataSpec("tfds", 3), "train")
