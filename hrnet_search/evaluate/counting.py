"""Count convolutions by running a network: two witnesses that the exact cost is checked against.

Both count multiply-accumulates of `nn.Conv2d` for one image, without bias, batch norm,
upsampling or additions.
"""

from __future__ import annotations

import copy
import warnings
from math import prod

import torch
from torch import Tensor, nn

from hrnet_search.arch.cost import Cost

Size = tuple[int, int]


def conv_macs_by_hooks(network: nn.Module, size: Size) -> tuple[int, int]:
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


def conv_macs_by_fvcore(network: nn.Module, size: Size) -> int:
    """Return MACs of one [1, 3, H, W] image as fvcore counts them; it calls them flops.

    `size` is (height, width). A copy is traced on the CPU: fvcore cannot count on meta tensors.
    """
    return _by_fvcore("FlopCountAnalysis", network, size)


def conv_activations_by_fvcore(network: nn.Module, size: Size) -> int:
    """Return the elements that convolutions put out for one image, as fvcore counts them."""
    return _by_fvcore("ActivationCountAnalysis", network, size)


def cost_by_fvcore(network: nn.Module, size: Size) -> Cost:
    """Return parameters, MACs and activations of a network as fvcore counts them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import fvcore.nn

        params = fvcore.nn.parameter_count(network)[""]
    macs = conv_macs_by_fvcore(network, size)
    return Cost(int(params), macs, conv_activations_by_fvcore(network, size))


def _by_fvcore(analysis: str, network: nn.Module, size: Size) -> int:
    traced = copy.deepcopy(network).to("cpu").eval()
    with warnings.catch_warnings():
        # It scripts at import and traces at work, which torch calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import fvcore.nn

        counter = getattr(fvcore.nn, analysis)(traced, torch.zeros(1, 3, *size))
        # What it leaves out (additions, upsampling) and calls odd is not asked for here.
        counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counter.tracer_warnings("none")
        return int(counter.by_operator()["conv"])
