"""What a person sees while a command works through many parts: which one, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hrnet_search.commands.terminal import Terminal
from hrnet_search.errors import shown
from hrnet_search.progress import REFRESH_HZ, duration
from hrnet_search.told import Told

LINE_S = 10.0
"""Seconds without a line after which a plain one says how far it is."""

LONGEST_NAME = 40
"""Characters of a part's name beside a bar."""


class Pace:
    """The time left, by what the rounds before have taken; parts of one round may be unlike."""

    def __init__(self, round_of: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._round, self._clock, self._start = round_of, clock, clock()
        self._each = 0.0

    def left(self, done: int, parts: int) -> str:
        """Return it in words; nothing before the first round is done."""
        if not done:  # work begins here, whatever had to be read before; or begins anew
            self._start, self._each = self._clock(), 0.0
        rounds, within = divmod(done, self._round)
        if rounds and not within:
            self._each = (self._clock() - self._start) / rounds
        return f", {duration(self._each * (parts - done) / self._round)} left" if rounds else ""


def plain_lines(
    say: Callable[[str], None], pace: Pace, clock: Callable[[], float] = time.monotonic
) -> Told:
    """Return what says a part in a line where nothing was said for a while."""
    said = [clock()]

    def told(done: int, parts: int, name: str) -> None:
        left = pace.left(done, parts)
        if clock() - said[0] >= LINE_S:
            say(f"[{done}/{parts}] {name}{left}")
            said[0] = clock()

    return told


@contextmanager
def bar(console: Console, pace: Pace) -> Iterator[Told]:
    """Yield what moves a bar; it is gone when all is done."""
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    how: dict[str, Any] = {
        "console": console, "transient": True, "refresh_per_second": REFRESH_HZ,
        # What goes to a file of its own is to arrive there.
        "redirect_stdout": False, "redirect_stderr": sys.stderr.isatty(),
    }  # fmt: skip
    with Progress(*columns, **how) as progress:
        task = progress.add_task("", total=None)

        def told(done: int, parts: int, name: str) -> None:
            text = f"{shown(name, LONGEST_NAME)}{pace.left(done, parts)}"
            progress.update(task, completed=done, total=parts, description=text)

        yield told


@contextmanager
def working(terminal: Terminal, round_of: int = 1) -> Iterator[Told]:
    """Yield what shows on a terminal how far a command is: a bar, or plain lines.

    All rounds of `round_of` parts take about the same time.
    """
    pace = Pace(round_of)
    if terminal.live:
        with bar(terminal.console, pace) as told:
            yield told
    else:
        yield plain_lines(terminal.aside, pace)
