"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, cast

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hrnet_search.arch.cost import cost
from hrnet_search.counts import digits, short
from hrnet_search.errors import clean
from hrnet_search.evaluate.latency.kept import is_reused
from hrnet_search.files import log_descriptor, writing
from hrnet_search.goals import Goals
from hrnet_search.pareto import hypervolume, non_dominated
from hrnet_search.records.objective import Objective
from hrnet_search.records.trial import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    PAUSED,
    TAKEN_OVER,
    TrialProgress,
    TrialResult,
    TrialTask,
    is_paused,
)

LAST = 8
"""Ended trials that stay in view."""

A_LINE = 25
"""Networks judged by slices for which plain progress has a line."""

MOST_RUNNING = 16
"""Running trials in view; how many more there are is said."""

REFRESH_HZ = 4
"""Redraws a second: few enough for a slow line."""

PHASES = {"build": "building", "latency": "measuring latency", "evaluate": "evaluating"}
LOG = Path("logs", "progress.log")


class Standing:
    """How a study stands: trials that ended, its front and the area that it dominates.

    The area is that of accuracy against the first cost objective, as a share of the box from 0 to
    1 and from 0 to the most expensive completed trial.
    """

    def __init__(self, goals: Goals) -> None:
        self.goals = goals
        self._rows: list[tuple[float, ...]] = []
        self.done = self.judged = 0
        self.best = 0.0

    def take(self, result: TrialResult, judged: bool = False) -> None:
        if judged or result.untrained:
            self.judged += 1
            return
        self.done += result.status != INFEASIBLE
        accuracy = self.goals.accuracy.of(result)
        if result.status != COMPLETED or accuracy is None or not self.goals.keeps_floors(result):
            return
        costs = [cost.of(result) for cost in self.goals.costs]
        self.best = max(self.best, accuracy)
        self._rows.append((accuracy, *(c for c in costs if c is not None)))

    @property
    def front(self) -> int:
        """How many completed trials no other beats."""
        costs = len(self.goals.costs)
        whole = [row for row in self._rows if len(row) == 1 + costs]
        return int(non_dominated(whole, ["max"] + ["min"] * costs).sum())

    @property
    def area(self) -> float:
        """The dominated share, 0 without a cost objective."""
        rows = [row for row in self._rows if len(row) > 1]
        if not rows:
            return 0.0
        costliest = 1.01 * max(row[1] for row in rows)
        return hypervolume([r[0] for r in rows], [r[1] for r in rows], (0.0, costliest)) / costliest


