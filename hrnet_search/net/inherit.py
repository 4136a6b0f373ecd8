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

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.growth import contains
from hrnet_search.errors import WeightsError, listed
from hrnet_search.net.file_kind import NotWeightsError
from hrnet_search.net.hrnet import (
    BasicBlock,
    Bottleneck,
    HighResolutionModule,
    HighResolutionNet,
    build,
)
from hrnet_search.net.ocr import ObjectContextBlock
from hrnet_search.net.structure import has_head, network_of
from hrnet_search.net.tensor_names import Found
from hrnet_search.net.transfer import Channels, Transfer, concatenated
from hrnet_search.net.weights import (
    COUNTER,
    WEIGHTS,
    absent_edges,
    compare,
    how_read,
    named_tensors,
    refusal,
)

Block = BasicBlock | Bottleneck
Link = tuple[nn.Conv2d, nn.BatchNorm2d]


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
    except ValueError as error:
        wrong = f"{error}: it holds {found.described}"
        raise NotWeightsError(wrong, f"start from {WEIGHTS}, its trunk whole") from error


def inherit(network: HighResolutionNet, source: HighResolutionNet) -> Inheritance:
    """Start a network of fresh weights from those of another."""
    transfer = Transfer()
    _stem(transfer, network, source)
    _row(transfer, list(network.layer1), list(source.layer1), _width(source, 1, 0))
    for number in (2, 3, 4):
        _transition(transfer, network, source, number)
        _stage(transfer, network, source, number)
    headed = has_head(source)
    if headed:
        _head(transfer, network, source)
    return _account(transfer, network, source, headed)


def _stem(transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet) -> None:
    for new, old in ((network.conv1, source.conv1), (network.conv2, source.conv2)):
        transfer.conv(new, old)
    for norm, given in ((network.bn1, source.bn1), (network.bn2, source.bn2)):
        transfer.norm(norm, given)


def _row(transfer: Transfer, new: Sequence[nn.Module], old: Sequence[nn.Module], live: int) -> None:
    """Inherit a row of blocks; what is added hands its first `live` channels on."""
    for index, module in enumerate(new):
        block = cast("Block", module)
        given = cast("Block", old[index]) if index < len(old) else None
        if type(given) is type(block) and given is not None:
            _chain(transfer, _links(block), _links(given))
        else:
            transfer.silence(_links(block)[-1][1], min(live, _links(block)[-1][1].num_features))
        if given is not None:
            _shortcut(transfer, block, given)


def _shortcut(transfer: Transfer, new: Block, old: Block) -> None:
    wanted, given = _links(new.downsample), _links(old.downsample)
    if wanted and given:
        _chain(transfer, wanted, given)
    elif wanted:  # the source's residual has this many channels in and out
        conv, norm = wanted[0]
        transfer.pass_on(conv, norm, min(conv.in_channels, conv.out_channels))


def _transition(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, number: int
) -> None:
    """Inherit the transition before stage `number`."""
    before, old_before = (len(_widths(net, number - 1)) for net in (network, source))
    old = _transition_of(source, number)
    for branch, module in enumerate(_transition_of(network, number)):
        wanted = _links(module)
        if branch >= before:
            given = _origin(source, branch)
            if len(given) == len(wanted):
                _chain(transfer, wanted, given)
        elif wanted and branch < min(len(old), old_before) and (given := _links(old[branch])):
            _chain(transfer, wanted, given)
        elif wanted:
            conv, norm = wanted[0]
            live = min(_live(network, source, n, branch) for n in (number - 1, number))
            transfer.pass_on(conv, norm, live)


def _stage(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, number: int
) -> None:
    new, old = _modules(network, number), _modules(source, number)
    live = [_live(network, source, number, b) for b in range(len(_widths(network, number)))]
    if all(len(module.branches) == 1 for module in (*new, *old)):  # one row of blocks
        row, given = ([b for module in side for b in _blocks(module, 0)] for side in (new, old))
        _row(transfer, row, given, live[0])
        return
    for index, module in enumerate(new):
        _module(transfer, module, old[index] if index < len(old) else None, live)


