"""The network against what the official code computes for the same weights and inputs."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.net.hrnet import HighResolutionNet, build

GOLDEN = Path(__file__).parents[1] / "golden"
RELATIVE = 1e-9
"""Allowed difference as a share of the largest output; the numbers have 12 digits."""


def hrnet(first: tuple[int, int], *later: Stage, final_kernel: int = 1) -> Architecture:
    stage1 = Stage(1, "BOTTLENECK", (first[0],), (first[1],))
    second, third, fourth = later
    return Architecture((stage1, second, third, fourth), final_kernel=final_kernel)


def basic(modules: int, blocks: tuple[int, ...], channels: tuple[int, ...]) -> Stage:
    return Stage(modules, "BASIC", blocks, channels)


def doubling(width: int, modules: tuple[int, int, int], blocks: int) -> list[Stage]:
    return [
        basic(count, (blocks,) * n, tuple(width * 2**b for b in range(n)))
        for n, count in enumerate(modules, start=2)
    ]


CASES: dict[str, tuple[Architecture, int]] = {
    "m01_unequal_blocks": (
        hrnet(
            (3, 24),
            basic(1, (3, 1), (16, 32)),
            basic(2, (1, 2, 4), (16, 32, 64)),
            basic(1, (4, 1, 2, 3), (16, 32, 64, 128)),
        ),
        7,
    ),
    "m02_nondoubling_channels": (
        hrnet(
            (1, 32),
            basic(1, (2, 2), (20, 28)),
            basic(1, (2, 2, 2), (20, 28, 70)),
            basic(1, (2, 2, 2, 2), (20, 28, 70, 50)),
        ),
        11,
    ),
    "m04_modules_3_1_2": (hrnet((2, 32), *doubling(16, (3, 1, 2), 2)), 2),
    "m08_branches_2_4_4": (
        hrnet(
            (1, 32),
            basic(1, (2, 2), (16, 32)),
            basic(2, (1, 1, 1, 1), (16, 32, 48, 64)),
            basic(1, (2, 2, 2, 2), (16, 32, 48, 64)),
        ),
        19,
    ),
    "m11_final_conv3": (hrnet((1, 32), *doubling(16, (1, 1, 1), 1), final_kernel=3), 19),
    "w18_small_v1": (hrnet((1, 32), *doubling(16, (1, 1, 1), 2)), 19),
    "w18_small_v2": (hrnet((2, 64), *doubling(18, (1, 3, 2), 2)), 19),
    "w48": (hrnet((4, 64), *doubling(48, (1, 4, 3), 4)), 19),
}
TRAINED = ("m02_nondoubling_channels", "m11_final_conv3", "w18_small_v1")


@lru_cache(maxsize=1)
def official(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def uniform(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return numbers in [0, 1) from splitmix64; unsigned 64-bit products wrap around."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    u = torch.from_numpy(uniform(zlib.crc32(name.encode()) * 0x9E3779B1, math.prod(shape)))
    u = u.reshape(shape)
    if name.endswith("running_mean"):
        return 0.1 * (2 * u - 1)
    if name.endswith("running_var"):
        return 0.5 + u
    if len(shape) == 4:
        return (2 * u - 1) * math.sqrt(6 / math.prod(shape[1:]))
    if name.endswith("weight"):
        inner = 0.2 if re.search(r"\.bn[23]\.weight$", name) else 1.0
        return (0.3 if "fuse_layers" in name else inner) * (0.5 + u)
    return 0.1 * (2 * u - 1)


@lru_cache(maxsize=1)
def weights(name: str) -> dict[str, Tensor]:
    return {key: filled(key, tuple(shape)) for key, shape in official(name)["state_dict"]}


def network(name: str, align_corners: bool) -> HighResolutionNet:
    architecture, classes = CASES[name]
    with torch.device("meta"):
        built = build(replace(architecture, align_corners=align_corners), classes)
    built.load_state_dict(weights(name), strict=True, assign=True)
    return built


def probe(name: str) -> Tensor:
    kind, size = name.split("_")
    shape = tuple(map(int, size.split("x")))
    count = math.prod(shape)
    hashed = kind == "hash"
    values = 2 * uniform(20240607, count) - 1 if hashed else np.sin(0.001 * np.arange(count))
    return torch.from_numpy(values).reshape(shape)


def assert_official(output: Tensor, expected: Any) -> None:
    assert list(output.shape) == expected["shape"]
    flat = output.detach().flatten()
    allowed = RELATIVE * expected["absmax"]
    values = torch.tensor(expected["values"], dtype=torch.float64)
    assert (flat[expected["positions"]] - values).abs().max() <= allowed
    assert abs(flat.mean() - expected["mean"]) <= allowed
    assert abs(flat.abs().max() - expected["absmax"]) <= allowed
    assert flat.norm().item() == pytest.approx(expected["l2"], rel=RELATIVE)


@pytest.mark.parametrize("name", CASES)
def test_names_order_and_shapes_are_the_official_ones(name: str) -> None:
    architecture, classes = CASES[name]
    with torch.device("meta"):
        built = build(architecture, classes)
    entries = [[key, list(tensor.shape)] for key, tensor in built.state_dict().items()]
    assert entries == official(name)["state_dict"]
    assert sum(p.numel() for p in built.parameters()) == official(name)["num_params"]


@pytest.mark.parametrize("name", CASES)
def test_evaluation_outputs_are_the_official_ones(name: str) -> None:
    # Both networks live at once: neither may see the other's align_corners.
    networks = {aligned: network(name, aligned).eval() for aligned in (False, True)}
    for aligned, built in networks.items():
        expected = official(name)["outputs"][f"align_corners_{str(aligned).lower()}"]
        assert len(expected) == 3
        for probed, numbers in expected.items():
            with torch.inference_mode():
                assert_official(built(probe(probed)), numbers)


def cross_entropy(built: HighResolutionNet, images: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the quarter-size logits and the loss of the logits at label size."""
    count, _, height, width = images.shape
    u = uniform(777, count * height * width)
    labels = torch.from_numpy(np.floor(u * (classes + 1))).long().reshape(count, height, width)
    labels[labels == classes] = 255
    logits = built(images)
    aligned = built.architecture.align_corners
    full = F.interpolate(logits, (height, width), mode="bilinear", align_corners=aligned)
    return logits, F.cross_entropy(full, labels, ignore_index=255)


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_step_is_the_official_one(name: str) -> None:
    expected, classes = official(name)["train_step"], CASES[name][1]
    built = network(name, expected["align_corners"])
    built.load_state_dict({k: v.clone() for k, v in weights(name).items()}, assign=True)
    images = probe(expected["input"])
    logits, loss = cross_entropy(built.train(), images, classes)
    assert_official(logits, expected["train_output"])
    assert loss.item() == pytest.approx(expected["ce_loss"], rel=RELATIVE)

    state = built.state_dict()
    for key, numbers in expected["running_after_1_forward"].items():
        assert state[key].norm().item() == pytest.approx(numbers["l2"], rel=RELATIVE)
        first = state[key][: len(numbers["first"])].tolist()
        assert first == pytest.approx(numbers["first"], rel=1e-9, abs=1e-11)

    loss.backward()  # type: ignore[no-untyped-call]
    grads = {key: p.grad for key, p in built.named_parameters()}
    assert [key for key, grad in grads.items() if grad is None] == expected["dead_params"]
    norms = {key: grad.norm().item() for key, grad in grads.items() if grad is not None}
    assert {key: norms[key] for key in expected["grad_l2"]} == pytest.approx(
        expected["grad_l2"], rel=1e-8
    )
    assert np.hypot.reduce(list(norms.values())) == pytest.approx(
        expected["grad_l2_total"], rel=1e-8
    )

    torch.optim.SGD(built.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4).step()
    with torch.inference_mode():
        _, after = cross_entropy(built.eval(), images, classes)
    assert after.item() == pytest.approx(expected["eval_ce_loss_after_1_sgd_step"], rel=1e-8)


def test_the_fill_gives_the_numbers_of_the_recipe() -> None:
    firsts = {
        ("conv1.weight", (64, 3, 3, 3)): (0.275919960484, 0.0285873784162, 0.432995065101),
        ("bn2.weight", (64,)): (0.773312201582, 0.931882213825, 0.648063344374),
        ("layer1.0.bn3.weight", (128,)): (0.251719527458, 0.254095061222, 0.173986120417),
        ("bn1.running_var", (64,)): (0.838677518483, 0.773774340237, 0.857695382745),
        ("last_layer.3.bias", (19,)): (0.00821096121959, -0.0878775842534, 0.0703272126728),
    }
    for (key, shape), values in firsts.items():
        assert filled(key, shape).flatten()[:3].tolist() == pytest.approx(values, rel=1e-10)
