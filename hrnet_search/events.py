"""What happens in a study, an event a line of JSON, for a program that drives one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask, is_paused

Emit = Callable[..., None]


def event_line(event: str, **fields: object) -> str:
    """Return one event as a line of JSON: `event`, `time` (ISO 8601, UTC) and its fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    known = {name: None if _is_not_finite(value) else value for name, value in fields.items()}
    return json.dumps({"event": event, "time": now, **known}, allow_nan=False)


def _is_not_finite(value: object) -> bool:
    """Return whether JSON has no word for a value: a loss or score that diverged."""
    return isinstance(value, float) and not math.isfinite(value)


class TrialEvents:
    """A listener: events of trials that begin, are judged at a rung, go back, and end."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def started(self, task: TrialTask) -> None:
        """Tell which network is trained how."""
        self._emit(
            "trial_began",
            trial=task.number,
            architecture=task.key.architecture,
            schedule=task.key.schedule,
            seed=task.key.seed,
            steps=task.schedule.steps,
        )

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        """Tell what a rung showed; steps are too many to tell."""
        if (rung := progress.rung) is not None:
            self._emit("rung", trial=task.number, step=rung.step, miou=rung.miou)

    def returned(self, task: TrialTask, reason: str) -> None:
        """Tell why a trial was cut off: `trial_began` follows when it is tried again."""
        self._emit("trial_returned", trial=task.number, reason=reason)

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        """Tell how a trial ended, or that it waits; what is not known of it is null."""
        before = task.before.wall_s if task.before else 0.0
        if is_paused(task.beside, result):
            step = result.rungs[-1].step if result.rungs else None
            wall_s = before + result.wall_s
            self._emit(
                "trial_paused", trial=task.number, step=step, miou=result.miou, wall_s=wall_s
            )
            return
        cost = result.cost
        self._emit(
            "trial_ended",
            trial=task.number,
            status=result.status,
            miou=result.miou,
            params=cost.params if cost else None,
            macs=cost.macs if cost else None,
            latency_ms=result.latency_ms,
            wall_s=before + result.wall_s,
            error=result.error or None,
        )
