"""Batches repeat exactly, and image and mask stay together through every augmentation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hrnet_search.data.augment import trade_places
from hrnet_search.data.batches import Batches, ImageStore, Some, fits, validation_batches
from hrnet_search.data.dataset import Array, open_dataset
from hrnet_search.errors import DataError
from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule

SPEC = DataSpec("shapes", classes=8, size=(48, 64), train_images=10, val_images=7)
SCHEDULE = Schedule(SPEC, batch=4, crop=(32, 40))


class Numbered:
    """Images of given sizes whose every pixel is the image's number."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        if index >= len(self.sizes):
            raise IndexError(index)
        mask = np.full(self.sizes[index], index, dtype=np.uint8)
        return np.repeat(mask[:, :, None], 3, axis=2), mask

    def name(self, index: int) -> str:
        return str(index)

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]

    @property
    def key(self) -> str:
        return f"numbered-{len(self.sizes)}"

    def stamp(self) -> str:
        return hashlib.sha256(repr(self.sizes).encode()).hexdigest()


def test_a_batch_has_the_crop_size_and_the_promised_types() -> None:
    images, labels = Batches(open_dataset(SPEC, "train"), SCHEDULE, 0).batch(0)
    assert (images.dtype, tuple(images.shape)) == (torch.float32, (4, 3, 32, 40))
    assert (labels.dtype, tuple(labels.shape)) == (torch.int64, (4, 32, 40))
    assert ((labels < 8) | (labels == IGNORED)).all()


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    store = ImageStore(open_dataset(SPEC, "train"))
    straight = Batches(store, SCHEDULE, 3)
    all_of_them = [straight.batch(step) for step in range(5)]
    resumed = Batches(open_dataset(SPEC, "train"), SCHEDULE, 3).batch(4)
    assert torch.equal(resumed[0], all_of_them[4][0])
    assert torch.equal(resumed[1], all_of_them[4][1])
    assert not torch.equal(Batches(store, SCHEDULE, 4).batch(4)[0], resumed[0])
    assert not torch.equal(all_of_them[3][0], resumed[0])


@pytest.mark.parametrize("batch", [3, 4, 25])
def test_every_image_is_met_once_an_epoch_in_a_new_order(batch: int) -> None:
    schedule = replace(SCHEDULE, batch=batch, crop=(4, 4), scale=(1.0, 1.0))
    made = Batches(Numbered([(4, 4)] * 10), schedule, 0)
    met = [int(mask[0, 0]) for step in range(20) for mask in made.batch(step)[1]][:60]
    epochs = [met[i : i + 10] for i in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 6


def test_classes_trade_places_where_a_crop_was_mirrored() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4, IGNORED]).repeat(2, 1, 1)
    plain, mirrored = trade_places(labels, [False, True], ((1, 2), (4, 3)))
    assert plain.flatten().tolist() == [0, 1, 2, 3, 4, IGNORED]
    assert mirrored.flatten().tolist() == [0, 2, 1, 4, 3, IGNORED]
    assert trade_places(labels, [True, True], ()) is labels


def test_a_left_hand_is_a_right_hand_in_the_mirror() -> None:
    """Two images of one class each: only where one was mirrored it is the other class."""
    data = replace(SPEC, swaps=((0, 1),))
    schedule = replace(SCHEDULE, data=data, batch=2, crop=(8, 8), scale=(1.0, 1.0))
    dataset = Numbered([(8, 8), (8, 8)])
    seen = set()
    for step in range(12):
        swapped = Batches(dataset, schedule, 0).batch(step)[1]
        plain = Batches(dataset, replace(schedule, data=SPEC), 0).batch(step)[1]
        seen |= {bool((a == b).all()) for a, b in zip(swapped, plain, strict=True)}
        assert all(len(labels.unique()) == 1 for labels in swapped)
    assert seen == {True, False}
    still = replace(schedule, flip=False)
    labels = [Batches(dataset, still, 0).batch(step)[1] for step in range(6)]
    bare = [Batches(dataset, replace(still, data=SPEC), 0).batch(step)[1] for step in range(6)]
    assert torch.equal(torch.stack(labels), torch.stack(bare))


@pytest.mark.parametrize("kept", [False, True])
def test_validation_images_come_once_in_order_as_they_are(kept: bool) -> None:
    dataset = open_dataset(SPEC, "val")
    source = ImageStore(dataset) if kept else dataset
    met: list[int] = []
    for images, labels, indices in validation_batches(source, SPEC, 3, "cpu"):
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert len(images) == len(labels) == len(indices) <= 3
        for image, mask, index in zip(images, labels, indices, strict=True):
            stored, truth = dataset[index]
            assert torch.equal(mask, torch.from_numpy(truth).long())
            pixel = (stored[5, 7] / 255 - SPEC.mean) / SPEC.std
            assert np.allclose(image[:, 5, 7].numpy(), pixel, atol=1e-5)
        met += indices
    assert met == list(range(7))


def test_validation_batches_hold_one_size_each() -> None:
    dataset = Numbered([(4, 4), (4, 4), (4, 6), (4, 4), (4, 4), (4, 4)])
    made = list(validation_batches(ImageStore(dataset), SPEC, 2, "cpu"))
    assert [list(indices) for _, _, indices in made] == [[0, 1], [2], [3, 4], [5]]


