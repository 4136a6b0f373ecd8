"""Validation images with truth and predictions beside them, as pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.data.palette import indexed
from hrnet_search.store.evaluations import read_arrays

MOST_MEMBERS = 6
MOST_IMAGES = 4
NAMES = ("preview_images", "preview_truth", "preview_predicted", "preview_indices")

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One validation image: data URIs of the image, its truth, and each member's prediction."""

    index: int
    image: str
    truth: str
    predicted: tuple[str, ...]


def preview_rows(
    evaluations: Mapping[int, Path],
) -> tuple[tuple[int, ...], tuple[PreviewRow, ...]]:
    """Return the members shown, by trial number, and a row an image; nothing if none was kept.

    At most MOST_MEMBERS, spread over the front, that show the same images as the first one.
    """
    found: dict[int, tuple[Pictures, ...]] = {}
    for number in _spread(list(evaluations)):
        shown = read_previews(evaluations[number])
        first = next(iter(found.values()), None)
        if shown and (first is None or np.array_equal(shown[3], first[3])):
            found[number] = shown
    if not found:
        return (), ()
    images, truth, _, indices = next(iter(found.values()))
    rows = tuple(
        PreviewRow(
            index=int(indices[i]),
            image=_uri(Image.fromarray(images[i])),
            truth=_uri(indexed(truth[i])),
            predicted=tuple(_uri(indexed(shown[2][i])) for shown in found.values()),
        )
        for i in range(min(len(images), MOST_IMAGES))
    )
    return tuple(found), rows


def read_previews(path: Path) -> tuple[Pictures, ...] | None:
    """Return images, truth, predictions and indices of an evaluation, None if it has none."""
    arrays = read_arrays(path, NAMES)
    if arrays is None:
        return None
    images, truth, predicted, indices = arrays
    shapes = {images.shape[:3], truth.shape, predicted.shape}
    whole = all(a.dtype == np.uint8 for a in (images, truth, predicted)) and len(shapes) == 1
    if not whole or images.ndim != 4 or images.shape[3] != 3 or indices.shape != images.shape[:1]:
        return None
    return images, truth, predicted, indices


def _spread(numbers: Sequence[int]) -> list[int]:
    places = np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_MEMBERS))
    return [numbers[i] for i in places.round().astype(int)]


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
