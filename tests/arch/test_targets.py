"""A target's rules say of a million what its exporter says of one."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import network
from random_networks import draw

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.targets import (
    LARGEST_ONNX,
    ONNX,
    TARGETS,
    _most_bytes,
    target_problems,
    weight_bytes,
)
from hrnet_search.net.hrnet import build


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_is_ruled_as_each_of_it_alone(target: str) -> None:
    rng = random.Random(5)
    many = [replace(draw(rng), head="seg_hrnet", align_corners=False) for _ in range(200)]
    batch = ArchitectureBatch.of(many)
    broken = np.zeros(len(many), dtype=bool)
    for _, rows in TARGETS[target](batch, 19):
        broken |= rows
    assert broken.tolist() == [bool(target_problems(target, one)) for one in many]
    assert target in ("any", "onnx") or 0 < broken.sum() < len(many)


@pytest.mark.parametrize("number", range(10))
def test_weights_have_the_bytes_of_the_built_state_dict(number: int) -> None:
    """Against torch: every tensor that a file would hold, counters of batch norm too."""
    architecture = draw(random.Random(number), most=2)
    with torch.device("meta"):
        state = build(architecture, 7).state_dict()
    expected = 4 * sum(tensor.numel() for tensor in state.values())
    assert weight_bytes(ArchitectureBatch.of([architecture]), 7).tolist() == [expected]


@pytest.mark.parametrize("seed", range(5))
def test_no_network_of_many_is_above_what_bounds_them_all(seed: int) -> None:
    rng = random.Random(seed)
    batch = ArchitectureBatch.of([draw(rng, channels=rng.randint(1, 300)) for _ in range(20)])
    assert weight_bytes(batch, 9).max() <= _most_bytes(batch, 9)


def wide(channels: int) -> Architecture:
    one, *rest = network(8).stages
    return Architecture(
        (one, *(replace(s, channels=(channels,) * len(s.channels)) for s in rest))  # type: ignore[arg-type]
    )


def test_a_network_beyond_what_one_onnx_file_holds_is_ruled_out() -> None:
    assert target_problems(ONNX, wide(900)) == []
    (why,) = target_problems(ONNX, wide(4000))
    assert "over 2 GiB" in why
    batch = ArchitectureBatch.of([wide(900), wide(4000)])
    assert (weight_bytes(batch, 19) > LARGEST_ONNX).tolist() == [False, True]
