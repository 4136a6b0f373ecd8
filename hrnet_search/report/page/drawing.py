"""An architecture as a picture: stages, branches, blocks, widths and fusion, changes marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from hrnet_search.arch.architecture import Architecture, Stage

MOST_MODULES = 5
"""Modules of a stage that are drawn one by one; more are told by their number."""

LEFT, TOP, GAP = 2, 24, 8
MODULE, BAR, MARGIN = 54, 12, 18
TITLE = 105
"""Room that the title of a stage of other blocks takes."""

ROW = 27
HEIGHTS = (23, 20, 17, 15)

NET = Markup('<div class="net" role="img" aria-label="{label}" title="{label}">{body}</div>')
PART = Markup('<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true">{body}</svg>')
BOX = Markup(
    '<rect class="{kind}" x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>'
    '<text class="box" x="{tx}" y="{ty}">{text}</text>'
)
TEXT = Markup('<text class="{kind}" x="{x}" y="{y}">{text}</text>')
LINE = Markup('<line class="{kind}" x1="{x}" x2="{x}" y1="{y}" y2="{y2}"/>')


@dataclass(frozen=True, slots=True)
class _Place:
    x: int
    stage: Stage
    base: Stage | None
    number: int


def draw_network(network: Architecture, base: Architecture | None) -> Markup:
    """Return a network as an SVG a stage, which wrap as lines do where there is little room.

    What differs from the base is of class `changed`.
    """
    rows = max(s.branches for s in (*network.stages, *(base.stages if base else ())))
    parts = []
    for i, stage in enumerate(network.stages):
        place = _Place(LEFT, stage, base.stages[i] if base else None, i + 1)
        parts.append(_part(_stage(place), _width(stage), rows))
    if network.has_ocr or (base and base.has_ocr):
        parts.append(_part(_ocr(network, base, LEFT), TITLE - MARGIN, rows))
    label = f"{network.head}, width {network.width}"
    return NET.format(label=label, body=Markup("").join(parts))


def _part(shapes: Iterator[Markup], width: int, rows: int) -> Markup:
    height = TOP + rows * ROW + GAP
    return PART.format(w=width + 2 * LEFT, h=height, body=Markup("").join(shapes))


def _ocr(network: Architecture, base: Architecture | None, x: int) -> Iterator[Markup]:
    """Draw an OCR head with its widths, or that the base's is gone."""
    own, old = (_widths(one) if one else "" for one in (network, base))
    same = base is None or own == old
    yield TEXT.format(kind="stage" if same else "stage changed", x=x, y=16, text="OCR head")
    kind = ("branch b0" if same else "changed") if network.has_ocr else "gone"
    yield BOX.format(
        kind=kind, x=x, y=TOP, w=TITLE - MARGIN, h=HEIGHTS[0],
        tx=x + (TITLE - MARGIN) // 2, ty=TOP + HEIGHTS[0] // 2 + 4, text=own or "dropped",
    )  # fmt: skip


def _widths(network: Architecture) -> str:
    return f"{network.mid_channels} / {network.key_channels}" if network.has_ocr else ""


def _width(stage: Stage) -> int:
    drawn = max(1, min(stage.modules, MOST_MODULES)) * (MODULE + BAR)
    return drawn if stage.block == "BASIC" else max(drawn, TITLE)


def _stage(place: _Place) -> Iterator[Markup]:
    stage, base = place.stage, place.base
    changed = base is not None and (stage.modules, stage.block) != (base.modules, base.block)
    more = f" x{stage.modules}" if stage.modules != 1 else ""
    block = "" if stage.block == "BASIC" else f" {stage.block.lower()}"
    title = f"stage {place.number}{more}{block}"
    yield TEXT.format(kind="stage changed" if changed else "stage", x=place.x, y=16, text=title)
    for module in range(min(stage.modules, MOST_MODULES)):
        x = place.x + module * (MODULE + BAR)
        for branch in range(stage.branches):
            yield _branch(place, x, branch)
        if stage.branches > 1:
            yield _fusion(place, x + MODULE + BAR // 2)
    for branch in range(stage.branches, base.branches if base else 0):
        y = TOP + branch * ROW
        yield BOX.format(
            kind="gone", x=place.x, y=y, w=MODULE, h=HEIGHTS[branch],
            tx=place.x + MODULE // 2, ty=y + HEIGHTS[branch] // 2 + 4, text="dropped",
        )  # fmt: skip


def _branch(place: _Place, x: int, branch: int) -> Markup:
    stage, base = place.stage, place.base
    same = base is None or (branch < base.branches and _alike(stage, base, branch))
    y, height = TOP + branch * ROW, HEIGHTS[branch]
    text = f"{stage.channels[branch]} x {stage.blocks[branch]}"
    return BOX.format(
        kind=f"branch b{branch}" if same else "changed",
        x=x, y=y, w=MODULE, h=height,
        tx=x + MODULE // 2, ty=y + height // 2 + 4, text=text,
    )  # fmt: skip


def _alike(stage: Stage, base: Stage, branch: int) -> bool:
    """Say whether a branch is the base's, but for a width that all branches of a network share."""
    if stage.blocks[branch] != base.blocks[branch]:
        return False
    own, old = stage.channels, base.channels
    if stage.branches == base.branches == 1:
        return own == old
    return own[branch] == old[branch] or own[branch] * old[0] == own[0] * old[branch]


def _fusion(place: _Place, x: int) -> Markup:
    stage, base = place.stage, place.base
    bottom = TOP + (stage.branches - 1) * ROW + HEIGHTS[stage.branches - 1]
    changed = base is not None and base.branches > 1 and stage.fuse != base.fuse
    kind = f"fuse {'cat' if stage.fuse == 'CAT' else 'sum'}{' changed' if changed else ''}"
    return LINE.format(kind=kind, x=x, y=TOP, y2=bottom)
