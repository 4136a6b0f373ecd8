"""Where a study speaks while it runs: on a terminal, or in Python's log."""

from __future__ import annotations

import logging
import sys
from typing import Any

from rich.console import Console

from hrnet_search.commands.outcome import warn, writing_output
from hrnet_search.errors import clean

LOG = logging.getLogger("hrnet_search")


class Output(Console):
    """Standard output. Raise StorageLostError where it cannot be written."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as every console does."""
        with writing_output():
            super().print(*objects, **how)


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


class Quiet(Terminal):
    """Nothing on the terminal, for a caller from Python: lines go to the log `hrnet_search`."""

    def __init__(self) -> None:
        self.console, self.live = Console(quiet=True), False

    def say(self, text: str) -> None:
        """Log a line that Python shows to those who ask for it."""
        LOG.info("%s", clean(text))

    def warn(self, text: str) -> None:
        """Log a line that Python shows if it is not told otherwise."""
        LOG.warning("%s", clean(text))
