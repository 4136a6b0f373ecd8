"""The network that a state dict is of, read from its names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count, takewhile

import torch
from torch import Tensor

from hrnet_search.arch.architecture import OCR, Architecture, Stage
from hrnet_search.errors import ArchitectureError, shown
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.tensor_names import HEADS
from hrnet_search.net.weights import absent_edges, compare, fitting

Tensors = Mapping[str, Tensor]

ALIGNED = "align_corners"
"""The fact of a weight file that says what its tensors do not show: true or false."""

OCR_BLOCK = "ocr_distri_head.object_context_block."


def network_of(tensors: Tensors, align_corners: bool = False) -> HighResolutionNet:
    """Return the network that the tensors are the weights of, made of these very tensors.

    They do not show `align_corners`.
    A head that is not whole stays on the meta device (`has_head`), and so do the edges of the
    last fusion that a pose network does not have (`absent_edges`). Raise ValueError, with a
    phrase, if they are not the whole trunk of an HRNet.
    """
    if single := [name for name, t in tensors.items() if name.endswith("weight") and not t.dim()]:
        raise ValueError(f"{shown(single[0])} is a single number, and no tensor of weights")
    try:
        architecture = replace(architecture_of(tensors), align_corners=align_corners)
        scores = f"{HEADS[architecture.head][0]}3.weight"
        with torch.device("meta"):
            network = build(architecture, len(tensors[scores]) if scores in tensors else 1)
    except (KeyError, ArchitectureError) as error:
        raise ValueError("the file has the names of no HRNet") from error
    own = network.state_dict()
    report = replace(compare(own, tensors), edges=absent_edges(own, tensors))
    head = HEADS[architecture.head]
    if lost := [name for name in report.untrained if not name.startswith(head)]:
        raise ValueError(f"{len(lost)} tensors of its trunk do not fit ({lost[0]})")
    network.load_state_dict(fitting(own, tensors), strict=False, assign=True)
    return network.requires_grad_(False)


def has_head(network: HighResolutionNet) -> bool:
    """Say whether a network of `network_of` has its head."""
    head = HEADS[network.architecture.head]
    named = (t for name, t in network.named_parameters() if name.startswith(head))
    return not any(tensor.is_meta for tensor in named)


def architecture_of(tensors: Tensors) -> Architecture:
    """Return the architecture; what weights do not show (`align_corners`) is False.

    Raise KeyError for a name that every HRNet has and these do not.
    """
    first = _first_stage(tensors)
    stages, widths = [first], first.widths
    for number in (2, 3, 4):
        stages.append(_stage(tensors, number, widths))
        widths = stages[-1].widths
    four = stages[0], stages[1], stages[2], stages[3]
    if (mixed := tensors.get("conv3x3_ocr.0.weight")) is not None:
        key = len(tensors[f"{OCR_BLOCK}f_pixel.0.weight"])
        return Architecture(four, OCR, mid_channels=len(mixed), key_channels=key)
    head = tensors.get("last_layer.3.weight")
    return Architecture(four, final_kernel=1 if head is None else head.shape[-1])


def _first_stage(tensors: Tensors) -> Stage:
    return Stage(
        modules=1,
        block=_block(tensors, "layer1.0"),
        blocks=(_run(tensors, "layer1.{}.conv1.weight"),),
        channels=(len(tensors["layer1.0.conv1.weight"]),),
    )


def _stage(tensors: Tensors, number: int, before: tuple[int, ...]) -> Stage:
    name = f"stage{number}"
    modules = _run(tensors, name + ".{}.branches.0.0.conv1.weight")
    if modules == 0:
        widths = _after_transition(tensors, f"transition{number - 1}", before)
        return Stage(0, "BASIC", (1,) * len(widths), widths)
    branches = _run(tensors, name + ".0.branches.{}.0.conv1.weight")
    rows = [f"{name}.0.branches.{branch}" for branch in range(branches)]
    return Stage(
        modules=modules,
        block=_block(tensors, f"{rows[0]}.0"),
        blocks=tuple(_run(tensors, row + ".{}.conv1.weight") for row in rows),
        channels=tuple(len(tensors[f"{row}.0.conv1.weight"]) for row in rows),
        fuse="CAT" if f"{name}.0.fuse_projections.0.weight" in tensors else "SUM",
    )


def _after_transition(tensors: Tensors, name: str, before: tuple[int, ...]) -> tuple[int, ...]:
    """Return the widths after a transition that no module follows."""
    widths = list(before)
    for branch in range(len(before)):
        if (conv := tensors.get(f"{name}.{branch}.0.weight")) is not None:
            widths[branch] = len(conv)
    while steps := _run(tensors, f"{name}.{len(widths)}." + "{}.0.weight"):
        widths.append(len(tensors[f"{name}.{len(widths)}.{steps - 1}.0.weight"]))
    return tuple(widths)


def _block(tensors: Tensors, name: str) -> str:
    return "BOTTLENECK" if f"{name}.conv3.weight" in tensors else "BASIC"


def _run(tensors: Tensors, pattern: str) -> int:
    """Return how many of a name's numbers, from 0 on, are there."""
    return sum(1 for _ in takewhile(lambda i: pattern.format(i) in tensors, count()))
