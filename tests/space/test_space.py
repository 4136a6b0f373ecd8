"""Points, architectures and arrays say the same of a space; generation is distinct and fair."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from hrnet_search import Architecture, cost, costs, generate, load_space
from hrnet_search.arch.cost import Cost
from hrnet_search.arch.targets import HRNET, target_problems
from hrnet_search.errors import InputError
from hrnet_search.net.hrnet import build
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import Limit, SearchSpace
from hrnet_search.space.survey import least_costs, survey

ROOT = Path(__file__).parents[2]
SMALL = Architecture.from_yaml(
    ROOT / "configs" / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
)
WIDE = SearchSpace(
    SMALL,
    (
        Choice("width", (8, 16, 600, 18)),
        Choice("STAGE1.NUM_BLOCKS", ((1,), (2,))),
        Choice("STAGE2.NUM_BRANCHES", (1, 2)),
        Choice("STAGE3.NUM_BRANCHES", (1, 2, 3, 4)),
        Choice("STAGE4.NUM_BRANCHES", (1, 2, 3, 4)),
        Choice("STAGE3.NUM_MODULES", (1, 2, 3)),
        Choice("STAGE4.NUM_MODULES", (1, 2)),
        Choice("STAGE4.NUM_BLOCKS[0]", (1, 2)),
        Choice("STAGE4.NUM_BLOCKS[3]", (1, 2)),
        Choice("STAGE3.NUM_BLOCKS", ((1, 1, 1, 1), (2, 2, 2, 2), (1, 2, 2, 1))),
        Choice("STAGE3.BLOCK", ("BASIC", "BOTTLENECK")),
        Choice("STAGE*.FUSE_METHOD", ("SUM", "CAT")),
        Choice("FINAL_CONV_KERNEL", (1, 3)),
    ),
    input_size=(64, 96),
    classes=5,
)
TINY = SearchSpace(
    SMALL,
    (
        Choice("STAGE2.NUM_BRANCHES", (1, 2)),
        Choice("STAGE2.FUSE_METHOD", ("SUM", "CAT")),
        Choice("STAGE4.NUM_BRANCHES", (3, 4)),
        Choice("STAGE4.NUM_BLOCKS[3]", (1, 2, 3)),
    ),
    input_size=(64, 64),
)


def random_points(space: SearchSpace, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, space.shape, size=(count, len(space.choices)))


def test_a_batch_decodes_as_each_point_does() -> None:
    points = random_points(WIDE, 300, 1)
    batch = WIDE.batch(points)
    for row, point in enumerate(points.tolist()):
        assert batch.architecture(row) == WIDE.decode(point)


def test_what_is_set_is_what_is_read() -> None:
    point = (1, 1, 1, 2, 3, 2, 1, 1, 0, 2, 1, 1, 1)
    one, two, three, four = WIDE.decode(point).stages
    assert one.blocks == (2,)
    assert (two.channels, two.fuse) == ((16, 32), "CAT")
    assert (three.modules, three.block, three.blocks) == (3, "BOTTLENECK", (1, 2, 2))
    assert (four.channels, four.blocks) == ((16, 32, 64, 128), (2, 2, 2, 1))
    assert WIDE.decode(point).final_kernel == 3


def test_a_branch_that_the_base_lacks_repeats_blocks_and_doubles_width() -> None:
    base = replace(SMALL, stages=(*SMALL.stages[:3], SMALL.stages[2]))
    space = SearchSpace(base, (Choice("STAGE4.NUM_BRANCHES", (3, 4)),))
    stage = space.decode((1,)).stages[3]
    assert (stage.blocks, stage.channels) == ((2, 2, 2, 2), (16, 32, 64, 128))


def test_valid_is_what_architectures_say() -> None:
    points = random_points(WIDE, 500, 2)
    valid = WIDE.valid(points)
    assert valid.tolist() == [not WIDE.decode(p).problems() for p in points.tolist()]
    assert 50 < valid.sum() < 450


def test_size_counts_the_valid_points_exactly() -> None:
    small = SearchSpace(SMALL, WIDE.choices[:5])
    assert small.size == sum(1 for _ in small.points()) == len(set(small.points()))
    each = SearchSpace(
        SMALL,
        (
            Choice("STAGE4.NUM_BRANCHES", (3, 4)),
            Choice("STAGE4.NUM_CHANNELS[0]", (8, 5000)),
            Choice("STAGE4.NUM_CHANNELS[3]", (8, 5000, 16)),
        ),
    )
    assert each.size == sum(1 for _ in each.points()) == 3 + 2
    assert WIDE.size == sum(int(WIDE.valid(chunk).sum()) for chunk in WIDE.index_chunks())


def test_points_that_compute_the_same_come_to_one() -> None:
    points = random_points(WIDE, 600, 3)
    points = points[WIDE.valid(points)]
    first = WIDE.canonical(points)
    assert (WIDE.canonical(first) == first).all()
    for before, after in zip(points.tolist(), first.tolist(), strict=True):
        assert WIDE.decode(before).id == WIDE.decode(after).id
    assert (first != points).any()


def test_the_one_they_come_to_is_found_level_by_level() -> None:
    """By the definition: choice by choice, the lowest level that leaves what is read as it is."""
    points = random_points(WIDE, 300, 6)
    points = points[WIDE.valid(points)]
    expected = points.copy()
    for row in expected:
        read = WIDE.batch(row[None]).rows()
        for column in range(len(row)):
            for level in range(row[column]):
                tried = row.copy()
                tried[column] = level
                if (WIDE.batch(tried[None]).rows() == read).all():
                    row[column] = level
                    break
    assert (WIDE.canonical(points) == expected).all()
    assert (expected != points).any(axis=0).sum() >= 3


def test_a_space_knows_whether_64_bits_hold_all_of_it() -> None:
    assert WIDE.all_fit_64_bits((64, 96), 5)
    huge = SearchSpace(SMALL, (Choice("width", (8, 4000)),), input_size=(2**21, 2**21))
    assert not huge.all_fit_64_bits(huge.input_size, 19)
    assert costs(huge, np.array([[0]]))[0, 1] > 0  # the small one of them can be counted
    with pytest.raises(InputError, match="64 bits"):
        costs(huge, np.array([[0], [1]]))


def test_costs_are_those_of_the_architectures() -> None:
    points = random_points(WIDE, 300, 5)
    points = points[WIDE.valid(points)]
    for row, point in zip(costs(WIDE, points).tolist(), points.tolist(), strict=True):
        assert Cost(*row) == cost(WIDE.decode(point), (64, 96), 5)
    other = costs(WIDE, points[:3], size=(31, 33), classes=2)
    assert Cost(*other[0].tolist()) == cost(WIDE.decode(points[0]), (31, 33), 2)
    assert costs(WIDE, points[:0]).shape == (0, 3)


def limited(space: SearchSpace, share: float) -> SearchSpace:
    macs = costs(space, np.array(list(space.points())))[:, 1]
    return replace(space, limits=(Limit("macs", float(np.quantile(macs, share))),))


def test_generation_gives_every_distinct_variant_once() -> None:
    space = limited(TINY, 0.7)
    expected = {
        a.id
        for a in map(space.decode, space.points())
        if cost(a, (64, 64)).macs <= space.limits[0].at_most
    }
    found = generate(space, 10_000, seed=1)
    assert len(found) == len({a.id for a in found})
    assert {a.id for a in found} == expected


def test_generation_is_uniform_over_what_is_distinct() -> None:
    distinct = len(generate(TINY, 1000))
    first = Counter(generate(TINY, 1, seed)[0].id for seed in range(40 * distinct))
    assert len(first) == distinct
    assert chisquare(list(first.values())).pvalue > 0.001


def test_the_same_seed_gives_the_same_list_and_more_begins_with_less() -> None:
    wide = replace(WIDE, limits=(Limit("params", 2e6),))
    assert generate(wide, 20, seed=3) == generate(wide, 50, seed=3)[:20]
    assert generate(wide, 20, seed=3) != generate(wide, 20, seed=4)


def check_variants(count: int, folder: Path) -> None:
    found = generate(replace(WIDE, limits=(Limit("params", 3e6),)), count, seed=7)
    assert len({a.id for a in found}) == count
    for architecture in found:
        assert architecture.problems() == ()
        assert cost(architecture, (64, 96), 5).params <= 3e6
        architecture.to_yaml(folder / "variant.yaml")
        assert Architecture.from_yaml(folder / "variant.yaml").id == architecture.id
        assert sum(p.numel() for p in build(architecture, 5).parameters()) == (
            cost(architecture, (64, 96), 5).params
        )


def test_generated_variants_build_and_survive_yaml(tmp_path: Path) -> None:
    check_variants(25, tmp_path)


@pytest.mark.bench
def test_a_thousand_generated_variants_build_and_survive_yaml(tmp_path: Path) -> None:
    check_variants(1000, tmp_path)


def test_a_large_space_without_room_ends() -> None:
    assert generate(replace(WIDE, limits=(Limit("params", 1.0),)), 5) == []


def test_a_survey_of_a_small_space_counts_all_of_it() -> None:
    space = limited(TINY, 0.6)
    points = np.array(list(space.points()))
    found = survey(space)
    table = costs(space, points)
    inside = table[:, 1] <= space.limits[0].at_most
    assert (found.size, found.exact, found.looked_at) == (len(points), True, len(points))
    assert found.within == pytest.approx(inside.mean())
    assert found.distinct == len({space.decode(p).id for p in points})
    assert found.costs["macs"] == (table[inside, 1].min(), table[inside, 1].max())
    assert least_costs(space) == tuple(table.min(axis=0))


def test_blocks_of_a_stage_of_one_branch_may_be_its_modules_and_count_once() -> None:
    """One module of two blocks computes what two modules of one block do."""
    choices = (
        Choice("STAGE2.NUM_BRANCHES", (1, 2)),
        Choice("STAGE2.NUM_MODULES", (1, 2)),
        Choice("STAGE2.NUM_BLOCKS", ((1, 1), (2, 1))),
    )
    space = SearchSpace(TINY.base, choices)
    networks = [space.decode(point).id for point in space.points()]
    assert survey(space).distinct == len(set(networks)) == 7 < len(networks)


@pytest.mark.parametrize("more", [(), (Choice("STAGE*.FUSE_METHOD", ("CAT", "SUM")),)])
def test_a_survey_names_the_levels_that_the_official_library_cannot_run(
    more: tuple[Choice, ...],
) -> None:
    rest = tuple(c for c in TINY.choices if not (more and c.key == "FUSE_METHOD"))
    space = replace(TINY, choices=(*rest, *more))
    found = survey(space)
    cat = "STAGE*.FUSE_METHOD CAT" if more else "STAGE2.FUSE_METHOD CAT"
    assert sorted(found.unofficial) == sorted(["STAGE4.NUM_BRANCHES 3", cat])
    assert found.lines()[-1].startswith("note: the official HRNet library does not run as meant: ")
    wrong = set()
    for point in space.points():
        named = {
            text
            for choice, level in zip(space.choices, point, strict=True)
            if (text := f"{choice.path} {choice.values[level]}") in found.unofficial
        }
        if target_problems(HRNET, space.decode(point)):
            assert named
            wrong |= named if len(named) == 1 else set()
    assert wrong == set(found.unofficial)
    assert survey(replace(TINY, choices=TINY.choices[:1])).unofficial == ()


def test_a_survey_of_a_large_space_says_that_it_sampled() -> None:
    found = survey(WIDE)
    assert not found.exact
    assert "sample" in " ".join(found.lines())
    drawn = random_points(WIDE, 2000, 9)
    seen = costs(WIDE, drawn[WIDE.valid(drawn)])
    for low, name in zip(least_costs(WIDE), ("params", "macs", "activations"), strict=True):
        column = seen[:, ("params", "macs", "activations").index(name)]
        assert low <= found.costs[name][0] <= column.min()
        assert found.costs[name][1] >= column.max() * 0.99


def test_shipped_spaces_hold_no_level_in_vain() -> None:
    for path in sorted((ROOT / "search_spaces").glob("*.yaml")):
        space = load_space(path)
        used = [set() for _ in space.choices]  # type: ignore[var-annotated]
        for point in space.points():
            for levels, level in zip(used, point, strict=True):
                levels.add(level)
        assert tuple(map(len, used)) == space.shape
