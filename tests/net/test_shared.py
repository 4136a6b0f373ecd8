"""Networks of one set of weights: each has its slice, by name, and what it learns all have."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
from net.pairs import CLASSES, images, random_architecture, shaken
from torch import Tensor
from torch.func import functional_call

from hrnet_search.arch.architecture import STEM_CHANNELS, Architecture, Stage
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherit import inherit
from hrnet_search.net.shared import SharedNetwork, unweighted

FEW, MANY = 4, 1000

SPACES = [
    Architecture(
        (
            Stage(1, "BOTTLENECK", (1,), (16,)),
            Stage(1, "BASIC", (2,), (8,)),
            Stage(0, "BASIC", (1, 1), (8, 12)),
            Stage(2, "BASIC", (1, 2, 1, 1), (8, 12, 16, 20), "CAT"),
        )
    ),
    Architecture(
        (
            Stage(1, "BOTTLENECK", (2,), (8,)),
            Stage(2, "BASIC", (1, 1), (6, 14), "CAT"),
            Stage(1, "BASIC", (1, 1, 1), (6, 14, 10)),
            Stage(1, "BASIC", (2, 1, 1), (6, 14, 10), "CAT"),
        ),
        final_kernel=3,
    ),
    Architecture(
        (
            Stage(1, "BASIC", (2,), (64,)),
            Stage(1, "BOTTLENECK", (1, 2), (3, 4)),
            Stage(1, "BASIC", (1, 1, 1), (12, 16, 8)),
            Stage(1, "BOTTLENECK", (1, 1, 1), (3, 4, 2)),
        )
    ),
    Architecture(
        (
            Stage(1, "BOTTLENECK", (1,), (5,)),
            Stage(2, "BOTTLENECK", (2, 1), (2, 5), "CAT"),
            Stage(1, "BOTTLENECK", (1, 1), (2, 5)),
            Stage(2, "BASIC", (1, 1, 1), (8, 20, 9)),
        )
    ),
]


def numbered(shared: SharedNetwork) -> SharedNetwork:
    """Return shared weights no two of which are alike."""
    shared.double()
    count = 0
    with torch.no_grad():
        for weight in shared.parameters():
            weight.copy_(torch.arange(count, count + weight.numel()).view(weight.shape))
            count += weight.numel()
    return shared


def from_network(network: HighResolutionNet) -> SharedNetwork:
    """Return shared weights that are those of their largest network."""
    shared = SharedNetwork.of([network.architecture], CLASSES).double()
    with torch.no_grad():
        for name, weight in shared.slices(network).items():
            weight.copy_(network.get_parameter(name))
    return shared


def drawn(count: int, seed: int) -> list[tuple[Architecture, Architecture]]:
    """Return pairs of a network and one that has all it has, under the same names."""
    rng, found = random.Random(seed), list[tuple[Architecture, Architecture]]()
    while len(found) < count:
        large = random_architecture(rng)
        small = smaller(large, rng)
        if contained(small, large):
            found.append((small, large))
    return found


def smaller(large: Architecture, rng: random.Random) -> Architecture:
    """Draw a network with less of something; widths that were equal stay equal."""
    less = {width: max(1, width - rng.choice([0, 1, 3])) for width in range(1, 100)}
    first, *others = large.stages
    stages = [replace(first, blocks=(rng.randint(1, first.blocks[0]),))]
    if first.widths[0] != STEM_CHANNELS:
        stages = [replace(stages[0], channels=(less[first.channels[0]],))]
    most = rng.choice([4, 4, 3, 2])
    for stage in others:
        wide = min(most, stage.branches)
        blocks = tuple(rng.randint(1, count) for count in stage.blocks[:wide])
        channels = tuple(less[count] for count in stage.channels[:wide])
        modules = rng.randint(min(1, stage.modules), stage.modules)
        stages.append(replace(stage, modules=modules, blocks=blocks, channels=channels))
    kernel = rng.choice([1, large.final_kernel])
    return replace(large, stages=(stages[0], stages[1], stages[2], stages[3]), final_kernel=kernel)


def fused_alike(one: Architecture, other: Architecture) -> bool:
    """Say whether `inherit` has nothing to fold: CAT's share into SUM, rows of one branch."""
    return all(
        a.modules == 0
        or (a.branches > 1 and a.fuse == b.fuse)
        or (a.branches == 1 and a.modules == b.modules and (a.modules == 1 or a.blocks == b.blocks))
        for a, b in zip(one.stages, other.stages, strict=True)
    )


