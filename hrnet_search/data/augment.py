"""Augmentation as the HRNet library does it, of a whole batch at once, on the batch's device.

Scale, place, mirroring and brightness follow `lib/datasets/base_dataset.py` (branch HRNet-OCR):
bilinear images, nearest masks, padding at the bottom and right, ignored there. Nothing is resized
beyond what the crop shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrnet_search.records.data_spec import IGNORED, DataSpec
from hrnet_search.records.schedule import BLACK_PADDING, MEAN_PADDING, Schedule

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a colour (ITU-R BT.601)."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """The crops of N resized images, int64 [N, 2] (height, width) and bool [N].

    `stored` are the sizes of the images, `resized` what they become, `corners` where the crops
    start in them, `flips` which crops are mirrored. `colours` float64 [N, 3], from -1 to 1, are
    the changes of brightness, contrast and saturation, None where there are none; so `levels`,
    int64 [N], what is added to all colours.
    """

    stored: Integers
    resized: Integers
    corners: Integers
    flips: NDArray[np.bool_]
    colours: NDArray[np.float64] | None = None
    levels: Integers | None = None

    def at(self, places: Sequence[int]) -> Windows:
        """Return those of some of the images."""
        chosen = list(places)
        colours = None if self.colours is None else self.colours[chosen]
        levels = None if self.levels is None else self.levels[chosen]
        sizes = (self.stored[chosen], self.resized[chosen], self.corners[chosen])
        return Windows(*sizes, self.flips[chosen], colours, levels)


def draw_windows(rng: np.random.Generator, sizes: Integers, schedule: Schedule) -> Windows:
    """Draw scale, place, mirroring and colours for images of `sizes` [N, 2] (height, width)."""
    count = len(sizes)
    resized = _resized(sizes, _scales(rng, count, schedule), schedule.long_side)
    # As in the library, what is too small is padded at its bottom and right.
    room = np.maximum(0, resized - schedule.crop) + 1
    corners = (rng.random((count, 2)) * room).astype(np.int64)
    flips = rng.random(count) < (0.5 if schedule.flip else 0.0)
    strength = schedule.photometric
    colours = rng.uniform(-strength, strength, size=(count, 3)) if strength else None
    levels = _levels(rng, count, schedule.brightness) if schedule.brightness else None
    return Windows(sizes, resized, corners, flips, colours, levels)


def _scales(rng: np.random.Generator, count: int, schedule: Schedule) -> NDArray[np.float64]:
    """Return scales [N, 1]: any in the range, or those a step apart in it, each as likely."""
    low, high = schedule.scale
    if not schedule.scale_step:
        return rng.uniform(low, high, size=(count, 1))
    steps = round((high - low) / schedule.scale_step)
    places = rng.integers(steps, endpoint=True, size=(count, 1)).astype(np.float64)
    return low + places * schedule.scale_step


def _resized(sizes: Integers, scales: NDArray[np.float64], long_side: int) -> Integers:
    """Return the sizes [N, 2] of resized images.

    With a long side as the library rounds: first that side, then the other one by the ratio.
    """
    if not long_side:
        return np.maximum(1, np.rint(sizes * scales)).astype(np.int64)
    longer = sizes.max(axis=1, keepdims=True)
    target = (long_side * scales + 0.5).astype(np.int64)
    found: Integers = np.maximum(1, sizes * target / longer + 0.5).astype(np.int64)
    return found


def _levels(rng: np.random.Generator, count: int, most: int) -> Integers:
    """Return levels to add [N]: half of them 0, the others any whole number up to `most`."""
    shifts = rng.integers(-most, most, endpoint=True, size=count)
    return np.where(rng.random(count) < 0.5, 0, shifts)


def augmented(
    images: Tensor, masks: Tensor, windows: Windows, schedule: Schedule
) -> tuple[Tensor, Tensor]:
    """Return the normalised crops, float32 [N, 3, h, w], and their labels, int64 [N, h, w].

    Of images uint8 [N, 3, H, W] and masks uint8 [N, H, W]. Outside an image its crop is IGNORED,
    and the mean colour, 0 after normalisation, or what black becomes as part of the image.
    """
    cut, labels, inside = resample(images, masks, windows, schedule.crop)
    if schedule.padding == BLACK_PADDING:
        cut = cut.masked_fill_(~inside[:, None], 0)
    if windows.colours is not None:
        cut = recoloured(cut, torch.from_numpy(windows.colours).float().to(cut.device))
    if windows.levels is not None:
        levels = torch.from_numpy(windows.levels).to(cut.device).view(-1, 1, 1, 1)
        cut = (cut + levels).clamp_(0, 255)
    normal = normalised(cut, schedule.data)
    if schedule.padding == MEAN_PADDING:
        normal = normal.masked_fill_(~inside[:, None], 0)
    return normal, trade_places(labels.long(), windows.flips.tolist(), schedule.data.swaps)


def resample(
    images: Tensor, masks: Tensor, windows: Windows, crop: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the windows out of resized images without resizing the rest of them.

    Returns float32 [N, 3, h, w], bilinear, in 0 to 255, uint8 labels [N, h, w], nearest, and
    bool [N, h, w], which says what lies inside the image; labels are IGNORED elsewhere.
    Images smaller than the tensor that holds them are in its upper left corner.
    """
    whole = np.column_stack([windows.stored, windows.resized, windows.corners, windows.flips])
    numbers = torch.from_numpy(whole).to(images.device, non_blocking=True)
    stored, resized, corners = numbers[:, :2], numbers[:, 2:4], numbers[:, 4:6]
    none = torch.zeros_like(numbers[:, 6])
    rows = _sources(resized[:, 0], corners[:, 0], crop[0], stored[:, 0], none)
    columns = _sources(resized[:, 1], corners[:, 1], crop[1], stored[:, 1], numbers[:, 6])
    blended = _across(_down(images, rows), columns)
    inside = rows.inside[:, :, None] & columns.inside[:, None, :]
    labels = _rows(masks[:, None], rows.nearest)
    labels = labels.gather(3, _spread(columns.nearest, labels)).squeeze(1)
    return blended, labels.masked_fill(~inside, IGNORED), inside


