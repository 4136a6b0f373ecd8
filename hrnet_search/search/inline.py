"""The embedded driver: this process, one trial at a time; and what every driver is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hrnet_search.records import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.interrupt import Interrupt

T = TypeVar("T")

Report = Callable[[TrialProgress], bool]


class Asking(Protocol):
    """Whatever says which trial is next and takes what comes of it: the brain of a search, of an
    ablation."""

    why_ended: str

    def ask(self) -> TrialTask | None: ...

    def report(self, number: int, progress: TrialProgress) -> bool: ...

    def tell(self, number: int, result: TrialResult) -> bool: ...

    def give_back(self, number: int, reason: str) -> TrialResult | None: ...


class Listener(Protocol):
    """Whoever wants to see what happens: a progress display, a mirror."""

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def ended(self, task: TrialTask, result: TrialResult) -> None: ...


class Driver(Protocol):
    """Runs a study's trials: `call` measures where they run, `run` drives a brain to its end."""

    def call(self, measure: Callable[[], T]) -> T: ...

    def run(self, brain: Asking, listeners: Sequence[Listener] = ()) -> None: ...


def run_inline(
    brain: Asking,
    run: Callable[[TrialTask, Report], TrialResult],
    listeners: Sequence[Listener] = (),
    interrupt: Interrupt | None = None,
) -> None:
    """Run trials until the brain has no more; what `run` raises ends the study where it is.

    An interruption raises KeyboardInterrupt at the trial's next report, so that it can save
    where it is, or between two trials.
    """
    check = interrupt.check if interrupt else lambda: None
    while (task := brain.ask()) is not None:
        for listener in listeners:
            listener.started(task)
        result = run(task, _reporter(brain, task, listeners, check))
        brain.tell(task.number, result)
        for listener in listeners:
            listener.ended(task, result)
        check()


def _reporter(
    brain: Asking, task: TrialTask, listeners: Sequence[Listener], check: Callable[[], None]
) -> Report:
    def report(progress: TrialProgress) -> bool:
        check()
        for listener in listeners:
            listener.progressed(task, progress)
        return brain.report(task.number, progress)

    return report