def test_images_of_different_sizes_are_trained_on_together() -> None:
    dataset = Numbered([(9, 40), (50, 8), (30, 30)])
    images, labels = Batches(dataset, replace(SCHEDULE, batch=3), 0).batch(0)
    assert images.shape == (3, 3, 32, 40)
    assert {int(mask[0, 0]) for mask in labels} <= {0, 1, 2, IGNORED}


def pointers(store: ImageStore) -> list[int]:
    return [part.data_ptr() for i in range(len(store)) for part in store[i]]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("sizes", [[(4, 6)] * 3, [(4, 6), (9, 2), (1, 1)]])
def test_images_are_those_of_the_data_set_wherever_they_lie(
    kept: bool, sizes: list[tuple[int, int]], tmp_path: Path
) -> None:
    store = ImageStore(Numbered(sizes), "cpu", tmp_path if kept else None, 10**6)
    assert store.unkept == ""
    for i, (height, width) in enumerate(sizes):
        image, mask = store[i]
        assert (image.dtype, mask.dtype) == (torch.uint8, torch.uint8)
        assert (image == i).all()
        assert (mask == i).all()
        assert (image.shape, mask.shape) == ((3, height, width), (height, width))


def test_images_in_memory_lie_in_one_buffer() -> None:
    store = ImageStore(Numbered([(4, 6), (9, 2), (1, 1)]))
    parts = [part for i in range(3) for part in store[i]]
    starts = [part.data_ptr() for part in parts]
    assert max(starts) - min(starts) < sum(part.nbytes for part in parts)
    assert pointers(store) == pointers(store)


def test_no_file_is_mapped(tmp_path: Path) -> None:
    """A file that is cut while it is mapped ends the process by SIGBUS."""
    store = ImageStore(Numbered([(40, 60)]), "cpu", tmp_path, 10**6)
    assert store[0][0].shape == (3, 40, 60)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def test_a_cache_that_is_cut_is_an_error_once_and_built_again_for_all(tmp_path: Path) -> None:
    """Three workers, of which one has an error: three alike would end the study."""
    stores = [ImageStore(Numbered([(4, 6)] * 3), "cpu", tmp_path, 10**6) for _ in range(3)]
    (path,) = tmp_path.glob("*.images")
    os.truncate(path, 0)
    with pytest.raises(DataError, match=rf"{path}: was cut short"):
        stores[1][2]
    assert [int(stores[i][2][1][0, 0]) for i in (0, 2)] == [2, 2]
    assert path.stat().st_size > 0


def test_beyond_the_limit_images_are_decoded_on_every_access(tmp_path: Path) -> None:
    dataset = open_dataset(SPEC, "train")
    store = ImageStore(dataset, "cpu", tmp_path, 1000)
    assert store.unkept == "decoded images take 0.000127 GB, data.cache allows 1e-06 GB"
    kept = ImageStore(dataset)
    assert len(store) == len(kept) == 10
    assert all(torch.equal(a, b) for i in range(10) for a, b in zip(store[i], kept[i], strict=True))
    assert not list(tmp_path.glob("*.images"))
    images, labels = Batches(store, SCHEDULE, 0).batch(0)
    expected = Batches(kept, SCHEDULE, 0).batch(0)
    assert torch.equal(images, expected[0])
    assert torch.equal(labels, expected[1])


@pytest.mark.parametrize(("free", "there"), [(1000, True), (999, False)])
def test_a_gpu_takes_the_images_if_they_leave_most_of_it_free(
    free: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**9))
    assert fits(250, torch.device("cuda")) == there


@pytest.mark.parametrize("schedule", [SCHEDULE, replace(SCHEDULE, photometric=0.2, long_side=90)])
def test_a_share_of_a_batch_is_the_same_as_among_all(schedule: Schedule) -> None:
    """And nothing else is read: a process that has a share decodes that alone."""

    class Read(Numbered):
        read: list[int]

        def __getitem__(self, index: int) -> tuple[Array, Array]:
            self.read.append(index)
            return super().__getitem__(index)

    data = Read([(40 + i, 60 - i) for i in range(10)])
    data.read = []
    store = ImageStore(data)
    store._decoded = None  # as of a data set that is too large to be kept
    batches = Batches(store, schedule, 0)
    images, labels = batches.batch(3)
    data.read = []
    own, truth = batches.batch(3, [3, 1])
    assert len(data.read) == 2
    torch.testing.assert_close(own, images[[3, 1]])
    assert torch.equal(truth, labels[[3, 1]])


def test_some_of_the_validation_images_are_those_among_all() -> None:
    data = Numbered([(8, 8)] * 3 + [(9, 8)] * 4)
    spec = replace(SPEC, size=None)
    found = [
        (i, int(labels[k, 0, 0]))
        for _, labels, indices in validation_batches(data, spec, 2, "cpu", range(2, 6))
        for k, i in enumerate(indices)
    ]
    assert found == [(i, i) for i in range(2, 6)]


@pytest.mark.parametrize(("most", "kept"), [(3, (0, 2, 4)), (7, range(7)), (9, range(7))])
def test_some_images_are_spread_over_all(most: int, kept: Sequence[int]) -> None:
    store = ImageStore(Numbered([(8, 8)] * 7), "cpu")
    some = Some(store, most)
    assert len(some) == len(kept)
    assert [some.name(i) for i in range(len(some))] == [store.name(i) for i in kept]
    found = [
        (i, int(labels[k, 0, 0]))
        for _, labels, indices in validation_batches(some, replace(SPEC, size=None), 2, "cpu")
        for k, i in enumerate(indices)
    ]
    assert found == list(enumerate(kept))
