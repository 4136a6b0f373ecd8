"""Batch-norm statistics of the present weights, for networks that are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def recalibrated(network: nn.Module, forward: Callable[[], None]) -> Iterator[None]:
    """Hold a network in evaluation mode with batch-norm statistics averaged over `forward`.

    On a short schedule the running averages lag behind the weights. Before, `forward` is called
    once in training mode; afterwards statistics and training mode are as they were.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    before, training = statistics(network), network.training
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over all batches
        network.train()
        forward()
        network.eval()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.load_state_dict(before, strict=False)
        network.train(training)


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of all batch-norm statistics, by name."""
    return {name: buffer.clone() for name, buffer in network.named_buffers()}
