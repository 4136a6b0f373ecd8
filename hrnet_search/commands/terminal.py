"""Where a study speaks while it runs: on a terminal, or in Python's log."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hrnet_search.commands.outcome import say, say_as_it_is, warn, writing_output
from hrnet_search.errors import ReaderLeftError, clean
from hrnet_search.events import TrialEvents, event_line

if TYPE_CHECKING:
    from hrnet_search.trainings.view import View

LOG = logging.getLogger("hrnet_search")


class Output(Console):
    """Standard output. Raise StorageLostError where it cannot be written."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as every console does."""
        with writing_output():
            super().print(*objects, **how)

    def on_broken_pipe(self) -> None:
        """Let the command say what that means: rich would end the process without a word."""
        raise ReaderLeftError


class Terminal:
    """Lines and tables for the person who gave the command; `live` redraws them in place."""

    def __init__(self, plain: bool = False) -> None:
        self.console: Console = Output(file=sys.stdout)  # which Ray's driver sends elsewhere
        self.live = self.console.is_terminal and not plain

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(clean(text), soft_wrap=True, highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """Print a line beside the output."""
        warn(text)

    def aside(self, text: str) -> None:
        """Print how far something is beside the output, which may be read by a program."""
        warn(text)

    def listeners(self) -> list[TrialEvents]:
        """Return what tells of trials here beside the table or the lines."""
        return []

    def began(self, folder: Path, trials: int, ended: int, first: Sequence[str]) -> None:
        """Tell that a study begins, or goes on after `ended` of `trials`; lines say it here."""

    def training_views(self) -> Sequence[View]:
        """Return what tells of a training here beside the bar or the lines."""
        return ()

    def told(self, event: str, lines: Iterable[str], **fields: object) -> None:
        """Tell what has happened: in `lines` to people, to programs as an `event` of `fields`."""
        del event, fields
        for line in lines:
            self.say(line)

    def finished(self, folder: Path, why: str, text: str, code: int) -> None:
        """Print at a command's end why the study ended and what it found."""
        del folder, code  # which stand in the summary, and with the process
        say(f"\n{why}\n{text}")


class Events(Terminal):
    """An event a line of JSON on standard output and nothing else; warnings beside it as ever."""

    def __init__(self) -> None:
        self.console, self.live = Console(quiet=True), False
        self._out = sys.stdout  # as it is now: Ray's lines are turned away from it later

    def emit(self, event: str, **fields: object) -> None:
        """Print one event."""
        say_as_it_is(event_line(event, **fields), self._out)

    def say(self, text: str) -> None:
        """Tell what a person would read."""
        self.emit("message", text=clean(text))

    def listeners(self) -> list[TrialEvents]:
        """Return what tells of trials."""
        return [TrialEvents(self.emit)]

    def training_views(self) -> Sequence[View]:
        """Return what tells of a training."""
        from hrnet_search.trainings.view import TrainingEvents  # reads a folder of trainings

        return [TrainingEvents(self.emit)]

    def told(self, event: str, lines: Iterable[str], **fields: object) -> None:
        """Tell what has happened."""
        del lines  # say the same to people
        self.emit(event, **fields)

    def began(self, folder: Path, trials: int, ended: int, first: Sequence[str]) -> None:
        """Tell that a study begins, or goes on."""
        self.emit("study_began", study=str(folder), trials=trials, ended=ended)
        for line in first:
            self.say(line)

    def finished(self, folder: Path, why: str, text: str, code: int) -> None:
        """Tell how the study ended, with the summary that a person would read."""
        self.emit("study_ended", study=str(folder), why=why, exit_code=code, summary=clean(text))


def terminal_of(options: argparse.Namespace) -> Terminal:
    """Return where a study, or a training, speaks as the command line asks for."""
    return Events() if options.progress == "json" else Terminal(options.plain)


class Quiet(Terminal):
    """Nothing on the terminal, for a caller from Python: lines go to the log `hrnet_search`."""

    def __init__(self) -> None:
        self.console, self.live = Console(quiet=True), False

    def say(self, text: str) -> None:
        """Log a line that Python shows to those who ask for it."""
        LOG.info("%s", clean(text))

    def aside(self, text: str) -> None:
        """Log how far something is."""
        self.say(text)

    def warn(self, text: str) -> None:
        """Log a line that Python shows if it is not told otherwise."""
        LOG.warning("%s", clean(text))
