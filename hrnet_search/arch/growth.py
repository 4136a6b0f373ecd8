"""Whether one architecture is at least as large as another in every way."""

from __future__ import annotations

from itertools import pairwise

from hrnet_search.arch.architecture import STEM_CHANNELS, Architecture, Stage


def contains(variant: Architecture, source: Architecture) -> bool:
    """Say whether a variant has a place for everything that its source computes.

    Then it can compute the same function: what it has more starts as the identity. A wider
    network is not always larger: where the source has a convolution between two widths, or to
    a new branch, the variant needs one too.
    """
    old, new = source.stages, variant.stages
    return (
        _has_head(variant, source)
        and variant.align_corners == source.align_corners
        and _has_shortcut(new[0]) >= _has_shortcut(old[0])
        and all(_contains(n, o) for n, o in zip(new, old, strict=True))
        and all(_passes_on(n, o) for n, o in zip(pairwise(new), pairwise(old), strict=True))
    )


def keeps_statistics(variant: Architecture, source: Architecture) -> bool:
    """Say whether a variant contains its source and can equal it in training mode too.

    It cannot where a convolution with batch norm has to stand for what was handed on as it is:
    batch norm is the identity only while its statistics rest.
    """
    if not contains(variant, source):
        return False
    old, new = source.stages, variant.stages
    pairs = zip(pairwise(new), pairwise(old), strict=True)
    return _has_shortcut(new[0]) == _has_shortcut(old[0]) and all(
        _changes(n, branch) == _changes(o, branch)
        for n, o in pairs
        for branch in range(o[0].branches)
    )


def _has_head(variant: Architecture, source: Architecture) -> bool:
    if variant.head != source.head:
        return False
    if not source.has_ocr:
        return variant.final_kernel >= source.final_kernel
    return (
        variant.mid_channels >= source.mid_channels and variant.key_channels >= source.key_channels
    )


def _has_shortcut(first: Stage) -> bool:
    """Say whether the first block's residual goes through a convolution."""
    return first.widths[0] != STEM_CHANNELS


def _contains(new: Stage, old: Stage) -> bool:
    if new.branches < old.branches or any(
        n < o for n, o in zip(new.widths, old.widths, strict=False)
    ):
        return False
    if old.modules == 0:
        return True
    if new.block != old.block:
        return False
    if new.branches == old.branches == 1:  # modules of one branch are one row of blocks
        return new.modules * new.blocks[0] >= old.modules * old.blocks[0]
    blocks = all(n >= o for n, o in zip(new.blocks, old.blocks, strict=False))
    fused = old.branches == 1 or old.fuse == "SUM" or new.fuse == "CAT"
    return new.modules >= old.modules and blocks and fused


def _passes_on(new: tuple[Stage, Stage], old: tuple[Stage, Stage]) -> bool:
    """Say whether a transition has a convolution wherever its source has one."""
    if old[1].branches > old[0].branches and new[0].branches != old[0].branches:
        return False  # the source's new branch comes from elsewhere, or is there already
    return all(_changes(new, b) or not _changes(old, b) for b in range(old[0].branches))


def _changes(stages: tuple[Stage, Stage], branch: int) -> bool:
    return stages[0].widths[branch] != stages[1].widths[branch]