def recoloured(images: Tensor, shifts: Tensor) -> Tensor:
    """Change brightness, contrast and saturation of images [N, 3, h, w] in 0 to 255.

    By `shifts` [N, 3] from -1 to 1: white is added, the distance to the mean grey and that to
    each pixel's own grey grow by these parts. Results stay within 0 to 255.
    """
    brightness, contrast, saturation = shifts.T.reshape(3, -1, 1, 1, 1)
    weights = torch.tensor(GREY, device=images.device).view(3, 1, 1)
    images = (images + 255 * brightness).clamp_(0, 255)
    mean = (images * weights).sum(dim=1, keepdim=True).mean(dim=(2, 3), keepdim=True)
    images = torch.lerp(mean, images, 1 + contrast).clamp_(0, 255)
    grey = (images * weights).sum(dim=1, keepdim=True)
    return torch.lerp(grey, images, 1 + saturation).clamp_(0, 255)


def trade_places(labels: Tensor, flips: Sequence[bool], swaps: Sequence[tuple[int, int]]) -> Tensor:
    """Exchange the classes of each pair in `swaps` where a crop was mirrored.

    Labels int64 [N, h, w] with one flip each: a mirror makes a left arm a right arm, as the
    library's `lib/datasets/lip.py` knows.
    """
    if not swaps:
        return labels
    table = torch.arange(IGNORED + 1, device=labels.device)
    for one, other in swaps:
        table[one], table[other] = other, one
    mirrored = torch.tensor(flips, device=labels.device)
    return torch.where(mirrored[:, None, None], table[labels], labels)


def normalised(images: Tensor, spec: DataSpec) -> Tensor:
    """Return images [N, 3, H, W], 0 to 255, as float32 minus the mean over the deviation."""
    mean = torch.tensor(spec.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(3, 1, 1)
    return (images.float() / 255).sub_(mean).div_(std)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pixels of one axis of N crops come from; [N, length of the crop].

    `below` and `above` are the neighbours, `part` the weight of `above`, `nearest` the source
    pixel under the centre, `inside` whether there is one.
    """

    below: Tensor
    above: Tensor
    part: Tensor
    nearest: Tensor
    inside: Tensor


def _sources(resized: Tensor, corner: Tensor, crop: int, length: Tensor, flip: Tensor) -> Sources:
    resized, corner, length, flip = (x[:, None] for x in (resized, corner, length, flip))
    place = torch.arange(crop, device=resized.device)
    place = corner + torch.where(flip > 0, crop - 1 - place, place)
    last = length - 1
    centre = (place + 0.5) * (length / resized)
    at = torch.minimum((centre - 0.5).clamp_(min=0), last)
    below = at.long()
    return Sources(
        below=below,
        above=torch.minimum(below + 1, last),
        part=at - below,
        nearest=torch.minimum(centre.long(), last),
        inside=place < resized,
    )


def _down(images: Tensor, rows: Sources) -> Tensor:
    """Return the rows of the crops, at the whole width: [N, 3, h, W]."""
    below, above = (_rows(images, index).float() for index in (rows.below, rows.above))
    return _between(below, above, rows.part[:, None, :, None])


def _across(values: Tensor, columns: Sources) -> Tensor:
    below, above = (
        values.gather(3, _spread(index, values)) for index in (columns.below, columns.above)
    )
    return _between(below, above, columns.part[:, None, None, :])


def _between(below: Tensor, above: Tensor, part: Tensor) -> Tensor:
    # torch.lerp does the same, but one element at a time where the weight is broadcast.
    return above.sub_(below).mul_(part).add_(below)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Return rows `index` [N, h] of values [N, C, H, W]; whole rows are copied fast."""
    count, channels, height, width = values.shape
    planes = torch.arange(count * channels, device=values.device).view(count, channels, 1)
    flat = (planes * height + index[:, None]).flatten()
    return values.reshape(-1, width).index_select(0, flat).view(count, channels, -1, width)


def _spread(index: Tensor, values: Tensor) -> Tensor:
    """Return columns `index` [N, w] as indices for every row of values [N, C, h, W]."""
    return index[:, None, None].expand(-1, values.shape[1], values.shape[2], -1)
