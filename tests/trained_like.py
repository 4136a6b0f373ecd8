"""Weights as training leaves them: what every layer does shows in the output."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from hrnet_search.arch.architecture import Architecture
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.net.weights import save_weights
from hrnet_search.records.trial import TrialKey


def trained_like(architecture: Architecture, classes: int, seed: int = 0) -> HighResolutionNet:
    """Return a network whose logits depend on all of its tensors, not on the last bias alone."""
    generator = torch.Generator().manual_seed(seed)
    network = build(architecture, classes)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    module.bias.normal_(0, 0.5, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.uniform_(0.4, 0.8, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.8, 1.5, generator=generator)
    return network.eval()


def keep_weights(folder: Path, key: TrialKey, network: nn.Module) -> None:
    """Write a trial's weights where a study keeps them."""
    save_weights(network, folder / "weights" / f"{key}.safetensors", {})