def _module(
    transfer: Transfer,
    new: HighResolutionModule,
    old: HighResolutionModule | None,
    live: list[int],
) -> None:
    """Inherit a module; an added one adds nothing to the first `live` channels of each branch."""
    branches = len(old.branches) if old else 0
    for index in range(len(new.branches)):
        given = _blocks(old, index) if old and index < branches else []
        _row(transfer, _blocks(new, index), given, live[index])
    summed = bool(old and len(old.fuse_projections) and not len(new.fuse_projections))
    fused = _summed(old) if old and summed else old.fuse_layers if old else ()
    for target, edges in enumerate(new.fuse_layers):
        for origin, edge in enumerate(cast("nn.ModuleList", edges)):
            if origin == target:
                continue
            if _is_given(fused, origin, target):
                given_edge = cast("nn.ModuleList", fused[target])[origin]
                _chain(transfer, _links(edge), _links(given_edge), changed=summed)
            else:
                transfer.silence(_links(edge)[-1][1], live[target])
    if old:
        pairs = zip(new.fuse_projections, old.fuse_projections, strict=False)
        for one, given_one in pairs:
            counts = (len(new.branches), branches)
            transfer.projection(cast("nn.Conv2d", one), cast("nn.Conv2d", given_one), counts)


def _is_given(fused: nn.ModuleList | tuple[()], origin: int, target: int) -> bool:
    """Say whether a source has an edge; those that its file lacked are on the meta device."""
    if max(origin, target) >= len(fused):
        return False
    edge = cast("nn.ModuleList", fused[target])[origin]
    return not any(tensor.is_meta for tensor in edge.parameters())


def _head(transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet) -> None:
    """Inherit the head, whose inputs are the branches side by side; other classes start anew.

    The plain head is the auxiliary one of OCR, and the other way about.
    """
    ins = concatenated(_widths(network, 4), _widths(source, 4))
    mix, norm, _, classify = _scores(network)
    old_mix, old_norm, _, old_classify = _scores(source)
    transfer.conv(cast("nn.Conv2d", mix), cast("nn.Conv2d", old_mix), ins)
    transfer.norm(cast("nn.BatchNorm2d", norm), cast("nn.BatchNorm2d", old_norm))
    new, old = cast("nn.Conv2d", classify), cast("nn.Conv2d", old_classify)
    if new.out_channels == old.out_channels:
        transfer.conv(new, old)
    if network.architecture.has_ocr and source.architecture.has_ocr:
        _ocr(transfer, network, source, ins)


def _scores(network: HighResolutionNet) -> nn.Sequential:
    """Return the head that scores each pixel by itself."""
    return network.aux_head if network.architecture.has_ocr else network.last_layer


def _ocr(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, ins: Channels
) -> None:
    """Inherit what an OCR head has beside its auxiliary one."""
    _chain(transfer, _links(network.conv3x3_ocr), _links(source.conv3x3_ocr), ins=ins)
    new, old = network.ocr_distri_head, source.ocr_distri_head
    _attention(transfer, new.object_context_block, old.object_context_block)
    mid, old_mid = network.architecture.mid_channels, source.architecture.mid_channels
    both = concatenated((mid, mid), (old_mid, old_mid))  # context and pixels
    _chain(transfer, _links(new.conv_bn_dropout), _links(old.conv_bn_dropout), ins=both)
    if network.cls_head.out_channels == source.cls_head.out_channels:
        transfer.conv(network.cls_head, source.cls_head)


def _attention(transfer: Transfer, new: ObjectContextBlock, old: ObjectContextBlock) -> None:
    """Inherit the attention; channels that are added to it weigh all classes alike.

    The similarity is divided by the root of their number: the queries make up for another one.
    """
    for name in ("f_pixel", "f_object", "f_down", "f_up"):
        _chain(transfer, _links(new.get_submodule(name)), _links(old.get_submodule(name)))
    queries, keys = _links(new.f_pixel)[-1][1], _links(new.f_object)[-1][1]
    count, wanted = _links(old.f_pixel)[-1][1].num_features, queries.num_features
    if wanted != count:
        transfer.scale(queries, min(wanted, count), (wanted / count) ** 0.5)
        transfer.even_out(keys, count)


