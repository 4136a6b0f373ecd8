"""Processes that are ended with whatever they have started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from hrnet_search.store.host import process_start


def end_group(pid: int, start: str) -> None:
    """End a process that started then, with its process group if it leads one."""
    if not start or process_start(pid) != start:
        return  # its number may be another's by now
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
