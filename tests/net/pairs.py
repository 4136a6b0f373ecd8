"""Random small architectures, larger ones, and networks that look trained."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import nn

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.net.hrnet import HighResolutionNet, build

CLASSES = 3


def random_architecture(rng: random.Random) -> Architecture:
    """Draw one of everything: kinds, fusion, one to four branches, stages without modules."""
    while True:
        block = rng.choice(["BASIC", "BOTTLENECK"])
        channels = rng.choice([4, 16, 5] if block == "BOTTLENECK" else [64, 8, 70])
        stages = [Stage(1, block, (rng.randint(1, 2),), (channels,))]
        usual, wide = rng.choice(["BASIC", "BASIC", "BOTTLENECK"]), _widths(rng)
        alike = rng.random() < 0.5
        for branches in sorted(rng.choices([1, 2, 3, 4], k=3)):
            kind = usual if rng.random() < 0.8 else "BASIC"
            counts = wide if alike else _widths(rng)
            blocks = tuple(rng.randint(1, 2) for _ in range(branches))
            fuse = rng.choice(["SUM", "CAT"])
            stages.append(Stage(rng.randint(0, 2), kind, blocks, counts[:branches], fuse))
        first, second, third, fourth = stages
        found = Architecture((first, second, third, fourth), final_kernel=rng.choice([1, 3]))
        if not found.problems():
            return found


def larger(source: Architecture, rng: random.Random) -> Architecture:
    """Draw a variant with more of something in most places, and less nowhere."""
    while True:
        more = [rng.choice([0, 1, 3]) for _ in range(4)]
        alike = rng.random() < 0.7
        stages = [_larger(stage, i, more, alike, rng) for i, stage in enumerate(source.stages)]
        first, second, third, fourth = stages
        kernel = rng.choice([source.final_kernel, 3])
        found = replace(source, stages=(first, second, third, fourth), final_kernel=kernel)
        if not found.problems():
            return found


def shaken(architecture: Architecture, seed: int) -> HighResolutionNet:
    """Return a float64 network in which no tensor has the values of a start."""
    network = build(architecture, CLASSES).double()
    draw = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=draw)
            nn.init.normal_(module.bias, 0, 0.3, generator=draw)
            nn.init.normal_(module.running_mean, 0, 0.3, generator=draw)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=draw)
        elif isinstance(module, nn.Conv2d):
            scale = (2 / module.weight[0].numel()) ** 0.5
            nn.init.normal_(module.weight, 0, scale, generator=draw)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1, generator=draw)
    return network


def loud(architecture: Architecture, seed: int, classes: int = CLASSES) -> HighResolutionNet:
    """Return a fresh float64 network whose random weights are large: a mistake is seen."""
    torch.manual_seed(seed)
    network = build(architecture, classes).double()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and "fuse_projections" not in name:
            nn.init.normal_(module.weight, std=0.3)
    return network


def images(seed: int, side: int = 64) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, side, side, dtype=torch.float64, generator=draw)


def _widths(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randint(2, 7) for _ in range(4))


def _larger(stage: Stage, index: int, more: list[int], alike: bool, rng: random.Random) -> Stage:
    wider = alike or rng.random() < 0.7
    channels = [count + more[b] * wider for b, count in enumerate(stage.channels)]
    blocks = [count + rng.choice([0, 0, 1]) for count in stage.blocks]
    if index and len(channels) < 4 and rng.random() < 0.4:
        channels.append(rng.randint(2, 6))
        blocks.append(rng.randint(1, 2))
    return replace(
        stage,
        modules=stage.modules + (rng.choice([0, 0, 1]) if index else 0),
        channels=tuple(channels),
        blocks=tuple(blocks),
        fuse=rng.choice([stage.fuse, "CAT"]),
    )
