"""Image and mask stay together through every augmentation, and nothing else is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.data.augment import (
    Windows,
    augmented,
    draw_windows,
    normalised,
    recoloured,
    resample,
)
from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import Schedule

SPEC = DataSpec("shapes", classes=8, size=(48, 64), train_images=10, val_images=7)
SCHEDULE = Schedule(SPEC, batch=4, crop=(32, 40))


def windows(
    stored: tuple[int, int], *cut: tuple[tuple[int, int], tuple[int, int], bool]
) -> Windows:
    """Return windows of images of one stored size: size when resized, corner, mirrored."""
    resized, corners, flips = zip(*cut, strict=True)
    return Windows(
        np.array([stored] * len(cut)), np.array(resized), np.array(corners), np.array(flips)
    )


def many(image: Tensor, count: int) -> Tensor:
    return image[None].expand(count, *image.shape).contiguous()


def test_a_window_equals_resizing_the_whole_image_and_cropping_it() -> None:
    image = torch.randint(0, 256, (3, 37, 53), dtype=torch.uint8)
    whole = F.interpolate(image[None].float(), (52, 75), mode="bilinear")[0]
    two = windows((37, 53), ((52, 75), (9, 17), False), ((52, 75), (9, 17), True))
    cut, _, inside = resample(many(image, 2), many(image[0], 2), two, (20, 30))
    assert inside.all()
    assert torch.allclose(cut[0], whole[:, 9:29, 17:47], atol=2e-3)
    assert torch.allclose(cut[1], cut[0].flip(2), atol=2e-3)


@pytest.mark.parametrize("size", [(20, 24), (40, 48), (80, 96), (31, 77)])
def test_image_and_mask_stay_aligned(size: tuple[int, int]) -> None:
    """The image holds each pixel's own coordinates; so does the mask, and they have to agree."""
    y, x = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    image = torch.stack([y, x, y]).to(torch.uint8)
    both = windows((40, 48), (size, (3, 5), False), (size, (3, 5), True))
    for axis, mask in enumerate((y.to(torch.uint8), x.to(torch.uint8))):
        cut, labels, inside = resample(many(image, 2), many(mask, 2), both, (16, 18))
        apart = (cut[:, axis] - labels.float()).abs()
        assert apart[inside].max() <= 0.5 + 1e-4  # source pixels


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    images = torch.randint(0, 256, (3, 3, 30, 40), dtype=torch.uint8)
    masks = torch.randint(0, 8, (3, 30, 40), dtype=torch.uint8)
    drawn = draw_windows(np.random.default_rng(1), np.array([[30, 40]] * 3), SCHEDULE)
    together = augmented(images, masks, drawn, SCHEDULE)
    for i in range(3):
        one = Windows(drawn.stored[[i]], drawn.resized[[i]], drawn.corners[[i]], drawn.flips[[i]])
        alone = augmented(images[[i]], masks[[i]], one, SCHEDULE)
        assert torch.equal(together[0][[i]], alone[0])
        assert torch.equal(together[1][[i]], alone[1])


def test_an_image_in_the_corner_of_a_larger_tensor_sees_nothing_of_the_rest() -> None:
    image = torch.randint(0, 256, (1, 3, 20, 25), dtype=torch.uint8)
    mask = torch.randint(0, 8, (1, 20, 25), dtype=torch.uint8)
    held = F.pad(image, (0, 7, 0, 9), value=77), F.pad(mask, (0, 7, 0, 9), value=3)
    window = windows((20, 25), ((37, 52), (3, 10), True))
    bare, padded = (
        resample(one, labels, window, (32, 40)) for one, labels in ((image, mask), held)
    )
    assert all(torch.equal(a, b) for a, b in zip(bare, padded, strict=True))


