"""Rules of a space: what they hold of is what Python itself says, and what is wrong is placed.

The authority is `eval` on each network alone, with its keys as plain numbers and lists.
"""

from __future__ import annotations

import contextlib
import pickle
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from random_networks import draw, with_either_head
from space.test_load import GOOD
from space.test_space import WIDE

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import batch_costs, cost
from hrnet_search.errors import SpaceError
from hrnet_search.space.choice import Choice
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space
from hrnet_search.space.require import Requirement
from hrnet_search.space.rule_keys import Networks, RuleError
from hrnet_search.space.space import SearchSpace

SIZE, CLASSES = (64, 96), 5
RULES = (
    "width % 8 == 0",
    "macs <= 2e2 * params",
    "params / activations > 0.5 and macs / params < 300",
    "STAGE4.NUM_MODULES + STAGE3.NUM_MODULES >= 2 or STAGE2.NUM_MODULES == 1",
    "not STAGE4.NUM_BRANCHES < 3",
    "2 <= STAGE4.NUM_BRANCHES <= 3",
    "sum(STAGE4.NUM_CHANNELS) <= 50",
    "max(STAGE3.NUM_BLOCKS) - min(STAGE3.NUM_BLOCKS) <= 1",
    "max(width, STAGE2.NUM_CHANNELS[0]) < 20",
    "min(STAGE2.NUM_MODULES, STAGE3.NUM_MODULES, 3) == 1",
    "STAGE4.FUSE_METHOD == 'SUM' or STAGE4.BLOCK != \"BASIC\"",
    "STAGE3.BLOCK == STAGE4.BLOCK",
    "-width // 7 + 2 ** STAGE4.NUM_MODULES > -2.5",
    "HEAD == 'ocr' or FINAL_CONV_KERNEL == 1",
    "HEAD == 'ocr' or width > 12",
    "HEAD != 'ocr' or OCR.MID_CHANNELS > 2 * OCR.KEY_CHANNELS",
    "sum(STAGE4.NUM_BLOCKS) % 3 != 0",
)


def plain(architecture: Architecture) -> dict[str, Any]:
    """Return the keys of a network as Python has them, and its costs."""
    found: dict[str, Any] = {
        f"STAGE{number}": SimpleNamespace(
            NUM_MODULES=stage.modules, NUM_BRANCHES=stage.branches, BLOCK=stage.block,
            NUM_BLOCKS=list(stage.blocks), NUM_CHANNELS=list(stage.channels),
            FUSE_METHOD=stage.fuse,
        )
        for number, stage in enumerate(architecture.stages, start=1)
    }  # fmt: skip
    counted = cost(architecture, SIZE, CLASSES)
    found |= {name: getattr(counted, name) for name in ("params", "macs", "activations")}
    found |= {"width": architecture.width, "FINAL_CONV_KERNEL": architecture.final_kernel}
    found["HEAD"] = "ocr" if architecture.has_ocr else "plain"
    found["OCR"] = SimpleNamespace(
        MID_CHANNELS=architecture.mid_channels, KEY_CHANNELS=architecture.key_channels
    )
    return found | {"min": min, "max": max, "sum": sum}


def networks(count: int, seed: int) -> tuple[list[Architecture], Networks]:
    rng = random.Random(seed)
    drawn = [replace(draw(rng), align_corners=False) for _ in range(count)]
    drawn = with_either_head(drawn, rng)
    batch = ArchitectureBatch.of(drawn)
    return drawn, Networks(batch, lambda: batch_costs(batch, SIZE, CLASSES, True))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_of_what_python_says_it_does(rule: str) -> None:
    drawn, many = networks(150, 3)
    expected = [bool(eval(rule, {}, plain(a))) for a in drawn]
    assert Requirement(rule).holds(many).tolist() == expected
    assert len(set(expected)) == 2, "it tells networks apart"


@pytest.mark.parametrize(
    ("rule", "each"),
    [
        ("STAGE4.NUM_BLOCKS >= STAGE3.NUM_BLOCKS", lambda four, three: four >= three),
        ("STAGE4.NUM_BLOCKS + 1 > 2 * STAGE3.NUM_BLOCKS", lambda four, three: four + 1 > 2 * three),
    ],
)
def test_lists_are_compared_branch_by_branch_of_those_that_both_have(rule: str, each: Any) -> None:
    drawn, many = networks(150, 4)
    pairs = [(a.stages[3].blocks, a.stages[2].blocks) for a in drawn]
    expected = [all(each(*both) for both in zip(*pair, strict=False)) for pair in pairs]
    assert Requirement(rule).holds(many).tolist() == expected
    assert len(set(expected)) == 2


