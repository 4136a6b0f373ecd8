"""The OCR head: pixels described by the classes that they look like (Yuan et al. 2020).

Names, order and shapes of its tensors and both outputs are those of the official
`lib/models/seg_hrnet_ocr.py` (branch HRNet-OCR); "Object-Contextual Representations for Semantic
Segmentation", arXiv:1909.11065.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrnet_search.net.layers import conv, norm

DROPOUT = 0.05
"""Share of channels that training drops; the official code never reads MODEL.OCR.DROPOUT."""


def pixel_features(width: int, mid: int) -> nn.Sequential:
    """Return what makes `[N, mid, H, W]` of all scales `[N, width, H, W]`."""
    mixed = nn.Conv2d(width, mid, kernel_size=3, padding=1)
    return nn.Sequential(mixed, norm(mid), nn.ReLU(inplace=True))


class GatherHead(nn.Module):
    """Centres of classes: means of pixels, weighted by how much each is of the class."""

    def forward(self, features: Tensor, scores: Tensor) -> Tensor:
        """Return `[N, C, K, 1]` of features `[N, C, H, W]` and scores `[N, K, H, W]`."""
        shares = scores.flatten(2).softmax(dim=2)
        centres = torch.matmul(shares, features.flatten(2).transpose(1, 2))
        return centres.transpose(1, 2).unsqueeze(3)


class ObjectContextBlock(nn.Module):
    """Attention of pixels to the centres of classes."""

    def __init__(self, mid: int, key: int) -> None:
        super().__init__()
        self.f_pixel = _twice(mid, key)
        self.f_object = _twice(mid, key)
        self.f_down = nn.Sequential(conv(mid, key, 1), _rectified(key))
        self.f_up = nn.Sequential(conv(key, mid, 1), _rectified(mid))

    def forward(self, features: Tensor, centres: Tensor) -> Tensor:
        """Return the context `[N, C, H, W]` of pixels, of centres `[N, C, K, 1]`."""
        queries = self.f_pixel(features).flatten(2).transpose(1, 2)
        keys = self.f_object(centres).flatten(2)
        values = self.f_down(centres).flatten(2).transpose(1, 2)
        # By its own width, not by that of the module: shared weights call it with slices.
        similarity = torch.matmul(queries, keys) * keys.shape[1] ** -0.5
        context = torch.matmul(similarity.softmax(dim=2), values).transpose(1, 2)
        height, width = features.shape[-2:]
        out: Tensor = self.f_up(context.reshape(*context.shape[:2], height, width))
        return out


class DistributeHead(nn.Module):
    """Pixels beside the context of their classes, mixed."""

    def __init__(self, mid: int, key: int) -> None:
        super().__init__()
        self.object_context_block = ObjectContextBlock(mid, key)
        self.conv_bn_dropout = nn.Sequential(
            conv(2 * mid, mid, 1), _rectified(mid), nn.Dropout2d(DROPOUT)
        )

    def forward(self, features: Tensor, centres: Tensor) -> Tensor:
        """Return `[N, C, H, W]` of features `[N, C, H, W]` and centres `[N, C, K, 1]`."""
        context = self.object_context_block(features, centres)
        out: Tensor = self.conv_bn_dropout(torch.cat([context, features], dim=1))
        return out


def _twice(mid: int, key: int) -> nn.Sequential:
    return nn.Sequential(conv(mid, key, 1), _rectified(key), conv(key, key, 1), _rectified(key))


def _rectified(channels: int) -> nn.Sequential:
    return nn.Sequential(norm(channels), nn.ReLU(inplace=True))
