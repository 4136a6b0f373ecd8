"""The `ablate` section: what it means, and everything wrong with it at once, where it stands."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from hrnet_search.errors import SpaceError
from hrnet_search.space.ablate import least_seeds
from hrnet_search.space.ablate_keys import level_schema
from hrnet_search.space.load import load_space_file

ROOT = Path(__file__).parents[2]
BASE = ROOT / "configs" / "seg_hrnet_w18_small_v2_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
GOOD = f"""\
name: test
base: {BASE}
ablate:
  factors:
    stage4_fuse:    {{path: STAGE4.FUSE_METHOD, levels: [SUM, CAT]}}
    stage3_modules: {{path: STAGE3.NUM_MODULES, levels: [3, 2, 1]}}
    lowest_branch:  {{path: STAGE4.NUM_BRANCHES, levels: [4, 3]}}
    width:          {{path: width, levels: [18, 16, 24]}}
    inherit:        {{path: schedule.init, levels: [none, base.pth]}}
  design: one-factor
  match: [none, macs]
  seeds: 6
  equivalence: {{miou: 0.003}}
data: {{kind: shapes}}
schedule: {{steps: 300, batch: 8, crop: [128, 128]}}
"""


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "space.yaml"
    path.write_text(text)
    (folder / "base.pth").touch()
    with pytest.raises(SpaceError) as caught:
        load_space_file(path)
    lines = [str(fault) for fault in caught.value.faults]
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_example_means_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(GOOD)
    (tmp_path / "base.pth").touch()
    file = load_space_file(path)
    spec = file.ablation
    assert spec
    assert [(f.name, f.path, f.levels) for f in spec.factors] == [
        ("stage4_fuse", "STAGE4.FUSE_METHOD", ("SUM", "CAT")),
        ("stage3_modules", "STAGE3.NUM_MODULES", (3, 2, 1)),
        ("lowest_branch", "STAGE4.NUM_BRANCHES", (4, 3)),
        ("width", "width", (18, 16, 24)),
        ("inherit", "schedule.init", ("none", "base.pth")),
    ]
    assert (spec.design, spec.match) == ("one-factor", ("none", "macs"))
    assert spec.seeds == (0, 1, 2, 3, 4, 5)
    assert (spec.equivalence, spec.alpha, spec.detect, spec.noise) == (0.003, 0.05, None, None)
    assert [c.path for c in file.space.choices] == [f.path for f in spec.factors[:4]]


def test_defaults_and_lists_of_seeds(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    (tmp_path / "base.pth").touch()
    short = GOOD
    for line in ("  design: one-factor\n", "  match: [none, macs]\n", "  seeds: 6\n"):
        short = short.replace(line, "")
    path.write_text(short)
    spec = load_space_file(path).ablation
    assert spec
    assert (spec.design, spec.match, len(spec.seeds)) == ("one-factor", ("none",), 6)
    path.write_text(GOOD.replace("seeds: 6", "seeds: [5, 6, 7, 8, 9, 11]"))
    spec = load_space_file(path).ablation
    assert spec
    assert spec.seeds == (5, 6, 7, 8, 9, 11)


def test_the_fewest_seeds_are_those_of_a_sign_flip_test() -> None:
    assert [least_seeds(a) for a in (0.05, 0.0625, 0.01, 0.25, 0.5)] == [6, 5, 8, 3, 2]


# What is replaced in the good file, by what, where the fault stands and what it says.
WRONG = [
    (
        "seeds: 6",
        "seeds: 3",
        "12:10: ablate.seeds: 3 seeds cannot give a p-value below 0.25, asked",
    ),
    ("seeds: 6", "seeds: 3", "allowed: 6 seeds or more"),
    ("seeds: 6", "seeds: [1, 2, 2, 3, 4, 5, 6]", "12:17: ablate.seeds: 2 is repeated"),
    ("seeds: 6", "seeds: 6\n  alpha: 0.01", "12:10: ablate.seeds: 6 seeds cannot give a p-value"),
    ("seeds: 6", "seeds: many", "ablate.seeds: many is not an integer"),
    ("[SUM, CAT]", "[SUM]", "5:56: ablate.factors.stage4_fuse.levels: one level compares nothing"),
    ("[SUM, CAT]", "[]", "5:56: ablate.factors.stage4_fuse.levels: no level"),
    ("[SUM, CAT]", "[SUM, ADD]", "5:62: ablate.factors.stage4_fuse: ADD is not known"),
    ("[SUM, CAT]", "[SUM, SUM]", "5:62: ablate.factors.stage4_fuse: SUM is repeated"),
    ("[SUM, CAT]", "SUM", "5:56: ablate.factors.stage4_fuse.levels: is not a list"),
    (
        "STAGE4.FUSE_METHOD",
        "STAGE4.FUSE_METHODS",
        "5:28: ablate.factors.stage4_fuse.path: STAGE4.FUSE_METHODS cannot be ablated, did",
    ),
    (
        "STAGE4.FUSE_METHOD",
        "STAGE1.FUSE_METHOD",
        "5:28: ablate.factors.stage4_fuse.path: STAGE1.FUSE_METHOD: the network never reads it",
    ),
    (
        "schedule.init",
        "schedule.unit",
        "schedule.unit cannot be ablated, did you mean schedule.init",
    ),
    ("schedule.init", "schedule.seeds", "every arm has the same seeds"),
    ("base.pth]", "absent.pth]", "9:58: ablate.factors.inherit: absent.pth is not a file"),
    ("base.pth]", "base]", "9:58: ablate.factors.inherit: base is trained by a search alone"),
    ("base.pth]", "shared]", "ablate.factors.inherit: shared is trained by a search alone"),
    (
        "schedule.init, levels: [none, base.pth]",
        "schedule.lr, levels: [0.05, -1]",
        "9:56: ablate.factors.inherit: -1 is not allowed",
    ),
    (
        "schedule.init, levels: [none, base.pth]",
        "schedule.lr, levels: [0.05, 0.05]",
        "9:56: ablate.factors.inherit: 0.05 is repeated",
    ),
    (
        "[4, 3]",
        "[4, 2]",
        "7:61: ablate.factors.lowest_branch: level 2 makes no valid network: STAGE4",
    ),
    ("[4, 3]", "[4, 5]", "7:61: ablate.factors.lowest_branch: 5 is not allowed"),
    ("[4, 3]", "[2, 4]", "4:3: ablate.factors: stage4_fuse=SUM, stage3_modules=3, lowest_branch=2"),
    (
        "STAGE4.NUM_BRANCHES, levels: [4, 3]",
        "STAGE4.FUSE_METHOD, levels: [SUM, CAT]",
        "7:28: ablate.factors.lowest_branch.path: STAGE4.FUSE_METHOD is set by",
    ),
    (
        "STAGE4.NUM_BRANCHES, levels: [4, 3]",
        '"STAGE*.FUSE_METHOD", levels: [SUM, CAT]',
        "sets what STAGE4.FUSE_METHOD sets too",
    ),
    (
        "    width: ",
        "    stage4_fuse: ",
        "8:5: ablate.factors.stage4_fuse: repeated, first in line 5",
    ),
    ("    width: ", "    .width: ", "8:5: ablate.factors..width: .width is not a name"),
    ("path: width, ", "", "8:21: ablate.factors.width.path: is missing"),
    (
        "path: width, ",
        "paths: width, ",
        "ablate.factors.width.paths: is not a known key, did you mean path",
    ),
    (
        "design: one-factor",
        "design: onefactor",
        "10:11: ablate.design: onefactor is not known, did you mean one-f",
    ),
    (
        "design: one-factor",
        "resolution: 4",
        "10:3: ablate.resolution: is only used with design: fractional; remove it",
    ),
    ("match: [none, macs]", "match: [flops]", "11:11: ablate.match: flops is not known"),
    ("match: [none, macs]", "match: none", "ablate.match: is not a list"),
    ("{miou: 0.003}", "{miou: 0}", "13:23: ablate.equivalence.miou: 0 is not allowed"),
    ("{miou: 0.003}", "0.003", "13:16: ablate.equivalence: is not a mapping"),
    ("{miou: 0.003}", "{}", "13:16: ablate.equivalence: is empty, allowed: {miou: 0.005}"),
    ("{miou: 0.003}", "{soft_iou: 0.1}", "13:17: ablate.equivalence.soft_iou: is not a known key"),
    ("{miou: 0.003}", '{"iou[0]": 2}', "13:27: ablate.equivalence.iou[0]: 2 is not allowed"),
    (
        "{miou: 0.003}",
        '{"iou[0,99]": 0.1}',
        "13:17: ablate.equivalence.iou[0,99]: class 99 is not known",
    ),
    ("{steps: 300", "{init: base, steps: 300", "schedule.init: base is trained by a search alone"),
    ("{steps: 300", "{init: shared, steps: 300", "init: shared is trained by a search alone"),
    ("data: ", "vary: {width: [8, 9]}\ndata: ", "14:1: vary: cannot be set together with ablate"),
    ("data: ", "limits: {params: 4M}\ndata: ", "14:1: limits: is not used with ablate; remove it"),
    ("data: ", "objectives: {miou: max}\ndata: ", "14:1: objectives: is not used with ablate"),
    ("steps: 300", "seeds: [0]", "15:12: schedule.seeds: cannot be set together with ablate"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[w[1][:30] for w in WRONG])
def test_each_wrong_thing_is_named_where_it_stands(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GOOD
    lines = faults_of(tmp_path, GOOD.replace(old, new, 1))
    assert any(message in line for line in lines), lines
    assert all(len(line) < 500 for line in lines)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD
    for old, new in (
        ("name: test", "name: a b"),
        ("[SUM, CAT]", "[SUM]"),
        ("[3, 2, 1]", "[3, 0]"),
        ("STAGE4.NUM_BRANCHES", "STAGE9.NUM_BRANCHES"),
        ("[18, 16, 24]", "[18, 18]"),
        ("one-factor", "two-factor"),
        ("seeds: 6", "seeds: 3"),
        ("0.003", "3"),
        ("steps: 300", "steps: no"),
    ):
        text = text.replace(old, new, 1)
    lines = faults_of(tmp_path, text)
    assert [int(line.split(":")[0]) for line in lines] == [1, 5, 6, 7, 8, 10, 12, 13, 15]


def test_levels_are_looked_at_although_another_section_is_wrong(tmp_path: Path) -> None:
    text = GOOD.replace("[4, 3]", "[4, 2]").replace("steps: 300", "steps: no")
    lines = faults_of(tmp_path, text)
    assert [int(line.split(":")[0]) for line in lines] == [7, 15]


def test_a_combination_that_is_no_network_is_named(tmp_path: Path) -> None:
    text = GOOD.replace("one-factor", "factorial").replace("[3, 2, 1]", "[3, 2]")
    text = text.replace("width:          {path: width, levels: [18, 16, 24]}",
                        "third:          {path: STAGE3.NUM_BRANCHES, levels: [3, 4]}")  # fmt: skip
    lines = faults_of(tmp_path, text)
    assert lines[0].startswith("10:3: ablate.design: stage4_fuse=SUM, stage3_modules=3, ")
    assert "lowest_branch=3, third=4 together make no valid network" in lines[0]


def test_a_level_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    text = GOOD.replace(
        "STAGE3.NUM_MODULES, levels: [3, 2, 1]", "STAGE2.NUM_BLOCKS, levels: [[2, 2], [2, 2, 9]]"
    )
    lines = faults_of(tmp_path, text)
    assert any("makes the same network as the first level" in line for line in lines), lines
    twice = text.replace("[[2, 2], [2, 2, 9]]", "[[2, 2], [4, 4], [4, 4, 1]]")
    (line,) = (line for line in faults_of(tmp_path, twice) if "same network" in line)
    assert "level (4, 4, 1) makes the same network as level 2" in line


@pytest.mark.parametrize(
    "section", ["", "factors: {}", "factors: [a]", "factors: {a: 1}", "seeds: 6"]
)
def test_a_section_without_factors_is_refused(section: str, tmp_path: Path) -> None:
    start, end = GOOD.index("ablate:"), GOOD.index("data:")
    text = GOOD[:start] + (f"ablate: {{{section}}}\n" if section else "ablate:\n") + GOOD[end:]
    lines = faults_of(tmp_path, text)
    assert all("ablate" in line for line in lines), lines


def test_no_arm_has_a_part_that_batch_norm_cannot_take(tmp_path: Path) -> None:
    few = GOOD.replace("batch: 8, crop: [128, 128]", "batch: 2, crop: [32, 32]")
    parts = "    parts: {path: schedule.accumulate, levels: [1, 2]}\n"
    factors = few.replace("  design:", parts + "  design:")
    (line,) = faults_of(tmp_path, factors)
    assert "schedule: with parts=2 crop [32, 32] leaves the last of 4 branches" in line
    # One factor at a time never joins the two, a factorial does.
    flipped = factors.replace("levels: [4, 3]", "levels: [3, 4]").replace("    width", "    #width")
    (tmp_path / "space.yaml").write_text(flipped)
    load_space_file(tmp_path / "space.yaml")
    (line,) = faults_of(tmp_path, flipped.replace("one-factor", "factorial"))
    assert "with lowest_branch=4, parts=2 crop [32, 32]" in line


def test_no_arm_has_a_batch_that_does_not_divide(tmp_path: Path) -> None:
    text = GOOD.replace("batch: 8,", "batch: 8, accumulate: 4,")
    factor = "    batch: {path: schedule.batch, levels: [8, 2]}\n"
    (line,) = faults_of(tmp_path, text.replace("  design:", factor + "  design:"))
    assert "schedule: with batch=2 accumulate 4 does not divide a batch of 2" in line


def test_no_arm_warms_up_until_after_its_end(tmp_path: Path) -> None:
    factor = "    steps: {path: schedule.steps, levels: [300, 20]}\n"
    text = GOOD.replace("batch: 8,", "batch: 8, warmup: 30,")
    (line,) = faults_of(tmp_path, text.replace("  design:", factor + "  design:"))
    assert "schedule: with steps=20 a warm-up of 30 does not end before step 20, the last" in line
    # One factor at a time never joins the two, a factorial does.
    warm = "    warm: {path: schedule.warmup, levels: [0, 30]}\n"
    both = GOOD.replace("  design:", factor + warm + "  design:")
    (tmp_path / "space.yaml").write_text(both)
    load_space_file(tmp_path / "space.yaml")
    (line,) = faults_of(tmp_path, both.replace("one-factor", "factorial"))
    assert "with steps=20, warm=30 a warm-up of 30" in line


def test_one_rate_is_not_that_of_several_optimisers(tmp_path: Path) -> None:
    factor = "    how: {path: schedule.optimiser, levels: [sgd, adamw]}\n"
    text = GOOD.replace("batch: 8,", "batch: 8, lr: 0.02,").replace(
        "  design:", factor + "  design:"
    )
    (line,) = faults_of(tmp_path, text)
    assert (
        "schedule.lr: is the rate of one optimiser, and ablate.factors.how compares several" in line
    )
    rates = "    rate: {path: schedule.lr, levels: [0.02, 0.002]}\n"
    (tmp_path / "space.yaml").write_text(text.replace("  design:", rates + "  design:"))
    load_space_file(tmp_path / "space.yaml")


def test_a_word_that_is_settled_once_is_no_level(tmp_path: Path) -> None:
    for key, level in (("precision", "fp32"), ("memory_format", "channels_last")):
        factor = f"    how: {{path: schedule.{key}, levels: [{level}, auto]}}\n"
        (line,) = faults_of(tmp_path, GOOD.replace("  design:", factor + "  design:"))
        assert "ablate.factors.how: auto is settled once for all arms" in line
        assert f"{level}, " in line or f", {level}" in line
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate("auto", level_schema(f"schedule.{key}"))


def test_what_is_wrong_with_a_factor_is_said_once_for_all_its_levels(tmp_path: Path) -> None:
    factor = "    keep: {path: schedule.ohem_keep, levels: [10, 20, 30]}\n"
    (line,) = faults_of(tmp_path, GOOD.replace("  design:", factor + "  design:"))
    assert "ablate.factors.keep: is not used with loss: cross_entropy" in line


def test_a_value_that_a_factor_never_sets_is_refused(tmp_path: Path) -> None:
    """The schedule would say one thing, and every arm be trained by another."""
    factor = "    decay: {path: schedule.weight_decay, levels: [0.001, 0.0]}\n"
    text = GOOD.replace("  design:", factor + "  design:")
    (line,) = faults_of(tmp_path, text.replace("schedule: {", "schedule: {weight_decay: 0.1, "))
    assert "schedule.weight_decay: 0.1 is never trained by: ablate.factors.decay sets it" in line
    (tmp_path / "space.yaml").write_text(
        text.replace("schedule: {", "schedule: {weight_decay: 0.001, ")
    )
    assert load_space_file(tmp_path / "space.yaml").ablation


def test_a_factor_that_no_training_reads_is_refused(tmp_path: Path) -> None:
    factor = "    aux: {path: schedule.aux_weight, levels: [0.4, 0.1]}\n"
    (line,) = faults_of(tmp_path, GOOD.replace("  design:", factor + "  design:"))
    assert "ablate.factors.aux: is not used by a plain head" in line


@pytest.mark.parametrize(
    ("losses", "design", "refused"),
    [
        ("cross_entropy, ohem", "one-factor", True),  # keep=20 would be the reference again
        ("ohem, cross_entropy", "one-factor", False),
        ("cross_entropy, ohem", "leave-one-out", False),
        ("ohem, cross_entropy", "leave-one-out", True),
        ("cross_entropy, ohem", "factorial", False),
    ],
)
def test_a_factor_that_the_loss_of_the_reference_never_reads_is_refused(
    losses: str, design: str, refused: bool, tmp_path: Path
) -> None:
    start, _, rest = GOOD.partition("    stage4_fuse")
    factors = (
        f"    loss: {{path: schedule.loss, levels: [{losses}]}}\n"
        "    keep: {path: schedule.ohem_keep, levels: [10, 20]}\n"
    )
    text = start + factors + rest[rest.index("  design:") :].replace("one-factor", design)
    text = text.replace("steps: 300", "steps: 300, loss: ohem")
    if refused:
        (line,) = faults_of(tmp_path, text)
        assert "keep: is not used with loss: cross_entropy, which the reference has" in line
        return
    path = tmp_path / "space.yaml"
    path.write_text(text)
    assert load_space_file(path).ablation


def test_factors_may_all_be_of_the_schedule(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    start, _, rest = GOOD.partition("    stage4_fuse")
    path.write_text(
        start
        + "    lr: {path: schedule.lr, levels: [0.05, 0.01]}\n"
        + rest[rest.index("  design:") :].replace("[none, macs]", "[none]")
    )
    file = load_space_file(path)
    assert file.ablation
    assert file.space.decode(()).id == file.space.base.id
