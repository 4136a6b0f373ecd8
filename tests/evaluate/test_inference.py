"""Windows, mirrors and scales against the rules of the official test script, pixel by pixel.

`multi_scale_inference` of `lib/datasets/base_dataset.py` and `cityscapes.py` (branch HRNet-OCR) is
written down here once more, by hand and one image at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_search.evaluate.inference import Inference, Protocol, resized

BLACK = torch.tensor([-2.1, -2.0, -1.8])
CLASSES = 3
Size = tuple[int, int]


class Quarter(nn.Module):
    """A network whose logits depend on where it looks, at a quarter of the size."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, CLASSES, 5, stride=4, padding=2)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images)
        return found


NETWORK = Quarter()


def drawn(size: Size, count: int = 1) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(3))


def up(values: Tensor, size: Size) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def official_inference(image: Tensor, flip: bool) -> Tensor:
    size = (image.shape[2], image.shape[3])
    found = up(NETWORK(image), size)
    if flip:
        found = (found + up(NETWORK(image.flip(3)), size).flip(3)) * 0.5
    return found.exp()


def padded(image: Tensor, crop: Size) -> Tensor:
    height, width = image.shape[2:]
    whole = BLACK.view(1, 3, 1, 1).repeat(1, 1, max(height, crop[0]), max(width, crop[1]))
    whole[:, :, :height, :width] = image
    return whole


def official_base(image: Tensor, scales: list[float], flip: bool, crop: Size, base: int) -> Tensor:
    """Readers other than Cityscapes': windows two thirds apart, padded at the edges."""
    size = (image.shape[2], image.shape[3])
    stride = (int(crop[0] * 2.0 / 3.0), int(crop[1] * 2.0 / 3.0))
    total = torch.zeros(1, CLASSES, *size)
    for scale in scales:
        one = up(image, resized(size, scale, base))
        height, width = one.shape[2:]
        if max(height, width) <= min(crop):
            found = official_inference(padded(one, crop), flip)[:, :, :height, :width]
        else:
            one = padded(one, crop)
            new = one.shape[2:]
            rows = math.ceil((new[0] - crop[0]) / stride[0]) + 1
            columns = math.ceil((new[1] - crop[1]) / stride[1]) + 1
            found, count = torch.zeros(1, CLASSES, *new), torch.zeros(1, 1, *new)
            for r in range(rows):
                for c in range(columns):
                    h0, w0 = r * stride[0], c * stride[1]
                    h1, w1 = min(h0 + crop[0], new[0]), min(w0 + crop[1], new[1])
                    part = official_inference(padded(one[:, :, h0:h1, w0:w1], crop), flip)
                    found[:, :, h0:h1, w0:w1] += part[:, :, : h1 - h0, : w1 - w0]
                    count[:, :, h0:h1, w0:w1] += 1
            found = (found / count)[:, :, :height, :width]
        total += up(found, size)
    return total


def official_cityscapes(
    image: Tensor, scales: list[float], flip: bool, crop: Size, base: int
) -> Tensor:
    """Cityscapes': whole up to a scale of 1, then windows beside each other, shifted back."""
    size = (image.shape[2], image.shape[3])
    total = torch.zeros(1, CLASSES, *size)
    for scale in scales:
        one = up(image, resized(size, scale, base))
        new = one.shape[2:]
        if scale <= 1.0:
            found = official_inference(one, flip)
        else:
            rows = math.ceil((new[0] - crop[0]) / crop[0]) + 1
            columns = math.ceil((new[1] - crop[1]) / crop[1]) + 1
            found, count = torch.zeros(1, CLASSES, *new), torch.zeros(1, 1, *new)
            for r in range(rows):
                for c in range(columns):
                    h1, w1 = min((r + 1) * crop[0], new[0]), min((c + 1) * crop[1], new[1])
                    h0, w0 = max(h1 - crop[0], 0), max(w1 - crop[1], 0)
                    part = official_inference(one[:, :, h0:h1, w0:w1], flip)
                    found[:, :, h0:h1, w0:w1] += part
                    count[:, :, h0:h1, w0:w1] += 1
            found = found / count
        total += up(found, size)
    return total


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(40, 70), (64, 48), (20, 24)])
@pytest.mark.parametrize("scales", [[1.0], [0.5, 1.0, 1.75]])
@pytest.mark.parametrize(
    ("official", "cityscapes"), [(official_base, False), (official_cityscapes, True)]
)
def test_scores_are_those_of_the_official_test_script(
    flip: bool, size: Size, scales: list[float], official: Callable[..., Tensor], cityscapes: bool
) -> None:
    crop, image = (24, 32), drawn(size)
    protocol = Protocol(tuple(scales), flip, crop, long_side=max(size))
    if cityscapes:
        protocol = Protocol(tuple(scales), flip, crop, crop, max(size), 1.0, True)
    ours = Inference(NETWORK, protocol, False, BLACK).scores(image)
    with torch.no_grad():
        theirs = official(image, scales, flip, crop, max(size))
    if protocol.is_plain:
        ours = ours.exp()
    torch.testing.assert_close(ours.float(), theirs, rtol=1e-4, atol=1e-5)


def test_a_batch_is_decided_on_as_its_images_are() -> None:
    images = drawn((40, 56), count=3)
    protocol = Protocol((0.75, 1.25), True, (24, 24))
    inference = Inference(NETWORK, protocol, False, BLACK)
    alone = torch.cat([inference.scores(image[None]) for image in images])
    torch.testing.assert_close(inference.scores(images), alone)


def test_whole_images_decided_on_once_have_their_logits() -> None:
    images = drawn((40, 56))
    found = Inference(NETWORK, Protocol(), False, BLACK).scores(images)
    torch.testing.assert_close(found, up(NETWORK(images), (40, 56)))


def test_probabilities_add_up_to_one() -> None:
    images = drawn((20, 24), count=2)
    for protocol in (Protocol(), Protocol((1.0, 2.0), True, (16, 16), (7, 5))):
        inference = Inference(NETWORK, protocol, False, BLACK)
        found = inference.probabilities(inference.scores(images))
        assert float((found.sum(dim=1) - 1).abs().max()) < 1e-5


def test_classes_trade_places_in_a_mirror() -> None:
    """As LIP's reader has it: in the mirror image a left arm is a right one."""

    def network(images: Tensor) -> Tensor:
        half = images.shape[-1] // 2
        logits = torch.zeros(1, 3, *images.shape[-2:])
        logits[:, 1, :, :half], logits[:, 2, :, half:] = 5, 5
        return logits

    found = Inference(network, Protocol(flip=True), False, BLACK, [(1, 2)]).scores(drawn((4, 8)))
    assert found.argmax(dim=1)[0, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_logits_that_exp_cannot_hold_in_fp32_decide_as_others_do() -> None:
    def network(images: Tensor) -> Tensor:
        return torch.tensor([300.0, 301.0, 299.0]).view(1, 3, 1, 1).expand(1, 3, *images.shape[-2:])

    found = Inference(network, Protocol(flip=True), False, BLACK).scores(drawn((4, 4)))
    assert found.isfinite().all()
    assert (found.argmax(dim=1) == 1).all()
