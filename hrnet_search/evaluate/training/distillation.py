"""What a network learns from another one beside the labels (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Distillation:
    """A teacher, images float32 [N, 3, H, W] to logits [N, K, h, w], and how it is learned from.

    The loss is 1 - `weight` of that of the labels and `weight` of the teacher's, whose classes
    count by their probabilities at a `temperature`, also where no label is.
    """

    teacher: Callable[[Tensor], Tensor]
    temperature: float
    weight: float

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """Return how far logits [N, K, h, w] of images are from the teacher's: the mean divergence.

        That is the soft cross entropy less the teacher's own entropy, which has no gradient, times
        the squared temperature: so its gradients keep their size whatever the temperature is.
        """
        with torch.no_grad():
            taught = self.teacher(images).to(logits.device, torch.float32)
            if taught.shape[-2:] != logits.shape[-2:]:
                taught = F.interpolate(taught, logits.shape[-2:], mode="bilinear")
            target = F.log_softmax(taught / self.temperature, dim=1)
        found = F.log_softmax(logits.float() / self.temperature, dim=1)
        divergence = F.kl_div(found, target, reduction="none", log_target=True).sum(dim=1)
        return divergence.mean() * self.temperature**2
