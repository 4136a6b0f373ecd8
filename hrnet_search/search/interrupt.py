"""Ctrl-C, SIGTERM and SIGHUP: once, stop asking and leave cleanly; twice, at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

GRACE_S = 10.0
"""After the first signal trials have this long to checkpoint; then it is as if asked twice."""


class Interrupt:
    """A context manager in which the first signal sets `asked` and the second raises.

    What it raises is KeyboardInterrupt, in the main thread; elsewhere no handler can be set.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.asked = False
        self._grace_s = grace_s
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # A terminal that closes is no reason to end where nohup was asked for.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._heard)
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._now)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come; for places where it is safe to leave."""
        if self.asked:
            raise KeyboardInterrupt

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._now(number, frame)
        self.asked = True
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)

    def _now(self, *_: object) -> None:
        raise KeyboardInterrupt
