"""The processes that train one network together: who has which images, and what they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class Ranks:
    """This process, `rank` of `size`; every call but `pieces` and `share` is made by all at once.

    What they exchange is the same in each, to the last bit.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def here(cls) -> Ranks:
        """Return this process in torch's process group."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> bool:
        return self.size == 1

    def pieces(self, count: int, parts: int) -> list[range]:
        """Return this process's places of each part of a batch, parts as torch.chunk makes them."""
        length = -(-count // parts)
        wholes = (range(count)[first : first + length] for first in range(0, count, length))
        return [part[self._part(len(part))] for part in wholes]

    def share(self, count: int) -> range:
        """Return which of `count` images this process judges."""
        return range(count)[self._part(count)]

    def _part(self, count: int) -> slice:
        return slice(*(count * rank // self.size for rank in (self.rank, self.rank + 1)))

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor the sum of those of all processes; all are of one type and device."""
        found = list(tensors)
        if self.alone or not found:
            return
        whole = torch.cat([tensor.reshape(-1) for tensor in found])
        dist.all_reduce(whole)
        parts = whole.split_with_sizes([tensor.numel() for tensor in found])
        for tensor, total in zip(found, parts, strict=True):
            tensor.copy_(total.view(tensor.shape))

    def stacked(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, of one shape, as [size, ...]."""
        if self.alone:
            return tensor[None]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor.contiguous())
        return torch.stack(found)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Make tensors those of the first process."""
        for tensor in () if self.alone else tensors:
            held = tensor.detach().contiguous()
            dist.broadcast(held, src=0)
            tensor.detach().copy_(held)

    def any(self, is_so: bool) -> bool:
        """Say whether it is so in any process."""
        if self.alone:
            return is_so
        found = torch.tensor([int(is_so)])
        dist.all_reduce(found)
        return bool(found.item())

    def of_first(self, value: T) -> T:
        """Return the value of the first process."""
        if self.alone:
            return value
        found = [value]
        dist.broadcast_object_list(found, src=0)
        return found[0]

    def together(self, value: T) -> list[T]:
        """Return the values of all processes."""
        if self.alone:
            return [value]
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, value)
        return [one for one in found if one is not None]

    def first_alone(self, call: Callable[[], T]) -> T:
        """Call something in the first process, and then in the others, which find what it left."""
        if self.alone:
            return call()
        found = call() if self.rank == 0 else None
        dist.barrier()
        return call() if found is None else found


ALONE = Ranks()
