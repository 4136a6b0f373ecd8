"""HighResolutionNet: the HRNet segmentation network of an Architecture, as a torch module.

Names, order and shapes of the state dict and every output are those of the official
`lib/models/seg_hrnet.py` and `seg_hrnet_ocr.py` (branch HRNet-OCR), with three differences:
`align_corners` belongs to the instance, heads take any number of branches, and CAT fusion is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_search.arch.architecture import (
    EXPANSION,
    STEM_CHANNELS,
    Architecture,
    Stage,
)
from hrnet_search.arch.hrnet_yaml import (
    DEFAULT_CLASSES,
    check_classes,
    class_count,
    read_config,
)
from hrnet_search.net.layers import conv, norm
from hrnet_search.net.ocr import DistributeHead, GatherHead, pixel_features
from hrnet_search.net.weights import load_pretrained
from hrnet_search.paths import expanded

INIT_STD = 0.001
OWN_START = ("cls", "aux", "ocr", "fuse_projections")
"""Parts of names of modules that keep torch's start: as the official code, and CAT's identities."""


def build(architecture: Architecture, classes: int = DEFAULT_CLASSES) -> HighResolutionNet:
    """Build the network of an architecture with fresh weights.

    Works under `torch.device("meta")`. Raise ArchitectureError with every problem, InputError if
    `classes` is not an integer from 1 to 4096.
    """
    architecture.check()
    check_classes("classes", classes)
    return HighResolutionNet(architecture, classes)


def HRNet(  # noqa: N802 (the name that HRNet users know)
    cfg_path: str | Path,
    use_pretrain: bool = False,
    *,
    classes: int | None = None,
    align_corners: bool | None = None,
) -> HighResolutionNet:
    """Build the network of an HRNet-library yaml, with its MODEL.PRETRAINED weights if asked.

    What of them was loaded is logged (`hrnet_search`, INFO), or printed to stderr where nobody
    has set up logging. `classes` and `align_corners` override DATASET.NUM_CLASSES and
    MODEL.ALIGN_CORNERS. Raise ArchitectureError for a wrong yaml, InputError for wrong classes;
    WeightsError if the weight file is missing, or leaves any tensor outside the head
    and CAT's projections at its start.
    """
    config = read_config(expanded(str(cfg_path)))
    architecture = config.architecture
    if align_corners is not None:
        architecture = replace(architecture, align_corners=align_corners)
    if classes is None:
        classes = class_count(config)
    network = build(architecture, classes)
    if use_pretrain:
        load_pretrained(network, config)
    return network


class HighResolutionNet(nn.Module):
    """Four stages of parallel resolutions and a head over all of them; `build` checks first."""

    def __init__(self, architecture: Architecture, classes: int = DEFAULT_CLASSES) -> None:
        super().__init__()
        self.architecture = architecture
        first, second, third, fourth = architecture.stages
        aligned = architecture.align_corners
        self.conv1 = conv(3, STEM_CHANNELS, 3, stride=2)
        self.bn1 = norm(STEM_CHANNELS)
        self.conv2 = conv(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2)
        self.bn2 = norm(STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _blocks(first.block, STEM_CHANNELS, first.channels[0], first.blocks[0])
        self.transition1 = _transition(first.widths, second.widths)
        self.stage2 = _stage(second, aligned)
        self.transition2 = _transition(second.widths, third.widths)
        self.stage3 = _stage(third, aligned)
        self.transition3 = _transition(third.widths, fourth.widths)
        self.stage4 = _stage(fourth, aligned)
        width = sum(fourth.widths)
        if architecture.has_ocr:
            mid, key = architecture.mid_channels, architecture.key_channels
            self.conv3x3_ocr = pixel_features(width, mid)
            self.ocr_gather_head = GatherHead()
            self.ocr_distri_head = DistributeHead(mid, key)
            self.cls_head = nn.Conv2d(mid, classes, kernel_size=1)
            self.aux_head = _head(width, classes, kernel=1)
        else:
            self.last_layer = _head(width, classes, architecture.final_kernel)
        self._start()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits `[N, K, ceil(ceil(H/2)/2), ceil(ceil(W/2)/2)]` of images `[N, 3, H, W]`.

        In training mode a network with an OCR head returns its two outputs, as `outputs` does.
        """
        found = self.outputs(images)
        return found if self.training and len(found) > 1 else found[-1]

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return all outputs, the one that is judged last: of an OCR head the auxiliary first."""
        features = self._features(images)
        if not self.architecture.has_ocr:
            return (self.last_layer(features),)
        scores = self.aux_head(features)
        pixels = self.conv3x3_ocr(features)
        centres = self.ocr_gather_head(pixels, scores)
        return scores, self.cls_head(self.ocr_distri_head(pixels, centres))

    def _features(self, images: Tensor) -> Tensor:
        """Return all scales of the last stage side by side, `[N, C, H/4, W/4]`."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        xs = [self.layer1(x)]
        xs = self.stage2(_pass_on(self.transition1, xs))
        xs = self.stage3(_pass_on(self.transition2, xs))
        xs = self.stage4(_pass_on(self.transition3, xs))
        aligned = self.architecture.align_corners
        return torch.cat([xs[0], *(_resize(x, xs[0], aligned) for x in xs[1:])], dim=1)

    def _start(self) -> None:
        """Draw every convolution's weight from N(0, 0.001); biases and norms keep torch's start.

        As the official `init_weights`, which leaves all of an OCR head at torch's start. CAT's
        projections start as identities and draw nothing, so that one seed gives a SUM network and
        its CAT twin the same weights. On the meta device there is nothing to draw.
        """
        for name, module in self.named_modules():
            own = any(part in name for part in OWN_START)
            if isinstance(module, nn.Conv2d) and not own and not module.weight.is_meta:
                nn.init.normal_(module.weight, std=INIT_STD)


