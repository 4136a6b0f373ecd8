"""How much memory tensors hold at most while something runs, counted tensor by tensor.

Works on any device, `meta` too, where nothing is allocated and even a huge network is counted.
What libraries take for themselves (workspaces, fragments) is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hrnet_search.arch.architecture import Architecture
from hrnet_search.net.hrnet import build

Size = tuple[int, int]


def live_peak(run: Callable[[], object]) -> int:
    """Return the most bytes that tensors made while `run` runs held at one time."""
    with _Watch() as watch:
        run()
    peak: int = watch.peak
    return peak


def held_in_inference(architecture: Architecture, size: Size, classes: int, batch: int) -> int:
    """Return the most bytes alive in a forward pass, weights and images included."""
    with torch.device("meta"):
        network = build(architecture, classes).eval().requires_grad_(False)
        images = torch.empty(batch, 3, *size)
    with torch.inference_mode():
        peak = live_peak(lambda: network(images))
    return peak + 4 * (_weights(network) + images.numel())


def held_in_training(architecture: Architecture, size: Size, classes: int, batch: int) -> int:
    """Return the most bytes alive in two training steps, weights and images included."""
    with torch.device("meta"):
        network = build(architecture, classes).train()
        images = torch.empty(batch, 3, *size)
        labels = torch.zeros(batch, *size, dtype=torch.long)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    def steps() -> None:
        for _ in range(2):
            found = network(images)
            outputs = found if isinstance(found, tuple) else (found,)
            loss = torch.stack([_loss(scores, labels) for scores in outputs]).sum()
            del found, outputs
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return live_peak(steps) + 4 * (_weights(network) + images.numel())


def _loss(scores: Tensor, labels: Tensor) -> Tensor:
    scores = F.interpolate(scores, labels.shape[-2:], mode="bilinear")
    return F.cross_entropy(scores, labels, reduction="sum")


def _weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what every operation puts out, and which of it is still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self._known: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                self._know(tensor)
        out = func(*args, **(kwargs or {}))
        self._live = {k: v for k, v in self._live.items() if not v[0].expired()}  # type: ignore[no-untyped-call]
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor)
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return out

    def _know(self, tensor: torch.Tensor) -> None:
        """Leave out what was there before: weights and images."""
        reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        if reference.cdata not in self._live:
            self._known[reference.cdata] = reference

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        known = self._known.get(reference.cdata)
        if known is None or known.expired():  # type: ignore[no-untyped-call]
            self._live[reference.cdata] = (reference, storage.nbytes())