def test_a_comparison_of_a_branch_that_is_not_there_holds() -> None:
    drawn, many = networks(100, 5)
    found = Requirement("STAGE4.NUM_CHANNELS[3] >= 2 * STAGE4.NUM_CHANNELS[2]").holds(many)
    for architecture, held in zip(drawn, found.tolist(), strict=True):
        channels = architecture.stages[3].channels
        assert held == (len(channels) < 4 or channels[3] >= 2 * channels[2])


@pytest.mark.parametrize(
    ("rule", "each"),
    [
        ("64 % STAGE4.NUM_CHANNELS[3] == 0", lambda c: 64 % c == 0),
        ("STAGE4.NUM_CHANNELS[3] / STAGE4.NUM_CHANNELS[3] == 1", lambda c: True),
        ("not STAGE4.NUM_CHANNELS[3] > 40", lambda c: not c > 40),
        ("not (STAGE4.NUM_CHANNELS[3] > 40 and width > 0)", lambda c: not c > 40),
        ("not (not STAGE4.NUM_CHANNELS[3] > 40)", lambda c: c > 40),
        ("not (STAGE4.NUM_CHANNELS[3] > 40 or width < 0)", lambda c: not c > 40),
    ],
)
def test_whatever_is_said_of_a_branch_that_is_not_there_holds(rule: str, each: Any) -> None:
    """Also that something is not so of it, and what would divide by it."""
    drawn, many = networks(200, 9)
    found = Requirement(rule).holds(many).tolist()
    channels = [a.stages[3].channels for a in drawn]
    assert found == [len(c) < 4 or each(c[3]) for c in channels]
    assert len({len(c) for c in channels}) > 1


def test_a_comparison_of_what_another_head_reads_holds() -> None:
    drawn, many = networks(100, 8)
    wide = Requirement("OCR.MID_CHANNELS > 20").holds(many).tolist()
    assert wide == [not a.has_ocr or a.mid_channels > 20 for a in drawn]
    small = Requirement("FINAL_CONV_KERNEL == 1").holds(many).tolist()
    assert small == [a.has_ocr or a.final_kernel == 1 for a in drawn]


def test_what_divides_by_zero_does_not_hold() -> None:
    drawn, many = networks(60, 6)
    found = Requirement("1 / (STAGE4.NUM_MODULES - 1) != 0").holds(many)
    assert found.tolist() == [a.stages[3].modules != 1 for a in drawn]
    assert not Requirement("STAGE4.NUM_BLOCKS % 0 == 0").holds(many).any()


def test_powers_that_a_number_can_hold_are_allowed() -> None:
    _, many = networks(3, seed=4)
    for rule in ("width > -2**2", "width ** 20 > 2 ** 0.5", "2 ** STAGE3.NUM_MODULES >= 1"):
        assert Requirement(rule).holds(many).all()


def test_a_branch_that_there_cannot_be_is_told_with_those_of_its_list() -> None:
    for rule, allowed in (
        ("STAGE4.NUM_BLOCKS[9] > 1", "STAGE4.NUM_BLOCKS[0] to STAGE4.NUM_BLOCKS[3]"),
        ("STAGE4.NUM_MODULES[0] > 1", "NUM_BLOCKS and NUM_CHANNELS have [0] to [3]"),
    ):
        with pytest.raises(RuleError) as caught:
            Requirement(rule)
        assert caught.value.allowed == allowed


def test_rules_leave_of_a_space_what_keeps_them() -> None:
    rules = (Requirement("width <= 16"), Requirement("STAGE4.NUM_MODULES >= STAGE3.NUM_MODULES"))
    ruled = replace(WIDE, require=rules, target="hrnet")
    points = WIDE.drawn(np.random.default_rng(0), 3000)
    points = points[WIDE.valid(points)]
    valid = ruled.valid(points)
    for point, kept in zip(points[:300].tolist(), valid.tolist(), strict=False):
        four, three = (WIDE.decode(point).stages[n] for n in (3, 2))
        rules_broken = ruled.broken(np.array([point]))
        broken = [rule for rule, is_broken in rules_broken.items() if is_broken[0]]
        assert kept == (not broken)
        assert (four.modules >= three.modules) == (f"require {rules[1].text}" not in broken)
    assert 0 < valid.sum() < len(valid)
    for architecture in generate(ruled, 20):
        assert architecture.width <= 16
        assert architecture.stages[3].branches == 4


