"""The network beside which every other is timed."""

from __future__ import annotations

import torch

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.hrnet_yaml import DEFAULT_CLASSES
from hrnet_search.net.hrnet import HighResolutionNet, build

REFERENCE = Architecture(
    (
        Stage(1, "BOTTLENECK", (1,), (32,)),
        Stage(1, "BASIC", (2, 2), (16, 32)),
        Stage(1, "BASIC", (2, 2, 2), (16, 32, 64)),
        Stage(1, "BASIC", (2, 2, 2, 2), (16, 32, 64, 128)),
    )
)
"""W18-Small-v1: small, published, and of the same kinds of kernels as what it is held against."""

_built: dict[int, HighResolutionNet] = {}


def reference_network(classes: int = DEFAULT_CLASSES) -> HighResolutionNet:
    """Return the reference with the same weights every time; one for all, which nobody changes.

    The random state is left alone.
    """
    if classes not in _built:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _built[classes] = build(REFERENCE, classes)
    return _built[classes]


def is_reference(network: torch.nn.Module) -> bool:
    """Say whether a network is one of those that `reference_network` returned."""
    return any(network is built for built in _built.values())
