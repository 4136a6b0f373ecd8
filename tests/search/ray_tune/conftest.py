"""One private Ray for the tests that need one: its start is what costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hrnet_search.search.ray_tune.cluster import Cluster, private_cluster

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def _importable() -> Iterator[None]:
    """Let Ray's worker processes import what tests hand them."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        yield


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with private_cluster(4, 0, tmp_path_factory.mktemp("ray-logs")) as cluster:
        yield cluster
