"""A few validation images with truth and prediction beside them, small, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hrnet_search.records.data_spec import IGNORED, DataSpec

COUNT = 4
LONGEST = 256
"""Most pixels of a preview along its longer side."""

Array = NDArray[np.uint8]
Shown = tuple[Array, Array, Array]


def chosen(images: int) -> tuple[int, ...]:
    """Return the indices of at most COUNT images, spread evenly."""
    count = min(COUNT, images)
    return tuple((2 * i + 1) * images // (2 * count) for i in range(count))


@dataclass(slots=True)
class Previews:
    """Gathers the chosen images while all are judged; `spec` says how they were normalised."""

    spec: DataSpec
    wanted: tuple[int, ...]
    found: dict[int, Shown] = field(default_factory=dict)

    def look(self, index: int, image: Tensor, truth: Tensor, predicted: Tensor) -> None:
        """Keep image [3, H, W], truth and prediction [H, W], if this one was chosen."""
        if index in self.wanted:
            self.found[index] = shown(image, truth, predicted, self.spec)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return them under their names in `evaluation/KEY.npz`; none, if none was looked at.

        Those smaller than others are in the upper left corner: black, ignored, class 0.
        """
        if not self.found:
            return {}
        order = sorted(self.found)
        images, truth, predicted = zip(*(self.found[i] for i in order), strict=True)
        return {
            "preview_images": _together(images, 0),
            "preview_truth": _together(truth, IGNORED),
            "preview_predicted": _together(predicted, 0),
            "preview_indices": np.array(order, dtype=np.int64),
        }


def shown(image: Tensor, truth: Tensor, predicted: Tensor, spec: DataSpec) -> Shown:
    """Return uint8 [h, w, 3], the colours as they were, [h, w] and [h, w], h and w small."""
    mean = torch.tensor(spec.mean).view(3, 1, 1)
    std = torch.tensor(spec.std).view(3, 1, 1)
    colours = (image.cpu().float() * std + mean) * 255
    height, width = truth.shape
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = F.interpolate(colours[None], size, mode="area")[0]
    labels = torch.stack([truth, predicted])[None].cpu().float()
    labels = F.interpolate(labels, size, mode="nearest-exact")[0].to(torch.uint8)
    pixels = small.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return pixels.numpy(), labels[0].numpy(), labels[1].numpy()


def _together(arrays: tuple[Array, ...], fill: int) -> Array:
    height, width = (max(a.shape[axis] for a in arrays) for axis in (0, 1))
    whole = np.full((len(arrays), height, width, *arrays[0].shape[2:]), fill, dtype=np.uint8)
    for place, array in zip(whole, arrays, strict=True):
        place[: array.shape[0], : array.shape[1]] = array
    return whole
