"""Count convolutions by running a network: a witness that the exact cost is checked against.

It counts multiply-accumulates of `nn.Conv2d` for one image, without bias, batch norm,
upsampling or additions.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn

from hrnet_search.arch.cost import Cost

Size = tuple[int, int]


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
