"""How much memory tensors hold at most while something runs, counted tensor by tensor.

Works on any device, `meta` too, where nothing is allocated and even a huge network is counted.
What libraries take for themselves (workspaces, fragments) is not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def live_peak(run: Callable[[], object]) -> int:
    """Return the most bytes that tensors made while `run` runs held at one time."""
    with _Watch() as watch:
        run()
    peak: int = watch.peak
    return peak


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
