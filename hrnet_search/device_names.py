"""Names of devices, the same wherever one is asked for; whether it is there is another question."""

from __future__ import annotations

DEVICES = "auto, cpu, cuda, cuda:N, or cuda:MODEL"
"""The names of devices, as messages say them."""


def is_device(name: str) -> bool:
    """Return whether a name is spelled like a device's.

    N is the number of a GPU, MODEL what its maker calls it.
    """
    kind, colon, which = name.partition(":")
    if not colon:
        return name in ("auto", "cpu", "cuda")
    number = which.isascii() and which.isdigit()
    return kind == "cuda" and (len(which) < 4 if number else which[:1].isalpha())
