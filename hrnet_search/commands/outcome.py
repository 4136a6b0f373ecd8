"""How a command ends: exit codes, and lines for people on both outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from hrnet_search.errors import (
    ReaderLeftError,
    ReportError,
    StorageLostError,
    briefly,
    clean,
    warn_on_stderr,
)

DONE, TRIALS_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
DIFFERS = 1


warn = warn_on_stderr


def say(text: str) -> None:
    """Print what a terminal may be shown: file names are what others made of them."""
    say_as_it_is(clean(text))


def say_as_it_is(text: str, out: TextIO | None = None) -> None:
    """Print what a program reads, to `out` if that is not what standard output is now.

    Raise StorageLostError if it cannot be written.
    """
    with writing_output(out):
        print(text, file=out)


@contextmanager
def writing_output(out: TextIO | None = None) -> Iterator[None]:
    """Say what it is that cannot be written: the system names no file in such an error.

    Raise ReaderLeftError where nobody reads it any more.
    """
    try:
        yield
        (out or sys.stdout).flush()
    except BrokenPipeError as error:
        raise ReaderLeftError from error
    except OSError as error:
        forget_output(out)
        raise StorageLostError(f"standard output cannot be written: {error.strerror}") from error


def open_closed_outputs() -> None:
    """Let what is written to a closed output go nowhere, and what is read there end at once.

    Python has None for a stream that whoever began the process closed (`>&-`), and the next file
    that is opened, study.db say, would get its number and all that libraries print there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def forget_output(out: TextIO | None = None) -> None:
    """Throw away what is still to be written: Python would try again, and fail, as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), (out or sys.stdout).fileno())


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
