"""Which processes hold a lock on an open file, by what the kernel tells (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

from hrnet_search.errors import shown

PROC = Path("/proc")

STATES = {"T": "stopped", "t": "stopped by a debugger", "D": "waiting for a disk or a device"}
"""What keeps a process from letting go, by the letter in /proc/PID/stat."""


def holders(descriptor: int) -> list[str]:
    """Return the processes, this one aside, that hold a lock on the file, each in a few words.

    Empty where the system does not tell, or not of other containers.
    """
    inode = os.fstat(descriptor).st_ino
    try:
        lines = (PROC / "locks").read_text().splitlines()
    except OSError:
        return []
    found = {int(pid) for pid, number in map(_read, lines) if number == str(inode) and int(pid) > 0}
    return [_named(pid) for pid in sorted(found - {os.getpid()})]


def _read(line: str) -> tuple[str, str]:
    """Return process and inode of a line like `1: FLOCK ADVISORY WRITE 123 fe:00:456 0 EOF`.

    Who waits has `->` after the number, and is not a holder.
    """
    words = line.split()
    if len(words) < 6 or words[1] == "->":
        return "0", ""
    return words[4], words[5].rpartition(":")[2]


def _named(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return f"process {pid}"
    command = shown(" ".join(filter(None, words)))
    return f"process {pid} ({', '.join(filter(None, (command, STATES.get(state, ''))))})"
