"""Many random architectures, the same for every run."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from random_networks import draw

from hrnet_search.arch.architecture import Architecture


@pytest.fixture
def architectures() -> Callable[[int, int], list[Architecture]]:
    def make(count: int, seed: int) -> list[Architecture]:
        rng = random.Random(seed)
        return [draw(rng) for _ in range(count)]

    return make
