"""What a training keeps beside its checkpoint: curve, weights, decisions and results."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from hrnet_search.class_iou import class_name
from hrnet_search.evaluate.training.artifacts import evaluation_bytes
from hrnet_search.evaluate.training.checkpoint import Checkpoints
from hrnet_search.evaluate.training.descent import rate
from hrnet_search.evaluate.training.steps import Judgement, Steps
from hrnet_search.files import make_folder, write_whole
from hrnet_search.net.weights import save_weights
from hrnet_search.records.data_spec import facts_of
from hrnet_search.records.trial import RungResult
from hrnet_search.store.figures import figures_of
from hrnet_search.store.trainings import (
    BEST,
    LAST,
    CurveRow,
    Session,
    TrainingRecord,
    TrainingResults,
    evaluation_file,
    weights_file,
    write_curve,
    write_results,
)

BEST_CHECKPOINT = "best.pt"
"""The checkpoint from just before the best judgement, beside the last one."""

MOST_ROWS = 1000
"""Rows of a curve; each has the mean loss of the steps since the one before."""


def described(record: TrainingRecord) -> dict[str, str]:
    """Return what a weight file says of its network, so that it can be used by itself."""
    return {"yaml": record.config, **facts_of(record.schedule.schedule.data)}


class Keeper:
    """The book of a training: goes on with its checkpoint, and writes what people read."""

    def __init__(
        self,
        record: TrainingRecord,
        before: TrainingResults,
        session: Session,
        folder: Path,
        checkpoints: Checkpoints,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record, self._folder, self._checkpoints = record, folder, checkpoints
        self._every = -(-record.schedule.schedule.steps // MOST_ROWS)
        self._rungs, self._sessions = list[RungResult](), before.sessions
        self._session, self._clock, self._began = session, clock, clock()
        self._before_s = 0.0
        self._curve: list[CurveRow] = []
        self._losses: list[float] = []

    def begin(self, state: dict[str, Any] | None, rungs: Sequence[RungResult] = ()) -> None:
        """Go on from what `state` returned and the rungs before it; None: from the start."""
        kept = state or {"curve": [], "losses": [], "wall_s": 0.0}
        self._curve = [(int(step), lr, loss) for step, lr, loss in kept["curve"]]
        self._losses, self._before_s = list(kept["losses"]), kept["wall_s"]
        self._began = self._clock()
        self._rungs = list(rungs)
        last = self._curve[-1][0] if self._curve else 0
        self._session = replace(self._session, step=last + len(self._losses))
        self._write(ended=False)

    def state(self) -> dict[str, Any]:
        """Return what `begin` needs, and write the curve as far as it is."""
        write_curve(self._curve, self._folder)
        curve = [list(row) for row in self._curve]
        return {"curve": curve, "losses": list(self._losses), "wall_s": self._wall_s}

    def stepped(self, step: int, loss: float) -> None:
        """Take in the loss of a step, counted from 1."""
        schedule = self._record.schedule.schedule
        self._losses.append(loss)
        if step % self._every == 0 or step == schedule.steps:
            mean = sum(self._losses) / len(self._losses)
            self._curve.append((step, rate(schedule, step - 1), mean))
            self._losses = []

    def judged(self, trainer: Steps, judgement: Judgement) -> None:
        """Write weights and decisions, those of the highest mIoU under a name of their own."""
        rung = judgement.rung
        # A rung is judged again where the process was killed after it.
        self._rungs = [r for r in self._rungs if r.step < rung.step]
        best = max((r.miou for r in self._rungs), default=-1.0)
        self._keep(LAST, trainer, judgement)
        if rung.miou > best:
            self._keep(BEST, trainer, judgement)
            self._copy_checkpoint()
        self._rungs.append(rung)
        write_curve(self._curve, self._folder)
        self._write(ended=False)

    def ended(self, notes: tuple[str, ...]) -> TrainingResults:
        """Write that the training has ended, and return its results."""
        self._session = replace(self._session, notes=notes)
        return self._write(ended=True)

    @property
    def rungs(self) -> tuple[RungResult, ...]:
        """What was judged so far."""
        return tuple(self._rungs)

    @property
    def _wall_s(self) -> float:
        return self._before_s + self._clock() - self._began

    def _write(self, ended: bool) -> TrainingResults:
        sessions = (*self._sessions, self._session)
        results = TrainingResults(tuple(self._rungs), self._wall_s, ended, sessions)
        write_results(results, self._folder)
        return results

    def _keep(self, which: str, trainer: Steps, judgement: Judgement) -> None:
        weights, evaluation = (f(self._folder, which) for f in (weights_file, evaluation_file))
        for path in (weights, evaluation):
            make_folder(path.parent)
        rung, record = judgement.rung, self._record
        facts = {
            "architecture": record.architecture.id,
            "schedule": record.schedule.id,
            "seed": str(record.seed),
            "step": str(rung.step),
            "miou": repr(rung.miou),
            **described(record),
        }
        tensors: dict[str, Tensor] = {**trainer.weights.state_dict(), **judgement.judged}
        save_weights(tensors, weights, facts)
        write_whole(evaluation, evaluation_bytes(judgement))
        self._tables(which, judgement)

    def _tables(self, which: str, judgement: Judgement) -> None:
        """Write the figures of each class, and the confusion matrix, as tables."""
        data = self._record.schedule.schedule.data
        matrix = judgement.confusions.sum(axis=0)
        names = [class_name(k, data.names) for k in range(data.classes)]
        found = figures_of(judgement.confusions)
        rows: list[list[object]] = [["class", "name", "iou", "f1", "accuracy", "pixels"]]
        rows += [
            [k, name, found.iou[k], found.f1[k], found.accuracy[k], int(matrix[k].sum())]
            for k, name in enumerate(names)
        ]
        self._table(f"classes_{which}.csv", rows)
        head: list[object] = ["truth \\ predicted", *names]
        lines = [head, *([name, *row.tolist()] for name, row in zip(names, matrix, strict=True))]
        self._table(f"confusion_{which}.csv", lines)

    def _table(self, name: str, rows: list[list[object]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(rows)
        write_whole(self._folder / name, buffer.getvalue().encode())

    def _copy_checkpoint(self) -> None:
        """Keep the checkpoint that was made before this judgement, whole or not at all."""
        source = self._checkpoints.path
        if not source.is_file():
            return
        write_whole(source.with_name(BEST_CHECKPOINT), source.read_bytes())
