"""The colours in which classes are shown: masks of class ids as pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrnet_search.records.data_spec import IGNORED

Labels = NDArray[np.uint8]
Colour = tuple[int, int, int]


# Found by exchange over sRGB in steps of 17, between L* 12 and 97: the least CIEDE2000 distance of
# any two, over 25 in full sight and over 15 without one kind of cone (Machado's model, severity 1),
# is as large as it gets, black among them. Of the first 11 it is 28 and 17, of the first 19 18 and
# 10.8; sets of the glasbey library, made for the same end by another distance, reach 17 and 7 at
# most for 11. The rest is the farthest colour one by one.
PALETTE = tuple(
    bytes.fromhex(
        "22aa77 aaaacc ee4400 aa4488 bbffff ddff00 666655 110077 770000 0066ff ffddbb 554455 "
        "ff9900 ddaaaa 224433 1111ff 66aaff ff55aa 440033 aacc77 887777 778844 884400 772299 "
        "00ddff 88ff88 ddeedd 446633 333366 778899 7766aa cccccc 336677 bb9955 aa88cc bb3355 "
        "444422 aaccdd 7788ff 222211 dd00cc ffcc55 228800 cc7766 ccbb99 223333 cc8899 669988"
    )[start : start + 3]
    for start in range(0, 3 * 48, 3)
)


def class_colour(label: int) -> Colour:
    """Return the colour of a class: of the first 48 from a palette made for telling apart.

    More have hues a golden angle apart; IGNORED is black.
    """
    if label == IGNORED:
        return 0, 0, 0
    if label < len(PALETTE):
        red, green, blue = PALETTE[label]
        return red, green, blue
    value = (0.95, 0.7, 0.5)[label // 16 % 3]
    hue = colorsys.hsv_to_rgb(label * 0.381966 % 1, 0.65, value)
    return round(255 * hue[0]), round(255 * hue[1]), round(255 * hue[2])


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
