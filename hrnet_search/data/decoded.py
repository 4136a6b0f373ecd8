"""Decoded images of one split: where each is in one run of bytes, in memory or elsewhere."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from hrnet_search import heartbeat
from hrnet_search.data.dataset import Array, Dataset
from hrnet_search.errors import DataError, Fault, shown

BYTES_A_PIXEL = 4  # three colours and a class

Size = tuple[int, int]
T = TypeVar("T")


class Decoded(ABC):
    """Images uint8 [3, H, W] and masks uint8 [H, W] of `sizes`.

    All images come first, then all masks, without gaps.
    """

    def __init__(self, sizes: Sequence[Size]) -> None:
        self.sizes = tuple(sizes)
        self.starts = starts_of(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def nbytes(self) -> int:
        """How many bytes all of them take."""
        return BYTES_A_PIXEL * self.starts[-1]

    def image(self, index: int) -> Array:
        """Return an image, not to be written to; raise DataError if it cannot be read any more."""
        return self.read(self.places(index)[0]).reshape(3, *self.sizes[index])

    def mask(self, index: int) -> Array:
        """Return a mask, not to be written to; raise as `image`."""
        return self.read(self.places(index)[1]).reshape(self.sizes[index])

    def places(self, index: int) -> tuple[slice, slice]:
        """Return which of the bytes are the image and which the mask."""
        start, stop, pixels = self.starts[index], self.starts[index + 1], self.starts[-1]
        return slice(3 * start, 3 * stop), slice(3 * pixels + start, 3 * pixels + stop)

    @abstractmethod
    def read(self, place: slice) -> Array:
        """Return these bytes, uint8."""


class InMemory(Decoded):
    """Decoded images in one buffer of this process."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        super().__init__(sizes)
        self.buffer = np.empty(self.nbytes, dtype=np.uint8)

    def read(self, place: slice) -> Array:
        """Return a view of the buffer."""
        return self.buffer[place]


def decode_all(dataset: Dataset) -> InMemory:
    """Decode a split into memory."""
    decoded = InMemory(sizes_of(dataset))

    def put(index: int) -> None:
        parts = parts_of(dataset, index, decoded.sizes)
        for place, part in zip(decoded.places(index), parts, strict=True):
            decoded.buffer[place] = part

    in_threads(put, len(decoded))
    return decoded


def parts_of(dataset: Dataset, index: int, sizes: Sequence[Size]) -> tuple[Array, Array]:
    """Decode an image; return its planes and its mask, each flat."""
    image, mask = dataset[index]
    if mask.shape != sizes[index]:
        name = shown(dataset.name(index), 300)
        raise DataError(Fault("data", name, f"{name} changed while it was read"))
    return np.ascontiguousarray(image.transpose(2, 0, 1)).ravel(), mask.ravel()


def sizes_of(dataset: Dataset) -> list[Size]:
    """Return (height, width) of every image of a split."""
    return in_threads(dataset.size, len(dataset))


def bytes_of(sizes: Sequence[Size]) -> int:
    """Return how many bytes decoded images of these sizes take."""
    return BYTES_A_PIXEL * sum(height * width for height, width in sizes)


def starts_of(sizes: Sequence[Size]) -> list[int]:
    """Return how many pixels come before each image, and at last how many there are."""
    starts = [0]
    for height, width in sizes:
        starts.append(starts[-1] + height * width)
    return starts


def in_threads(function: Callable[[int], T], count: int) -> list[T]:
    """Return what `function` makes of each index; the first error of all ends the others."""

    def one(index: int) -> T:
        made = function(index)
        heartbeat.beat()
        return made

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        waiting = [pool.submit(one, index) for index in range(count)]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
