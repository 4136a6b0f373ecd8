"""Copying layers into layers of other shape, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Channels:
    """Which channels of a variant's layer are which of its source's: two index vectors."""

    new: Tensor
    old: Tensor

    def __len__(self) -> int:
        return len(self.new)


def first(count: int) -> Channels:
    """Return the map of the first channels to the first ones."""
    return Channels(torch.arange(count), torch.arange(count))


def concatenated(new: Sequence[int], old: Sequence[int]) -> Channels:
    """Return the map of concatenated parts, of these widths, each sliced for itself."""
    at_new, at_old = [0], [0]
    for wide, narrow in zip(new, old, strict=False):
        at_new.append(at_new[-1] + wide)
        at_old.append(at_old[-1] + narrow)
    shared = [torch.arange(min(pair)) for pair in zip(new, old, strict=False)]
    return Channels(
        torch.cat([part + start for part, start in zip(shared, at_new, strict=False)]),
        torch.cat([part + start for part, start in zip(shared, at_old, strict=False)]),
    )


class Transfer:
    """Copies from a source's layers into a variant's, and notes what became of each tensor.

    `copied` is how many of the source's parameters the variant has, without statistics.
    A channel that the source has never hears of one that it has not: its weights for them are
    zero. New channels keep their random start, so that what they learn to say is heard once a
    step has moved those zeros.
    """

    def __init__(self) -> None:
        self.whole: set[int] = set()
        self.part: set[int] = set()
        self.copied = 0

    @torch.no_grad()
    def conv(
        self,
        new: nn.Conv2d,
        old: nn.Conv2d,
        ins: Channels | None = None,
        changed: bool = False,
    ) -> None:
        """Copy a convolution, its kernel centred; `changed` ones count as inherited in part."""
        outs = first(min(new.out_channels, old.out_channels))
        ins = ins or first(min(new.in_channels, old.in_channels))
        weight = _centred(old.weight, new.kernel_size[0]).to(new.weight)
        rows = new.weight.new_zeros(len(outs), *new.weight.shape[1:])
        rows[:, ins.new] = weight[outs.old][:, ins.old]
        new.weight[outs.new] = rows
        self.copied += len(outs) * len(ins) * min(new.kernel_size[0], old.kernel_size[0]) ** 2
        same = new.weight.shape == old.weight.shape and len(ins) == new.in_channels
        self._note(new.weight, same and not changed)
        if new.bias is not None and old.bias is not None:
            new.bias[outs.new] = old.bias[outs.old].to(new.bias)
            self.copied += len(outs)
            self._note(new.bias, len(outs) == new.out_channels == old.out_channels)

    @torch.no_grad()
    def projection(self, new: nn.Conv2d, old: nn.Conv2d, branches: tuple[int, int]) -> None:
        """Copy CAT's projection; what it has more stays the identity, behind silenced edges."""
        wide, narrow = new.out_channels, old.out_channels
        ins = concatenated([wide] * branches[0], [narrow] * branches[1])
        outs = first(min(wide, narrow))
        copied = old.weight[outs.old][:, ins.old].to(new.weight)
        new.weight[outs.new[:, None], ins.new] = copied
        self.copied += copied.numel()
        self._note(new.weight, new.weight.shape == old.weight.shape)

    @torch.no_grad()
    def norm(self, new: nn.BatchNorm2d, old: nn.BatchNorm2d, changed: bool = False) -> None:
        """Copy a batch norm with its statistics."""
        count = min(new.num_features, old.num_features)
        same = new.num_features == old.num_features and not changed
        self.copied += 2 * count
        for name in NORM_TENSORS:
            tensor, given = getattr(new, name), getattr(old, name)
            tensor[:count] = given[:count].to(tensor)
            self._note(tensor, same)

    @torch.no_grad()
    def silence(self, norm: nn.BatchNorm2d, count: int) -> None:
        """Let the first channels say nothing until they have learned to."""
        norm.weight[:count] = 0

    @torch.no_grad()
    def scale(self, norm: nn.BatchNorm2d, count: int, factor: float) -> None:
        """Multiply what the first channels say, in any mode, by a factor above 0."""
        norm.weight[:count] *= factor
        norm.bias[:count] *= factor

    @torch.no_grad()
    def even_out(self, norm: nn.BatchNorm2d, first: int) -> None:
        """Let the channels from `first` on say the same everywhere until they have learned.

        It is 1: behind a rectifier, 0 would never learn.
        """
        norm.weight[first:] = 0
        norm.bias[first:] = 1

    @torch.no_grad()
    def pass_on(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, count: int) -> None:
        """Make convolution and norm the identity of the first channels, in evaluation mode."""
        size = conv.kernel_size[0]
        rows = conv.weight.new_zeros(count, conv.in_channels, size, size)
        rows[range(count), range(count), size // 2, size // 2] = 1
        conv.weight[:count] = rows
        norm.weight[:count] = (norm.running_var[:count] + norm.eps).sqrt()  # type: ignore[index]

    def _note(self, tensor: Tensor, whole: bool) -> None:
        (self.whole if whole else self.part).add(id(tensor))


def _centred(weight: Tensor, size: int) -> Tensor:
    """Return a kernel padded with zeros, or cut, around its centre."""
    margin = (size - weight.shape[-1]) // 2
    return F.pad(weight, [margin] * 4) if margin else weight
