"""Processes that are ended with whatever they have started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from hrnet_search.store.host import RUNNING, process_start


def end_group(pid: int, start: str) -> None:
    """End a process that started then, with its process group if it leads one.

    Where it is gone, what is left of its group, whose number nobody else has meanwhile. Nothing
    where the system does not tell when processes start: it may be another by now.
    """
    now = process_start(pid)
    if start in ("", RUNNING) or now not in ("", start):
        return
    with suppress(ProcessLookupError, PermissionError):
        if not now or os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
