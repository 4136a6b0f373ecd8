"""A space's target allows a variant exactly when that target's exporter writes it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from random_networks import draw
from space.test_space import WIDE

from hrnet_search.arch.architecture import Architecture
from hrnet_search.export.hrnet import export_hrnet
from hrnet_search.export.member import Member
from hrnet_search.export.mmseg import export_mmseg
from hrnet_search.export.result import ExportOptions
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import SearchSpace

EXPORTERS = {"hrnet": export_hrnet, "mmseg": export_mmseg}


def allowed(target: str, architecture: Architecture) -> bool:
    """Return whether a space of one network has it."""
    one = SearchSpace(architecture, (Choice("FINAL_CONV_KERNEL", (architecture.final_kernel,)),))
    return len(list(replace(one, target=target).points())) == 1


def hold(target: str, count: int, base: Member, folder: Path) -> None:
    rng, seen = random.Random(7), set()
    for _ in range(count):
        architecture = draw(rng, most=2)
        if rng.random() < 0.7:  # else mmsegmentation has next to nothing to run
            stages = architecture.stages
            sums = tuple(replace(stage, fuse="SUM") for stage in stages)
            architecture = replace(architecture, stages=sums, align_corners=False, final_kernel=1)  # type: ignore[arg-type]
        written = EXPORTERS[target](
            replace(base, architecture=architecture), folder, ExportOptions()
        ).written
        assert allowed(target, architecture) == bool(written)
        seen.add(bool(written))
    assert seen == {True, False}


@pytest.mark.parametrize("target", EXPORTERS)
def test_what_a_target_allows_is_what_its_exporter_writes(
    target: str, make_member: Callable[..., Member], tmp_path: Path
) -> None:
    hold(target, 12, make_member(WIDE.base, weights=False), tmp_path)


@pytest.mark.bench
@pytest.mark.parametrize("target", EXPORTERS)
def test_of_five_hundred_a_target_allows_what_its_exporter_writes(
    target: str, make_member: Callable[..., Member], tmp_path: Path
) -> None:
    hold(target, 500, make_member(WIDE.base, weights=False), tmp_path)
