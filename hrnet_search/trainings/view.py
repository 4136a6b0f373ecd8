"""What a person sees while a training runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from hrnet_search.counts import digits
from hrnet_search.errors import clean
from hrnet_search.events import Emit
from hrnet_search.progress import LogFile, duration
from hrnet_search.records.trial import RungResult, TrialProgress
from hrnet_search.store.trainings import TrainingRecord

LOG = Path("logs", "train.log")
LINE_S = 60.0
"""Seconds between two plain lines that are not of a judgement."""

STEP_S = 5.0
"""Seconds between two events of a step."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a training is: a step with its loss, or a judgement; `text` says it for people.

    `images_s` and `left_s` are None before this process has made a step. `best_miou` and
    `best_step` are of all judgements so far, those of processes before included.
    """

    text: str
    step: int
    steps: int
    epoch: int
    loss: float | None
    images_s: float | None
    left_s: float | None
    rung: RungResult | None = None
    best_miou: float | None = None
    best_step: int | None = None


class View(Protocol):
    """Shows how far a training is."""

    def began(self, record: TrainingRecord, folder: Path) -> None:
        """Show that one begins, or goes on."""
        ...

    def stepped(self, now: Moment) -> None:
        """Show a step."""
        ...

    def judged(self, now: Moment) -> None:
        """Show a judgement."""
        ...

    def said(self, text: str) -> None:
        """Show something else."""
        ...


class Watch:
    """Tells views how a training goes: steps, images per second, time left, mIoU."""

    def __init__(
        self,
        record: TrainingRecord,
        views: Sequence[View],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps = record.schedule.schedule.steps
        self._batch, self._epoch = record.schedule.schedule.batch, record.epoch
        self._views, self._clock = views, clock
        self._first: tuple[int, float] | None = None
        self._last: RungResult | None = None
        self._best: RungResult | None = None

    def knows(self, rungs: tuple[RungResult, ...]) -> None:
        """Take in what was judged before."""
        for rung in rungs:
            self._judge(rung)

    def say(self, text: str) -> None:
        """Say something else."""
        for view in self._views:
            view.said(text)

    def took(self, progress: TrialProgress) -> None:
        """Show a step, or a judgement."""
        if self._first is None:
            self._first = (progress.step, self._clock())
        if progress.rung is not None:
            self._judge(progress.rung)
        if progress.rung is None and progress.loss is None:
            return
        now = self._moment(progress)
        for view in self._views:
            view.stepped(now) if progress.rung is None else view.judged(now)

    def _judge(self, rung: RungResult) -> None:
        self._last = rung
        if self._best is None or rung.miou > self._best.miou:
            self._best = rung

    def _moment(self, progress: TrialProgress) -> Moment:
        step, rung, best = progress.step, progress.rung, self._best
        epoch, (images_s, left_s) = -(-step // self._epoch), self._pace(step)
        text = f"step {step}/{self._steps} (epoch {epoch}): "
        if rung is None:
            text += f"loss {progress.loss:.3f}"
            text += f", mIoU {self._last.miou:.2%}" if self._last else ""
        elif best:
            text += f"mIoU {rung.miou:.2%}, best {best.miou:.2%} at step {best.step}"
            text += f", validation loss {rung.loss:.3f}"
        if images_s is not None and left_s is not None:
            text += f", {digits(images_s)} images/s, {duration(left_s)} left"
        known = (best.miou, best.step) if best else (None, None)
        place = (text, step, self._steps, epoch, progress.loss)
        return Moment(*place, images_s, left_s, rung, *known)

    def _pace(self, step: int) -> tuple[float | None, float | None]:
        """Return images per second and the seconds left, by this process's own steps."""
        assert self._first is not None, "it is set before anything is shown"
        done, seconds = step - self._first[0], self._clock() - self._first[1]
        if done <= 0 or seconds <= 0:
            return None, None
        return done * self._batch / seconds, (self._steps - step) * seconds / done


class PlainView:
    """A line a judgement, and one a minute between them."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._said = console, clock, clock()

    def began(self, record: TrainingRecord, folder: Path) -> None:
        """Show nothing: lines say what it starts from."""

    def stepped(self, now: Moment) -> None:
        """Say a step if nothing was said for a while."""
        if self._clock() - self._said >= LINE_S:
            self.said(now.text)

    def judged(self, now: Moment) -> None:
        """Say it in a line of its own."""
        self.said(now.text)

    def said(self, text: str) -> None:
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

    def began(self, record: TrainingRecord, folder: Path) -> None:
        """Show nothing: the bar is there."""

    def stepped(self, now: Moment) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=now.step, description=now.text)

    def judged(self, now: Moment) -> None:
        """Say it above the bar."""
        self.said(now.text)

    def said(self, text: str) -> None:
        """Say it above the bar."""
        self._bar.console.print(clean(text), highlight=False, markup=False, soft_wrap=True)


class TrainingEvents:
    """Events of a training, for programs: judgements, and where it is every few seconds."""

    def __init__(self, emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit, self._clock = emit, clock
        self._told = -math.inf

    def began(self, record: TrainingRecord, folder: Path) -> None:
        """Tell which network is trained how."""
        schedule = record.schedule.schedule
        self._emit(
            "training_began",
            training=str(folder),
            architecture=record.architecture.id,
            schedule=schedule.id,
            seed=record.seed,
            steps=schedule.steps,
        )

    def stepped(self, now: Moment) -> None:
        """Tell a step, if none was told for a while: all are too many."""
        if self._clock() - self._told >= STEP_S:
            self._told = self._clock()
            self._emit("step", **_place(now), loss=now.loss)

    def judged(self, now: Moment) -> None:
        """Tell what a judgement showed."""
        if (rung := now.rung) is not None:
            best = {"best_miou": now.best_miou, "best_step": now.best_step}
            self._emit("judged", **_place(now), miou=rung.miou, **best, validation_loss=rung.loss)

    def said(self, text: str) -> None:
        """Tell what a person would read."""
        self._emit("message", text=clean(text))


def _place(now: Moment) -> dict[str, float | None]:
    place = {"step": now.step, "steps": now.steps, "epoch": now.epoch}
    return {**place, "images_per_s": now.images_s, "left_s": now.left_s}


@contextmanager
def watching(
    record: TrainingRecord,
    folder: Path,
    console: Console,
    live: bool,
    first: tuple[str, ...],
    others: Sequence[View] = (),
) -> Iterator[Watch]:
    """Yield what shows a training on the console, in its log and to `others`.

    `first` is said to all before anything else.
    """
    with closing(LogFile(folder / LOG)) as file:
        in_log = PlainView(Console(file=cast(IO[str], file)))
        for view in (PlainView(console), in_log, *others):
            view.began(record, folder)
            for line in first:
                view.said(line)
        if not live:
            yield Watch(record, [PlainView(console), in_log, *others])
            return
        with LiveView(record.schedule.schedule.steps, console) as bar:
            yield Watch(record, [bar, in_log, *others])
