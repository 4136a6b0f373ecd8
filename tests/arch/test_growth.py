"""What it takes to be at least as large in every way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.growth import contains, keeps_statistics

SOURCE = Architecture(
    (
        Stage(1, "BOTTLENECK", (1,), (16,)),
        Stage(1, "BASIC", (1, 1), (8, 16)),
        Stage(2, "BASIC", (2, 2, 2), (8, 16, 32)),
        Stage(1, "BASIC", (2, 2, 2), (8, 16, 32)),
    )
)


def changed(index: int, base: Architecture = SOURCE, **changes: Any) -> Architecture:
    stages = list(base.stages)
    stages[index] = replace(stages[index], **changes)
    return replace(base, stages=(stages[0], stages[1], stages[2], stages[3]))


FOUR: dict[str, Any] = {"blocks": (2, 2, 2, 2), "channels": (8, 16, 32, 4)}
ALONE: dict[str, Any] = {"blocks": (2,), "channels": (8,)}
ROW = changed(3, changed(2, changed(1, **ALONE), modules=2, **ALONE), **ALONE)


# Source, variant, whether it contains the source, and whether it equals it in training too.
PAIRS = {
    "the same": (SOURCE, SOURCE, True, True),
    "a new last branch": (SOURCE, changed(3, **FOUR), True, True),
    "new branches from stage 3 on": (SOURCE, changed(3, changed(2, **FOUR), **FOUR), True, True),
    "a branch that the source has later": (
        SOURCE, changed(1, blocks=(1, 1, 1), channels=(8, 16, 32)), False, False,
    ),
    "one block less": (SOURCE, changed(2, blocks=(2, 1, 2)), False, False),
    "one module less": (SOURCE, changed(2, modules=1), False, False),
    "one branch less": (SOURCE, changed(3, changed(2, blocks=(2, 2), channels=(8, 16)),
        blocks=(2, 2), channels=(8, 16)), False, False),
    "one channel less": (SOURCE, changed(3, channels=(8, 15, 32)), False, False),
    "another block": (SOURCE, changed(3, block="BOTTLENECK"), False, False),
    "SUM to CAT": (SOURCE, changed(2, fuse="CAT"), True, True),
    "CAT to SUM": (changed(2, fuse="CAT"), SOURCE, False, False),
    "CAT of nothing to SUM": (changed(3, ROW, fuse="CAT"), ROW, True, True),
    "a larger kernel": (SOURCE, replace(SOURCE, final_kernel=3), True, True),
    "a smaller kernel": (replace(SOURCE, final_kernel=3), SOURCE, False, False),
    "other corners": (SOURCE, replace(SOURCE, align_corners=True), False, False),
    "a wider last stage: a convolution more": (
        SOURCE, changed(3, channels=(9, 16, 32)), True, False,
    ),
    "a wider earlier stage: a convolution less": (
        changed(3, channels=(9, 16, 32)),
        changed(3, changed(2, channels=(9, 16, 32)), channels=(9, 16, 32)), False, False,
    ),
    "a shortcut more": (SOURCE, changed(0, channels=(17,)), True, False),
    "a shortcut less": (changed(0, channels=(8,)), SOURCE, False, False),
    "a row spelt in one module": (ROW, changed(2, ROW, modules=1, blocks=(4,)), True, True),
    "a row cut by one": (ROW, changed(2, ROW, modules=1, blocks=(3,)), False, False),
    "a stage without modules filled": (
        changed(1, modules=0, block="BOTTLENECK", channels=(2, 4)), SOURCE, True, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_a_variant_contains_its_source_or_not(name: str) -> None:
    source, variant, larger, rests = PAIRS[name]
    assert not source.problems()
    assert not variant.problems()
    assert contains(variant, source) == larger
    assert keeps_statistics(variant, source) == rests
