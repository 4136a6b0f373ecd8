"""The embedded driver: this process, one trial at a time; and what every driver is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hrnet_search.records.trial import TrialProgress, TrialResult, TrialTask
from hrnet_search.search.deaths import Death, hung
from hrnet_search.search.ended import Mark
from hrnet_search.search.interrupt import Interrupt
from hrnet_search.search.time_budget import TimeSpentError
from hrnet_search.search.watchdog import TrialHungError, Watchdog

T = TypeVar("T")

Report = Callable[[TrialProgress], bool]


class StudyFailedError(KeyboardInterrupt):
    """Who hears of a trial failed, and not the trial: it saves where it is, as if interrupted.

    `error` is what ends the study.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Asking(Protocol):
    """Whatever says which trial is next and takes what comes of it: the brain of a search, of an
    ablation."""

    why_ended: str

    def ask(self) -> TrialTask | None: ...

    def report(self, number: int, progress: TrialProgress) -> bool: ...

    def tell(self, number: int, result: TrialResult) -> bool: ...

    def give_back(self, number: int, death: Death) -> TrialResult | None: ...


class Listener(Protocol):
    """Whoever wants to see what happens: a progress display, a mirror.

    A trial that started has ended, or was cut off and `returned`, to be started again.
    """

    def started(self, task: TrialTask) -> None: ...

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None: ...

    def returned(self, task: TrialTask, reason: str) -> None: ...

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
    watchdog: Watchdog | None = None,
) -> None:
    """Run trials until the brain has no more; what `run` raises ends the study where it is.

    An interruption raises KeyboardInterrupt at the trial's next report, so that it can save
    where it is, or between two trials. A trial that hangs, or whose last process the kernel ended
    for want of memory, is given back to the brain.
    """
    check = interrupt.check if interrupt else lambda: None
    watchdog = watchdog or Watchdog()
    while (task := brain.ask()) is not None:
        for listener in listeners:
            listener.started(task)
        try:
            result = _ended(brain, task, run, listeners, check, watchdog)
        except TimeSpentError:
            result = None  # it has saved where it is, and waits for more time
        if result is not None:
            for listener in listeners:
                listener.ended(task, result)
        check()


def _ended(
    brain: Asking,
    task: TrialTask,
    run: Callable[[TrialTask, Report], TrialResult],
    listeners: Sequence[Listener],
    check: Callable[[], None],
    watchdog: Watchdog,
) -> TrialResult | None:
    """Run a trial and tell how it ended; None if it is to be asked for again."""
    mark = Mark(task)
    if (death := mark.death()) is not None:
        mark.remove()
        return given_back(brain, task, death, listeners)
    try:
        with watchdog.over(task) as heard:
            result = run(task, _reporter(brain, task, listeners, check, heard))
    except StudyFailedError as failed:
        raise failed.error from failed.error.__cause__
    except TrialHungError as error:
        silence = error.silence
        death = hung(silence.seconds, silence.limit_s, silence.where)
        return given_back(brain, task, death, listeners)
    finally:
        mark.remove()
    brain.tell(task.number, result)
    return result


def given_back(
    brain: Asking, task: TrialTask, death: Death, listeners: Sequence[Listener]
) -> TrialResult | None:
    """Give a trial back that was cut off; return its result if that was once too often."""
    result = brain.give_back(task.number, death)
    if result is None:
        for listener in listeners:
            listener.returned(task, death.reason)
    return result


def _reporter(
    brain: Asking,
    task: TrialTask,
    listeners: Sequence[Listener],
    check: Callable[[], None],
    heard: Callable[[TrialProgress], None],
) -> Report:
    def report(progress: TrialProgress) -> bool:
        check()
        heard(progress)
        try:
            for listener in listeners:
                listener.progressed(task, progress)
            return brain.report(task.number, progress)
        except Exception as error:
            raise StudyFailedError(error) from error

    return report
