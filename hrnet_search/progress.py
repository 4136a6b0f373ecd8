"""What a person sees while a study runs: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hrnet_search.records import COMPLETED, TrialProgress, TrialResult, TrialTask

LAST = 8
"""Ended trials that stay in view."""

PHASES = {"build": "building", "latency": "measuring latency", "evaluate": "evaluating"}


class PlainProgress:
    """One line for each trial that ends."""

    def __init__(self, trials: int, already: int, console: Console) -> None:
        self._trials = trials
        self._done = already
        self._console = console

    def started(self, task: TrialTask) -> None:
        """Say nothing: the line comes with the result."""

    def progressed(self, task: TrialTask, progress: TrialProgress) -> None:
        """Say nothing: a log is read afterwards."""

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        self._done += result.status != "infeasible"
        self._console.print(
            f"[{self._done}/{self._trials}] trial {task.number} {describe(result)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


class LiveProgress:
    """The running trial, the whole study, and the last trials that ended, redrawn in place."""

    def __init__(self, trials: int, already: int, console: Console) -> None:
        self._start = time.monotonic()
        self._already = already
        self._ended: list[tuple[TrialTask, TrialResult]] = []
        self._best = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=console)
        self._study = self._bars.add_task("study", total=trials, completed=already, note="")
        self._trial = self._bars.add_task("trial", total=1, note="")
        self._live = Live(self._view(), console=console, refresh_per_second=8)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.remove_task(self._trial)
        self._live.update(self._view(), refresh=True)
        self._live.stop()

    def started(self, task: TrialTask) -> None:
        steps = task.schedule.steps
        name = f"trial {task.number} {task.architecture.id}"
        self._bars.reset(self._trial, total=steps, description=name, note="building")

    def progressed(self, _: TrialTask, progress: TrialProgress) -> None:
        note = PHASES.get(progress.phase, "")
        if progress.phase == "train" and progress.loss is not None:
            note = f"step {progress.step}/{progress.steps}, loss {progress.loss:.3f}"
        if progress.rung is not None:
            note = f"mIoU {progress.rung.miou:.1%} at step {progress.rung.step}"
        self._bars.update(self._trial, completed=progress.step, note=note)

    def ended(self, task: TrialTask, result: TrialResult) -> None:
        """Count the trial, put it into view, and say how long the rest may take."""
        self._ended.append((task, result))
        counts = Counter(r.status for _, r in self._ended)
        done = len(self._ended) - counts["infeasible"]
        if result.status == COMPLETED and result.miou is not None:
            self._best = max(self._best, result.miou)
        left = self._bars.tasks[self._study].total or 0
        left -= self._already + done
        pace = (time.monotonic() - self._start) / max(done, 1)
        note = f"best mIoU {self._best:.1%}, about {duration(left * pace)} left"
        self._bars.update(self._study, completed=self._already + done, note=note)
        self._live.update(self._view())

    def _view(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("trial", "width", "params", "MACs", "latency", "mIoU", "status"):
            table.add_column(name, justify="right" if name != "status" else "left")
        for task, result in self._ended[-LAST:]:
            table.add_row(*_cells(task, result))
        return Group(table, self._bars) if self._ended else Group(self._bars)


def describe(result: TrialResult) -> str:
    """Return a trial's result in a line for people."""
    parts = [result.status]
    if result.miou is not None:
        parts.append(f"mIoU {result.miou:.1%}")
    if result.cost is not None:
        parts.append(f"{count(result.cost.params)} params, {count(result.cost.macs)} MACs")
    if result.latency_ms is not None:
        parts.append(f"{result.latency_ms:.2f} ms{unsteady(result)}")
    parts.append(f"{result.wall_s:.1f} s")
    if result.error:
        parts.append(result.error)
    return ", ".join(parts)


def unsteady(result: TrialResult) -> str:
    """Return what speaks against a result's latency: its interval, or a device that was busy."""
    latency = result.latency
    flags = (("noisy", latency.noisy), ("busy", latency.busy)) if latency else ()
    said = " and ".join(name for name, holds in flags if holds)
    return f" ({said})" if said else ""


def count(number: float) -> str:
    """Return a count with k, M or G, powers of 1000, at three digits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _cells(task: TrialTask, result: TrialResult) -> list[str]:
    cost, latency = result.cost, result.latency_ms
    return [
        str(task.number),
        str(task.architecture.width),
        count(cost.params) if cost else "",
        count(cost.macs) if cost else "",
        f"{latency:.2f} ms" if latency is not None else "",
        f"{result.miou:.1%}" if result.miou is not None else "",
        result.status + (f": {result.error}" if result.error else ""),
    ]
