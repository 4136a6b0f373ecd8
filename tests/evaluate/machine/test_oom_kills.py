"""What the kernel counts of processes that it ended for want of memory is read as it writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hrnet_search.evaluate.machine import control_groups
from hrnet_search.evaluate.machine import oom_kills as module
from hrnet_search.evaluate.machine.oom_kills import OomKills, oom_kills

V2 = "low 0\nhigh 0\nmax 31\noom 4\noom_kill {}\noom_group_kill 0\n"
"""memory.events of the kernel's cgroup-v2.rst."""

V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
"""memory.oom_control of the kernel's cgroup-v1/memory.rst."""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for read in (module, control_groups):
        monkeypatch.setattr(read, "PROC", tmp_path / "proc")
    monkeypatch.setattr(control_groups, "CGROUP", tmp_path / "cgroup")
    write(tmp_path / "proc/vmstat", "nr_free_pages 7\noom_kill 5\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("line", "path", "text"),
    [
        ("0::/user.slice/run", "cgroup/user.slice/run/memory.events", V2),
        ("0::/not/seen/in/here", "cgroup/memory.events", V2),
        ("4:cpu,memory:/docker/1f", "cgroup/memory/docker/1f/memory.oom_control", V1),
        ("4:memory:/docker/1f", "cgroup/memory/memory.oom_control", V1),
    ],
)
def test_counts_of_both_kinds_of_control_groups(
    system: Path, line: str, path: str, text: str
) -> None:
    write(system / "proc/self/cgroup", f"9:pids:/\n{line}\n")
    write(system / path, text.format(2))
    before = oom_kills()
    assert (before.in_group, before.on_machine) == (2, 5)
    assert not oom_kills().since(before)
    write(system / "proc/vmstat", "oom_kill 6\n")
    assert not oom_kills().since(before), "a stranger's"
    write(system / path, text.format(3))
    assert oom_kills().since(before)


def test_without_a_group_of_its_own_the_machine_counts(system: Path) -> None:
    before = oom_kills()
    assert before.in_group is None
    write(system / "proc/vmstat", "oom_kill 6\n")
    assert oom_kills().since(before)
    write(system / "proc/self/cgroup", "0::/new\n")
    write(system / "cgroup/new/memory.events", V2.format(0))
    assert oom_kills().since(before), "another group's count says nothing of the first"


def test_a_machine_that_was_restarted_or_does_not_tell_is_no_evidence() -> None:
    before = OomKills("boot", "group", 1, 1)
    assert not replace(before, boot="another", in_group=9, on_machine=9).since(before)
    assert not OomKills("boot", "", None, None).since(OomKills("boot", "", None, None))
