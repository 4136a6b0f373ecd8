"""What every command owes to every input: an end in bounded time, done or refused in few lines."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hrnet_search.cli import main
from hrnet_search.errors import MOST_LINES

CODES = (0, 1, 2, 3, 4, 130)
"""What the README promises of exit codes."""

LONGEST_LINE = 1500
"""Characters of a refusal's line: a path of 255 or two, a value of 60, and what is allowed."""

TOO_LONG_S = 120.0
"""After which nothing comes any more, whatever the machine does beside it."""

NEVER = ("defect in hrnet-search", "Traceback")
"""What only a fault of the program prints."""

MOST_SHORT = 20
"""Cases that are shown."""

T = TypeVar("T")


class TooLongError(BaseException):
    """A command did not end. No `except Exception` catches it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, what it said, and the processor time that it took."""

    code: int
    out: str
    err: str
    seconds: float


def fuzz(count: int, cases: st.SearchStrategy[T], check: Callable[[T], None]) -> None:
    """Check `count` cases, the same ones every time; name the first that fall short."""
    short: list[str] = []

    @seed(1)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a smaller case takes minutes to find; Phase.shrink looks for it
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def looked_at(case: T) -> None:
        if len(short) < MOST_SHORT:
            try:
                check(case)
            except (Exception, TooLongError) as error:
                short.append(f"{case!r}\n{''.join(traceback.format_exception(error)[-4:])}")

    looked_at()
    assert not short, f"{len(short)} fell short\n" + "\n\n".join(short)


def answer(words: Sequence[str], most_s: float) -> Answer:
    """Run a command in this process; fail unless it ends as every command has to.

    `most_s` is the processor time that it may take.
    """
    said = run(words)
    lines = said.err.splitlines()
    assert said.code in CODES, said
    assert not any(sign in said.err for sign in NEVER), said.err
    assert len(lines) <= MOST_LINES, said.err
    assert all(len(line) <= LONGEST_LINE and line.isprintable() for line in lines), said.err
    assert lines or said.code in (0, 1), "it ended without a word"
    assert said.seconds < most_s, said
    return said


def run(words: Sequence[str]) -> Answer:
    """Run a command in this process and return how it ended."""
    out, err = io.StringIO(), io.StringIO()
    before = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _bounded():
        try:
            code: Any = main(words)
        except SystemExit as end:
            code = end.code
    return Answer(code or 0, out.getvalue(), err.getvalue(), time.process_time() - before)


def one_line(error: Exception) -> None:
    """Fail unless an error of a library call is one line that a person reads."""
    assert len(str(error).splitlines()) == 1, error
    assert len(str(error)) <= LONGEST_LINE, error


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TOO_LONG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def within(folder: Path) -> Iterator[None]:
    """Work in a folder, for commands that write below the present one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
