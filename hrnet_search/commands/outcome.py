"""How a command ends: exit codes, and lines for people on both outputs."""

from __future__ import annotations

import sys

from hrnet_search.errors import ReportError, briefly, clean

DONE, TRIALS_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def say(text: str) -> None:
    """Print what a terminal may be shown: file names are what others made of them."""
    print(clean(text))


def warn(text: str) -> None:
    """Print a line beside the output, for people alone."""
    print(clean(text), file=sys.stderr)


def fail(error: BaseException, text: str, code: int, debug: bool) -> int:
    """Say in lines what went wrong, after the traceback if that is asked for; return the code."""
    if debug:
        import traceback

        warn("".join(traceback.format_exception(error)).rstrip())
    for line in briefly(text.splitlines() or ["failed"]):
        warn(line)
    return code


def unless_failed(error: ReportError | None, code: int, debug: bool) -> int:
    """Return a command's code, or that of a report of which parts could not be made."""
    return code if error is None else fail(error, str(error), error.exit_code, debug)
