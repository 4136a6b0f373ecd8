"""The published HRNets, and which points of a space they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hrnet_search.arch.architecture import HEAD_WORDS, MAX_BRANCHES, OCR, PLAIN, Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.records.point import Point
from hrnet_search.space.choice import OF_HEADS, OF_STAGES, Choice, level_table
from hrnet_search.space.space import SearchSpace


def _network(width: int, modules: tuple[int, ...], blocks: int, stage1: Stage) -> Architecture:
    second, third, fourth = (
        Stage(modules[n - 2], "BASIC", (blocks,) * n, tuple(width * 2**b for b in range(n)))
        for n in (2, 3, 4)
    )
    return Architecture((stage1, second, third, fourth))


def _full(width: int) -> Architecture:
    return _network(width, (1, 4, 3), 4, Stage(1, "BOTTLENECK", (4,), (64,)))


PUBLISHED: dict[str, Architecture] = {
    "w18-small-v1": _network(16, (1, 1, 1), 2, Stage(1, "BOTTLENECK", (1,), (32,))),
    "w18-small-v2": _network(18, (1, 3, 2), 2, Stage(1, "BOTTLENECK", (2,), (64,))),
    **{f"w{width}": _full(width) for width in (18, 30, 32, 40, 48)},
}
"""By name, from the library's experiments/cityscapes/*.yaml and its model zoo."""

CALLED = {PLAIN: "", OCR: "-OCR"}
"""What people put behind the name of a network for its head."""

BASE_NAME = "the base"


def designs(space: SearchSpace) -> dict[str, Architecture]:
    """Return the base of a space and the published networks by what people call them, each once.

    With each head that the space has; align_corners, which no space varies, is the base's.
    """
    alike = {
        name.replace("w", "W", 1).replace("small", "Small") + CALLED[head]: replace(
            network, head=head, align_corners=space.base.align_corners
        )
        for head in heads(space)
        for name, network in PUBLISHED.items()
    }
    known = any(network.id == space.base.id for network in alike.values())
    return alike if known else {BASE_NAME: space.base, **alike}


def heads(space: SearchSpace) -> tuple[str, ...]:
    """Return the heads of a space's networks, that of the base first."""
    varied = (HEAD_WORDS[v] for c in space.choices if c.key == "HEAD" for v in c.values)
    return tuple(dict.fromkeys((space.base.head, *varied)))


def known_designs(space: SearchSpace) -> list[Point]:
    """Return the points of a space that are its base or a published network, each once."""
    found = [point_of(space, network) for network in (space.base, *designs(space).values())]
    return list(dict.fromkeys(point for point in found if point is not None))


def point_of(space: SearchSpace, network: Architecture) -> Point | None:
    """Return the point that decodes to a network, by its lowest levels; None if there is none."""
    levels = [_level(choice, ArchitectureBatch.of([network])) for choice in space.choices]
    if any(level is None for level in levels):
        return None
    point = tuple(level for level in levels if level is not None)
    return point if space.decode(point).id == network.id else None


def _reads(has_ocr: bool, key: str) -> bool:
    """Say whether a head reads a key of heads."""
    return key == "HEAD" or has_ocr == key.startswith("OCR.")


def _level(choice: Choice, network: ArchitectureBatch) -> int | None:
    """Return the lowest level that says of a network what it is, None if none does."""
    if choice.training:
        return 0  # whatever it is, the network is the same
    table = level_table(choice)
    if choice.key in OF_HEADS:
        fits = table == getattr(network, OF_HEADS[choice.key])[0]
        fits |= not _reads(bool(network.ocr[0]), choice.key)
    else:
        wide = table if table.ndim == 2 else np.repeat(table[:, None], MAX_BRANCHES, axis=1)
        there = network.present()[0]
        if choice.branch is not None:
            there = there & (np.arange(MAX_BRANCHES) == choice.branch)
        has = getattr(network, OF_STAGES[choice.key])[0]
        has = has if has.ndim == 2 else np.repeat(has[:, None], MAX_BRANCHES, axis=1)
        stages = list(choice.stages)
        same = (wide[:, None] == has[stages]) | ~there[stages]
        fits = same.all(axis=(1, 2))
    return int(np.argmax(fits)) if fits.any() else None
