"""The parts of an HRNet by stage and branch, for what copies weights from one into another."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from hrnet_search.net.hrnet import BasicBlock, Bottleneck, HighResolutionModule, HighResolutionNet

Block = BasicBlock | Bottleneck
Link = tuple[nn.Conv2d, nn.BatchNorm2d]


def scores_of(network: HighResolutionNet) -> nn.Sequential:
    """Return the head that scores each pixel by itself."""
    return network.aux_head if network.architecture.has_ocr else network.last_layer


def links_of(module: nn.Module) -> list[Link]:
    """Return the pairs of convolution and norm of an edge, a transition or a block's residual."""
    if isinstance(module, BasicBlock | Bottleneck):
        parts = [part for name, part in module.named_children() if name != "downsample"]
    else:
        parts = list(module.modules())
    convs = [part for part in parts if isinstance(part, nn.Conv2d)]
    norms = [part for part in parts if isinstance(part, nn.BatchNorm2d)]
    return list(zip(convs, norms, strict=True))


def edges_as_sum(module: HighResolutionModule) -> nn.ModuleList:
    """Return the edges of a CAT module as SUM has them, with their share of the projection in them.

    What a branch sends to itself is not projected any more: SUM has no place for it.
    """
    edges = copy.deepcopy(module.fuse_layers)
    for target, (row, projection) in enumerate(zip(edges, module.fuse_projections, strict=True)):
        weight = cast("nn.Conv2d", projection).weight[:, :, 0, 0]
        shares = torch.split(weight, len(weight), dim=1)
        for origin, edge in enumerate(cast("nn.ModuleList", row)):
            if origin != target:
                _project(*links_of(edge)[-1], shares[origin])
    return edges


@torch.no_grad()
def _project(conv: nn.Conv2d, norm: nn.BatchNorm2d, matrix: Tensor) -> None:
    """Put a matrix `[out, channels]` behind a norm into the convolution before it.

    Exact in evaluation mode; the variance takes the norm's channels for independent.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    conv.weight = nn.Parameter(torch.einsum("oc,cikl->oikl", matrix * scale, conv.weight))
    norm.running_mean = (matrix * scale) @ norm.running_mean
    norm.running_var = matrix.square() @ norm.weight.square()
    norm.weight = nn.Parameter((norm.running_var + norm.eps).sqrt())
    norm.bias = nn.Parameter(matrix @ norm.bias)


def blocks_of(module: HighResolutionModule, branch: int) -> list[nn.Module]:
    return list(cast("nn.Sequential", module.branches[branch]))


def widths_of(network: HighResolutionNet, number: int) -> tuple[int, ...]:
    return network.architecture.stages[number - 1].widths


def width_of(network: HighResolutionNet, number: int, branch: int) -> int:
    return widths_of(network, number)[branch]


def transition_of(network: HighResolutionNet, number: int) -> nn.ModuleList:
    return cast("nn.ModuleList", network.get_submodule(f"transition{number - 1}"))


def modules_of(network: HighResolutionNet, number: int) -> list[HighResolutionModule]:
    stage = cast("nn.Sequential", network.get_submodule(f"stage{number}"))
    return [cast("HighResolutionModule", module) for module in stage]