def check_that_slices_are_inherited(small: Architecture, large: Architecture) -> None:
    source = shaken(large, seed=1)
    network = build(small, CLASSES).double()
    report = inherit(network, source)
    slices = from_network(source).slices(unweighted(small, CLASSES))
    assert not [name for name in report.fresh if name in slices]
    for name, weight in network.named_parameters():
        assert torch.equal(slices[name], weight), name


def check_that_the_largest_is_itself(large: Architecture) -> None:
    shared = SharedNetwork.of([large], CLASSES)
    whole = shared.slices(unweighted(large, CLASSES))
    assert {id_of(weight) for weight in whole.values()} == {id_of(w) for w in shared.parameters()}
    build(large, CLASSES).load_state_dict(whole, strict=False)


def id_of(weight: Tensor) -> tuple[int, tuple[int, ...]]:
    return weight.data_ptr(), tuple(weight.shape)


def check_that_a_slice_is_called(small: Architecture, large: Architecture) -> None:
    """The network called with its slices computes what a built one with them does."""
    shared = from_network(shaken(large, seed=2))
    called = unweighted(small, CLASSES)
    slices = shared.slices(called)
    logits = functional_call(called, slices, images(3))
    network = build(small, CLASSES).double()
    assert set(slices) == {name for name, _ in network.named_parameters()}
    network.load_state_dict(slices, strict=False)
    assert torch.equal(logits, network(images(3)))


def contained(small: Architecture, large: Architecture) -> bool:
    """Say whether all that a network has is in the larger one under the same name."""
    if not fused_alike(small, large):
        return False
    shared = SharedNetwork.of([large], CLASSES)
    try:
        shared.slices(unweighted(small, CLASSES))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("check", [check_that_slices_are_inherited, check_that_a_slice_is_called])
@pytest.mark.parametrize(
    "count", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.bench)]
)
def test_slices_are_what_a_smaller_network_inherits(
    check: Callable[[Architecture, Architecture], None], count: int
) -> None:
    for small, large in drawn(count, seed=count):
        check(small, large)


@pytest.mark.parametrize(
    "count", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.bench)]
)
def test_slices_of_the_largest_are_itself(count: int) -> None:
    rng = random.Random(count)
    for _ in range(count):
        check_that_the_largest_is_itself(random_architecture(rng))


PROJECTION = "fuse_projections.{}.weight"
HEAD, KERNEL = "last_layer.0.weight", "last_layer.3.weight"


def columns(*ranges: tuple[int, int]) -> list[int]:
    return [column for start, end in ranges for column in range(start, end)]


BY_BRANCH: list[dict[str, list[int]]] = [
    # The head's inputs are 8, 14, 16 and 20 wide, those of projections 8, 14, 16 and 20 each,
    # of which only the first network sends a fourth: it is as wide as that network's branch.
    {
        HEAD: columns((0, 8), (8, 20), (22, 38), (38, 58)),
        f"stage4.0.{PROJECTION.format(0)}": columns((0, 32)),
        f"stage4.0.{PROJECTION.format(1)}": columns((0, 12), (14, 26), (28, 40), (42, 54)),
        f"stage4.0.{PROJECTION.format(2)}": columns((0, 64)),
        f"stage4.0.{PROJECTION.format(3)}": columns((0, 80)),
    },
    {
        HEAD: columns((0, 6), (8, 22), (22, 32)),
        f"stage2.0.{PROJECTION.format(0)}": columns((0, 12)),
        f"stage2.0.{PROJECTION.format(1)}": columns((0, 28)),
        f"stage4.0.{PROJECTION.format(0)}": columns((0, 6), (8, 14), (16, 22)),
        f"stage4.0.{PROJECTION.format(1)}": columns((0, 42)),
        f"stage4.0.{PROJECTION.format(2)}": columns((0, 10), (16, 26), (32, 42)),
    },
    # Heads of 12, 16 and 8 channels beside 8, 20 and 9; CAT in one stage of one network.
    {HEAD: columns((0, 12), (12, 28), (32, 40))},
    {
        HEAD: columns((0, 8), (12, 32), (32, 41)),
        f"stage2.0.{PROJECTION.format(0)}": columns((0, 16)),
        f"stage2.0.{PROJECTION.format(1)}": columns((0, 40)),
    },
]


