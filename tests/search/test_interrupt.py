"""Ctrl-C once leaves when it is safe, twice at once, and never later than the grace."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from hrnet_search.search.interrupt import Interrupt


@pytest.fixture(autouse=True)
def _no_nohup() -> Iterator[None]:
    """Let SIGHUP end what runs, also where these tests themselves were begun by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_raises(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), number)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_who_does_not_leave_in_time_is_interrupted() -> None:
    with Interrupt(grace_s=0.2) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
        assert interrupt.asked


def test_nothing_comes_after_the_end() -> None:
    with Interrupt(grace_s=0.2):
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.4)


def test_a_terminal_that_closes_ends_nothing_where_nohup_was_asked_for() -> None:
    """POSIX nohup: SIGHUP is ignored, and stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.asked
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
