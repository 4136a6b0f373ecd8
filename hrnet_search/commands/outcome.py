"""How a command ends: exit codes, and lines for people on both outputs."""

from __future__ import annotations

import sys

from hrnet_search.errors import clean

DONE, TRIALS_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def say(text: str) -> None:
    """Print what a terminal may be shown: file names are what others made of them."""
    print(clean(text))


def warn(text: str) -> None:
    """Print a line beside the output, for people alone."""
    print(clean(text), file=sys.stderr)