def test_outside_the_image_is_the_mean_and_ignored() -> None:
    images, masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 8, 8).byte()
    both = windows((8, 8), ((4, 8), (0, 0), False), ((4, 8), (0, 0), True))
    normal, labels = augmented(images, masks, both, replace(SCHEDULE, crop=(6, 10)))
    black = normalised(images[:1, :, :1, :1], SPEC).flatten()
    for flip in range(2):
        inside = labels[flip] == 1
        assert int(inside.sum()) == 4 * 8
        assert (labels[flip][~inside] == IGNORED).all()
        assert (normal[flip][:, ~inside] == 0).all()
        assert torch.equal(normal[flip][:, inside], black[:, None].expand(3, 32))
    assert inside[:4, 2:].all()  # mirrored, the padding is at the left


def test_windows_use_the_whole_range_of_scale_place_and_mirroring() -> None:
    rng = np.random.default_rng(0)
    drawn = draw_windows(rng, np.full((500, 2), 100), SCHEDULE)
    heights, ratio = drawn.resized[:, 0], drawn.resized[:, 0] / drawn.resized[:, 1]
    assert heights.min() in range(50, 55)
    assert heights.max() in range(195, 201)
    assert (ratio == 1).all()
    assert (drawn.corners + SCHEDULE.crop <= drawn.resized).all()
    assert drawn.corners.min() == 0
    assert drawn.corners.max() > 120
    assert 200 < drawn.flips.sum() < 300
    assert not draw_windows(rng, np.full((20, 2), 100), replace(SCHEDULE, flip=False)).flips.any()


def test_every_corner_that_fits_is_drawn() -> None:
    fixed = replace(SCHEDULE, scale=(1.0, 1.0))
    drawn = draw_windows(np.random.default_rng(0), np.full((200, 2), (34, 40)), fixed)
    assert set(drawn.corners[:, 0].tolist()) == {0, 1, 2}
    assert set(drawn.corners[:, 1].tolist()) == {0}


def test_images_are_normalised_with_the_mean_and_deviation_of_the_data() -> None:
    level = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    spec = replace(SPEC, mean=(0.5, 0.0, 1.0), std=(0.25, 2.0, 1.0))
    assert normalised(level, spec).flatten().tolist() == [2.0, 0.5, 0.0]


def test_colours_change_by_what_is_said() -> None:
    images = torch.tensor([[100.0, 150.0], [50.0, 100.0], [20.0, 30.0]]).view(1, 3, 1, 2)
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    changes = {
        (0.0, 0.0, 0.0): images,
        (0.1, 0.0, 0.0): images + 25.5,
        (1.0, 0.0, 0.0): torch.full_like(images, 255),
        (0.0, -1.0, 0.0): grey.mean().expand_as(images),
        (0.0, 0.5, 0.0): (grey.mean() + 1.5 * (images - grey.mean())).clamp(0, 255),
        (0.0, 0.0, -1.0): grey.expand_as(images),
    }
    found = recoloured(images.expand(6, -1, -1, -1), torch.tensor(list(changes)))
    torch.testing.assert_close(found, torch.cat(list(changes.values())))


def test_colours_are_drawn_for_each_image_where_the_schedule_asks() -> None:
    bright = replace(SCHEDULE, photometric=0.4)
    drawn = draw_windows(np.random.default_rng(0), np.full((200, 2), 50), bright)
    assert drawn.colours is not None
    assert drawn.colours.shape == (200, 3)
    assert 0.35 < np.abs(drawn.colours).max() <= 0.4
    plain = draw_windows(np.random.default_rng(0), np.full((200, 2), 50), SCHEDULE)
    assert plain.colours is None
    # What else is drawn is the same: two schedules that differ in colours see the same crops.
    assert (plain.corners == drawn.corners).all()
    images = torch.full((200, 3, 50, 50), 128, dtype=torch.uint8)
    crops, labels = augmented(images, images[:, 0] * 0, drawn, bright)
    assert len(set(crops[:, 0].amax(dim=(1, 2)).tolist())) > 100
    assert (crops.permute(0, 2, 3, 1)[labels == IGNORED] == 0).all()
