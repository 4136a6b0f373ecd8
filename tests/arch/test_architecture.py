"""What an architecture says of itself: its problems, and one id for each computation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from random_networks import with_either_head

from hrnet_search.arch.architecture import OCR, Architecture, Stage
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.errors import ArchitectureError

ONE = Stage(1, "BOTTLENECK", (1,), (32,))
TWO = Stage(1, "BASIC", (2, 2), (16, 32))
THREE = Stage(1, "BASIC", (2, 2, 2), (16, 32, 64))
FOUR = Stage(1, "BASIC", (2, 2, 2, 2), (16, 32, 64, 128))
SMALL = Architecture((ONE, TWO, THREE, FOUR))


def with_stage(number: int, **changes: object) -> Architecture:
    stages = list(SMALL.stages)
    stages[number - 1] = replace(stages[number - 1], **changes)  # type: ignore[arg-type]
    one, two, three, four = stages
    return replace(SMALL, stages=(one, two, three, four))


def test_a_valid_architecture_has_no_problems() -> None:
    assert SMALL.problems() == ()
    assert SMALL.width == 16


@pytest.mark.parametrize(
    ("architecture", "path"),
    [
        (with_stage(1, modules=0), "STAGE1.NUM_MODULES"),
        (with_stage(1, blocks=(1, 1)), "STAGE1.NUM_BLOCKS"),
        (with_stage(2, modules=-1), "STAGE2.NUM_MODULES"),
        (with_stage(2, modules=True), "STAGE2.NUM_MODULES"),
        (with_stage(2, block="basic"), "STAGE2.BLOCK"),
        (with_stage(3, blocks=(2, 0, 2)), "STAGE3.NUM_BLOCKS"),
        (with_stage(3, blocks=(2, 2)), "STAGE3.NUM_BLOCKS"),
        (with_stage(3, channels=(16, 32, 8.5)), "STAGE3.NUM_CHANNELS"),
        (with_stage(3, channels=(16, 32, 4097)), "STAGE3.NUM_CHANNELS"),
        (with_stage(4, fuse="ADD"), "STAGE4.FUSE_METHOD"),
        (with_stage(4, blocks=(1,) * 5, channels=(8,) * 5), "STAGE4.NUM_CHANNELS"),
        (with_stage(4, blocks=(1, 1), channels=(8, 8)), "STAGE4.NUM_BRANCHES"),
        (replace(SMALL, final_kernel=5), "FINAL_CONV_KERNEL"),
        (replace(SMALL, align_corners=1), "ALIGN_CORNERS"),  # type: ignore[arg-type]
        (replace(SMALL, head="deeplab"), "MODEL.NAME"),
    ],
)
def test_each_problem_names_its_path_value_and_what_is_allowed(
    architecture: Architecture, path: str
) -> None:
    paths = [fault.path for fault in architecture.problems()]
    assert path in paths
    assert all(fault.wrong and fault.allowed for fault in architecture.problems())
    with pytest.raises(ArchitectureError, match=path):
        architecture.check()


def test_all_problems_are_named_at_once() -> None:
    bad = replace(with_stage(2, block="X", modules=-3), final_kernel=2)
    assert {f.path for f in bad.problems()} == {
        "STAGE2.BLOCK",
        "STAGE2.NUM_MODULES",
        "FINAL_CONV_KERNEL",
    }


def lone(modules: int, blocks: int, block: str = "BASIC", channels: int = 16) -> Stage:
    return Stage(modules, block, (blocks,), (channels,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # A branch alone is never fused, and its modules are a row of blocks.
        (with_stage(2, blocks=(2,), channels=(16,)), None),
        (
            Architecture((ONE, lone(2, 2), lone(1, 1), FOUR)),
            Architecture((ONE, lone(1, 3), lone(2, 1), FOUR)),
        ),
        # A stage without modules is its transition: what its blocks are is not read.
        (
            with_stage(3, modules=0, blocks=(1, 1, 1)),
            with_stage(3, modules=0, blocks=(4, 2, 3), fuse="CAT"),
        ),
        (
            with_stage(3, modules=0, block="BOTTLENECK", channels=(4, 8, 16)),
            with_stage(3, modules=0, block="BASIC", channels=(16, 32, 64)),
        ),
        # Nothing stands between stages of equal widths.
        (
            Architecture((ONE, TWO, replace(FOUR, modules=2), replace(FOUR, modules=1))),
            Architecture((ONE, TWO, replace(FOUR, modules=1), replace(FOUR, modules=2))),
        ),
        (with_stage(1, fuse="CAT"), SMALL),
        (with_stage(1, modules=7), SMALL),
        (replace(SMALL, mid_channels=128, key_channels=1), SMALL),
        (replace(SMALL, head=OCR, final_kernel=3), replace(SMALL, head=OCR)),
    ],
)
def test_two_spellings_of_one_computation_share_one_id(
    one: Architecture, other: Architecture | None
) -> None:
    if other is None:
        stage = one.stages[1]
        other = replace(one, stages=(one.stages[0], replace(stage, fuse="CAT"), *one.stages[2:]))
    assert one != other
    assert one.id == other.id


def test_whatever_changes_the_computation_changes_the_id() -> None:
    others = [
        replace(SMALL, final_kernel=3),
        replace(SMALL, align_corners=True),
        replace(SMALL, head=OCR),
        replace(SMALL, head=OCR, mid_channels=256),
        replace(SMALL, head=OCR, key_channels=128),
        with_stage(1, block="BASIC"),
        with_stage(1, channels=(64,)),
        with_stage(2, fuse="CAT"),
        with_stage(2, modules=2),
        with_stage(3, modules=0),
        with_stage(3, blocks=(2, 2, 1)),
        with_stage(4, channels=(16, 32, 64, 127)),
        with_stage(4, blocks=(2, 2, 2), channels=(16, 32, 64)),
        with_stage(4, block="BOTTLENECK"),
    ]
    assert len({a.id for a in [SMALL, *others]}) == len(others) + 1


def test_an_id_stays_what_it_was() -> None:
    """Stores are keyed by it: changing the canonical form needs a migration."""
    assert SMALL.id == "hr-f26bae200eec"


def test_a_batch_keeps_every_architecture(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    drawn = [replace(a, align_corners=False) for a in architectures(300, 1)]
    batch = ArchitectureBatch.of(drawn)
    assert [batch.architecture(i) for i in range(len(drawn))] == drawn
    assert batch.valid().all()


def test_equal_rows_mean_equal_ids(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    drawn = with_either_head(architectures(400, 2), random.Random(4))
    drawn = [replace(a, align_corners=False) for a in drawn]
    # Spelt otherwise, in ways that rows are to see through.
    drawn += [
        replace(a, stages=(replace(a.stages[0], modules=3), *a.stages[1:])) for a in drawn[:50]
    ]
    batch = ArchitectureBatch.of(drawn)
    ids: dict[bytes, str] = {}
    for row, architecture in zip(batch.rows(), drawn, strict=True):
        assert ids.setdefault(row.tobytes(), architecture.id) == architecture.id


def test_a_batch_is_valid_where_its_architectures_are(
    architectures: Callable[[int, int], list[Architecture]],
) -> None:
    drawn = [
        replace(a, align_corners=False, stages=(a.stages[0], *reversed(a.stages[1:])))
        for a in architectures(200, 3)
    ]
    drawn.append(with_stage(4, channels=(16, 32, 64, 5000)))
    drawn.append(with_stage(1, modules=0))
    valid = ArchitectureBatch.of(drawn).valid()
    assert valid.tolist() == [not a.problems() for a in drawn]
    assert 0 < valid.sum() < len(drawn)
