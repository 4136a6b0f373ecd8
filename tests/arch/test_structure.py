"""What networks are made of, held against the networks that torch builds."""

from __future__ import annotations

import math
import random
import re

import numpy as np
import pytest
import torch
from random_networks import draw
from torch import nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.structure import STRUCTURE, structure
from hrnet_search.net.hrnet import BasicBlock, Bottleneck, build


def counted(architecture: Architecture) -> dict[str, float]:
    """Count blocks and weights of convolutions in the branches of the network as built."""
    with torch.device("meta"):
        network = build(architecture)
    blocks, weights = [0] * 4, [0] * 4
    for name, module in network.named_modules():
        place = re.match(r"stage[234]\.\d+\.branches\.(\d)\.", name)
        if place is None:
            continue
        branch = int(place[1])
        blocks[branch] += isinstance(module, BasicBlock | Bottleneck)
        if isinstance(module, nn.Conv2d):
            weights[branch] += module.weight.numel()
    found = {f"log_blocks_{branch}": math.log1p(n) for branch, n in enumerate(blocks)}
    return found | {f"log_weights_{branch}": math.log1p(n) for branch, n in enumerate(weights)}


@pytest.mark.parametrize("seed", range(20))
def test_blocks_and_weights_of_each_scale_are_those_of_the_network_that_torch_builds(
    seed: int,
) -> None:
    architecture = draw(random.Random(seed))
    (row,) = structure(ArchitectureBatch.of([architecture]))
    said = dict(zip(STRUCTURE, row.tolist(), strict=True))
    expected = counted(architecture)
    assert {name: said[name] for name in expected} == pytest.approx(expected)
    stages = architecture.stages
    exchanges = sum(stage.modules for stage in stages if stage.branches > 1)
    assert said["log_exchanges"] == pytest.approx(math.log1p(exchanges))
    assert said["log_width"] == pytest.approx(math.log(stages[3].channels[0]))


def test_a_network_has_the_same_structure_beside_any_others() -> None:
    """It is kept by point, whatever points it was first asked for with."""
    architectures = [draw(random.Random(seed)) for seed in range(30)]
    together = structure(ArchitectureBatch.of(architectures))
    alone = [structure(ArchitectureBatch.of([a]))[0] for a in architectures]
    assert np.array_equal(together, alone)
    assert together.shape == (30, len(STRUCTURE))
