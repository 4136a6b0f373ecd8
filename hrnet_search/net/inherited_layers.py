"""What a variant inherits of each layer, from stem to head, by the rules in `inherit.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import nn

from hrnet_search.net.hrnet import HighResolutionModule, HighResolutionNet
from hrnet_search.net.network_parts import (
    Block,
    Link,
    blocks_of,
    edges_as_sum,
    links_of,
    modules_of,
    scores_of,
    transition_of,
    width_of,
    widths_of,
)
from hrnet_search.net.ocr import ObjectContextBlock
from hrnet_search.net.transfer import Channels, Transfer, concatenated


def inherit_stem(transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet) -> None:
    """Inherit the two convolutions before the first stage."""
    for new, old in ((network.conv1, source.conv1), (network.conv2, source.conv2)):
        transfer.conv(new, old)
    for norm, given in ((network.bn1, source.bn1), (network.bn2, source.bn2)):
        transfer.norm(norm, given)


def inherit_row(
    transfer: Transfer, new: Sequence[nn.Module], old: Sequence[nn.Module], live: int
) -> None:
    """Inherit a row of blocks; what is added hands its first `live` channels on."""
    for index, module in enumerate(new):
        block = cast("Block", module)
        given = cast("Block", old[index]) if index < len(old) else None
        if type(given) is type(block) and given is not None:
            _chain(transfer, links_of(block), links_of(given))
        else:
            transfer.silence(links_of(block)[-1][1], min(live, links_of(block)[-1][1].num_features))
        if given is not None:
            _shortcut(transfer, block, given)


def _shortcut(transfer: Transfer, new: Block, old: Block) -> None:
    wanted, given = links_of(new.downsample), links_of(old.downsample)
    if wanted and given:
        _chain(transfer, wanted, given)
    elif wanted:  # the source's residual has this many channels in and out
        conv, norm = wanted[0]
        transfer.pass_on(conv, norm, min(conv.in_channels, conv.out_channels))


def inherit_transition(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, number: int
) -> None:
    """Inherit the transition before stage `number`."""
    before, old_before = (len(widths_of(net, number - 1)) for net in (network, source))
    old = transition_of(source, number)
    for branch, module in enumerate(transition_of(network, number)):
        wanted = links_of(module)
        if branch >= before:
            given = _origin(source, branch)
            if len(given) == len(wanted):
                _chain(transfer, wanted, given)
        elif wanted and branch < min(len(old), old_before) and (given := links_of(old[branch])):
            _chain(transfer, wanted, given)
        elif wanted:
            conv, norm = wanted[0]
            live = min(_live(network, source, n, branch) for n in (number - 1, number))
            transfer.pass_on(conv, norm, live)


def inherit_stage(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, number: int
) -> None:
    """Inherit the modules of stage `number`; of one branch, they are one row of blocks."""
    new, old = modules_of(network, number), modules_of(source, number)
    live = [_live(network, source, number, b) for b in range(len(widths_of(network, number)))]
    if all(len(module.branches) == 1 for module in (*new, *old)):  # one row of blocks
        row, given = ([b for module in side for b in blocks_of(module, 0)] for side in (new, old))
        inherit_row(transfer, row, given, live[0])
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
        given = blocks_of(old, index) if old and index < branches else []
        inherit_row(transfer, blocks_of(new, index), given, live[index])
    summed = bool(old and len(old.fuse_projections) and not len(new.fuse_projections))
    fused = edges_as_sum(old) if old and summed else old.fuse_layers if old else ()
    for target, edges in enumerate(new.fuse_layers):
        for origin, edge in enumerate(cast("nn.ModuleList", edges)):
            if origin == target:
                continue
            if _is_given(fused, origin, target):
                given_edge = cast("nn.ModuleList", fused[target])[origin]
                _chain(transfer, links_of(edge), links_of(given_edge), changed=summed)
            else:
                transfer.silence(links_of(edge)[-1][1], live[target])
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


def inherit_head(transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet) -> None:
    """Inherit the head, whose inputs are the branches side by side; other classes start anew.

    The plain head is the auxiliary one of OCR, and the other way about.
    """
    ins = concatenated(widths_of(network, 4), widths_of(source, 4))
    mix, norm, _, classify = scores_of(network)
    old_mix, old_norm, _, old_classify = scores_of(source)
    transfer.conv(cast("nn.Conv2d", mix), cast("nn.Conv2d", old_mix), ins)
    transfer.norm(cast("nn.BatchNorm2d", norm), cast("nn.BatchNorm2d", old_norm))
    new, old = cast("nn.Conv2d", classify), cast("nn.Conv2d", old_classify)
    if new.out_channels == old.out_channels:
        transfer.conv(new, old)
    if network.architecture.has_ocr and source.architecture.has_ocr:
        _ocr(transfer, network, source, ins)


def _ocr(
    transfer: Transfer, network: HighResolutionNet, source: HighResolutionNet, ins: Channels
) -> None:
    """Inherit what an OCR head has beside its auxiliary one."""
    _chain(transfer, links_of(network.conv3x3_ocr), links_of(source.conv3x3_ocr), ins=ins)
    new, old = network.ocr_distri_head, source.ocr_distri_head
    _attention(transfer, new.object_context_block, old.object_context_block)
    mid, old_mid = network.architecture.mid_channels, source.architecture.mid_channels
    both = concatenated((mid, mid), (old_mid, old_mid))  # context and pixels
    _chain(transfer, links_of(new.conv_bn_dropout), links_of(old.conv_bn_dropout), ins=both)
    if network.cls_head.out_channels == source.cls_head.out_channels:
        transfer.conv(network.cls_head, source.cls_head)


def _attention(transfer: Transfer, new: ObjectContextBlock, old: ObjectContextBlock) -> None:
    """Inherit the attention; channels that are added to it weigh all classes alike.

    The similarity is divided by the root of their number: the queries make up for another one.
    """
    for name in ("f_pixel", "f_object", "f_down", "f_up"):
        _chain(transfer, links_of(new.get_submodule(name)), links_of(old.get_submodule(name)))
    queries, keys = links_of(new.f_pixel)[-1][1], links_of(new.f_object)[-1][1]
    count, wanted = links_of(old.f_pixel)[-1][1].num_features, queries.num_features
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


def _origin(source: HighResolutionNet, branch: int) -> list[Link]:
    """Return the chain of convolutions that the source starts a branch with."""
    for number in (2, 3, 4):
        if len(widths_of(source, number - 1)) <= branch < len(widths_of(source, number)):
            return links_of(transition_of(source, number)[branch])
    return []


def _live(network: HighResolutionNet, source: HighResolutionNet, number: int, branch: int) -> int:
    """Return how many channels of a stage's branch the source has, there or further on."""
    for later in range(number, 5):
        widths = widths_of(source, later)
        if branch < len(widths):
            return min(width_of(network, number, branch), widths[branch])
    return 0