class Budget(Protocol):
    """Device time of a study: seconds of it in all, and those that are spent."""

    @property
    def total(self) -> float: ...

    @property
    def spent(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """What a study is to be: a number of trials, or what ends within a budget of time."""

    trials: int
    budget: Budget | None = None

    @staticmethod
    def of(planned: int | Whole) -> Whole:
        """Return a number of trials as a whole."""
        return Whole(planned) if isinstance(planned, int) else planned

    def place(self, done: int) -> str:
        """Return where in it a study is with `done` trials ended."""
        if self.budget is None:
            return f"{done}/{self.trials}"
        spent, total = self.budget.spent / 3600, self.budget.total / 3600
        return f"{done}, {digits(spent)} of {total:.4g} h"

    def completed(self, done: int) -> tuple[float, float]:
        """Return how far it is, and how far it goes."""
        if self.budget is None:
            return done, self.trials
        return min(self.budget.spent, self.budget.total), self.budget.total

    def left(self, done: int, pace: float) -> str:
        """Return what is left where a trial takes `pace` seconds."""
        if self.budget is None:
            left = max(0, self.trials - done)
            return f"{left} trainings and about {duration(left * pace)} left"
        return f"{duration(self.budget.total - self.budget.spent)} of device time left"


class PlainProgress:
    """One line for each trial that ends."""

    def __init__(
        self,
        planned: int | Whole,
        already: int,
        console: Console,
        accuracies: Sequence[Objective] = (),
        judged: int = 0,
    ) -> None:
        self._whole, self._accuracies = Whole.of(planned), accuracies
        self._done, self._judged = already, judged
        self._console = console

    def started(self, task: TrialTask) -> None:
        """Say nothing: the line comes with the result."""

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        """Say nothing: a log is read afterwards."""

    def returned(self, task: TrialTask, reason: str) -> None:
        self._say(returned_line(task, reason))

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        if task.beside:
            if is_paused(task.beside, result):
                result = replace(result, status=PAUSED)
            steps = f" of {result.rungs[-1].step} steps" if result.rungs else ""
            line = f"trial {task.number}{steps}"
            self._say(f"{line} {describe(result, self._accuracies)}")
            return
        if task.judges:
            self._judged += 1
            if result.status == FAILED:
                self._say(f"trial {task.number} {describe(result, self._accuracies)}")
            if self._judged % A_LINE == 0:
                self._say(
                    f"{self._judged} networks judged by slices, the last is trial {task.number}"
                )
            return
        self._done += result.status != INFEASIBLE
        line = f"trial {task.number} {describe(result, self._accuracies)}"
        self._say(f"[{self._whole.place(self._done)}] {line}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class LiveProgress:
    """The running trials, the last ones that ended and the whole study, redrawn in place."""

    def __init__(self, planned: int | Whole, standing: Standing, console: Console) -> None:
        self._start: float | None = None  # of the first trial that counts
        self._standing, self._already = standing, standing.done
        self._whole = Whole.of(planned)
        self._running: dict[int, tuple[TrialTask, str, str]] = {}
        self._ended: list[tuple[TrialTask, TrialResult]] = []
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=console)
        done, total = self._whole.completed(standing.done)
        self._study = self._bars.add_task("study", total=total, note="")
        self._bars.update(self._study, completed=done)
        self._live = Live(
            console=console,
            refresh_per_second=REFRESH_HZ,
            get_renderable=self._view,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def _accuracy(self) -> str:
        return escape(self._standing.goals.accuracy.label)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = {}
        self._live.refresh()
        self._live.stop()

    def started(self, task: TrialTask) -> None:
        if self._start is None and not task.beside and not task.judges:
            self._start = time.monotonic()  # what comes before tells nothing of how long these take
        self._running[task.number] = (task, "building", "")

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        _, _, seen = self._running.get(task.number, (task, "", ""))
        doing = PHASES.get(progress.phase, "")
        if progress.phase == "train" and progress.loss is not None:
            doing = f"step {progress.step}/{progress.steps}, loss {progress.loss:.3f}"
            doing += f" ({strata(progress.strata)})" if progress.strata else ""
        if progress.rung is not None:
            doing = f"rung {progress.rung.step}/{task.schedule.steps}"
            seen = _share(progress.rung.score(self._standing.goals.accuracy.key))
        self._running[task.number] = (task, doing, seen)

    def returned(self, task: TrialTask, reason: str) -> None:
        """Say above the table that a trial was cut off."""
        self._running.pop(task.number, None)
        line = returned_line(task, reason)
        self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        """Count the trial, put it into view, and say how long the rest may take."""
        self._running.pop(task.number, None)
        self._ended = [*self._ended, (task, result)][-LAST:]
        if task.beside:
            return
        self._standing.take(result, task.judges)
        standing = self._standing
        if task.judges:
            self._bars.update(self._study, note=f"{standing.judged} networks judged by slices")
            return
        now = time.monotonic()
        pace = (now - (self._start or now)) / max(standing.done - self._already, 1)
        note = (
            f"best {self._accuracy} {standing.best:.1%}, front {standing.front}, hypervolume "
            f"{standing.area:.3f}, {self._whole.left(standing.done, pace)}"
        )
        done, _ = self._whole.completed(standing.done)
        self._bars.update(self._study, completed=done, note=note)

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("trial", "width", "params", "MACs", "latency", self._accuracy, "status"):
            table.add_column(name, justify="right" if name != "status" else "left")
        for task, result in self._ended:
            table.add_row(*_cells(task, result, self._standing.goals.accuracy))
        # In another thread than the one that adds trials.
        running = sorted(self._running.copy().values(), key=lambda row: row[0].number)
        for task, doing, seen in running[:MOST_RUNNING]:
            table.add_row(*_known(task), "", seen, doing, style="cyan")
        if len(running) > MOST_RUNNING:
            more = f"{len(running) - MOST_RUNNING} more running"
            table.add_row("", "", "", "", "", "", more, style="dim")
        return Group(table, self._bars)


@contextmanager
def watching(
    folder: Path,
    planned: int | Whole,
    goals: Goals,
    already: Sequence[tuple[int, TrialResult]],
    console: Console,
    live: bool,
    first: Sequence[str] = (),
) -> Iterator[list[PlainProgress | LiveProgress]]:
    """Yield what shows a study: on the console, and as plain lines in its log.

    `first` is said in both before anything else.
    """
    standing = Standing(goals)
    for _, result in already:
        standing.take(result)
    with closing(LogFile(folder / LOG)) as file:
        in_log = Console(file=cast(IO[str], file))
        log = PlainProgress(planned, standing.done, in_log, goals.accuracies, standing.judged)
        for line in first:
            for out in (console, in_log):
                out.print(clean(line), highlight=False, markup=False, soft_wrap=True)
        if not live:
            accuracies, judged = goals.accuracies, standing.judged
            yield [PlainProgress(planned, standing.done, console, accuracies, judged), log]
            return
        with LiveProgress(planned, standing, console) as view:
            yield [view, log]


class LogFile:
    """A log that a console writes, line by line; StorageLostError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.fdopen(log_descriptor(path), "ab", buffering=0)

    def write(self, text: str) -> int:
        with writing(self._path, len(text)):
            self._file.write(text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was written is written."""

    def close(self) -> None:
        self._file.close()


def returned_line(task: TrialTask, reason: str) -> str:
    """Return what is said of a trial that was cut off and is not given up."""
    return clean(f"trial {task.number} was cut off ({reason}); it is tried again")


def describe(result: TrialResult, accuracies: Sequence[Objective] = ()) -> str:
    """Return a trial's result in a line for people, with `accuracies` beside its mIoU."""
    parts = ["judged by slices" if result.untrained else result.status]
    if result.miou is not None:
        parts.append(f"mIoU {result.miou:.1%}")
    seen = ((one.label, one.of(result)) for one in accuracies)
    parts += [f"{label} {value:.1%}" for label, value in seen if value is not None]
    if result.cost is not None:
        parts.append(f"{short(result.cost.params)} params, {short(result.cost.macs)} MACs")
    if result.latency_ms is not None:
        parts.append(f"{result.latency_ms:.2f} ms{marks(result)}")
    origin = (note for note in result.notes if note.startswith(TAKEN_OVER))
    parts.append(next(origin, f"{result.wall_s:.1f} s"))
    if result.error:
        parts.append(result.error)
    return ", ".join(parts)


def marks(result: TrialResult) -> str:
    """Return what a result's latency was: noisy, on a busy device, kept from before."""
    latency = result.latency
    if latency is None:
        return ""
    flags = (("noisy", latency.noisy), ("busy", latency.busy), ("kept", is_reused(latency)))
    said = " and ".join(name for name, holds in flags if holds)
    return f" ({said})" if said else ""


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def strata(losses: Sequence[float]) -> str:
    """Return the losses of networks that learn together, the cheapest first."""
    return "by cost " + " ".join(f"{loss:.3f}" for loss in losses)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _known(task: TrialTask) -> tuple[str, str, str, str]:
    """Return what is known of a trial before it has begun: number, width, parameters, MACs."""
    size = task.cost_size
    exact = cost(task.architecture, size, task.schedule.data.classes)
    width = str(task.architecture.width)
    return str(task.number), width, short(exact.params), short(exact.macs)


def _cells(task: TrialTask, result: TrialResult, accuracy: Objective) -> list[str]:
    cost, latency = result.cost, result.latency_ms
    return [
        str(task.number),
        str(task.architecture.width),
        short(cost.params) if cost else "",
        short(cost.macs) if cost else "",
        f"{latency:.2f} ms" if latency is not None else "",
        _share(accuracy.of(result)),
        escape(result.status + (f": {result.error}" if result.error else "")),
    ]
