"""Signs of life: counted by whatever makes progress in this process, read by who watches it.

One trial runs in a process at a time, so one count is enough, and who works needs to know nothing
of who watches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_beats = 0
_waiting = 0


def beat() -> None:
    """Show that something was finished: a step, a batch, an image; costs nanoseconds."""
    global _beats
    _beats += 1


def beats() -> int:
    """Return a count that differs from that of the last call if there was a sign of life."""
    global _beats
    if _waiting:
        _beats += 1  # who waits for another process is alive, whatever becomes of the other
    return _beats


@contextmanager
def waiting() -> Iterator[None]:
    """Wait for another process, which is watched itself or waited for with a bound; or for a
    library that ends by itself and shows no progress."""
    global _waiting
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1
        beat()