KINDS = {
    "layer1.0": ("@Bottleneck", "@Bottleneck", "@BasicBlock", "@Bottleneck"),
    "layer1.1": ("", "@Bottleneck", "@BasicBlock", ""),
    "stage2": ("@BasicBlock", "@BasicBlock", "@Bottleneck", "@Bottleneck"),
    "stage3": ("", "@BasicBlock", "@BasicBlock", "@Bottleneck"),
    "stage4": ("@BasicBlock", "@BasicBlock", "@Bottleneck", "@BasicBlock"),
    "transition1.1": ("", "@1", "@1", "@1"),
    "transition2.1": ("@1", "", "", ""),
    "transition2.2": ("", "@1", "@1", ""),
    "transition3.2": ("@1", "", "", "@1"),
    "transition3.3": ("@2", "", "", ""),
}
"""What follows the name of a tensor in each of the four networks; `stage` is of branches."""


def by_hand(shared: SharedNetwork, index: int, name: str, shape: torch.Size) -> Tensor:
    """Return the part of the shared weights that a parameter is to be, by plain indices."""
    place = name.split(".")
    known = "stage" not in name or "branches" in name
    kinds = KINDS.get(place[0]) or KINDS.get(".".join(place[:2]))
    found: Tensor = shared[name + (kinds[index] if kinds and known else "")]
    if (chosen := BY_BRANCH[index].get(name)) is not None:
        return found[: shape[0], chosen]
    if name == "last_layer.3.weight" and shape[-1] == 1 and index == 0:
        found = found[..., 1:2, 1:2]
    return found[tuple(slice(size) for size in shape[:2])]


@pytest.mark.parametrize("first", [0, 2], ids=["CAT and missing modules", "bottlenecks"])
def test_slices_equal_networks_built_by_hand(first: int) -> None:
    space = SPACES[first : first + 2]
    shared = numbered(SharedNetwork.of(space, CLASSES))
    for index, architecture in enumerate(space, start=first):
        network = build(architecture, CLASSES).double()
        slices = shared.slices(unweighted(architecture, CLASSES))
        for name, weight in network.named_parameters():
            weight.data = by_hand(shared, index, name, weight.shape)
            assert torch.equal(slices[name], weight), name
            assert slices[name].shape == weight.shape
        network.train()
        logits = functional_call(unweighted(architecture, CLASSES), slices, images(5))
        assert torch.equal(logits, network(images(5)))


def test_what_a_slice_learns_the_rest_does_not() -> None:
    shared = SharedNetwork.of(SPACES[:2], CLASSES)
    network = unweighted(SPACES[1], CLASSES)
    loss = sum(weight.square().sum() / 2 for weight in shared.slices(network).values())
    cast("Tensor", loss).backward()  # type: ignore[no-untyped-call]
    learned = [w.grad for w in shared.parameters() if w.grad is not None]
    for weight in shared.parameters():
        if weight.grad is not None:
            assert torch.equal(weight.grad[weight.grad != 0], weight[weight.grad != 0])
    whole = build(SPACES[1], CLASSES)
    moved = sum(int((grad != 0).sum()) for grad in learned)
    zeros = sum(int((weight == 0).sum()) for weight in shared.slices(network).values())
    assert moved + zeros == sum(weight.numel() for weight in whole.parameters())


def test_a_start_is_that_of_a_network() -> None:
    torch.manual_seed(0)
    shared = SharedNetwork.of(SPACES[:2], CLASSES)
    for architecture in SPACES[:2]:
        network = build(architecture, CLASSES)
        for name, weight in shared.slices(unweighted(architecture, CLASSES)).items():
            own = network.get_parameter(name)
            if "fuse_projections" in name or (own.dim() == 1 and "last_layer" not in name):
                assert torch.equal(weight, own), name
            elif own.numel() >= 100:
                assert torch.isclose(weight.std(), own.std(), rtol=0.3), name


def test_a_network_that_is_not_of_the_space_has_no_slice() -> None:
    shared = SharedNetwork.of(SPACES[:1], CLASSES)
    with pytest.raises(ValueError, match=f"{SPACES[1].id} has no slice here"):
        shared.slices(unweighted(SPACES[1], CLASSES))


def test_statistics_are_not_shared() -> None:
    shared = SharedNetwork.of(SPACES[:2], CLASSES)
    assert not list(shared.buffers())
