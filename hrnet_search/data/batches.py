"""Batches: images decoded once, augmented as the HRNet library does, by step."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hrnet_search.data.cache import Decoded, Unkept, decode_all, open_cache
from hrnet_search.data.dataset import Array, Dataset
from hrnet_search.records import IGNORED, DataSpec, Schedule

GPU_SHARE = 0.25
"""Of a GPU's free memory, how much decoded images may take; the networks need the rest."""

ORDER, AUGMENTATION = 0, 1
"""Streams of random numbers that one seed feeds."""


class ImageStore:
    """A data set's images, decoded once; trials on one device share it.

    An item is an image uint8 [3, H, W] and a mask uint8 [H, W] on `device`. With a `folder`,
    decoded images are kept there, up to `limit` bytes, and shared with other processes (see
    `data/cache.py`); without, in memory. `unkept` says why they are decoded on every access
    instead, and is empty where they are not. What is read is never to be written to.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
        limit: int = 0,
    ) -> None:
        self._dataset, self._device = dataset, torch.device(device)
        self._views: list[tuple[Tensor, Tensor]] = []
        self.unkept = ""
        decoded = decode_all(dataset) if folder is None else open_cache(dataset, folder, limit)
        if isinstance(decoded, Unkept):
            self.unkept = decoded.reason
        else:
            self._views = _views(decoded, _placed(decoded.buffer, self._device))

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.unkept:
            image, mask = self._dataset[index]
            pair = _planes(image), torch.from_numpy(mask)
        else:
            pair = self._views[index]
        return pair[0].to(self._device), pair[1].to(self._device)


@dataclass(frozen=True, slots=True)
class Window:
    """The crop of a resized image: `size` of the resized image, the crop's corner, mirrored."""

    size: tuple[int, int]
    corner: tuple[int, int]
    flip: bool


