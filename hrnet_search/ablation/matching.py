"""Matched cost: an arm's network rescaled in width to the MACs of the reference.

Taking a branch away also makes a network smaller. Beside the arm as it is stands one of the same
MACs, so that what the branch does and what size does come apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hrnet_search.arch.architecture import MAX_BRANCHES, MAX_COUNT, Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs

TOLERANCE = 0.02
"""Share of the reference's MACs within which networks count as of equal cost."""

NUDGE = 2
"""Channels by which single branches may leave the common scale."""

FINE = 2048
LARGEST = 4.0
"""Factor up to which channels are rescaled, in steps of a seventh of a percent."""

MACS = 1


@dataclass(frozen=True, slots=True)
class Matched:
    """A rescaled network, and its MACs as a share of the reference's."""

    architecture: Architecture
    ratio: float

    @property
    def within(self) -> bool:
        return abs(self.ratio - 1) <= TOLERANCE


def match_macs(
    architecture: Architecture, target: int, size: tuple[int, int], classes: int
) -> Matched:
    """Return the network rescaled in stages 2 to 4 to `target` MACs at `size` = (height, width).

    Widths that double from branch to branch are tried first, then one factor on all branches,
    then that with single branches moved by up to 2 channels. The first way with a network
    within 2% is taken; where there is none, what comes closest.
    """
    best = _closest([architecture], target, size, classes)
    for way in (_doubling, _scaled, _nudged):
        if best.within:
            break
        found = _closest([architecture, *way(architecture, best)], target, size, classes)
        best = min((best, found), key=lambda m: abs(m.ratio - 1))
    return best


def _closest(
    candidates: Sequence[Architecture], target: int, size: tuple[int, int], classes: int
) -> Matched:
    macs = batch_costs(ArchitectureBatch.of(candidates), size, classes)[:, MACS]
    ratios = macs.astype(np.float64) / target
    best = int(np.argmin(np.abs(ratios - 1)))
    return Matched(candidates[best], float(ratios[best]))


def _doubling(architecture: Architecture, _: Matched) -> Iterator[Architecture]:
    width = architecture.width
    later = architecture.stages[1:]
    if any(stage.channels != _doubled(width, stage.branches) for stage in later):
        return
    most = min(int(LARGEST * width) + 1, MAX_COUNT >> (MAX_BRANCHES - 1))
    for other in range(1, most + 1):
        yield _with_channels(architecture, [_doubled(other, s.branches) for s in later])


def _doubled(width: int, branches: int) -> tuple[int, ...]:
    return tuple(width * 2**b for b in range(branches))


def _scaled(architecture: Architecture, _: Matched) -> Iterator[Architecture]:
    seen = set()
    later = architecture.stages[1:]
    for factor in np.geomspace(1 / LARGEST, LARGEST, FINE):
        channels = tuple(tuple(_count(c * factor) for c in stage.channels) for stage in later)
        if channels not in seen:
            seen.add(channels)
            yield _with_channels(architecture, channels)


def _nudged(_: Architecture, best: Matched) -> Iterator[Architecture]:
    later = best.architecture.stages[1:]
    for steps in product(range(-NUDGE, NUDGE + 1), repeat=MAX_BRANCHES):
        yield _with_channels(
            best.architecture,
            [
                tuple(_count(c + step) for c, step in zip(stage.channels, steps, strict=False))
                for stage in later
            ],
        )


def _count(channels: float) -> int:
    return min(max(round(channels), 1), MAX_COUNT)


def _with_channels(architecture: Architecture, channels: Sequence[tuple[int, ...]]) -> Architecture:
    later: list[Stage] = [
        replace(stage, channels=own)
        for stage, own in zip(architecture.stages[1:], channels, strict=True)
    ]
    return replace(architecture, stages=(architecture.stages[0], later[0], later[1], later[2]))