def _chain(
    transfer: Transfer,
    new: Sequence[Link],
    old: Sequence[Link],
    changed: bool = False,
    ins: Channels | None = None,
) -> None:
    """Inherit links of which the first has `ins` in common, all others their first channels."""
    for (conv, norm), (given_conv, given_norm) in zip(new, old, strict=True):
        transfer.conv(conv, given_conv, ins, changed)
        ins = None
        transfer.norm(norm, given_norm, changed=changed)


def _links(module: nn.Module) -> list[Link]:
    """Return the pairs of convolution and norm of an edge, a transition or a block's residual."""
    if isinstance(module, BasicBlock | Bottleneck):
        parts = [part for name, part in module.named_children() if name != "downsample"]
    else:
        parts = list(module.modules())
    convs = [part for part in parts if isinstance(part, nn.Conv2d)]
    norms = [part for part in parts if isinstance(part, nn.BatchNorm2d)]
    return list(zip(convs, norms, strict=True))


def _summed(module: HighResolutionModule) -> nn.ModuleList:
    """Return the edges of a CAT module with their share of the projection in them.

    What a branch sends to itself is not projected any more: SUM has no place for it.
    """
    edges = copy.deepcopy(module.fuse_layers)
    for target, (row, projection) in enumerate(zip(edges, module.fuse_projections, strict=True)):
        weight = cast("nn.Conv2d", projection).weight[:, :, 0, 0]
        shares = torch.split(weight, len(weight), dim=1)
        for origin, edge in enumerate(cast("nn.ModuleList", row)):
            if origin != target:
                _project(*_links(edge)[-1], shares[origin])
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


def _origin(source: HighResolutionNet, branch: int) -> list[Link]:
    """Return the chain of convolutions that the source starts a branch with."""
    for number in (2, 3, 4):
        if len(_widths(source, number - 1)) <= branch < len(_widths(source, number)):
            return _links(_transition_of(source, number)[branch])
    return []


def _live(network: HighResolutionNet, source: HighResolutionNet, number: int, branch: int) -> int:
    """Return how many channels of a stage's branch the source has, there or further on."""
    for later in range(number, 5):
        widths = _widths(source, later)
        if branch < len(widths):
            return min(_width(network, number, branch), widths[branch])
    return 0


def _blocks(module: HighResolutionModule, branch: int) -> list[nn.Module]:
    return list(cast("nn.Sequential", module.branches[branch]))


def _widths(network: HighResolutionNet, number: int) -> tuple[int, ...]:
    return network.architecture.stages[number - 1].widths


def _width(network: HighResolutionNet, number: int, branch: int) -> int:
    return _widths(network, number)[branch]


def _transition_of(network: HighResolutionNet, number: int) -> nn.ModuleList:
    return cast("nn.ModuleList", network.get_submodule(f"transition{number - 1}"))


def _modules(network: HighResolutionNet, number: int) -> list[HighResolutionModule]:
    stage = cast("nn.Sequential", network.get_submodule(f"stage{number}"))
    return [cast("HighResolutionModule", module) for module in stage]


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
    classes = [cast("nn.Conv2d", _scores(net)[3]).out_channels for net in (network, source)]
    return Inheritance(
        matched=tuple(name for name, tensor in tensors.items() if tensor in transfer.whole),
        inherited=tuple(name for name, tensor in tensors.items() if tensor in transfer.part),
        fresh=tuple(n for n, t in tensors.items() if t not in transfer.whole | transfer.part),
        same_function=headed
        and classes[0] == classes[1]
        and contains(network.architecture, before),
        kept=transfer.copied / sum(tensor.numel() for tensor in source.parameters()),
    )
