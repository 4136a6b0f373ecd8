"""The command line: parse, run one command, name what went wrong, exit code.

Commands import rooms when they run, so that `--help` and `check` answer at once.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hrnet_search import __version__
from hrnet_search.commands import (
    ablate,
    check,
    completion,
    evaluate,
    export,
    generate,
    init,
    predict,
    profile,
    repair,
    report,
    run,
    schema,
    sync,
    train,
    watch,
)
from hrnet_search.commands.arguments import Parser
from hrnet_search.commands.driver import spin_less
from hrnet_search.commands.outcome import (
    BAD_INPUT,
    DONE,
    INTERRUPTED,
    fail,
    forget_output,
    open_closed_outputs,
)
from hrnet_search.errors import HrnetSearchError, ReaderLeftError, StorageLostError, shown

STORAGE_LOST = StorageLostError.exit_code
UNREACHABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP)
"""Errors of a path that a user gave: no defect, wherever it was first looked at."""

EXAMPLE = "example: hrnet-search init first, then hrnet-search run first/space.yaml"

Command = tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
COMMANDS: dict[str, Command] = {
    "init": (init.add, init.command),
    "check": (check.add, check.command),
    "generate": (generate.add, generate.command),
    "profile": (profile.add, profile.command),
    "run": (run.add, run.command),
    "ablate": (ablate.add, ablate.command),
    "train": (train.add, train.command),
    "evaluate": (evaluate.add, evaluate.command),
    "predict": (predict.add, predict.command),
    "report": (report.add, report.command),
    "watch": (watch.add, watch.command),
    "export": (export.add, export.command),
    "sync": (sync.add, sync.command),
    "repair": (repair.add, repair.command),
    "schema": (schema.add, schema.command),
    "completion": (completion.add, completion.command),
}


GO_ON = ("run", "ablate", "train")
"""Commands whose work is not done when nobody reads on, and which go on where they stopped."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    open_closed_outputs()
    options, unknown = parser().parse_known_args(argv)
    if unknown:
        options.parser.refuse(unknown)
    spin_less()
    try:
        with _ended_like_ctrl_c():
            code: int = options.command(options)
    except StorageLostError as error:
        return _lost(error, error, options.debug)
    except HrnetSearchError as error:
        return fail(error, str(error), error.exit_code, options.debug)
    except KeyboardInterrupt as error:
        text = "interrupted; run the same command again to go on"
        return fail(error, text, INTERRUPTED, debug=False)
    except ReaderLeftError as error:
        forget_output()
        text = "whoever read the output has left; run the same command again to go on"
        return fail(error, text, INTERRUPTED, debug=False) if options.goes_on else DONE
    except Exception as error:
        from hrnet_search.files import lost_storage

        if lost := lost_storage(error, getattr(options, "output", None) or "."):
            return _lost(error, lost, options.debug)
        if isinstance(error, OSError) and error.errno in UNREACHABLE and error.filename:
            line = f"{shown(str(error.filename), 300)}: {error.strerror}"
            return fail(error, line, BAD_INPUT, options.debug)
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        line = f"defect in hrnet-search (--debug shows where): {what}"
        return fail(error, line, 1, options.debug)
    return code


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a command with a line and exit code 130, whatever it does.

    While trials run they are heard by who runs them. What somebody else set, as nohup, stays.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parser() -> Parser:
    """Return the whole command line."""
    top = Parser(
        prog="hrnet-search",
        description="Find the HRNet to train: the front of accuracy against cost, and its configs.",
        epilog=EXAMPLE,
    )
    tracebacks = "show tracebacks"
    top.add_argument("--debug", action="store_true", help=tracebacks)
    top.add_argument("--version", action="version", version=f"hrnet-search {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (add, command) in COMMANDS.items():
        text = str(command.__doc__)
        sub = commands.add_parser(name, help=text.rstrip("."), description=text)
        # Behind the command it may stand too: what stood before it is not to be taken back.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=tracebacks)
        add(sub)
        sub.set_defaults(command=command, parser=sub, top=top, goes_on=name in GO_ON)
    return top


def _lost(error: Exception, lost: StorageLostError, debug: bool) -> int:
    text = f"{lost}; once this is fixed, run the same command again"
    return fail(error, text, STORAGE_LOST, debug)


if __name__ == "__main__":
    sys.exit(main())
