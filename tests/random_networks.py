"""Random architectures, valid ones, for properties."""

from __future__ import annotations

import random
from dataclasses import replace

from hrnet_search.arch.architecture import OCR, Architecture, Stage


def draw(rng: random.Random, most: int = 3, channels: int = 24) -> Architecture:
    """Return a valid architecture of any form: branches, blocks, widths, modules, SUM and CAT."""
    branches = sorted(rng.randint(1, 4) for _ in range(3))
    stages = [Stage(1, rng.choice(("BASIC", "BOTTLENECK")), (rng.randint(1, most),), (16,))]
    if rng.random() < 0.3:
        stages[0] = Stage(1, "BASIC", (1,), (64,))  # as wide as the stem: no downsample
    for n in branches:
        stages.append(
            Stage(
                modules=rng.randint(0, 2),
                block=rng.choice(("BASIC", "BASIC", "BOTTLENECK")),
                blocks=tuple(rng.randint(1, most) for _ in range(n)),
                channels=tuple(rng.randint(1, channels) for _ in range(n)),
                fuse=rng.choice(("SUM", "CAT")),
            )
        )
    one, two, three, four = stages
    kernel, corners = rng.choice((1, 3)), rng.random() < 0.5
    return Architecture((one, two, three, four), "seg_hrnet", kernel, corners)


def with_either_head(architectures: list[Architecture], rng: random.Random) -> list[Architecture]:
    """Return architectures of which about half have an OCR head, of any width."""
    return [
        replace(a, head=OCR, mid_channels=rng.randint(1, 40), key_channels=rng.randint(1, 20))
        if rng.random() < 0.5
        else a
        for a in architectures
    ]
