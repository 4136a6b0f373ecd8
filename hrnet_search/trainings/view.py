"""What a person sees while a training runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from hrnet_search.errors import clean
from hrnet_search.progress import LogFile, duration
from hrnet_search.records.trial import RungResult, TrialProgress
from hrnet_search.store.trainings import TrainingRecord

LOG = Path("logs", "train.log")
LINE_S = 60.0
"""Seconds between two plain lines that are not of a judgement."""


class View(Protocol):
    """Shows how far a training is."""

    def stepped(self, text: str, step: int) -> None:
        """Show a step, in words."""
        ...

    def judged(self, text: str) -> None:
        """Show a judgement, in words."""
        ...


class Watch:
    """Tells views how a training goes: steps, images per second, time left, mIoU."""

    def __init__(
        self,
        record: TrainingRecord,
        views: list[View],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = record.schedule.schedule.steps
        self._batch, self._epoch = record.schedule.schedule.batch, record.epoch
        self._views, self._clock = views, clock
        self._first: tuple[int, float] | None = None
        self._best = self._last = ""
        self._highest = -1.0

    def knows(self, rungs: tuple[RungResult, ...]) -> None:
        """Take in what was judged before."""
        for rung in rungs:
            self._judge(rung)

    def say(self, text: str) -> None:
        """Say something else."""
        for view in self._views:
            view.judged(text)

    def took(self, progress: TrialProgress) -> None:
        """Show a step, or a judgement."""
        if self._first is None:
            self._first = (progress.step, self._clock())
        if progress.rung is not None:
            self._judge(progress.rung)
            text = f"{self._place(progress.step)}: {self._last}, best {self._best}"
            text += f", validation loss {progress.rung.loss:.3f}{self._pace(progress.step)}"
            for view in self._views:
                view.judged(text)
        elif progress.loss is not None:
            miou = f", {self._last}" if self._last else ""
            text = f"{self._place(progress.step)}: loss {progress.loss:.3f}{miou}"
            text += self._pace(progress.step)
            for view in self._views:
                view.stepped(text, progress.step)

    def _judge(self, rung: RungResult) -> None:
        self._last = f"mIoU {rung.miou:.2%}"
        if rung.miou > self._highest:
            self._highest, self._best = rung.miou, f"{rung.miou:.2%} at step {rung.step}"

    def _place(self, step: int) -> str:
        epoch = -(-step // self._epoch)
        return f"step {step}/{self._steps} (epoch {epoch})"

    def _pace(self, step: int) -> str:
        """Return images per second and the time left, by this process's own steps."""
        assert self._first is not None, "it is set before anything is shown"
        done, seconds = step - self._first[0], self._clock() - self._first[1]
        if done <= 0 or seconds <= 0:
            return ""
        left = duration((self._steps - step) * seconds / done)
        return f", {done * self._batch / seconds:.3g} images/s, {left} left"


class PlainView:
    """A line a judgement, and one a minute between them."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._said = console, clock, clock()

    def stepped(self, text: str, step: int) -> None:  # noqa: ARG002
        """Say a step if nothing was said for a while."""
        if self._clock() - self._said >= LINE_S:
            self.judged(text)

    def judged(self, text: str) -> None:
        """Say it in a line of its own."""
        self._console.print(clean(text), highlight=False, markup=False, soft_wrap=True)
        self._said = self._clock()


class LiveView:
    """A bar that moves, with a line above it for each judgement."""

    def __init__(self, steps: int, console: Console) -> None:
        self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=console)
        self._task = self._bar.add_task("building", total=steps)

    def __enter__(self) -> LiveView:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def stepped(self, text: str, step: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step, description=text)

    def judged(self, text: str) -> None:
        """Say it above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)


@contextmanager
def watching(
    record: TrainingRecord, folder: Path, console: Console, live: bool, first: tuple[str, ...]
) -> Iterator[Watch]:
    """Yield what shows a training, on the console and in its log; `first` is said in both."""
    with closing(LogFile(folder / LOG)) as file:
        in_log = Console(file=cast(IO[str], file))
        for line in first:
            for out in (console, in_log):
                out.print(clean(line), highlight=False, markup=False, soft_wrap=True)
        log = PlainView(in_log)
        if not live:
            yield Watch(record, [PlainView(console), log])
            return
        with LiveView(record.schedule.schedule.steps, console) as view:
            yield Watch(record, [view, log])
