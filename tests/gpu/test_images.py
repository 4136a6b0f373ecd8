"""Decoded images that lie on the GPU, and batches that are put together there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hrnet_search.data import batches
from hrnet_search.data.batches import Batches, ImageStore, validation_batches
from hrnet_search.data.dataset import open_dataset
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

pytestmark = pytest.mark.gpu

SPEC = DataSpec("shapes", classes=8, size=(48, 64), train_images=10, val_images=7)
SCHEDULE = Schedule(SPEC, batch=4, crop=(32, 40), photometric=0.3)


@pytest.mark.parametrize("share", [0.25, 0.0])
def test_items_are_on_the_gpu_wherever_the_images_lie(
    share: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(batches, "GPU_SHARE", share)
    dataset = open_dataset(SPEC, "train")
    before = torch.cuda.memory_allocated()
    store = ImageStore(dataset, "cuda", tmp_path, 10**6)
    kept = torch.cuda.memory_allocated() - before
    assert (kept >= 10 * 48 * 64 * 4) == (share > 0)  # image and mask: four bytes a pixel
    for index in range(len(store)):
        image, mask = store[index]
        pixels, truth = dataset[index]
        assert (image.device.type, mask.device.type) == ("cuda", "cuda")
        assert torch.equal(image.cpu(), torch.from_numpy(pixels).permute(2, 0, 1))
        assert torch.equal(mask.cpu(), torch.from_numpy(truth))
    pointers = [store[0][0].data_ptr() for _ in range(2)]
    assert (pointers[0] == pointers[1]) or share == 0.0


def test_a_batch_is_that_of_the_cpu() -> None:
    """Up to rounding: a nearest pixel on a border may be the next one."""
    for step in range(5):
        pair = [
            Batches(ImageStore(open_dataset(SPEC, "train"), device), SCHEDULE, 0, device).batch(
                step
            )
            for device in ("cpu", "cuda")
        ]
        (images, labels), (found, truth) = pair
        assert found.device.type == truth.device.type == "cuda"
        assert ((found.cpu() - images).abs() < 1e-3).float().mean() > 0.999
        assert (truth.cpu() == labels).float().mean() > 0.999


def test_validation_batches_are_those_of_the_cpu() -> None:
    data = replace(SPEC, val_images=5)
    stores = {device: ImageStore(open_dataset(data, "val"), device) for device in ("cpu", "cuda")}
    made = [list(validation_batches(store, data, 2, d)) for d, store in stores.items()]
    for (images, labels, indices), (found, truth, others) in zip(*made, strict=True):
        assert torch.allclose(found.cpu(), images, atol=1e-5)
        assert torch.equal(truth.cpu(), labels)
        assert list(indices) == list(others)
