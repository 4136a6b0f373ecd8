"""Ends the processes of a private Ray when its driver has gone, however it went.

Run as a process of its own, before Ray starts: `python keeper.py NAME VALUE FOLDER LOGS`. It
waits until its standard input closes, which the kernel sees to when the driver dies. Every
process that Ray started has NAME=VALUE in the environment that it was born with; those, and no
others, are ended. Then the session's logs move to LOGS and FOLDER is removed.

Only the standard library, so that it starts at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PATIENCE_S = 2.0
"""Given to processes that end by themselves, as Ray's do, before they are killed."""


def processes(name: str, value: str) -> list[int]:
    """Return the processes, this one aside, whose first environment has NAME=VALUE."""
    mark = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # another user's, or gone
            continue
        if mark in environment.split(b"\0") and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def end(name: str, value: str, patience_s: float = PATIENCE_S) -> None:
    """End every such process; those that they start meanwhile too."""
    deadline = time.monotonic() + patience_s
    while processes(name, value) and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(200):
        if not (left := processes(name, value)):
            return
        _kill(left)
        time.sleep(0.05)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def keep_logs(folder: Path, logs: Path) -> None:
    """Move what the session wrote to its logs, leaving out what is empty."""
    for written in sorted(folder.glob("session_*/logs/*")):
        if written.is_file() and not written.is_symlink() and written.stat().st_size:
            if logs.is_symlink():
                return
            logs.mkdir(parents=True, exist_ok=True)
            (logs / written.name).unlink(missing_ok=True)  # a link would be followed
            shutil.move(written, logs / written.name)


def main(name: str, value: str, folder: str, logs: str) -> None:
    """Wait for the driver to go, then leave nothing behind."""
    sys.stdin.buffer.read()
    end(name, value)
    with suppress(OSError):  # a full disk, a study that was removed: the processes have ended
        keep_logs(Path(folder), Path(logs))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # meant for the driver, whose end is waited for
    main(*sys.argv[1:5])