def test_a_space_with_rules_goes_to_other_processes() -> None:
    space = replace(WIDE, require=(Requirement("macs <= 3e2 * params"),))
    points = WIDE.drawn(np.random.default_rng(2), 200)
    again = pickle.loads(pickle.dumps(space))
    assert again == space
    assert again.valid(points).tolist() == space.valid(points).tolist()


def test_rules_of_costs_are_held_against_what_others_leave() -> None:
    texts = ("macs <= 3e2 * params", "width <= 18", "params >= 3e5")
    points = WIDE.drawn(np.random.default_rng(2), 2000)
    alone = [replace(WIDE, require=(Requirement(text),)).valid(points) for text in texts]
    together = replace(WIDE, require=tuple(map(Requirement, texts))).valid(points)
    assert together.tolist() == np.logical_and.reduce(alone).tolist()
    assert 0 < together.sum() < min(kept.sum() for kept in alone)


def test_of_equal_networks_the_one_that_is_spelled_as_a_rule_wants_stands_for_all() -> None:
    """A stage of one branch fuses nothing: its FUSE_METHOD is not read, and a rule reads it."""
    choices = (Choice("STAGE2.NUM_BRANCHES", (1, 2)), Choice("STAGE2.FUSE_METHOD", ("CAT", "SUM")))
    space = SearchSpace(WIDE.base, choices, require=(Requirement("STAGE2.FUSE_METHOD == 'SUM'"),))
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert space.valid(points).tolist() == [False, True, False, True]
    assert space.canonical(points[1:2]).tolist() == [[0, 1]]
    assert len(generate(space, 9)) == 2


@pytest.mark.parametrize(
    ("rule", "column", "said"),
    [
        ("", 0, "cannot be read"),
        ("width >", 0, "cannot be read"),
        ("width > 1; 2", 9, "cannot be read"),
        ("STAGE*.NUM_BLOCKS > 1", 6, "cannot be read"),
        ("width := 3", 6, "cannot be read"),
        ("(" * 400, 0, ""),
        ("width > 1 " * 51, 0, "longer than 500"),
        ("width", 0, "is not a comparison"),
        ("not width", 4, "width is not a comparison"),
        ("width > 1 and 2", 14, "2 is not a comparison"),
        ("(width > 1) + 1 > 1", 0, "not arithmetic of numbers"),
        ("1 < 2", 0, "says nothing of a network"),
        ("'SUM' == 'SUM'", 0, "says nothing of a network"),
        ("min(1, 2) < 3", 0, "says nothing of a network"),
        ("True", 0, "True is not allowed"),
        ("width == None", 9, "None is not allowed"),
        ("width == 1j", 9, "1j is not allowed"),
        ("1e999 > width", 0, "too large"),
        ("9**9**9**9 > width", 3, "9 ** 9 ** 9 is too large"),
        ("width > 1e308 * 10", 8, "1e+308 * 10 is too large"),
        ("width > -(1e200 * 1e200)", 10, "too large"),
        ("(-8) ** 0.5 < width", 0, "is no number"),
        ("width ** 21 > 1", 0, "width ** 21 is too high a power"),
        ("STAGE4.NUM_BLOCKS ** -99 > 1", 0, "is too high a power"),
        ("width < 1" + "0" * 400, 8, "too large"),
        ("widht > 1", 0, "widht is not known, did you mean width?"),
        ("latency_ms < 5", 0, "latency_ms is not known"),
        ("STAGE5.NUM_BLOCKS > 1", 0, "STAGE5.NUM_BLOCKS is not known"),
        ("STAGE4.NUM_BLOKS > 1", 0, "did you mean STAGE4.NUM_BLOCKS?"),
        ("STAGE4 > 1", 0, "STAGE4 alone says nothing"),
        ("width.real > 1", 0, "width.real is not known"),
        ("width.__class__ == 1", 0, "width.__class__ is not known"),
        ("().__class__.__bases__[0] == 1", 0, "is not known"),
        ("width[0] > 1", 0, "width[0] is not known"),
        ("STAGE4.NUM_BLOCKS[4] > 1", 0, "is not a branch"),
        ("STAGE4.NUM_BLOCKS[-1] > 1", 0, "is not known"),
        ("STAGE4.NUM_MODULES[0] > 1", 0, "is not a branch"),
        ("STAGE4.FUSE_METHOD == 'CATT'", 0, "'CATT' is not known, did you mean CAT?"),
        ("STAGE4.FUSE_METHOD < 'SUM'", 0, "words have no order"),
        ("STAGE4.FUSE_METHOD == 1", 0, "cannot be compared"),
        ("STAGE4.FUSE_METHOD == STAGE4.BLOCK", 0, "cannot be compared"),
        ("__import__('os').system('true') == 0", 0, "is not allowed"),
        ("abs(width) > 1", 0, "abs(width) is not allowed"),
        ("max(width) > 1", 0, "max(width) is not of a list"),
        ("sum(width, 2) > 1", 0, "is not of a list"),
        ("max(STAGE4.NUM_BLOCKS, key=len) > 1", 0, "is not allowed"),
        ("max(*STAGE4.NUM_BLOCKS) > 1", 4, "is not allowed"),
        ("[w for w in (1, 2)] == width", 0, "is not allowed"),
        ("width in (8, 16)", 9, "(8, 16) is not allowed"),
        ("width is 8", 0, "is not allowed"),
        ("(lambda: 1)() == width", 0, "is not allowed"),
        ("width if 1 else 2", 0, "is not allowed"),
        ("~width > 1", 0, "~width is not allowed"),
        ("width << 2 > 1", 0, "is not allowed"),
        ("f'{width}' == 'SUM'", 0, "is not allowed"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_where_it_is_wrong(
    rule: str, column: int, said: str
) -> None:
    with pytest.raises(RuleError) as raised:
        Requirement(rule)
    assert said in raised.value.wrong
    assert not column or raised.value.column == column


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ("require: width % 8 == 0", (1, 10), "is not a list"),
        ("require: [width % 8 == 0, 7]", (1, 27), "7 is not text"),
        ('require: ["width % 8 == 0", "width % 8 == w"]', (1, 43), "w is not known"),
        ("require:\n- width % 8 == w", (2, 16), "w is not known"),
        ("require: [width > 10**9]", (1, 10), "no network of the space is left by require width"),
        ("require: [width > 16, width < 18]", (1, 10), "left by all rules together"),
        ("require: [8 / (width - 16) < 3]", (1, 11), "divides by zero where width 16"),
        ("require: [3 > 8 / (width - 16)]", (1, 11), "divides by zero where width 16"),
        ("require: [(width - 16) ** -1 < 3]", (1, 11), "or divides by zero, where width 16"),
        ("require: [not (width - 18) ** 0.5 > 3]", (1, 11), "is no number, or divides"),
        ("target: pytorch", (1, 9), "pytorch is not known"),
        ("target: 7", (1, 9), "7 is not known"),
    ],
)
def test_faults_of_rules_have_their_place(
    lines: str, place: tuple[int, int], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"{lines}\n{GOOD}")
    with pytest.raises(SpaceError) as raised:
        load_space(path)
    (fault,) = raised.value.faults
    assert said in fault.wrong
    assert (fault.line, fault.column) == place


def test_a_target_that_nothing_of_the_space_runs_on_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"target: hrnet\n{GOOD}".replace("NUM_BRANCHES: [3, 4]", "NUM_BRANCHES: [3]"))
    with pytest.raises(SpaceError, match="no network of the space is left by target hrnet"):
        load_space(path)


