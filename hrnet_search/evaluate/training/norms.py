"""Batch-norm statistics of the present weights, for networks that are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
Norm = nn.BatchNorm2d | nn.SyncBatchNorm


@contextmanager
def recalibrated(network: nn.Module, forward: Callable[[], None]) -> Iterator[None]:
    """Hold a network in evaluation mode with batch-norm statistics of what `forward` shows it.

    On a short schedule the running averages lag behind the weights. Before, `forward` is called
    once in training mode; afterwards statistics and training mode are as they were.
    """
    norms = [m for m in network.modules() if isinstance(m, NORMS)]
    before, training = statistics(network), network.training
    try:
        with ExitStack() as stack:
            seen = [stack.enter_context(_moments(norm)) for norm in norms]
            network.train()
            forward()
        for norm, batches in zip(norms, seen, strict=True):
            _set(norm, batches)
        network.eval()
        yield
    finally:
        network.load_state_dict(before, strict=False)
        network.train(training)


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of all batch-norm statistics, by name."""
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


@contextmanager
def _moments(norm: Norm) -> Iterator[list[Tensor]]:
    """Fill a list with mean and variance, float64 [2, C], of each batch that a norm sees."""
    batches: list[Tensor] = []

    def note(*_: object) -> None:
        batches.append(torch.stack([norm.running_mean, norm.running_var]).double())  # type: ignore[list-item]

    momentum, norm.momentum = norm.momentum, 1.0  # the statistics are those of the last batch
    hook = norm.register_forward_hook(note)
    try:
        yield batches
    finally:
        hook.remove()
        norm.momentum = momentum


def _set(norm: Norm, batches: list[Tensor]) -> None:
    """Set a norm's statistics to those of all batches together.

    The variance is that within batches and that between their means: of small batches the
    first alone is too little (Wu and Johnson 2021, "Rethinking Batch in BatchNorm", section 3).
    """
    if not batches or norm.running_mean is None or norm.running_var is None:
        return
    means, variances = torch.stack(batches).unbind(dim=1)
    norm.running_mean.copy_(means.mean(dim=0))
    norm.running_var.copy_(variances.mean(dim=0) + means.var(dim=0, correction=0))
