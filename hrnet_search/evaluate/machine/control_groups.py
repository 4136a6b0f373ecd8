"""Control groups of the kernel that confine the memory of this process (Linux), of both versions.

A limit may stand at any of them: Slurm has one on a job, whose tasks are in groups below it.
Source: the kernel's cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Names:
    """What a version calls the files of a group: limit, use, counts of ends; and cached files."""

    limit: str
    used: str
    ends: str
    cached: str


V2 = Names("memory.max", "memory.current", "memory.events", "inactive_file")
V1 = Names(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control", "total_inactive_file"
)


def groups() -> Iterator[tuple[Path, Names]]:
    """Yield the folders of this process's groups, each up to the root, which a container sees."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        parts = [part for part in path.split("/") if part not in ("", "..")]
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (CGROUP / "memory", V1) if controllers else (CGROUP, V2)
        for depth in range(len(parts), -1, -1):
            yield root.joinpath(*parts[:depth]), names


def free_bytes() -> int | None:
    """Return the memory that this process may still take, None where the system does not tell."""
    lefts = [_available(), *(_left(folder, names) for folder, names in groups())]
    return min((left for left in lefts if left is not None), default=None)


def _available() -> int | None:
    try:
        lines = (PROC / "meminfo").read_text().splitlines()
        named = (line for line in lines if line.startswith("MemAvailable:"))
        return next(int(line.split()[1]) * 1024 for line in named)
    except (OSError, StopIteration, IndexError, ValueError):
        return None


def _left(folder: Path, names: Names) -> int | None:
    """Return what the limit of a group leaves, None without one."""
    try:
        most = int((folder / names.limit).read_text())  # the word max is not a number
        used = int((folder / names.used).read_text())
        # Files that nobody has used lately count as used, and are dropped where room is short.
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, most - used + int(stat.get(names.cached, 0)))
    except (OSError, ValueError):
        return None
