"""The colours in which classes are shown: masks of class ids as pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.records import IGNORED

Labels = NDArray[np.uint8]
Colour = tuple[int, int, int]


def class_colour(label: int) -> Colour:
    """Return the colour of a class: hues a golden angle apart, IGNORED black."""
    if label == IGNORED:
        return 0, 0, 0
    value = (0.95, 0.7, 0.5)[label // 16 % 3]
    red, green, blue = colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.65, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def colour_keys(names: Sequence[str]) -> list[tuple[str, Colour]]:
    """Return what each colour of a mask means: every class, then what is not labelled."""
    keys = [(f"{label}: {name}", class_colour(label)) for label, name in enumerate(names)]
    return [*keys, ("not labelled", class_colour(IGNORED))]


def indexed(labels: Labels) -> Image.Image:
    """Return class ids [H, W] as a picture of these ids, which a palette colours."""
    picture = Image.frombytes("P", (labels.shape[1], labels.shape[0]), labels.tobytes())
    picture.putpalette([channel for label in range(256) for channel in class_colour(label)])
    return picture


def overlaid(image: Image.Image, labels: Labels, share: float = 0.5) -> Image.Image:
    """Return an RGB image with the colours of its classes laid over it."""
    return Image.blend(image, indexed(labels).convert("RGB"), share)
