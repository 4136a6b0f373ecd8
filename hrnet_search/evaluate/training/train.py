"""Train a network by a schedule and judge it at rungs, the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrnet_search import heartbeat
from hrnet_search.errors import StorageLostError, TrainingError, shown
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.checkpoint import Checkpoints, OtherLayoutError
from hrnet_search.evaluate.training.norms import recalibrated, statistics
from hrnet_search.evaluate.training.previews import Previews, chosen
from hrnet_search.evaluate.training.soft_metrics import Signals, SoftSums
from hrnet_search.evaluate.training.steps import Judgement, Steps, TrainingData
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.records import RungResult, Schedule, TrialProgress

RECALIBRATION_IMAGES = 64
"""Training images whose statistics batch norm uses when it is judged, in batches as trained."""

Report = Callable[[TrialProgress], bool]
"""Told every step and every rung; False stops the trial."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went: its rungs, the last judgement (None before the first), its steps."""

    rungs: tuple[RungResult, ...]
    last: Judgement | None
    step: int
    stopped: bool


class Trainer(Steps):
    """A network on its way through a schedule."""

    def __init__(
        self,
        network: HighResolutionNet,
        data: TrainingData,
        schedule: Schedule,
        parts: int | None = None,
    ) -> None:
        super().__init__(network, data, schedule, parts)
        self.network = network
        self._forward = torch.compile(network) if schedule.compile else network

    @torch.no_grad()
    def judge(self) -> Judgement:
        """Evaluate on the validation images, with batch-norm statistics of the present weights.

        The training goes on as if it had not happened. Raise DataError if there is no image,
        TrainingError if the loss is not finite.
        """
        classes, aligned = self.schedule.data.classes, self.network.architecture.align_corners
        counts = np.zeros((self.data.images, classes, classes), dtype=np.int64)
        previews = Previews(self.schedule.data, chosen(self.data.images))
        soft = SoftSums(classes, self._device)
        with self._descent.averaged(), recalibrated(self.network, self._recalibrate):
            for images, labels, indices in self.data.validation():
                logits = self._logits(self.network, images)
                logits = metrics.upsampled(logits, labels, aligned)
                predicted = logits.argmax(dim=1)
                found = metrics.confusions(predicted, labels, classes)
                counts[list(indices)] = found.cpu().numpy()
                soft.add(logits, labels)
                heartbeat.beat()
                for place, index in enumerate(indices):
                    previews.look(index, images[place], labels[place], predicted[place])
            judged = statistics(self.network)
            if self.schedule.ema:
                judged |= {n: w.detach().clone() for n, w in self.network.named_parameters()}
        signals = soft.signals()
        rung = self._rung(counts, signals)
        return Judgement(rung, signals, counts, judged, previews)

    def _gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        aligned = self.network.architecture.align_corners
        return self._descend(self._forward, aligned, images, labels)

    def _recalibrate(self) -> None:
        batches = -(-RECALIBRATION_IMAGES // self.schedule.batch)
        for step in range(min(batches, self.schedule.steps)):
            for part in self.data.batch(step)[0].chunk(self.parts):
                self._logits(self.network, part)
                heartbeat.beat()

    def _rung(self, counts: np.ndarray[Any, np.dtype[np.int64]], signals: Signals) -> RungResult:
        loss = signals.cross_entropy
        if not math.isfinite(loss):
            raise TrainingError(f"the validation loss is {loss} after step {self.step}")
        matrix = torch.from_numpy(counts.sum(axis=0))
        return RungResult(
            step=self.step,
            miou=metrics.miou(matrix),
            iou=tuple(metrics.iou(matrix).tolist()),
            loss=loss,
            miou_present=metrics.miou_present(matrix),
            soft_iou=signals.soft_iou,
            balanced_cross_entropy=signals.balanced_cross_entropy,
            training_loss=self._training_loss(),
        )


def train(
    trainer: Steps,
    rungs: tuple[int, ...],
    report: Report,
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Train to the end, judge at each rung, and leave the network as judged if it ends at one.

    `rungs` rise, the last one is the schedule's steps. Goes on from a checkpoint if there is
    one; the rung at which it was made is judged and reported (again), earlier ones are not. Raise
    OtherLayoutError, and leave the trainer as it may be, for a checkpoint that is not of it.
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
            try:
                going = report(TrialProgress("train", trainer.step, steps, loss))
            except (KeyboardInterrupt, StorageLostError) as error:  # a study goes on from here
                if checkpoints and trainer.step not in rungs:
                    # Of a storage that is lost the first that was met says why.
                    lost = isinstance(error, StorageLostError)
                    with suppress(StorageLostError) if lost else nullcontext():
                        _save(trainer, results, checkpoints)
                raise
    if last and last.rung.step == trainer.step:
        trainer.weights.load_state_dict(last.judged, strict=False)
    stopped = last is None or last.rung.step < steps
    return Training(tuple(results), last, trainer.step, stopped)


def _save(trainer: Steps, results: list[RungResult], checkpoints: Checkpoints) -> None:
    checkpoints.save(trainer.state() | {"rungs": [asdict(result) for result in results]})


def _resume(
    trainer: Steps, rungs: tuple[int, ...], checkpoints: Checkpoints | None
) -> list[RungResult]:
    stored = checkpoints.load() if checkpoints else None
    if stored is None:
        return []
    try:
        results = [RungResult(**result) for result in stored["rungs"]]
        # A checkpoint is made before its own rung is judged. Other rungs asked for: start anew.
        if [result.step for result in results] != [rung for rung in rungs if rung < stored["step"]]:
            return []
        trainer.restore(stored)
    except Exception as error:  # whatever torch says of tensors that are not those it expects
        if out_of_memory(error):
            raise
        raise OtherLayoutError(shown(str(error), 200) or type(error).__name__) from error
    return results
