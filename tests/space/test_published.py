"""The published networks, and the points that they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hrnet_search import Architecture
from hrnet_search.arch.architecture import OCR
from hrnet_search.space.choice import Choice
from hrnet_search.space.published import PUBLISHED, known_designs, point_of
from hrnet_search.space.space import SearchSpace

CONFIGS = Path(__file__).parents[2] / "configs"

CHOICES = (
    Choice("width", (16, 18, 32)),
    Choice("STAGE1.NUM_BLOCKS", ((1,), (2,), (4,))),
    Choice("STAGE1.NUM_CHANNELS", ((32,), (64,))),
    Choice("STAGE3.NUM_MODULES", (1, 3, 4)),
    Choice("STAGE4.NUM_MODULES", (1, 2, 3)),
    Choice("STAGE4.NUM_BRANCHES", (3, 4)),
    Choice("STAGE2.NUM_BLOCKS", ((2, 2), (4, 4))),
    *(Choice(f"STAGE3.NUM_BLOCKS[{b}]", (1, 2, 4)) for b in range(3)),
    Choice("STAGE4.NUM_BLOCKS", ((2, 2, 2, 2), (4, 4, 4, 4))),
    Choice("STAGE*.FUSE_METHOD", ("CAT", "SUM")),
    Choice("FINAL_CONV_KERNEL", (3, 1)),
)


def test_the_shipped_configs_are_the_published_networks() -> None:
    shipped = {Architecture.from_yaml(path).id for path in CONFIGS.glob("*.yaml")}
    ocr = {replace(PUBLISHED[name], head=OCR).id for name in ("w18-small-v2", "w18")}
    # The one that the library publishes itself, on its branch HRNet-OCR.
    ocr.add(replace(PUBLISHED["w48"], head=OCR, align_corners=True).id)
    assert shipped == {network.id for network in PUBLISHED.values()} | ocr


def test_every_published_network_of_a_space_is_found() -> None:
    space = SearchSpace(PUBLISHED["w32"], CHOICES)
    found = {space.decode(point).id for point in known_designs(space)}
    names = ("w18-small-v1", "w18-small-v2", "w18", "w32")
    assert found == {PUBLISHED[name].id for name in names}


def test_head_and_align_corners_are_those_of_the_base() -> None:
    base = replace(PUBLISHED["w18"], align_corners=True)
    space = SearchSpace(base, (Choice("width", (16, 18, 48)),))
    assert known_designs(space) == [(1,), (2,)]


def test_a_base_outside_its_own_space_is_no_point() -> None:
    space = SearchSpace(PUBLISHED["w18-small-v1"], (Choice("width", (8, 12)),))
    assert known_designs(space) == []


@pytest.mark.parametrize(
    "point", [(0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 0, 1, 1), (2, 2, 1, 2, 2, *[0] * 8)]
)
def test_what_a_point_decodes_to_is_that_point(point: tuple[int, ...]) -> None:
    space = SearchSpace(PUBLISHED["w18"], CHOICES)
    assert point_of(space, space.decode(point)) == point
