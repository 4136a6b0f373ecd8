"""One private Ray for the tests that need one: its start is what costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hrnet_search.search.ray_tune.cluster import Cluster, private_cluster

TESTS = Path(__file__).parents[2]


SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray hears of a lost node after some seconds, not twenty."""


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """Let Ray's worker processes import what tests hand them."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        for name, value in SOON.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with private_cluster(4, 0, tmp_path_factory.mktemp("ray-logs")) as cluster:
        yield cluster
