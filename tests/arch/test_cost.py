"""Cost is exact: equal to the official counters and to the built network."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import with_either_head
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hrnet_search import build, costs, load_space
from hrnet_search.arch.architecture import OCR, Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import (
    Cost,
    attention_macs,
    batch_attention_macs,
    batch_costs,
    cost,
    fit_64_bits,
)
from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.errors import InputError
from hrnet_search.evaluate.counting import conv_macs_by_fvcore, cost_by_fvcore

CONFIGS = Path(__file__).parents[2] / "configs"
GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("[mw][0-9]*.json"))
PUBLISHED = {  # millions of parameters, and MACs / 1024^3 at 1024x2048, as the READMEs print them
    "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100": (1.5, 31.1),
    "seg_hrnet_w18_small_v2_sgd_lr5e-2_wd1e-4_bs32_x100": (3.9, 71.6),
    "seg_hrnet_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484": (65.8, 696.2),
    "seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e-2_wd5e-4_bs_12_epoch484": (70.4, 1206.4),
}


def built_cost(architecture: Architecture, size: tuple[int, int], classes: int) -> Cost:
    """Count the built network: hooks on every convolution of a network without numbers."""
    with torch.device("meta"):
        network = build(architecture, classes).eval()
        image = torch.empty(1, 3, *size)
    macs = activations = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs, activations
        assert isinstance(module, nn.Conv2d)
        macs += module.weight.numel() * output.shape[-2] * output.shape[-1]
        activations += output.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(image)
    return Cost(sum(p.numel() for p in network.parameters()), macs, activations)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_cost_equals_the_official_counters(path: Path) -> None:
    golden = json.loads(path.read_text())
    architecture, classes = golden_architecture(golden)
    macs = golden["macs"]
    found = cost(architecture, tuple(macs["input"][2:]), classes)
    assert found.params == golden["num_params"] == macs["official_total_params"]
    assert found.macs == macs["official_modelsummary_conv_macs_512x1024"] == macs["conv_macs"]


def golden_architecture(golden: dict[str, object]) -> tuple[Architecture, int]:
    """Rebuild the architecture from the names and shapes of the official state dict."""
    shapes = dict(golden["state_dict"])  # type: ignore[call-overload]
    stages = [_stage(shapes, s) for s in range(1, 5)]
    one, two, three, four = stages
    kernel = shapes["last_layer.3.weight"][-1]
    return Architecture((one, two, three, four), "seg_hrnet", kernel), shapes[
        "last_layer.3.weight"
    ][0]


def _stage(shapes: dict[str, list[int]], s: int) -> Stage:
    def count(pattern: str) -> int:
        n = 0
        while any(k.startswith(pattern.format(n)) for k in shapes):
            n += 1
        return n

    if s == 1:
        block = "BOTTLENECK" if "layer1.0.conv3.weight" in shapes else "BASIC"
        return Stage(1, block, (count("layer1.{}."),), (shapes["layer1.0.conv1.weight"][0],))
    branches = count(f"stage{s}.0.branches.{{}}.")
    names = [f"stage{s}.0.branches.{b}" for b in range(branches)]
    return Stage(
        count(f"stage{s}.{{}}."),
        "BASIC",
        tuple(count(f"{name}.{{}}.") for name in names),
        tuple(shapes[f"{name}.0.conv1.weight"][0] for name in names),
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_table_is_reproduced(name: str) -> None:
    found = cost(read_config(CONFIGS / f"{name}.yaml").architecture, (1024, 2048), 19)
    params, gmacs = PUBLISHED[name]
    # The READMEs cut W48's 65.86 M to 65.8.
    assert found.params / 1e6 == pytest.approx(params, abs=0.06)
    assert round(found.macs / 1024**3, 1) == gmacs


def check_built(architectures: list[Architecture], seed: int) -> None:
    rng = random.Random(seed)
    for architecture in architectures:
        size, classes = (rng.randint(1, 140), rng.randint(1, 140)), rng.randint(1, 30)
        assert cost(architecture, size, classes) == built_cost(architecture, size, classes)


def test_cost_equals_the_built_network(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    check_built(with_either_head(architectures(20, 10), random.Random(12)), 11)


@pytest.mark.bench
def test_cost_equals_a_thousand_built_networks(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    check_built(with_either_head(architectures(1000, 12), random.Random(14)), 13)


def check_fvcore(architectures: list[Architecture], seed: int) -> None:
    rng = random.Random(seed)
    for architecture in architectures:
        size, classes = (rng.randint(1, 140), rng.randint(1, 140)), rng.randint(1, 30)
        network = build(architecture, classes).eval()
        assert cost(architecture, size, classes) == cost_by_fvcore(network, size)


def test_cost_equals_what_fvcore_counts(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    check_fvcore(with_either_head(architectures(4, 15), random.Random(16)), 16)


@pytest.mark.bench
def test_cost_equals_what_fvcore_counts_of_many(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    check_fvcore(architectures(100, 17), 18)


def seconds_of_costs(points: int) -> float:
    """Return the seconds that `costs` takes for points of the largest shipped space."""
    space = load_space(CONFIGS.parent / "search_spaces" / "width_depth.yaml")
    drawn = np.random.default_rng(0).integers(0, space.shape, (points, len(space.shape)))
    start = time.perf_counter()
    assert len(costs(space, drawn)) == points
    return time.perf_counter() - start


def test_costs_are_ten_thousand_times_as_fast_as_fvcore() -> None:
    network = build(read_config(CONFIGS / f"{next(iter(PUBLISHED))}.yaml").architecture).eval()
    conv_macs_by_fvcore(network, (32, 32))  # what is loaded once
    start = time.perf_counter()
    conv_macs_by_fvcore(network, (32, 32))
    fvcore = time.perf_counter() - start
    ours = min(seconds_of_costs(1 << 16) for _ in range(3))
    assert fvcore > 10_000 * ours / (1 << 16)


@pytest.mark.bench
def test_a_million_variants_are_costed_in_a_minute() -> None:
    assert seconds_of_costs(1_000_000) < 60


def test_a_batch_costs_what_each_one_costs(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    drawn = with_either_head(architectures(300, 14), random.Random(15))
    drawn = [replace(a, align_corners=False) for a in drawn]
    costs = batch_costs(ArchitectureBatch.of(drawn), (65, 97), 7)
    assert costs.dtype == np.int64
    for row, architecture in zip(costs.tolist(), drawn, strict=True):
        assert Cost(*row) == cost(architecture, (65, 97), 7)


def test_an_architecture_too_large_for_64_bits_is_counted_exactly() -> None:
    width = (4096,) * 4
    stage = Stage(4096, "BOTTLENECK", (4096,) * 4, width)
    huge = Architecture((Stage(1, "BOTTLENECK", (1,), (64,)), stage, stage, stage))
    found = cost(huge, (4096, 4096), 19)
    assert found.macs > 2**64
    wider = cost(huge, (8192, 4096), 19)
    assert wider.macs == 2 * found.macs  # every map is twice as high
    with pytest.raises(InputError, match="64 bits"):
        batch_costs(ArchitectureBatch.of([huge]), (4096, 4096), 19)


@pytest.mark.parametrize(
    ("size", "classes"), [((0, 8), 19), ((8, -1), 19), ((8.0, 8), 19), ((8, 8), 0), ((8, 8), True)]
)
def test_a_size_or_class_count_that_is_none_is_refused(size: object, classes: int) -> None:
    small = read_config(CONFIGS / f"{next(iter(PUBLISHED))}.yaml").architecture
    with pytest.raises(InputError, match="positive integer"):
        cost(small, size, classes)  # type: ignore[arg-type]


def products_by_torch(architecture: Architecture, size: tuple[int, int], classes: int) -> int:
    """Count the matrix products of a built network by torch's own counter, which halves to MACs."""
    with torch.device("meta"):
        network = build(architecture, classes).eval()
        image = torch.empty(1, 3, *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    counts = counter.get_flop_counts()["Global"]
    return int(sum(n for op, n in counts.items() if "convolution" not in str(op))) // 2


def test_the_products_of_attention_are_those_that_torch_counts(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    rng = random.Random(31)
    drawn = with_either_head(architectures(100, 30), rng)
    found = batch_attention_macs(
        ArchitectureBatch.of([replace(a, align_corners=False) for a in drawn]), (65, 97), 7
    )
    assert found.tolist() == [attention_macs(a, (65, 97), 7) for a in drawn]
    assert [bool(n) for n in found] == [a.has_ocr for a in drawn]
    for architecture in drawn[:12]:
        size, classes = (rng.randint(1, 140), rng.randint(1, 140)), rng.randint(1, 30)
        expected = products_by_torch(architecture, size, classes)
        assert attention_macs(architecture, size, classes) == expected


def test_a_rule_of_64_bits_counts_both_heads() -> None:
    small = read_config(CONFIGS / f"{next(iter(PUBLISHED))}.yaml").architecture
    wide = replace(small, head=OCR, mid_channels=4096, key_channels=4096)
    both = ArchitectureBatch.of([replace(small, final_kernel=3), wide])
    assert fit_64_bits(both, (1024, 2048), 19)
    assert not fit_64_bits(both, (2**20, 2**20), 4096)