class HighResolutionModule(nn.Module):
    """Parallel branches of blocks, then every branch receives what all branches send.

    With `multi_scale_output` False only the first branch is fused and put out (the official
    parameter; this network always uses True). A branch alone is neither fused nor rectified.
    """

    def __init__(self, stage: Stage, align_corners: bool, multi_scale_output: bool = True) -> None:
        super().__init__()
        widths = stage.widths
        fused = widths if multi_scale_output else widths[:1]
        if stage.branches == 1:
            fused = ()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(
            _blocks(stage.block, width, channels, count)
            for width, channels, count in zip(widths, stage.channels, stage.blocks, strict=True)
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_edge(widths, source, target) for source in range(stage.branches))
            for target in range(len(fused))
        )
        projected = fused if stage.fuse == "CAT" else ()
        self.fuse_projections = nn.ModuleList(_projection(w, stage.branches) for w in projected)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Return one tensor a fused branch; branch b is `[N, widths[b], H_b, W_b]` in and out."""
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        if len(xs) == 1:
            return xs
        return [self.relu(self._fuse(target, xs)) for target in range(len(self.fuse_layers))]

    def _fuse(self, target: int, xs: list[Tensor]) -> Tensor:
        edges = cast("nn.ModuleList", self.fuse_layers[target])
        received = (
            _resize(edge(x), xs[target], self.align_corners) if source > target else edge(x)
            for source, (edge, x) in enumerate(zip(edges, xs, strict=True))
        )
        if len(self.fuse_projections) == 0:
            return reduce(torch.add, received)
        out: Tensor = self.fuse_projections[target](torch.cat(tuple(received), dim=1))
        return out


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual: `[N, in_channels, H, W]` to `[N, channels, H, W]`."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3)
        self.bn1 = norm(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = norm(channels)
        self.downsample = _shortcut(in_channels, channels * EXPANSION["BASIC"])

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu(y + self.downsample(x))
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a residual; puts out `4 * channels` channels."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        width = channels * EXPANSION["BOTTLENECK"]
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = norm(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = norm(channels)
        self.conv3 = conv(channels, width, 1)
        self.bn3 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu(y + self.downsample(x))
        return out


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "BASIC": BasicBlock,
    "BOTTLENECK": Bottleneck,
}


def _shortcut(in_channels: int, channels: int) -> nn.Module:
    # The official `downsample`: it changes the channels, never the resolution.
    if in_channels == channels:
        return nn.Identity()
    return nn.Sequential(conv(in_channels, channels, 1), norm(channels))


def _blocks(kind: str, in_channels: int, channels: int, count: int) -> nn.Sequential:
    block, width = BLOCKS[kind], channels * EXPANSION[kind]
    inputs = [in_channels] + [width] * (count - 1)
    return nn.Sequential(*(block(before, channels) for before in inputs))


def _stage(stage: Stage, align_corners: bool) -> nn.Sequential:
    """Return the modules of a stage; none of them leave its transition alone."""
    return nn.Sequential(
        *(HighResolutionModule(stage, align_corners) for _ in range(stage.modules))
    )


def _transition(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ModuleList:
    """Return one module a branch of the next stage; new branches start from the last old one."""
    branches: list[nn.Module] = []
    for branch, width in enumerate(after):
        if branch >= len(before):
            branches.append(_halvings(before[-1], width, branch + 1 - len(before), end_relu=True))
        elif before[branch] == width:
            branches.append(nn.Identity())
        else:
            changed = conv(before[branch], width, 3)
            branches.append(nn.Sequential(changed, norm(width), nn.ReLU(inplace=True)))
    return nn.ModuleList(branches)


def _pass_on(transition: nn.ModuleList, xs: Sequence[Tensor]) -> list[Tensor]:
    last = len(xs) - 1
    return [module(xs[min(branch, last)]) for branch, module in enumerate(transition)]


def _edge(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """Return what branch `source` goes through on its way to `target`, before any upsampling."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(conv(widths[source], widths[target], 1), norm(widths[target]))
    return _halvings(widths[source], widths[target], target - source, end_relu=False)


def _halvings(channels: int, width: int, steps: int, end_relu: bool) -> nn.Sequential:
    """Return `steps` convolutions of stride 2, of which only the last changes the channels."""
    chain = []
    for step in range(1, steps + 1):
        out = width if step == steps else channels
        parts: list[nn.Module] = [conv(channels, out, 3, stride=2), norm(out)]
        if step < steps or end_relu:
            parts.append(nn.ReLU(inplace=True))
        chain.append(nn.Sequential(*parts))
    return nn.Sequential(*chain)


def _projection(width: int, branches: int) -> nn.Conv2d:
    """Return CAT's 1x1 convolution, which starts as the sum of what the branches send."""
    # Made on meta first, it draws no random numbers: CAT leaves every other start as in SUM.
    projection = nn.Conv2d(width * branches, width, kernel_size=1, bias=False, device="meta")
    projection.to_empty(device=torch.get_default_device())
    with torch.no_grad():
        projection.weight.copy_(torch.eye(width).repeat(1, branches)[:, :, None, None])
    return projection


def _head(width: int, classes: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, kernel_size=1),
        norm(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, classes, kernel, padding=kernel // 2),
    )


def _resize(x: Tensor, like: Tensor, align_corners: bool) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=align_corners)
