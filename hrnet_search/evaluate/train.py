"""Train a network by a schedule and judge it at rungs, the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hrnet_search.errors import DataError, Fault, InputError, TrainingError
from hrnet_search.evaluate import metrics
from hrnet_search.evaluate.checkpoint import Checkpoints
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.records import RungResult, Schedule, TrialProgress

RECALIBRATION_BATCHES = 8
"""Training batches whose statistics batch norm uses when it is judged."""

PRECISIONS = ("fp32", "bf16")
OPTIMISERS = ("sgd",)

Report = Callable[[TrialProgress], bool]
"""Told every step and every rung; False stops the trial."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a network is trained and judged on, on its device.

    `batch(step)` returns images float32 [N, 3, h, w] and labels int64 [N, h, w], a pure function
    of the step; `validation()` yields images, labels and the indices of the images, 0 to
    `images` - 1.
    """

    batch: Callable[[int], tuple[Tensor, Tensor]]
    validation: Callable[[], Iterable[tuple[Tensor, Tensor, Sequence[int]]]]
    images: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """One evaluation: the rung, int64 [images, K, K] with truth in rows, and the batch-norm
    statistics, by name, that it used."""

    rung: RungResult
    confusions: np.ndarray[Any, np.dtype[np.int64]]
    statistics: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went: its rungs, the last judgement (None before the first), its steps."""

    rungs: tuple[RungResult, ...]
    last: Judgement | None
    step: int
    stopped: bool


class Trainer:
    """A network on its way through a schedule; `step` counts the steps done."""

    def __init__(self, network: HighResolutionNet, data: TrainingData, schedule: Schedule) -> None:
        _check(schedule, data)
        self.network, self.data, self.schedule, self.step = network, data, schedule, 0
        self._device = next(network.parameters()).device
        self._optimiser = torch.optim.SGD(
            network.parameters(),
            lr=schedule.lr,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )

    def advance(self) -> float:
        """Do one step and return its loss. Raise TrainingError if that is not finite."""
        schedule = self.schedule
        rate = metrics.poly_lr(schedule.lr, self.step, schedule.steps, schedule.power)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        images, labels = self.data.batch(self.step)
        self.network.train()
        loss = metrics.cross_entropy(self._logits(images), labels, self._aligned)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(f"the loss is {value} at step {self.step + 1} of {schedule.steps}")
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.step += 1
        return value

    @torch.no_grad()
    def judge(self) -> Judgement:
        """Evaluate on the validation images, with batch-norm statistics of the present weights.

        The training goes on as if it had not happened. Raise DataError if there is no image,
        TrainingError if the loss is not finite.
        """
        classes = self.schedule.data.classes
        counts = np.zeros((self.data.images, classes, classes), dtype=np.int64)
        total, pixels = 0.0, 0
        with recalibrated(self.network, self._recalibrate):
            for images, labels, indices in self.data.validation():
                logits = metrics.upsampled(self._logits(images), labels, self._aligned)
                found = metrics.confusions(logits.argmax(dim=1), labels, classes)
                counts[list(indices)] = found.cpu().numpy()
                counted = int(found.sum())
                total += counted * metrics.cross_entropy(logits, labels, self._aligned).item()
                pixels += counted
            statistics = _statistics(self.network)
        return Judgement(self._rung(counts, total / max(1, pixels)), counts, statistics)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on at this step."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    @property
    def _aligned(self) -> bool:
        return self.network.architecture.align_corners

    def _logits(self, images: Tensor) -> Tensor:
        half = self.schedule.precision == "bf16"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=half):
            logits: Tensor = self.network(images)
        # The loss and the upsampling before it need more than the 8 bits of bf16.
        return logits.float()

    def _recalibrate(self) -> None:
        for step in range(min(RECALIBRATION_BATCHES, self.schedule.steps)):
            self._logits(self.data.batch(step)[0])

    def _rung(self, counts: np.ndarray[Any, np.dtype[np.int64]], loss: float) -> RungResult:
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is {loss} after step {self.step}")
        matrix = torch.from_numpy(counts.sum(axis=0))
        return RungResult(
            step=self.step,
            miou=metrics.miou(matrix),
            iou=tuple(metrics.iou(matrix).tolist()),
            loss=loss,
            miou_present=metrics.miou_present(matrix),
        )


def train(
    trainer: Trainer,
    rungs: tuple[int, ...],
    report: Report,
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Train to the end, judge at each rung, and leave the network as judged if it ends at one.

    `rungs` rise, the last one is the schedule's steps. Goes on from a checkpoint if there is
    one; the rung at which it was made is judged and reported (again), earlier ones are not.
    """
    steps = trainer.schedule.steps
    assert rungs[-1:] == (steps,), "the last rung is the end of the schedule"
    results = _resume(trainer, rungs, checkpoints)
    last: Judgement | None = None
    loss: float | None = None
    going = True
    while going:
        if trainer.step in rungs:
            if checkpoints and loss is not None:
                _save(trainer, results, checkpoints)
            last = trainer.judge()
            results.append(last.rung)
            going = report(TrialProgress("evaluate", trainer.step, steps, loss, last.rung))
            if trainer.step == steps:
                break  # it has ended: there is nothing left to stop
        elif checkpoints and checkpoints.due():
            _save(trainer, results, checkpoints)
        if going:
            loss = trainer.advance()
            going = report(TrialProgress("train", trainer.step, steps, loss))
    if last and last.rung.step == trainer.step:
        trainer.network.load_state_dict(last.statistics, strict=False)
    stopped = last is None or last.rung.step < steps
    return Training(tuple(results), last, trainer.step, stopped)


@contextmanager
def recalibrated(network: nn.Module, forward: Callable[[], None]) -> Iterator[None]:
    """Hold a network in evaluation mode with batch-norm statistics averaged over `forward`.

    On a short schedule the running averages lag behind the weights. Before, `forward` is called
    once in training mode; afterwards statistics and training mode are as they were.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    before, training = _statistics(network), network.training
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


def _statistics(network: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in network.named_buffers()}


def _save(trainer: Trainer, results: list[RungResult], checkpoints: Checkpoints) -> None:
    checkpoints.save(trainer.state() | {"rungs": [asdict(result) for result in results]})


def _resume(
    trainer: Trainer, rungs: tuple[int, ...], checkpoints: Checkpoints | None
) -> list[RungResult]:
    stored = checkpoints.load() if checkpoints else None
    if stored is None:
        return []
    results = [RungResult(**result) for result in stored["rungs"]]
    # A checkpoint is made before its own rung is judged. Other rungs asked for: start anew.
    if [result.step for result in results] != [rung for rung in rungs if rung < stored["step"]]:
        return []
    trainer.restore(stored)
    return results


def _check(schedule: Schedule, data: TrainingData) -> None:
    if data.images < 1:
        raise DataError(Fault("data.val", 0, "there is no validation image", "allowed: at least 1"))
    if faults := [
        Fault(f"schedule.{key}", value, f"{value!r} is not known", f"allowed: {', '.join(known)}")
        for key, value, known in (
            ("precision", schedule.precision, PRECISIONS),
            ("optimiser", schedule.optimiser, OPTIMISERS),
        )
        if value not in known
    ]:
        raise InputError(faults)
