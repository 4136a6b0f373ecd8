"""What a person sees while a command works through many parts: which one, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hrnet_search.commands.terminal import Terminal
from hrnet_search.errors import clean
from hrnet_search.progress import duration

LINE_S = 10.0
"""Seconds without a line after which a plain one says how far it is."""

Told = Callable[[int, int, str], None]
"""Told before each part how many are done, how many there are, and which one it is."""


class Pace:
    """The time left, by what the parts before have taken."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start = clock, clock()

    def left(self, done: int, parts: int) -> str:
        """Return it in words; nothing before the first part is done."""
        if not done:
            return ""
        return f", {duration((self._clock() - self._start) * (parts - done) / done)} left"


def plain_lines(say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Told:
    """Return what says a part in a line where nothing was said for a while."""
    pace, said = Pace(clock), [clock()]

    def told(done: int, parts: int, name: str) -> None:
        if clock() - said[0] >= LINE_S:
            say(f"[{done}/{parts}] {name}{pace.left(done, parts)}")
            said[0] = clock()

    return told


@contextmanager
def bar(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Told]:
    """Yield what moves a bar; it is gone when all is done."""
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    pace = Pace(clock)
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None)

        def told(done: int, parts: int, name: str) -> None:
            text = clean(f"{name}{pace.left(done, parts)}")
            shown.update(task, completed=done, total=parts, description=text)

        yield told


@contextmanager
def working(terminal: Terminal) -> Iterator[Told]:
    """Yield what shows on a terminal how far a command is: a bar, or plain lines."""
    if terminal.live:
        with bar(terminal.console) as told:
            yield told
    else:
        yield plain_lines(terminal.say)
