"""Batches: images decoded once, put together and augmented by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hrnet_search.data.augment import augmented, draw_windows, normalised
from hrnet_search.data.cache import ReplacedError, Unkept, open_cache
from hrnet_search.data.dataset import Array, Dataset
from hrnet_search.data.decoded import Decoded, decode_all
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

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
        self._folder, self._limit = folder, limit
        self._open()

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self._on_device:
            return self._on_device[index]
        image, mask = self._pair(index)
        return image.to(self._device), mask.to(self._device)

    def name(self, index: int) -> str:
        """Return what an image is called."""
        return self._dataset.name(index)

    def _open(self) -> None:
        self._decoded: Decoded | None = None
        self._on_device: list[tuple[Tensor, Tensor]] = []
        self.unkept = ""
        decoded = (
            decode_all(self._dataset)
            if self._folder is None
            else open_cache(self._dataset, self._folder, self._limit)
        )
        if isinstance(decoded, Unkept):
            self.unkept = decoded.reason
        elif self._device.type == "cuda" and fits(decoded.nbytes, self._device):
            try:
                self._on_device = _placed(decoded, self._device)
            except ReplacedError:
                self._open()
        else:
            self._decoded = decoded

    def _pair(self, index: int) -> tuple[Tensor, Tensor]:
        if self._decoded is None:
            image, mask = self._dataset[index]
            return _planes(image), torch.from_numpy(mask)
        try:
            return (
                torch.from_numpy(self._decoded.image(index)),
                torch.from_numpy(self._decoded.mask(index)),
            )
        except ReplacedError:
            self._open()
            return self._pair(index)


class Some:
    """At most so many images of a store, spread evenly over all: the same for every network."""

    def __init__(self, store: ImageStore, most: int) -> None:
        self._store, self._kept = store, min(most, len(store))

    def __len__(self) -> int:
        return self._kept

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._store[self._of(index)]

    def name(self, index: int) -> str:
        return self._store.name(self._of(index))

    def _of(self, index: int) -> int:
        return index * len(self._store) // self._kept


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

    def batch(self, step: int, places: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Return images float32 [N, 3, h, w], normalised, and labels int64 [N, h, w].

        Every image is met once an epoch, in an order of its own; h and w are the crop's. With
        `places` only those of the batch, the same as among all: the others are not read.
        """
        order = list(self._indices(step))
        chosen = list(range(len(order)) if places is None else places)
        pairs = [self._store[order[place]] for place in chosen]
        rng = np.random.default_rng([self._seed, AUGMENTATION, step])
        sizes = np.ones((len(order), 2), dtype=np.int64)  # no draw depends on them
        sizes[chosen] = [mask.shape for _, mask in pairs]
        windows = draw_windows(rng, sizes, self._schedule).at(chosen)
        images = _stacked([image for image, _ in pairs]).to(self._device)
        masks = _stacked([mask for _, mask in pairs]).to(self._device)
        return augmented(images, masks, windows, self._schedule)

    def _indices(self, step: int) -> Iterator[int]:
        count, batch = len(self._store), self._schedule.batch
        first = step * batch
        for epoch in range(first // count, (first + batch - 1) // count + 1):
            order = np.random.default_rng([self._seed, ORDER, epoch]).permutation(count)
            start = epoch * count
            yield from order[max(0, first - start) : first + batch - start].tolist()


def validation_batches(
    images: Dataset | ImageStore | Some,
    spec: DataSpec,
    batch: int,
    device: torch.device | str,
    which: range | None = None,
) -> Iterator[tuple[Tensor, Tensor, Sequence[int]]]:
    """Yield images float32 [n, 3, H, W], labels int64 [n, H, W] and indices, in order.

    Nothing is augmented; a batch holds at most `batch` images that follow each other and have
    one size. `which` are the indices of the images, of all by default.
    """
    waiting: list[tuple[Tensor, Tensor]] = []
    which = range(len(images)) if which is None else which
    for index in which:
        pair = _pair(images, index)
        if waiting and (len(waiting) == batch or pair[1].shape != waiting[0][1].shape):
            yield (*_together(waiting, spec, device), range(index - len(waiting), index))
            waiting = []
        waiting.append(pair)
    if waiting:
        yield (*_together(waiting, spec, device), which[-len(waiting) :])


def _together(
    pairs: list[tuple[Tensor, Tensor]], spec: DataSpec, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    images, masks = zip(*pairs, strict=True)
    return (
        normalised(torch.stack(images).to(device), spec),
        torch.stack(masks).to(device).long(),
    )


def _pair(images: Dataset | ImageStore | Some, index: int) -> tuple[Tensor, Tensor]:
    if isinstance(images, ImageStore | Some):
        return images[index]
    image, mask = images[index]
    return _planes(image), torch.from_numpy(mask)


def _stacked(tensors: list[Tensor]) -> Tensor:
    """Return tensors [..., H, W] as one; smaller ones are in its upper left corner."""
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(tensors)
    height, width = (max(tensor.shape[axis] for tensor in tensors) for axis in (-2, -1))
    whole = tensors[0].new_zeros((len(tensors), *tensors[0].shape[:-2], height, width))
    for place, tensor in zip(whole, tensors, strict=True):
        place[..., : tensor.shape[-2], : tensor.shape[-1]] = tensor
    return whole


def _planes(image: Array) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)


def fits(size: int, device: torch.device) -> bool:
    """Whether decoded images of `size` bytes may be on a GPU."""
    return size <= GPU_SHARE * torch.cuda.mem_get_info(device)[0]


def _placed(decoded: Decoded, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Return all images and masks on a device, views of one tensor."""
    buffer = torch.empty(decoded.nbytes, dtype=torch.uint8, device=device)
    views = []
    for index in range(len(decoded)):
        parts = decoded.image(index), decoded.mask(index)
        for place, part in zip(decoded.places(index), parts, strict=True):
            buffer[place].copy_(torch.from_numpy(part).view(-1))
        image, mask = (
            buffer[place].view(part.shape)
            for place, part in zip(decoded.places(index), parts, strict=True)
        )
        views.append((image, mask))
    return views
