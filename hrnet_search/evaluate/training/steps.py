"""Training steps by a schedule, of one network or of weights that many share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hrnet_search import heartbeat
from hrnet_search.errors import DataError, Fault, InputError, TrainingError
from hrnet_search.evaluate.forward import Network, outputs_of
from hrnet_search.evaluate.latency.setting import FORMATS
from hrnet_search.evaluate.training.descent import Descent
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.evaluate.training.loss import Loss
from hrnet_search.evaluate.training.previews import Previews
from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.evaluate.training.soft_metrics import Signals
from hrnet_search.records.schedule import LOSSES, MEMORY_FORMATS, OPTIMISERS, PRECISIONS, Schedule
from hrnet_search.records.trial import RungResult

DROPOUT = 3
"""The stream of random numbers for dropout; others draw batches, and which networks learn."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a network is trained and judged on, on its device.

    `batch(step)` returns images float32 [N, 3, h, w] and labels int64 [N, h, w], a pure function
    of the step, `batch(step, places)` those at some places in it; `validation()` yields images,
    labels and the indices of the images, 0 to `images` - 1, `validation(range)` those of some.
    `class_weights` float32 [K] weigh the classes in the loss. What dropout leaves out of a step is
    drawn by `seed`. `distillation` has a teacher to learn from beside the labels.
    """

    batch: Callable[..., tuple[Tensor, Tensor]]
    validation: Callable[..., Iterable[tuple[Tensor, Tensor, Sequence[int]]]]
    images: int
    class_weights: Tensor | None = None
    seed: int = 0
    distillation: Distillation | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One evaluation: the rung, what probabilities say beside it, confusions int64 [images, K, K]
    with truth in rows, some previews, and by name the tensors that were judged in place of
    those that are trained: batch-norm statistics, averaged weights."""

    rung: RungResult
    signals: Signals
    confusions: np.ndarray[Any, np.dtype[np.int64]]
    judged: dict[str, Tensor]
    previews: Previews


