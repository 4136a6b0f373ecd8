"""What one process does of a training: all of it, or its share where several train together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from hrnet_search.errors import TrainingError
from hrnet_search.evaluate.machine.devices import device_name, gpu_uuid, resolve_device, versions
from hrnet_search.evaluate.machine.gate import DeviceGate
from hrnet_search.evaluate.training.attempts import Attempt, Attempts
from hrnet_search.evaluate.training.checkpoint import EVERY_S, Checkpoints
from hrnet_search.evaluate.training.distillation import Distillation
from hrnet_search.evaluate.training.ranks import Ranks
from hrnet_search.evaluate.training.trial import final_miou, gate_of
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialTask
from hrnet_search.store.trainings import Session, TrainingResults, read_results
from hrnet_search.trainings.desk import SMALLER
from hrnet_search.trainings.keeper import Keeper
from hrnet_search.trainings.plan import Plan
from hrnet_search.trainings.teacher import distillation_of

Told = Callable[[TrialProgress], None]
"""Hears of each step and judgement; raises KeyboardInterrupt to leave, when all is saved."""


CHECKPOINTS = "checkpoints"
"""Where a training's folder has its checkpoint."""


class OutOfMemoryError(Exception):
    """A training does not fit into memory in as many parts as it was tried in."""


def train_alone(
    plan: Plan, folder: Path, told: Told, checkpoint_s: float = EVERY_S
) -> TrainingResults:
    """Train what a plan says in this process, in a folder that it holds; raise TrainingError."""
    keeper, checkpoints = kept(plan, plan.device, folder, checkpoint_s)
    attempts, attempt = Attempts(distillation=_distillation(plan, plan.device)), Attempt()
    with gate_of(plan.device, plan.device) as gate:
        report = _reporting(told, gate, keeper)
        fits = attempts.train(
            _task(plan, plan.device, folder), report, checkpoints, attempt, keeper
        )
    if not fits:
        raise TrainingError(f"{attempt.error}; {SMALLER}")
    final_miou(keeper.rungs)
    return keeper.ended((*attempt.notes, *attempts.remarks(), *gate.passed))


def train_share(
    plan: Plan,
    device: str,
    folder: Path,
    told: Told,
    ranks: Ranks,
    first_here: bool,
    parts: int,
    checkpoint_s: float = EVERY_S,
) -> None:
    """Train a share of what a plan says, with all `ranks`, of which the first keeps the folder.

    `first_here`: no other of them is on this machine before it. Raise OutOfMemoryError.
    """
    first = ranks.rank == 0
    keeper, checkpoints = kept(plan, device, folder, checkpoint_s) if first else (None, None)
    attempts, attempt = Attempts(ranks, _distillation(plan, device)), Attempt()
    with _gate_of_share(device, first_here) as gate:
        report = _reporting(told, gate, keeper)
        task = _task(plan, device, folder)
        fits = attempts.train(task, report, checkpoints, attempt, keeper, (parts,))
    if not fits:
        raise OutOfMemoryError(attempt.error)
    if keeper:
        final_miou(keeper.rungs)
        passed = gate.passed if gate else []
        keeper.ended((*attempt.notes, *attempts.remarks(), *passed))


def kept(plan: Plan, device: str, folder: Path, checkpoint_s: float) -> tuple[Keeper, Checkpoints]:
    """Return what keeps a training's folder."""
    checkpoints = Checkpoints(folder / CHECKPOINTS, every_s=checkpoint_s)
    began = datetime.now(UTC).isoformat(timespec="seconds")
    session = Session(began, 0, device_name(resolve_device(device)), versions())
    return Keeper(plan.record, read_results(folder), session, folder, checkpoints), checkpoints


def _gate_of_share(device: str, first_here: bool) -> DeviceGate | nullcontext[None]:
    """Return a gate that no other share on this machine has too.

    Who measures waits until nobody is in a room. If of two shares in one room one stepped out
    first, the other would wait for it in the next step, and would never step out.
    """
    place = resolve_device(device)
    if place.type == "cuda":
        uuid = gpu_uuid(place)
        return DeviceGate(uuid, uuid, cpu=first_here)
    return DeviceGate() if first_here else nullcontext()


def _reporting(
    told: Told, gate: DeviceGate | None, keeper: Keeper | None
) -> Callable[[TrialProgress], bool]:
    def report(progress: TrialProgress) -> bool:
        if keeper and progress.phase == "train" and progress.loss is not None:
            keeper.stepped(progress.step, progress.loss)
        told(progress)
        if gate:
            gate.pause()
        return True

    return report


def _distillation(plan: Plan, device: str) -> Distillation | None:
    teacher = plan.record.teacher
    return distillation_of(teacher, device) if teacher else None


def _task(plan: Plan, device: str, folder: Path) -> TrialTask:
    record = plan.record
    schedule = record.schedule.schedule
    key = TrialKey(record.architecture.id, schedule.id, record.seed)
    rungs = record.rungs
    return TrialTask(
        0, key, record.architecture, schedule, rungs, device=device, folder=str(folder)
    )
