"""Batch norm over the images of all processes that train one network together, on a CPU too."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_search.evaluate.training.ranks import Ranks


def synchronised(network: nn.Module, ranks: Ranks) -> None:
    """Have all batch norms of a network see the images of all processes, from the same weights."""
    for module in list(network.modules()):
        for name, norm in list(module.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                module.add_module(name, SyncedNorm.of(norm, ranks))
    ranks.copy_first([*network.parameters(), *network.buffers()])


class SyncedNorm(nn.SyncBatchNorm):
    """torch's synchronised batch norm, which refuses a CPU, with one of our own for that."""

    ranks: Ranks

    @classmethod
    def of(cls, norm: nn.BatchNorm2d, ranks: Ranks) -> SyncedNorm:
        """Return the norm with the same weights and statistics."""
        found = cls(norm.num_features, norm.eps, norm.momentum, norm.affine)
        found.ranks = ranks
        found.weight, found.bias = norm.weight, norm.bias
        found.running_mean, found.running_var = norm.running_mean, norm.running_var
        found.num_batches_tracked = norm.num_batches_tracked
        found.training = norm.training
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return images [N, C, H, W], normalised by the moments of those of all processes."""
        if images.is_cuda or not self.training:
            return super().forward(images)
        assert self.num_batches_tracked is not None, "it keeps statistics"
        self.num_batches_tracked.add_(1)
        found: tuple[Tensor, Tensor, Tensor, float] = _Normalised.apply(  # type: ignore[no-untyped-call]
            images, self.weight, self.bias, self.eps, self.ranks
        )
        normal, mean, variance, count = found
        assert self.momentum is not None, "averages are by momentum"
        with torch.no_grad():
            unbiased = variance * (count / max(1.0, count - 1))
            for average, seen in ((self.running_mean, mean), (self.running_var, unbiased)):
                assert average is not None, "it keeps statistics"
                average.mul_(1 - self.momentum).add_(seen, alpha=self.momentum)
        return normal


class _Normalised(torch.autograd.Function):
    """Batch norm of a share of a batch; its gradients too are those of the whole batch."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float, ranks: Ranks
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        channels = images.shape[1]
        variance, mean = torch.var_mean(images.to(weight.dtype), dim=(0, 2, 3), correction=0)
        count = mean.new_tensor([images.numel() // channels])
        every = ranks.stacked(torch.cat([mean, variance, count]).double())
        means, variances, counts = every.split_with_sizes([channels, channels, 1], dim=1)
        shares = counts / counts.sum()
        whole = (shares * means).sum(dim=0)
        spread = (shares * (variances + (means - whole) ** 2)).sum(dim=0)
        mean, variance = whole.to(weight.dtype), spread.to(weight.dtype)
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps, ctx.ranks, ctx.count = eps, ranks, float(counts.sum())
        ctx.mark_non_differentiable(mean, variance)
        normal = F.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)
        return normal, mean, variance, ctx.count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, mean, variance = ctx.saved_tensors
        back = torch.ops.aten.native_batch_norm_backward
        # As if the moments were constants; what comes through them is taken away below.
        through, scale, shift = back(
            gradients[0].contiguous(memory_format=_format(images)), images, weight, mean, variance,
            None, None, False, ctx.eps, [True, True, True],
        )  # fmt: skip
        scales, shifts = scale.clone(), shift.clone()
        ctx.ranks.add([scales, shifts])
        inverse = (variance + ctx.eps).rsqrt()
        slope = weight * inverse**2 * scales / ctx.count
        constant = weight * inverse * shifts / ctx.count - slope * mean
        moments = constant.view(1, -1, 1, 1) + slope.view(1, -1, 1, 1) * images
        return (through - moments).to(images.dtype), scale, shift, None, None


def _format(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
