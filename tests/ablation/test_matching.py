"""Arms at equal MACs are within 2%, or say what is closest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ablation.made_up_ablation import TEXT, settled, space_file

from hrnet_search.ablation.arms import MACS
from hrnet_search.ablation.matching import TOLERANCE, match_macs
from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.cost import cost
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
PLAIN = [path for path in CONFIGS if "_ocr_" not in path.name]
ABLATIONS = sorted((ROOT / "search_spaces").glob("*ablation*.yaml"))
SIZE = (512, 1024)


def variants(base: Architecture) -> dict[str, Architecture]:
    """Return what ablations of a network train: less of everything, and CAT."""
    one, two, three, four = base.stages

    def of(*later: Stage) -> Architecture:
        return replace(base, stages=(one, later[0], later[1], later[2]))

    def half(stage: Stage) -> Stage:
        return replace(stage, channels=tuple(c // 2 for c in stage.channels))

    smaller = replace(four, blocks=four.blocks[:3], channels=four.channels[:3])
    return {
        "three branches": of(two, three, smaller),
        "CAT": of(*(replace(stage, fuse="CAT") for stage in (two, three, four))),
        "more modules": of(two, replace(three, modules=6), four),
        "bottlenecks": of(two, three, replace(four, block="BOTTLENECK")),
        "narrow stage 4": of(two, three, half(four)),
        "half as wide": of(half(two), half(three), half(four)),
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem[10:25])
def test_every_published_network_is_matched_within_two_percent(path: Path) -> None:
    base = Architecture.from_yaml(path)
    target = cost(base, SIZE, 19).macs
    for name, variant in variants(base).items():
        found = match_macs(variant, target, SIZE, 19)
        assert found.within, (name, found.ratio)
        assert cost(found.architecture, SIZE, 19).macs / target == pytest.approx(found.ratio)
        assert not found.architecture.problems()
        for own, other in zip(found.architecture.stages, variant.stages, strict=True):
            assert replace(own, channels=other.channels) == other


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda p: p.stem)
def test_shipped_ablations_are_matched_or_say_what_is_closest(path: Path) -> None:
    file = load_space_file(path)
    found = settled(file)
    matched = [arm for arm in found.arms if arm.match == MACS]
    assert matched
    for arm in matched:
        assert abs(arm.ratio - 1) <= TOLERANCE or "closest" in arm.note
        assert "widths" in arm.note
    reference = found.arms[0].cost.macs
    assert [arm.ratio for arm in found.arms] == [arm.cost.macs / reference for arm in found.arms]


def test_a_width_that_doubles_stays_doubling_where_that_will_do() -> None:
    base = Architecture.from_yaml(PLAIN[1])
    variant = variants(base)["three branches"]
    found = match_macs(variant, cost(base, SIZE, 19).macs, SIZE, 19)
    width = found.architecture.width
    assert found.architecture.stages[3].channels == (width, 2 * width, 4 * width)


def test_what_cannot_be_matched_says_what_is_closest(tmp_path: Path) -> None:
    base = Architecture.from_yaml(PLAIN[0])
    found = match_macs(base, 1000, SIZE, 19)
    assert not found.within
    assert found.ratio > 10
    assert found.architecture.width < base.width / 4
    text = TEXT.replace("path: STAGE4.NUM_BRANCHES, levels: [4, 3]",
                        "path: STAGE1.NUM_CHANNELS, levels: [[64], [4096]]")  # fmt: skip
    arm = next(a for a in settled(space_file(tmp_path, text)).arms if a.match == MACS)
    assert arm.ratio > 1 + TOLERANCE
    assert f"the closest there is: {arm.ratio:.1%} of the reference's MACs" in arm.note


def test_an_arm_within_two_percent_needs_no_other(tmp_path: Path) -> None:
    found = settled(space_file(tmp_path))
    assert any("fuse=CAT: within 2%" in note for note in found.notes)
    assert not any(arm.name == "fuse=CAT at equal MACs" for arm in found.arms)
    assert [d.name for d in found.differences].count("fuse=CAT") == 1


def test_a_width_rescaled_to_equal_macs_is_the_reference_again(tmp_path: Path) -> None:
    text = TEXT.replace("STAGE4.NUM_BRANCHES, levels: [4, 3]", "width, levels: [18, 9]")
    found = settled(space_file(tmp_path, text))
    assert "branch=9 at equal MACs is the reference again: nothing to compare" in found.notes
    assert len({arm.identity for arm in found.arms}) == len(found.arms)


def test_levels_that_leave_one_out_never_trains_are_named(tmp_path: Path) -> None:
    text = TEXT.replace(
        "STAGE4.NUM_BRANCHES, levels: [4, 3]", "STAGE3.NUM_MODULES, levels: [1, 2, 3]"
    )
    text = text.replace("seeds: 6", "seeds: 6\n  design: leave-one-out")
    found = settled(space_file(tmp_path, text))
    said = "branch: 2 not trained, leave-one-out takes the last level back to the first"
    assert [note for note in found.notes if "not trained" in note] == [said]


@pytest.mark.parametrize("design", ["factorial", "fractional", "leave-one-out"])
def test_what_rescaling_undoes_is_not_judged_by_what_rounding_leaves(
    design: str, tmp_path: Path
) -> None:
    width = "width:  {path: width, levels: [18, 9]}\n    branch:"
    text = TEXT.replace("branch:", width).replace("seeds: 6", f"seeds: 6\n  design: {design}")
    found = settled(space_file(tmp_path, text))
    matched = [d for d in found.differences if d.match == MACS]
    assert any("branch=" in d.name for d in matched)
    assert not any("width=" in d.name for d in matched)
    assert any("width=" in d.name for d in found.differences)
    assert any(note.startswith("width=") and "reference again" in note for note in found.notes)
