"""Inheritance: the weights of one HRNet as the start of a variant of other shape.

Channels are sliced, the first ones kept. Blocks, modules, branches and channels that the variant
has more start so that they change nothing: added blocks and fuse edges behind a last batch norm
of gamma zero (every branch is rectified, so a block that adds zero is the identity, and so is a
module of such blocks and edges), added channels and branches unheard. Where the variant contains
its source (`arch/growth.py`), both compute the same function in evaluation mode; in training mode
too, except where a convolution with batch norm has to stand for an identity. Elsewhere the best
of it is kept.

Nothing stands behind two zeros in a row, so that after one step everything learns. The idea is
that of Net2Net (Chen et al., 2016, arXiv:1511.05641), without its copies of channels, which stay
alike until noise parts them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.growth import contains
from hrnet_search.errors import WeightsError, listed
from hrnet_search.net.file_kind import NotWeightsError
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.inherited_layers import (
    inherit_head,
    inherit_row,
    inherit_stage,
    inherit_stem,
    inherit_transition,
)
from hrnet_search.net.network_parts import scores_of, width_of
from hrnet_search.net.structure import has_head, network_of
from hrnet_search.net.tensor_names import Found
from hrnet_search.net.transfer import Transfer
from hrnet_search.net.weights import (
    COUNTER,
    WEIGHTS,
    absent_edges,
    compare,
    how_read,
    named_tensors,
    refusal,
)


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What became of every tensor of a variant, by name.

    `matched` ones came whole, `inherited` ones in part, `fresh` ones start as a new network's,
    or as the identity. `kept` is the share of the source's parameters that the variant has.
    `same_function`: in evaluation mode the variant computes what its source does. `edges` of its
    last fusion were not in a file, `unused` tensors of it have no place in any network of this
    family; `origin` is how the file was read.
    """

    matched: tuple[str, ...]
    inherited: tuple[str, ...]
    fresh: tuple[str, ...]
    same_function: bool
    kept: float
    edges: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    origin: str = ""

    def __str__(self) -> str:
        total = len(self.matched) + len(self.inherited) + len(self.fresh)
        whole = "the function is the source's" if self.same_function else "not the whole function"
        fresh = f" ({listed(self.fresh)})" if self.fresh else ""
        return (
            f"{len(self.matched)} of {total} tensors match, {len(self.inherited)} inherited"
            f" in part, {len(self.fresh)} fresh{fresh}: {whole},"
            f" {self.kept:.0%} of its weights"
            f"{how_read(self.origin, self.edges, self.unused)}"
        )


def inherit_from(network: HighResolutionNet, path: str | Path) -> Inheritance:
    """Start a network from the weights of another HRNet, whatever its shape.

    Raise WeightsError as `source_of` does; the network is then as it was.
    """
    source = source_of(path)
    found = inherit(network, source.network)
    return replace(found, edges=source.edges, unused=source.unused, origin=source.origin)


def inherited_by(architecture: Architecture, classes: int, path: str | Path) -> Inheritance:
    """Return what a network of an architecture would inherit from a weight file.

    Raise WeightsError as `source_of` does.
    """
    with torch.random.fork_rng(devices=[]):
        return inherit_from(build(architecture, classes), path)


@dataclass(frozen=True, slots=True)
class Source:
    """The network of a weight file: `edges` that the file lacks, its tensors that the network
    does not have, and how it was read.
    """

    network: HighResolutionNet
    edges: tuple[str, ...]
    unused: tuple[str, ...]
    origin: str


def source_of(path: str | Path) -> Source:
    """Return the network of a weight file that `load_weights` reads.

    Raise WeightsError if the file is missing, unreadable or not the whole trunk of an HRNet.
    """
    try:
        found = named_tensors(Path(path))
        network = _network_of(found)
    except NotWeightsError as error:
        raise WeightsError(refusal(path, error)) from error
    own = network.state_dict()
    unused = compare(own, found.tensors).unexpected
    return Source(network, absent_edges(own, found.tensors), unused, str(found))


def _network_of(found: Found) -> HighResolutionNet:
    try:
        return network_of(found.tensors)
    except NotWeightsError:  # which says what to do, too
        raise
    except ValueError as error:
        wrong = f"{error}: it holds {found.described}"
        raise NotWeightsError(wrong, f"start from {WEIGHTS}, its trunk whole") from error


def inherit(network: HighResolutionNet, source: HighResolutionNet) -> Inheritance:
    """Start a network of fresh weights from those of another."""
    transfer = Transfer()
    inherit_stem(transfer, network, source)
    inherit_row(transfer, list(network.layer1), list(source.layer1), width_of(source, 1, 0))
    for number in (2, 3, 4):
        inherit_transition(transfer, network, source, number)
        inherit_stage(transfer, network, source, number)
    headed = has_head(source)
    if headed:
        inherit_head(transfer, network, source)
    return _account(transfer, network, source, headed)


def _account(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, headed: bool
) -> Inheritance:
    tensors = {
        name: id(tensor)
        for name, tensor in network.state_dict(keep_vars=True).items()
        if not name.endswith(COUNTER)
    }
    # Weights do not show `align_corners`: it is taken to be the variant's.
    aligned = network.architecture.align_corners
    before = replace(source.architecture, align_corners=aligned)
    classes = [cast("nn.Conv2d", scores_of(net)[3]).out_channels for net in (network, source)]
    return Inheritance(
        matched=tuple(name for name, tensor in tensors.items() if tensor in transfer.whole),
        inherited=tuple(name for name, tensor in tensors.items() if tensor in transfer.part),
        fresh=tuple(n for n, t in tensors.items() if t not in transfer.whole | transfer.part),
        same_function=headed
        and classes[0] == classes[1]
        and contains(network.architecture, before),
        kept=transfer.copied / sum(tensor.numel() for tensor in source.parameters()),
    )
