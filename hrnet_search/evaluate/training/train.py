"""Train a network by a schedule and judge it at rungs, the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hrnet_search import heartbeat
from hrnet_search.errors import StorageLostError, TrainingError, shown
from hrnet_search.evaluate.machine.allocator import out_of_memory
from hrnet_search.evaluate.training import metrics
from hrnet_search.evaluate.training.checkpoint import Checkpoints, UnusableCheckpointError
from hrnet_search.evaluate.training.norms import recalibrated, statistics
from hrnet_search.evaluate.training.previews import Previews, chosen
from hrnet_search.evaluate.training.ranks import ALONE, Ranks
from hrnet_search.evaluate.training.soft_metrics import Signals, SoftSums
from hrnet_search.evaluate.training.steps import Judgement, Steps, TrainingData
from hrnet_search.evaluate.training.synced_norm import synchronised
from hrnet_search.net.hrnet import HighResolutionNet
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import RungResult, TrialProgress

RECALIBRATION_IMAGES = 64
"""Training images whose statistics batch norm uses when it is judged, in batches as trained."""

SLICES_IMAGES = 128
"""Validation images by which slices of shared weights are judged, spread over all: by soft IoU they
put networks in the order of four times as many (docs/LOG.md), and what is judged is thousands."""

Report = Callable[[TrialProgress], bool]
"""Told every step and every rung; False stops the trial."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went: its rungs, the last judgement (None before the first), its steps."""

    rungs: tuple[RungResult, ...]
    last: Judgement | None
    step: int
    stopped: bool


class Book(Protocol):
    """Whatever else is kept of a training, and goes on with it where its checkpoint does."""

    def begin(self, state: dict[str, Any] | None, rungs: Sequence[RungResult] = ()) -> None:
        """Go on from what `state` returned for a checkpoint, and the rungs before it.

        None: the training begins.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return what `begin` needs to go on from here."""
        ...

    def judged(self, trainer: Steps, judgement: Judgement) -> None:
        """Take in a judgement; of one rung it may come again, after a kill in between."""
        ...


