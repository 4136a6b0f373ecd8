"""The descent of a schedule: optimiser, learning rates, scaled losses, averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hrnet_search.evaluate.training import metrics
from hrnet_search.records.schedule import Schedule

FP16 = "fp16"

FUSED = ("cpu", "cuda")
"""Kinds of devices whose optimisers torch has as one kernel over all tensors."""

BETA2 = 0.999


class Descent:
    """Turns gradients into weights, as a schedule says.

    `partial`: a step may have gradients of some weights alone.
    """

    def __init__(self, network: nn.Module, schedule: Schedule, partial: bool = False) -> None:
        self._schedule = schedule
        self._weights = list(network.parameters())
        self._optimiser = optimiser(parts_of(network, schedule), schedule, partial)
        device = self._weights[0].device.type
        # Gradients of fp16 underflow without a scale; a step whose gradients overflow is left out.
        self._scaler = torch.amp.GradScaler(device, enabled=schedule.precision == FP16)
        self._averages = [w.detach().clone() for w in self._weights] if schedule.ema else []

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def step(self, step: int) -> None:
        """Do the step after `step` others with the gradients so far, and drop them."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate(self._schedule, step) * group.get("times", 1.0)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad()
        if self._averages:
            # At first the averages hold little but the start: they forget it faster.
            decay = min(self._schedule.ema, (1 + step) / (10 + step))
            update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            update(self._averages, self._weights, None)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Hold the network at its averaged weights, if there are any, and give its own back."""
        own = [w.detach().clone() for w in self._weights] if self._averages else []
        try:
            self._set(self._averages)
            yield
        finally:
            self._set(own)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, beside the network's weights."""
        return {
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "averages": self._averages,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._optimiser.load_state_dict(state["optimiser"])
        for group in self._optimiser.param_groups:  # which a checkpoint of before had for fp16 too
            group["fused"] = self._optimiser.defaults["fused"]
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        for average, stored in zip(self._averages, state["averages"], strict=True):
            average.copy_(stored)

    @torch.no_grad()
    def _set(self, tensors: list[Tensor]) -> None:
        for weight, tensor in zip(self._weights, tensors, strict=False):
            weight.copy_(tensor)


def rate(schedule: Schedule, step: int) -> float:
    """Return the learning rate of a step: the official polynomial, after a rise in line."""
    rising = min(1.0, (step + 1) / (schedule.warmup + 1))
    return metrics.poly_lr(schedule.lr, step, schedule.steps, schedule.power) * rising


def parts_of(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Return the parameters of a network in groups, each with the `times` of its learning rate.

    One group, or a second one of those whose names hold one of `fast_keys`.
    """
    slow: list[nn.Parameter] = []
    fast: list[nn.Parameter] = []
    for name, weight in network.named_parameters():
        (fast if any(key in name for key in schedule.fast_keys) else slow).append(weight)
    groups: list[dict[str, Any]] = [{"params": slow}, {"params": fast, "times": schedule.fast_lr}]
    return [group for group in groups if group["params"]]


def optimiser(
    parts: list[dict[str, Any]], schedule: Schedule, partial: bool = False
) -> torch.optim.Optimizer:
    """Return the optimiser of a schedule over all weights, as the official trainer has it.

    `partial` as in `Descent`: torch's fused SGD fails on weights that have no momentum yet
    beside others that have. Nor is it used with fp16: where the first step overflows and is left
    out, its momentum is memory that nobody has written, and the next step takes it as it is.
    """
    lr, decay = schedule.lr, schedule.weight_decay
    fused = parts[0]["params"][0].device.type in FUSED
    if schedule.optimiser == "adamw":
        betas = (schedule.momentum, BETA2)
        return torch.optim.AdamW(parts, lr, betas, weight_decay=decay, fused=fused)
    nesterov, fused = schedule.nesterov, fused and not partial and schedule.precision != FP16
    return torch.optim.SGD(
        parts, lr, schedule.momentum, weight_decay=decay, nesterov=nesterov, fused=fused
    )
