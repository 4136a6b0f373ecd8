"""What the kernel says of processes that it ended for want of memory (Linux).

Its counts are the only evidence: to whoever is left, such an end is a signal 9 like any other.
Source: the kernel's cgroup-v2.rst (memory.events), cgroup-v1/memory.rst (oom_control), vmstat.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hrnet_search.evaluate.machine import control_groups
from hrnet_search.store.host import this_host

PROC = Path("/proc")
COUNT = "oom_kill"


@dataclass(frozen=True, slots=True)
class OomKills:
    """The kernel's counts at one moment: in this process's control group, on the whole machine.

    `boot` and `group` say since when and of whom is counted; None where the system does not tell.
    """

    boot: str
    group: str
    in_group: int | None
    on_machine: int | None

    def since(self, before: OomKills) -> bool:
        """Return whether there is evidence that a process was ended so since `before`.

        The group's own count where it is the same group, for it knows nothing of strangers.
        """
        if self.boot != before.boot:
            return False
        if self.group == before.group and None not in (self.in_group, before.in_group):
            return _rose(before.in_group, self.in_group)
        return _rose(before.on_machine, self.on_machine)

    def now(self) -> OomKills:
        """Read the counts of the same group again, from any process of its machine."""
        in_group = _count(Path(self.group)) if self.group else None
        return OomKills(this_host().boot, self.group, in_group, _count(PROC / "vmstat"))


def oom_kills() -> OomKills:
    """Read the counts as they are now."""
    files = (folder / names.ends for folder, names in control_groups.groups())
    group, count = next(
        ((str(path), n) for path in files if (n := _count(path)) is not None), ("", None)
    )
    return OomKills(this_host().boot, group, count, _count(PROC / "vmstat"))


def _rose(before: int | None, now: int | None) -> bool:
    return before is not None and now is not None and now > before


def _count(path: Path) -> int | None:
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return next(int(row[1]) for row in rows if len(row) == 2 and row[0] == COUNT)
    except (OSError, StopIteration, ValueError):
        return None
