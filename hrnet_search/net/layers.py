"""The two layers that every part of an HRNet is made of."""

from __future__ import annotations

from torch import nn

BN_MOMENTUM = 0.1


def conv(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size, but for its stride."""
    return nn.Conv2d(in_channels, channels, kernel, stride, padding=kernel // 2, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    """Return batch norm with the official momentum."""
    return nn.BatchNorm2d(channels, momentum=BN_MOMENTUM)
