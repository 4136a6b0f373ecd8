"""How far apart colours are: CIEDE2000, for full sight and for three colour blindnesses.

The distance is that of Sharma, Wu and Dalal (2005), sight without one kind of cone that of Machado,
Oliveira and Fernandes (2009) at severity 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WITHOUT = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def nearest(colours: list[tuple[int, int, int]], blindness: str | None = None) -> float:
    """Return the least distance between two of several sRGB colours."""
    seen = lab(np.array(colours, dtype=np.float64), blindness)
    apart = ciede2000(seen[:, None], seen[None])
    np.fill_diagonal(apart, np.inf)
    return float(apart.min())


def lab(colours: Floats, blindness: str | None = None) -> Floats:
    """Return sRGB colours [n, 3] of 0 to 255 in CIELAB under D65."""
    share = colours / 255
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    if blindness:
        light = np.clip(light @ np.array(WITHOUT[blindness]).T, 0, 1)
    xyz = (light @ TO_XYZ.T) / TO_XYZ.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: Floats, second: Floats) -> Floats:
    """Return the distance between colours in CIELAB, [..., 3] each."""
    light1, a1, b1 = np.moveaxis(first, -1, 0)
    light2, a2, b2 = np.moveaxis(second, -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    chroma1, chroma2 = np.hypot(g * a1, b1), np.hypot(g * a2, b2)
    hue1, hue2 = (np.degrees(np.arctan2(b, g * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey = chroma1 * chroma2 == 0
    turn = np.where(grey, 0, (hue2 - hue1 + 180) % 360 - 180)
    far = np.abs(hue1 - hue2) > 180
    hue = np.where(far, (hue1 + hue2 + 360) / 2 % 360, (hue1 + hue2) / 2)
    hue = np.where(grey, hue1 + hue2, hue)
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    t = (
        1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )  # fmt: skip
    by_light = (light2 - light1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    by_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    by_hue = (
        2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    )
    angle = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(angle)
    squared = by_light**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue
    found: Floats = np.sqrt(np.maximum(squared, 0.0))
    return found


def _cos(degrees: Floats) -> Floats:
    return np.cos(np.radians(degrees))
