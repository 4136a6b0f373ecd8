"""The embedded driver: this process, one trial at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hrnet_search.records import TrialProgress, TrialResult, TrialTask

Report = Callable[[TrialProgress], bool]


class Asking(Protocol):
    """Whatever says which trial is next and takes what comes of it: the brain of a search, of an
    ablation."""

    def ask(self) -> TrialTask | None: ...

    def report(self, number: int, progress: TrialProgress) -> bool: ...

    def tell(self, number: int, result: TrialResult) -> bool: ...


class Listener(Protocol):
    """Whoever wants to see what happens: a progress display, a mirror."""

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None: ...


def run_inline(
    brain: Asking,
    run: Callable[[TrialTask, Report], TrialResult],
    listeners: Sequence[Listener] = (),
) -> None:
    """Run trials until the brain has no more; what `run` raises ends the study where it is."""
    while (task := brain.ask()) is not None:
        for listener in listeners:
            listener.started(task)
        result = run(task, _reporter(brain, task, listeners))
        brain.tell(task.number, result)
        for listener in listeners:
            listener.ended(task, result)


def _reporter(brain: Asking, task: TrialTask, listeners: Sequence[Listener]) -> Report:
    def report(progress: TrialProgress) -> bool:
        for listener in listeners:
            listener.progressed(task, progress)
        return brain.report(task.number, progress)

    return report
