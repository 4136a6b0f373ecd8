"""Processes that are born with all imports done: to kill one costs no start of Python.

For what computes nothing with torch: its threads are not there any more behind a fork.
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable


class Forked:
    """A process of its own that does `run` and ends."""

    def __init__(self, run: Callable[[], object]) -> None:
        with warnings.catch_warnings():
            # From 3.12 on: threads of this process that may hold locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _do(run)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, minus the signal that ended it; None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self) -> int:
        """Return the exit code, minus the signal that ended it, when it has ended."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def kill(self) -> int:
        """End it by SIGKILL, wherever it is; return its exit code."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def _do(run: Callable[[], object]) -> None:
    """Do it and leave: what pytest would do at the end of a process is not this one's."""
    code = 1
    try:
        run()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
