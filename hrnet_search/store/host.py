"""Which process, on which running machine: what tells one driver from all others."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROC = Path("/proc")

RUNNING = "running"
"""Said of a process that is there, where the system does not tell when it started."""

FIRST_NAMESPACE = "pid:[4026531836]"
"""The PID namespace that a Linux machine starts with, outside of all containers."""


@dataclass(frozen=True, slots=True)
class Host:
    """A running system that numbers its processes: name, machine, this start of it, namespace.

    Names are not enough: containers number their processes anew, and many a machine is called
    localhost. `boot` and `namespace` are empty where the system does not tell.
    """

    name: str
    machine: str
    boot: str
    namespace: str

    def numbers_as(self, other: Host) -> bool:
        """Whether a process number means the same process here and there."""
        if self.boot and other.boot:
            return (self.boot, self.namespace) == (other.boot, other.namespace)
        return self.name == other.name

    def was_restarted_as(self, other: Host) -> bool:
        """Whether the other is this machine after a new start, so that nothing here runs still.

        A container cannot say so: its machine may run on under another.
        """
        same = (self.name, self.machine) == (other.name, other.machine)
        outside = self.namespace == other.namespace == FIRST_NAMESPACE
        return bool(self.machine) and same and outside and self.boot != other.boot


@cache
def this_host() -> Host:
    """Return what this process runs on."""
    identity = _text("/etc/machine-id")
    machine = f"{identity}/{uuid.getnode():012x}" if identity else ""
    boot = _text("/proc/sys/kernel/random/boot_id")
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return Host(socket.gethostname(), machine, boot, namespace)


def process_start(pid: int) -> str | None:
    """Return when a process started, in what units the system has; empty if it is not there.

    None where it is there and the system shows nothing of it: another user's, where /proc is
    mounted with `hidepid`.
    """
    try:
        # The name in parentheses may hold spaces; what follows is state, then 19 fields.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        tells = (PROC / "self" / "stat").exists()
        return (None if tells else RUNNING) if _is_there(pid) else ""
    return "" if fields[0] in "ZX" else fields[19]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