class Batches:
    """Training batches, each a pure function of (data, schedule, seed, step)."""

    def __init__(
        self,
        dataset: Dataset | ImageStore,
        schedule: Schedule,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        assert seed >= 0, "a seed is not negative"
        self._store = dataset if isinstance(dataset, ImageStore) else ImageStore(dataset, device)
        self._schedule, self._seed, self._device = schedule, seed, device

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images float32 [N, 3, h, w], normalised, and labels int64 [N, h, w].

        Every image is met once an epoch, in an order of its own; h and w are the crop's.
        """
        rng = np.random.default_rng([self._seed, AUGMENTATION, step])
        crop = self._schedule.crop
        images, masks, flips = [], [], []
        for index in self._indices(step):
            image, mask = self._store[index]
            window = draw_window(rng, (mask.shape[0], mask.shape[1]), self._schedule)
            one, labels = resample(image, mask, window, crop, self._schedule.data.mean)
            images.append(one)
            masks.append(labels)
            flips.append(window.flip)
        normal = normalised(torch.stack(images), self._schedule.data)
        labels = trade_places(torch.stack(masks).long(), flips, self._schedule.data.swaps)
        return normal.to(self._device), labels.to(self._device)

    def _indices(self, step: int) -> Iterator[int]:
        count, batch = len(self._store), self._schedule.batch
        first = step * batch
        for epoch in range(first // count, (first + batch - 1) // count + 1):
            order = np.random.default_rng([self._seed, ORDER, epoch]).permutation(count)
            start = epoch * count
            yield from order[max(0, first - start) : first + batch - start].tolist()


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


def draw_window(rng: np.random.Generator, size: tuple[int, int], schedule: Schedule) -> Window:
    """Draw scale, place and mirroring for an image of `size` (height, width)."""
    scale = rng.uniform(*schedule.scale)
    height, width = (max(1, round(side * scale)) for side in size)
    # As in the library, what is too small is padded at its bottom and right.
    top, left = (
        int(rng.integers(0, max(0, side - crop) + 1))
        for side, crop in zip((height, width), schedule.crop, strict=True)
    )
    mirrored = bool(rng.integers(2))
    return Window((height, width), (top, left), schedule.flip and mirrored)


def resample(
    image: Tensor,
    mask: Tensor,
    window: Window,
    crop: tuple[int, int],
    mean: tuple[float, float, float],
) -> tuple[Tensor, Tensor]:
    """Cut a window of the resized image without resizing the rest of it.

    uint8 [3, H, W] and [H, W] to float32 [3, h, w], bilinear, in 0 to 255, and uint8 [h, w],
    nearest. Outside the image is the mean, and IGNORED.
    """
    device = image.device
    rows = _sources(window.size[0], window.corner[0], crop[0], image.shape[1], False, device)
    columns = _sources(
        window.size[1], window.corner[1], crop[1], image.shape[2], window.flip, device
    )
    blended = _blend(_blend(image, rows, 1), columns, 2)
    inside = rows.inside[:, None] & columns.inside
    fill = torch.tensor(mean, device=device).mul(255).view(3, 1, 1)
    labels = mask[rows.nearest][:, columns.nearest]
    return torch.where(inside, blended, fill), labels.masked_fill(~inside, IGNORED)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pixels of one axis of a crop come from; vectors of the crop's length.

    `below` and `above` are the neighbours, `part` the weight of `above`, `nearest` the source
    pixel under the centre, `inside` whether there is one.
    """

    below: Tensor
    above: Tensor
    part: Tensor
    nearest: Tensor
    inside: Tensor


def _sources(
    resized: int, corner: int, crop: int, length: int, flip: bool, device: torch.device
) -> Sources:
    place = torch.arange(corner, corner + crop, device=device)
    inside = place < resized
    centre = (place + 0.5) * (length / resized)
    if flip:
        inside, centre = inside.flip(0), centre.flip(0)
    at = (centre - 0.5).clamp(0, length - 1)
    below = at.long()
    return Sources(
        below=below,
        above=(below + 1).clamp(max=length - 1),
        part=at - below,
        nearest=centre.long().clamp(max=length - 1),
        inside=inside,
    )


def _blend(values: Tensor, sources: Sources, axis: int) -> Tensor:
    part = sources.part.view([-1 if axis == a else 1 for a in range(3)])
    below = values.index_select(axis, sources.below).float()
    above = values.index_select(axis, sources.above).float()
    return torch.lerp(below, above, part)


def normalised(images: Tensor, spec: DataSpec) -> Tensor:
    """Return images [N, 3, H, W], 0 to 255, as float32 minus the mean over the deviation."""
    mean = torch.tensor(spec.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(3, 1, 1)
    return (images.float() / 255 - mean) / std


def validation_batches(
    images: Dataset | ImageStore, spec: DataSpec, batch: int, device: torch.device | str
) -> Iterator[tuple[Tensor, Tensor, Sequence[int]]]:
    """Yield images float32 [n, 3, H, W], labels int64 [n, H, W] and indices, in order.

    Nothing is augmented; a batch holds at most `batch` images that follow each other and have
    one size.
    """
    waiting: list[tuple[Tensor, Tensor]] = []
    for index in range(len(images)):
        pair = _pair(images, index)
        if waiting and (len(waiting) == batch or pair[1].shape != waiting[0][1].shape):
            yield (*_together(waiting, spec, device), range(index - len(waiting), index))
            waiting = []
        waiting.append(pair)
    if waiting:
        yield (*_together(waiting, spec, device), range(len(images) - len(waiting), len(images)))


def _together(
    pairs: list[tuple[Tensor, Tensor]], spec: DataSpec, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    images, masks = zip(*pairs, strict=True)
    return (
        normalised(torch.stack(images).to(device), spec),
        torch.stack(masks).to(device).long(),
    )


def _pair(images: Dataset | ImageStore, index: int) -> tuple[Tensor, Tensor]:
    if isinstance(images, ImageStore):
        return images[index]
    image, mask = images[index]
    return _planes(image), torch.from_numpy(mask)


def _planes(image: Array) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def _placed(buffer: Array, device: torch.device) -> Tensor:
    """Return the buffer as a tensor without a copy, on a GPU that has room for it as a copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it cannot be written to: nobody does
        tensor = torch.from_numpy(buffer)
    return tensor.to(device) if fits(buffer.nbytes, device) else tensor


def fits(size: int, device: torch.device) -> bool:
    """Whether decoded images of `size` bytes may lie on the device."""
    return device.type != "cuda" or size <= GPU_SHARE * torch.cuda.mem_get_info(device)[0]


def _views(decoded: Decoded, buffer: Tensor) -> list[tuple[Tensor, Tensor]]:
    views = []
    for index, (height, width) in enumerate(decoded.sizes):
        image, mask = (buffer[place] for place in decoded.places(index))
        views.append((image.view(3, height, width), mask.view(height, width)))
    return views
