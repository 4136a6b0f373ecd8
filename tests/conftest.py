"""What holds for every test: threads soon sleep while they wait; no latency is kept; what needs a
GPU is skipped where there is none.

Where tests run beside each other (`pytest -n`), each process has its share of the cores and a
folder for temporary files of its own, so that none waits for another's turn at measuring latency.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hrnet_search.latency_rule import AACheck
    from hrnet_search.records.latency import LatencySpec

os.environ["HRNET_SEARCH_LATENCIES"] = "off"  # no test measures for another
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch is loaded

ALONGSIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if ALONGSIDE > 1:
    threads = max(1, len(os.sched_getaffinity(0)) // ALONGSIDE)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_files() -> Iterator[None]:
    if ALONGSIDE == 1:
        yield
        return
    folder = tempfile.mkdtemp(prefix="hrnet-search-tests-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports of this process write every picture, with nothing on it.

    Drawing is most of what a report costs; for tests of anything but what the pictures show.
    """
    from matplotlib.figure import Figure

    from hrnet_search.report import plots
    from hrnet_search.report.ablation import plots as ablation_plots

    for module, function in ((plots, "draw"), (ablation_plots, "forest")):
        monkeypatch.setattr(module, function, lambda *_: Figure(figsize=(1, 1)))


@cache
def checked_once(spec: LatencySpec, *, classes: int) -> AACheck:
    from hrnet_search.evaluate.latency.measure import aa_check

    return aa_check(spec, classes=classes)


@pytest.fixture
def one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the instrument once for all studies of this process: how steady it is does not matter.

    What a study does without it is what `test_cli.py` runs from space file to configs.
    """
    from hrnet_search.search import run

    monkeypatch.setattr(run, "settled_check", checked_once)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: who has Ray's tests waits most of the time."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process have all tests that start a Ray: two at once starve each other.

    They begin first, as the largest group, so that no other process waits for them at the end.
    """
    for item in items:
        if "ray_tune" in Path(item.path).parts or item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))


def groups(item: pytest.Item) -> list[tuple[object, ...]]:
    """Return the arguments of the marks that say which tests share a process."""
    return [mark.args for mark in item.iter_markers("xdist_group")]


BEGUN: list[pytest.Item] = []
"""The first test of this process."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not BEGUN and ALONGSIDE > 1 and ("ray",) not in groups(item):
        os.nice(10)  # Ray's tests take longest and mostly wait: who has them goes before others
    BEGUN[:] = BEGUN or [item]
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