class Trainer(Steps):
    """A network on its way through a schedule."""

    def __init__(
        self,
        network: HighResolutionNet,
        data: TrainingData,
        schedule: Schedule,
        parts: int | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        if not ranks.alone:
            synchronised(network, ranks)
        super().__init__(network, data, schedule, parts, ranks)
        self.network = network
        compiled = schedule.compile and ranks.alone  # what processes exchange is not compiled
        self._forward = torch.compile(network) if compiled else network

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
            for images, labels, indices in self._validation():
                logits = self._logits(self.network, images)
                logits = metrics.upsampled(logits, labels, aligned)
                predicted = logits.argmax(dim=1)
                matrices = metrics.confusions(predicted, labels, classes)
                counts[list(indices)] = matrices.cpu().numpy()
                soft.add(logits, labels)
                heartbeat.beat()
                for place, index in enumerate(indices):
                    previews.look(index, images[place], labels[place], predicted[place])
            judged = statistics(self.network)
            if self.schedule.ema:
                judged |= {n: w.detach().clone() for n, w in self.network.named_parameters()}
        self.ranks.add([torch.from_numpy(counts)])
        self.ranks.add(soft.sums)
        for found in self.ranks.together(previews.found):
            previews.found.update(found)
        signals = soft.signals()
        rung = self._rung(counts, signals)
        return Judgement(rung, signals, counts, judged, previews)

    def _validation(self) -> Iterable[tuple[Tensor, Tensor, Sequence[int]]]:
        """Return this process's share of the validation images."""
        if self.ranks.alone:
            return self.data.validation()
        return self.data.validation(self.ranks.share(self.data.images))

    def _gradients(self, images: Tensor, labels: Tensor) -> Tensor:
        aligned = self.network.architecture.align_corners
        teacher = self.data.distillation
        return self._descend(self._forward, aligned, images, labels, distillation=teacher)

    def _recalibrate(self) -> None:
        batches = -(-RECALIBRATION_IMAGES // self.schedule.batch)
        # A network that is not trained at all has as many as one that is trained for long.
        for step in range(min(batches, self.schedule.steps or batches)):
            for part in self._parts(self._batch(step)[0]):
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
    book: Book | None = None,
) -> Training:
    """Train to the end, judge at each rung, and leave the network as judged if it ends at one.

    `rungs` rise, the last one is the schedule's steps. Goes on from a checkpoint if there is
    one, and `book` with it; the rung at which it was made is judged and reported (again), earlier
    ones are not. Of processes that train together the first alone has checkpoints and a book.
    Raise UnusableCheckpointError, and leave the trainer as it may be, for a checkpoint that is
    damaged or not of it.
    """
    steps = trainer.schedule.steps
    assert rungs[-1:] == (steps,), "the last rung is the end of the schedule"
    course = _Course(trainer, rungs, checkpoints, book)
    last: Judgement | None = None
    loss: float | None = None
    going = True
    while going:
        if trainer.step in rungs:
            if loss is not None:
                course.save()
            last = course.judge()
            going = report(TrialProgress("evaluate", trainer.step, steps, loss, last.rung))
            if trainer.step == steps:
                break  # it has ended: there is nothing left to stop
        elif checkpoints and checkpoints.due():
            course.save()
        if going:
            loss = trainer.advance()
            strata = trainer.strata_losses
            with course.saved_if_cut_off():
                going = report(TrialProgress("train", trainer.step, steps, loss, strata=strata))
    if last and last.rung.step == trainer.step:
        trainer.weights.load_state_dict(last.judged, strict=False)
    stopped = last is None or last.rung.step < steps
    return Training(tuple(course.results), last, trainer.step, stopped)


class _Course:
    """A training under way: its rungs so far, and what is kept of it to go on from."""

    def __init__(
        self,
        trainer: Steps,
        rungs: tuple[int, ...],
        checkpoints: Checkpoints | None,
        book: Book | None,
    ) -> None:
        self._trainer, self._checkpoints, self._book = trainer, checkpoints, book
        self.results, kept = _resume(trainer, rungs, checkpoints)
        if book:
            book.begin(kept, self.results)

    def judge(self) -> Judgement:
        """Judge the network as it is now, and take the rung down."""
        found = self._trainer.judge()
        self.results.append(found.rung)
        if self._book:
            self._book.judged(self._trainer, found)
        return found

    def save(self) -> None:
        """Make a checkpoint, if there is a place for one."""
        if self._checkpoints:
            state = self._trainer.state() | {"rungs": [asdict(rung) for rung in self.results]}
            self._checkpoints.save(state | ({"book": self._book.state()} if self._book else {}))

    @contextmanager
    def saved_if_cut_off(self) -> Iterator[None]:
        """Save when a study is interrupted, or loses its storage, to go on from there."""
        try:
            yield
        except (KeyboardInterrupt, StorageLostError) as error:
            # Of a storage that is lost the first error that was met says why.
            lost = isinstance(error, StorageLostError)
            with suppress(StorageLostError) if lost else nullcontext():
                self.save()
            raise


def _resume(
    trainer: Steps, rungs: tuple[int, ...], checkpoints: Checkpoints | None
) -> tuple[list[RungResult], dict[str, Any] | None]:
    """Restore a trainer; return the rungs before its checkpoint, and what a book kept with it."""
    stored, wrong = trainer.ranks.of_first(_loaded(checkpoints))
    if wrong:
        raise UnusableCheckpointError(wrong)
    if stored is None:
        return [], None
    try:
        results = [RungResult(**result) for result in stored["rungs"]]
        # A checkpoint is made before its own rung is judged. Other rungs asked for: start anew.
        if [result.step for result in results] != [rung for rung in rungs if rung < stored["step"]]:
            return [], None
        trainer.restore(stored)
    except Exception as error:  # whatever torch says of tensors that are not those it expects
        if out_of_memory(error):
            raise
        why = shown(str(error), 200) or type(error).__name__
        raise UnusableCheckpointError(f"has another layout ({why})") from error
    return results, stored.get("book")


def _loaded(checkpoints: Checkpoints | None) -> tuple[dict[str, Any] | None, str]:
    """Return what is in a checkpoint, or why nothing can go on from it."""
    try:
        return checkpoints.load() if checkpoints else None, ""
    except UnusableCheckpointError as error:
        return None, str(error)