def test_of_what_a_network_has_not_nothing_is_divided_whichever_side_names_it() -> None:
    rules = (
        "STAGE4.NUM_BLOCKS[3] < width / (STAGE4.NUM_BRANCHES - 3)",
        "width / (STAGE4.NUM_BRANCHES - 3) > STAGE4.NUM_BLOCKS[3]",
    )
    points = WIDE.drawn(np.random.default_rng(0), 500)
    points = points[WIDE.batch(points).valid()]
    first, second = (replace(WIDE, require=(Requirement(rule),)) for rule in rules)
    assert (WIDE.batch(points).branches[:, 3] == 3).any()
    for space in (first, second):
        assert not next(iter(space.divides_by_zero(points).values())).any()
    assert (first.valid(points) == second.valid(points)).all()


@pytest.mark.bench
def test_a_million_points_are_ruled_in_five_seconds() -> None:
    import time

    rules = ("width % 8 == 0", "STAGE4.NUM_BLOCKS >= STAGE3.NUM_BLOCKS", "macs <= 2e4 * params")
    ruled = replace(WIDE, require=tuple(map(Requirement, rules)), target="hrnet")
    points = WIDE.drawn(np.random.default_rng(0), 10**6)
    start = time.process_time()
    ruled.valid(points)
    taken = time.process_time() - start
    print(f"\na million points, three rules and a target: {taken:.1f} s of CPU")
    assert taken < 5


def test_what_is_nested_too_deeply_is_a_fault_of_the_rule_at_most() -> None:
    """How deep that is hangs on who calls."""
    with contextlib.suppress(RuleError):
        Requirement("-" * 490 + "width < 9")