class Steps(ABC):
    """Weights on their way through a schedule; `step` counts the steps done.

    Each step takes its batch in `parts` parts, the schedule's unless more are asked for. Where
    they are `partial`, a step teaches only some of them. Where several processes train together,
    each of these `ranks` has a share of every part, and they do what one alone would.
    """

    partial = False

    strata_losses: tuple[float, ...] = ()
    """The losses of the last step where networks of several costs learn, the cheapest first."""

    def __init__(
        self,
        network: nn.Module,
        data: TrainingData,
        schedule: Schedule,
        parts: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        _check(schedule, data)
        self.data, self.schedule, self.step = data, schedule, 0
        self.weights = network
        self.parts, self.ranks = parts or schedule.accumulate, ranks
        self._device = next(network.parameters()).device
        network.to(memory_format=FORMATS[schedule.memory_format])  # type: ignore[call-overload]
        self._descent = Descent(network, schedule, partial=self.partial)
        self._losses = 0.0
        drops = (m for m in network.modules() if isinstance(m, nn.Dropout2d))
        self._drops = next(drops, None) is not None

    def advance(self) -> float:
        """Do one step and return its loss. Raise TrainingError if that is not finite."""
        images, labels = self._batch(self.step)
        self.weights.train()
        with self._dropping():
            loss = self._gradients(images, labels)
        gradients = [w.grad for w in self.weights.parameters() if w.grad is not None]
        self.ranks.add([*gradients, loss])
        self._descent.step(self.step)
        value = loss.item()  # waits for a GPU, which has been given the whole step by now
        if not math.isfinite(value):
            steps = self.schedule.steps
            raise TrainingError(f"the loss is {value} at step {self.step + 1} of {steps}")
        self.step += 1
        self._losses += value
        return value

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on at this step."""
        return {
            "step": self.step,
            "parts": self.parts,
            "losses": self._losses,
            "network": self.weights.state_dict(),
            **self._descent.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.weights.load_state_dict(state["network"])
        self._descent.restore(state)
        # More parts are asked for where those of the checkpoint did not fit into memory.
        self.step, self.parts = state["step"], max(self.parts, state["parts"])
        # A checkpoint from before losses were kept: their sum is not known.
        self._losses = state.get("losses", math.nan)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """Draw dropout by seed and step, so that a killed training goes on as it would have."""
        if not self._drops:
            yield
            return
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            # Each process has other images: with one seed all would drop the same channels.
            share = [] if self.ranks.alone else [self.ranks.rank]
            rng = np.random.default_rng([self.data.seed, DROPOUT, self.step, *share])
            torch.manual_seed(int(rng.integers(2**63)))
            yield

    @abstractmethod
    def judge(self) -> Judgement:
        """Evaluate on the validation images, and go on as if it had not happened."""

    @abstractmethod
    def _gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        """Add the gradients of a batch, and return its loss."""

    def _descend(
        self,
        forward: Network,
        aligned: bool,
        images: Tensor,
        labels: Tensor,
        weight: float = 1.0,
        distillation: Distillation | None = None,
    ) -> Tensor:
        """Add `weight` times the gradients of a batch's loss in its parts; return that loss.

        `distillation` has a teacher that is asked of each part, one after the other.
        """
        loss_of = Loss(self.schedule, self.data.class_weights, aligned, self.ranks)
        loss = torch.zeros((), device=self._device)
        for part, truth in zip(self._parts(images), self._parts(labels), strict=True):
            whole = truth if self.parts == 1 else labels
            outputs = self._outputs(forward, part)
            one = loss_of.of_part(outputs, truth, whole)
            one = self._distilled(one, outputs[-1], part, distillation) * weight
            self._descent.backward(one)
            loss += one.detach()
            heartbeat.beat()
        return loss

    def _distilled(
        self, loss: Tensor, logits: Tensor, part: Tensor, distillation: Distillation | None
    ) -> Tensor:
        """Return what a part adds to the loss of a batch, with what its teacher says of it."""
        if distillation is None:
            return loss
        share = len(part) / self.schedule.batch  # of all parts, in all processes
        soft = distillation.loss(logits, part) * share
        return torch.lerp(loss, soft, distillation.weight)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return this process's share of a batch."""
        if self.ranks.alone:
            return self.data.batch(step)
        return self.data.batch(step, [place for piece in self._pieces() for place in piece])

    def _parts(self, share: Tensor) -> Sequence[Tensor]:
        """Return a share of a batch in parts."""
        if self.ranks.alone:
            return share.chunk(self.parts)
        return share.split_with_sizes([len(piece) for piece in self._pieces()])

    def _pieces(self) -> list[range]:
        """Return this process's places in each part of a batch."""
        pieces = self.ranks.pieces(self.schedule.batch, self.parts)
        if not all(pieces):  # a checkpoint of fewer processes may be of more parts
            what = f"a batch of {self.schedule.batch} in {self.parts} parts has no image for some"
            raise TrainingError(f"{what} of {self.ranks.size} processes: fewer --workers can go on")
        return pieces

    def _logits(self, network: Network, images: Tensor) -> Tensor:
        return self._outputs(network, images)[-1]

    def _outputs(self, network: Network, images: Tensor) -> tuple[Tensor, ...]:
        return outputs_of(network, images, self.schedule.precision, self.schedule.memory_format)

    def _training_loss(self) -> float | None:
        """Return the mean loss of all steps so far, None if it is not known."""
        return self._losses / self.step if self.step and math.isfinite(self._losses) else None


def _check(schedule: Schedule, data: TrainingData) -> None:
    if data.images < 1:
        raise DataError(Fault("data.val", 0, "there is no validation image", "at least 1"))
    faults = [
        Fault(f"schedule.{key}", value, f"{value!r} is not known", ", ".join(known))
        for key, value, known in (
            ("precision", schedule.precision, PRECISIONS),
            ("memory_format", schedule.memory_format, MEMORY_FORMATS),
            ("optimiser", schedule.optimiser, OPTIMISERS),
            ("loss", schedule.loss, LOSSES),
        )
        if value not in known
    ]
    if faults:
        raise InputError(faults)
