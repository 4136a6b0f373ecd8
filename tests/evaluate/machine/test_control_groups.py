"""What memory is left is told by the system and by every group that confines this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_search.errors import InputError
from hrnet_search.evaluate.machine import control_groups
from hrnet_search.evaluate.machine.control_groups import V1, V2, Names, free_bytes
from hrnet_search.search.ray_tune import open_driver
from hrnet_search.search.ray_tune.nodes import GIB, Asked


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(control_groups, "PROC", tmp_path / "proc")
    monkeypatch.setattr(control_groups, "CGROUP", tmp_path / "cgroup")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path


def confine(folder: Path, names: Names, limit: str, used: int, cached: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names.limit).write_text(f"{limit}\n")
    (folder / names.used).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names.cached} {cached}\n")


def test_without_groups_the_system_says_what_is_left(system: Path) -> None:
    assert free_bytes() is None
    (system / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    assert free_bytes() == 5000 * 1024
    confine(system / "cgroup", V2, "1000", 10)
    assert free_bytes() == 5000 * 1024, "of which nothing says that it confines this process"


@pytest.mark.parametrize(
    ("line", "names", "root", "at"),
    [
        ("0::/", V2, "cgroup", "."),  # a container
        ("0::/not/seen/in/here", V2, "cgroup", "."),  # one without a namespace of groups
        ("0::/user.slice/run.scope", V2, "cgroup", "user.slice/run.scope"),
        ("0::/slurm/job_7/step_0/task_1", V2, "cgroup", "slurm/job_7"),
        ("0::/../other", V2, "cgroup", "other"),
        ("4:cpu,memory:/slurm/uid_1/job_7/step_0", V1, "cgroup/memory", "slurm/uid_1/job_7"),
    ],
)
def test_a_limit_counts_at_whichever_group_it_stands(
    system: Path, line: str, names: Names, root: str, at: str
) -> None:
    (system / "proc/meminfo").write_text("MemAvailable:    5000 kB\n")
    (system / "proc/self/cgroup").write_text(f"9:pids:/\n{line}\n")
    confine(system / root, names, str(2**63 - 4096), 2_500_000)  # none
    confine(system / root / at, names, "3000000", 2_500_000, cached=400_000)
    assert free_bytes() == 900_000
    confine(system / root / at, names, "max", 2_500_000)
    assert free_bytes() == 5000 * 1024


def test_workers_that_a_group_has_no_room_for_are_refused(system: Path) -> None:
    (system / "proc/meminfo").write_text(f"MemAvailable: {20 * GIB // 1024} kB\n")
    (system / "proc/self/cgroup").write_text("4:memory:/job/step\n")
    confine(system / "cgroup/memory/job", V1, str(3 * GIB), 0)
    asked = Asked(workers=6, memory=2 * GIB)
    with pytest.raises(InputError, match=r"6 workers of up to 2\.0 GiB each: more than the 3"):
        open_driver._check_memory(asked, "fewer")
