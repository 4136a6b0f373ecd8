"""One private Ray for the tests that need one: its start is what costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hrnet_search.search.ray_tune.cluster import Cluster, private_cluster


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with private_cluster(4, 0, tmp_path_factory.mktemp("ray-logs")) as cluster:
        yield cluster
