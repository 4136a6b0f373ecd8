"""Two witnesses of convolutions, fvcore and hooks, agree with arithmetic and with the cost."""

from __future__ import annotations

import copy
from math import prod

import torch
from made_up import network as architecture_of
from torch import Tensor, nn

from hrnet_search.arch.cost import cost
from hrnet_search.evaluate.counting import (
    conv_activations_by_fvcore,
    conv_macs_by_fvcore,
    cost_by_fvcore,
)
from hrnet_search.net.hrnet import build


def conv_macs_by_hooks(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Return MACs and activations of one [1, 3, H, W] image, from hooks on a meta copy.

    `size` is (height, width). Activations are the elements that convolutions put out. Only
    convolutions that run as modules are seen. The network itself stays as it is.
    """
    counts: list[tuple[int, int]] = []

    def count(convolution: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(convolution, nn.Conv2d)
        # A weight is [out, in / groups, kh, kw]; each output element costs all but `out`.
        counts.append((output.numel() * prod(convolution.weight.shape[1:]), output.numel()))

    meta = copy.deepcopy(network).to("meta").eval()
    for module in meta.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        meta(torch.empty(1, 3, *size, device="meta"))
    return sum(macs for macs, _ in counts), sum(activations for _, activations in counts)


def grouped() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1, groups=2, bias=False),
    )


def test_a_convolution_counts_its_products_once() -> None:
    first, second = 8 * 5 * 7, 4 * 5 * 7  # elements put out, of a 9x13 image
    macs = first * 3 * 9 + second * 4
    assert conv_macs_by_hooks(grouped(), (9, 13)) == (macs, first + second)
    assert conv_macs_by_fvcore(grouped(), (9, 13)) == macs
    assert conv_activations_by_fvcore(grouped(), (9, 13)) == first + second


def test_both_agree_with_the_cost_of_a_network() -> None:
    architecture = architecture_of(6)
    found = cost(architecture, (65, 97), 5)
    network = build(architecture, 5)
    assert conv_macs_by_hooks(network, (65, 97)) == (found.macs, found.activations)
    assert cost_by_fvcore(network, (65, 97)) == found


def test_counting_leaves_the_network_as_it_is() -> None:
    network = grouped().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    conv_macs_by_hooks(network, (8, 8))
    conv_macs_by_fvcore(network, (8, 8))
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(module._forward_hooks for module in network.modules())
