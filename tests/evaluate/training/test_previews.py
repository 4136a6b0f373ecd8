"""Previews are few, small, and what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrnet_search.evaluate.training.previews import COUNT, Previews, chosen, shown
from hrnet_search.records.data_spec import IGNORED, DataSpec

SPEC = DataSpec("shapes", classes=3, mean=(0.5, 0.25, 0.0), std=(0.5, 0.1, 1.0))


@pytest.mark.parametrize(
    ("images", "expected"),
    [(0, ()), (1, (0,)), (3, (0, 1, 2)), (4, (0, 1, 2, 3)), (100, (12, 37, 62, 87))],
)
def test_they_are_spread_evenly(images: int, expected: tuple[int, ...]) -> None:
    assert chosen(images) == expected
    assert len(set(chosen(images))) == min(COUNT, images)


def test_colours_and_labels_come_back() -> None:
    colours = torch.randint(0, 256, (3, 8, 10)).float()
    mean, std = torch.tensor(SPEC.mean).view(3, 1, 1), torch.tensor(SPEC.std).view(3, 1, 1)
    truth, predicted = torch.randint(0, 3, (8, 10)), torch.randint(0, 3, (8, 10))
    truth[0] = IGNORED
    image, *labels = shown((colours / 255 - mean) / std, truth, predicted, SPEC)
    assert (image == colours.permute(1, 2, 0).numpy()).all()
    assert (labels[0] == truth.numpy()).all()
    assert (labels[1] == predicted.numpy()).all()


def test_large_images_are_made_small_and_stay_whole() -> None:
    image = torch.zeros(3, 512, 1024)
    truth = torch.zeros(512, 1024, dtype=torch.int64)
    image[:, :, 512:], truth[:, 512:] = 1.0, 2
    small, labels, _ = shown(image, truth, truth, SPEC)
    assert small.shape == (128, 256, 3)
    assert (labels[:, :128] == 0).all()
    assert (labels[:, 128:] == 2).all()
    assert (small[:, :128] == [128, 64, 0]).all()
    assert (small[:, 128:] == [255, 89, 255]).all()


def test_only_the_chosen_are_kept_in_order_and_different_sizes_together() -> None:
    previews = Previews(SPEC, (1, 4))
    for index in (4, 2, 1):
        size = (6, 5) if index == 1 else (4, 9)
        labels = torch.full(size, index % 3)
        previews.look(index, torch.ones(3, *size), labels, labels)
    arrays = previews.arrays()
    assert arrays["preview_indices"].tolist() == [1, 4]
    assert arrays["preview_images"].shape == (2, 6, 9, 3)
    assert {a.dtype for name, a in arrays.items() if name != "preview_indices"} == {np.dtype("u1")}
    assert (arrays["preview_truth"][0, :, 5:] == IGNORED).all()
    assert (arrays["preview_truth"][1, :4] == 1).all()
    assert (arrays["preview_images"][1, 4:] == 0).all()


def test_without_any_there_are_no_arrays() -> None:
    assert Previews(SPEC, ()).arrays() == {}
