"""A variant starts as what its source was, as far as it has the place, and all of it learns."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from net.pairs import CLASSES, images, larger, loud, random_architecture, shaken
from torch import Tensor

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.growth import contains, keeps_statistics
from hrnet_search.errors import WeightsError
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import inherit, inherit_from
from hrnet_search.net.structure import network_of
from hrnet_search.net.weights import save_weights

SOURCE = Architecture(
    (
        Stage(1, "BOTTLENECK", (2,), (8,)),
        Stage(1, "BASIC", (2, 2), (8, 12)),
        Stage(2, "BASIC", (2, 2, 2), (8, 12, 16)),
        Stage(1, "BASIC", (2, 2, 2), (8, 12, 16)),
    )
)


def changed(index: int, base: Architecture = SOURCE, **changes: Any) -> Architecture:
    stages = list(base.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(base, stages=(stages[0], stages[1], stages[2], stages[3]))


def wide(widths: tuple[int, ...], base: Architecture = SOURCE) -> Architecture:
    for index in (1, 2, 3):
        base = changed(index, base, channels=widths[: base.stages[index].branches])
    return base


def fused(method: str) -> Architecture:
    return changed(1, changed(2, changed(3, fuse=method), fuse=method), fuse=method)


LARGER = {
    "itself": SOURCE,
    "wider": wide((11, 12, 20)),
    "a wider stage 1": changed(0, channels=(12,)),
    "more blocks": changed(3, changed(0, blocks=(3,)), blocks=(2, 4, 3)),
    "more modules": changed(1, changed(2, modules=4), modules=2),
    "a fourth branch": changed(3, blocks=(2, 2, 2, 2), channels=(8, 12, 16, 24)),
    "CAT": fused("CAT"),
    "a larger final kernel": replace(SOURCE, final_kernel=3),
}
SMALLER = {
    "narrower": wide((6, 9, 16)),
    "fewer blocks": changed(3, blocks=(1, 2, 1)),
    "fewer modules": changed(2, modules=1),
    "two branches": changed(
        3, changed(2, blocks=(2, 2), channels=(8, 12)), blocks=(2, 2), channels=(8, 12)
    ),
    "bottlenecks": changed(3, block="BOTTLENECK", channels=(2, 3, 4)),
    "a branch earlier": changed(1, blocks=(2, 2, 2), channels=(8, 12, 16)),
}


def outputs(*networks: HighResolutionNet, training: bool = False) -> list[Tensor]:
    with torch.no_grad():
        return [network.train(training)(images(7)) for network in networks]


def distance(
    source: HighResolutionNet, variant: HighResolutionNet, training: bool = False
) -> float:
    """Return the largest difference of outputs over the largest output."""
    old, new = outputs(source, variant, training=training)
    return float((old - new).abs().max() / old.abs().max())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LARGER)
def test_a_larger_variant_computes_what_its_source_does(name: str, training: bool) -> None:
    source, variant = shaken(SOURCE, 1), loud(LARGER[name], 2)
    report = inherit(variant, network_of(source.state_dict()))
    assert report.same_function
    assert distance(source, variant, training) < 1e-9


def check_pair(seed: int) -> tuple[bool, bool]:
    """Inherit between two random networks; say if function and training mode were kept."""
    rng = random.Random(seed)
    first = random_architecture(rng)
    second = larger(first, rng) if rng.random() < 0.9 else random_architecture(rng)
    source, variant = shaken(first, seed), loud(second, seed + 1)
    report = inherit(variant, network_of(source.state_dict()))
    assert report.same_function == contains(second, first)
    assert len(set(names(report))) == len(names(report)) == counted(variant)
    if not report.same_function:
        assert all(torch.isfinite(y).all() for y in outputs(variant))
        assert 0 < report.kept <= 1
        return False, False
    assert report.kept == 1
    assert distance(source, variant) < 1e-9, (first, second)
    rests = keeps_statistics(second, first)
    assert (distance(source, variant, training=True) < 1e-9) == rests, (first, second)
    return True, rests


def names(report: Any) -> tuple[str, ...]:
    return (*report.matched, *report.inherited, *report.fresh)


def counted(network: HighResolutionNet) -> int:
    return sum(not name.endswith("num_batches_tracked") for name in network.state_dict())


def test_random_variants_that_contain_their_source_equal_it() -> None:
    found = [check_pair(seed) for seed in range(10)]
    assert sum(same for same, _ in found) > 2
    assert 1 < sum(rests for _, rests in found) < sum(same for same, _ in found)


@pytest.mark.bench
def test_two_thousand_random_variants_that_contain_their_source_equal_it() -> None:
    found = [check_pair(seed) for seed in range(2000)]
    assert sum(same for same, _ in found) > 500


@pytest.mark.parametrize("name", [*LARGER, *SMALLER])
def test_everything_learns_after_one_step(name: str) -> None:
    """Added parts stand behind one zero each: the first step moves it, the second goes through."""
    variant = loud((LARGER | SMALLER)[name], 3)
    inherit(variant, network_of(shaken(SOURCE, 1).state_dict()))
    aims = torch.randn(
        2, CLASSES, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(5)
    )
    optimiser = torch.optim.SGD(variant.train().parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        (variant(images(7)) * aims).mean().backward()
        optimiser.step()
    still = [
        name
        for name, parameter in variant.named_parameters()
        if parameter.grad is None
        or not parameter.grad.flatten(1 if parameter.dim() > 1 else 0).any()
    ]
    assert still == []


@pytest.mark.parametrize("name", SMALLER)
def test_a_variant_that_lacks_something_keeps_the_rest(name: str) -> None:
    source, variant = shaken(SOURCE, 1), loud(SMALLER[name], 2)
    started = {n: t.clone() for n, t in variant.state_dict().items()}
    report = inherit(variant, network_of(source.state_dict()))
    assert not report.same_function
    state, given = variant.state_dict(), source.state_dict()
    assert {"conv1.weight", "bn2.running_var", "layer1.0.conv2.weight"} <= set(report.matched)
    assert all(torch.equal(state[n], given[n]) for n in report.matched)
    for n in report.inherited:
        if n.endswith("running_mean") or "branches" not in n or n not in given:
            continue
        shared = tuple(
            slice(min(a, b)) for a, b in zip(state[n].shape, given[n].shape, strict=True)
        )
        assert torch.equal(state[n][shared], given[n][shared]), n
    zeroed = [n for n in report.fresh if not torch.equal(state[n], started[n])]
    assert all(n.endswith(("bn2.weight", "bn3.weight", ".1.weight")) for n in zeroed)


def test_a_narrower_variant_is_the_source_without_its_last_channels() -> None:
    """Where the channels that go were silent and unheard, nothing is lost at all."""
    narrow = wide((6, 9, 16))
    source = loud(SOURCE, 4)
    inherit(source, network_of(shaken(narrow, 1).state_dict()))
    variant = loud(narrow, 5)
    report = inherit(variant, network_of(source.state_dict()))
    assert distance(shaken(narrow, 1), variant) < 1e-9
    given, own = dict(source.named_parameters()), dict(variant.named_parameters())
    shared = sum(
        math.prod(map(min, tensor.shape, own[name].shape)) for name, tensor in given.items()
    )
    assert report.kept == shared / sum(tensor.numel() for tensor in given.values())


def test_cat_becomes_sum_exactly_where_it_adds_itself_unchanged() -> None:
    cat = shaken(fused("CAT"), 1)
    with torch.no_grad():
        for name, weight in cat.named_parameters():
            if "fuse_projections" in name:
                own, width = int(name.split(".")[-2]), len(weight)
                weight[:, own * width : (own + 1) * width, 0, 0] = torch.eye(width)
    summed = loud(SOURCE, 2)
    report = inherit(summed, network_of(cat.state_dict()))
    assert distance(cat, summed) < 1e-9
    assert not report.same_function  # not known from its shape
    assert "stage2.0.fuse_layers.0.1.0.weight" in report.inherited


def test_cat_becomes_sum_without_what_sum_has_no_place_for() -> None:
    cat, summed, fresh = shaken(fused("CAT"), 1), loud(SOURCE, 2), loud(SOURCE, 2)
    inherit(summed, network_of(cat.state_dict()))
    assert 1e-9 < distance(cat, summed) < distance(cat, fresh)


def test_other_classes_start_anew_behind_an_inherited_trunk() -> None:
    source, variant = shaken(SOURCE, 1), loud(SOURCE, 2, classes=5)
    before = variant.last_layer[3].weight.clone()  # type: ignore[operator]
    report = inherit(variant, network_of(source.state_dict()))
    assert report.fresh == ("last_layer.3.weight", "last_layer.3.bias")
    assert not report.same_function
    assert torch.equal(variant.state_dict()["last_layer.3.weight"], before)


def test_classification_weights_start_a_variant_of_other_shape() -> None:
    state = {n: t for n, t in shaken(SOURCE, 1).state_dict().items() if "last_layer" not in n}
    variant = loud(wide((11, 12, 20)), 2)
    report = inherit(variant, network_of(state))
    assert {name.split(".")[0] for name in report.fresh} == {"last_layer"}
    assert not report.same_function


def test_a_final_kernel_keeps_its_centre() -> None:
    large, small = shaken(replace(SOURCE, final_kernel=3), 1), loud(SOURCE, 2)
    report = inherit(small, network_of(large.state_dict()))
    centre = large.state_dict()["last_layer.3.weight"][:, :, 1:2, 1:2]
    assert torch.equal(small.state_dict()["last_layer.3.weight"], centre)
    assert not report.same_function


def test_a_file_in_half_precision_starts_a_network_in_its_own(tmp_path: Path) -> None:
    source = shaken(SOURCE, 1)
    save_weights(
        {n: t.half() for n, t in source.state_dict().items()}, tmp_path / "w.safetensors", {}
    )
    variant = build(wide((11, 12, 20)), CLASSES)
    report = inherit_from(variant, tmp_path / "w.safetensors")
    assert report.same_function
    assert {t.dtype for t in variant.parameters()} == {torch.float32}
    assert distance(source, variant.double()) < 1e-2


def test_a_report_is_one_line() -> None:
    report = inherit(loud(LARGER["more blocks"], 1), network_of(shaken(SOURCE, 1).state_dict()))
    text = str(report)
    assert "0 inherited in part, 45 fresh (layer1.2.conv1.weight, " in text
    assert text.endswith("and 42 more): the function is the source's, 100% of its weights")


def test_the_source_stays_as_it_was() -> None:
    source = shaken(fused("CAT"), 1)
    before = {n: t.clone() for n, t in source.state_dict().items()}
    inherit(loud(SOURCE, 2), network_of(source.state_dict()))
    assert all(torch.equal(before[n], t) for n, t in source.state_dict().items())


@pytest.mark.parametrize("content", [None, b"", {"conv1.weight": torch.zeros(64, 3, 3, 3)}])
def test_a_file_that_is_no_whole_trunk_is_refused(tmp_path: Path, content: Any) -> None:
    path, variant = tmp_path / "w.pth", loud(SOURCE, 1)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    before = {n: t.clone() for n, t in variant.state_dict().items()}
    with pytest.raises(WeightsError, match=r"w\.pth: (does not|is empty|.*holds)") as caught:
        inherit_from(variant, path)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[n], t) for n, t in variant.state_dict().items())
