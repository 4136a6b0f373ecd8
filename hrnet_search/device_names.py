"""Names of devices, the same wherever one is asked for; whether it is there is another question."""

from __future__ import annotations

import re

DEVICES = "auto, cpu, cuda, cuda:N, or cuda:MODEL"
"""The names of devices, as messages say them."""

DEVICE_WORDS = ("auto", "cpu", "cuda")
"""Those that need no number and no model."""

DEVICE = re.compile("(" + "|".join(DEVICE_WORDS) + r")|cuda:([0-9]{1,3}|[A-Za-z].*)")
"""N is the number of a GPU, MODEL what its maker calls it."""


def is_device(name: str) -> bool:
    """Return whether a name is spelled like a device's."""
    return DEVICE.fullmatch(name) is not None
