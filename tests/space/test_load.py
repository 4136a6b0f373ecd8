"""A space file is read as it was written, and everything wrong with it is said at once."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from hrnet_search.errors import Fault, SpaceError
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.space.load import load_space, load_space_file, placed

ROOT = Path(__file__).parents[2]
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
BASE = ROOT / "configs" / "seg_hrnet_w18_small_v2_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"

GOOD = f"""\
name: test
base: {BASE}
vary:
  width: [16, 18, 24]
  STAGE3.NUM_MODULES: {{from: 1, to: 4}}
  STAGE4.NUM_BRANCHES: [3, 4]
  STAGE3.NUM_BLOCKS: {{each_branch: [1, 2]}}
limits: {{macs: 40G, params: 10M, latency_ms: 25}}
objectives: {{miou: max, latency_ms: min}}
data: {{kind: shapes}}
schedule: {{steps: 300, batch: 8, crop: [128, 128], seeds: [0]}}
latency: {{size: [512, 1024]}}
search: {{sampler: random, trials: 40, seed: 0, confirm: 0.2}}
tracking: {{mlflow: off}}
"""


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "space.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SpaceError) as caught:
        load_space_file(path)
    lines = [str(fault) for fault in caught.value.faults]
    assert all(line.startswith(f"{path}:") for line in lines), lines
    return [line.removeprefix(f"{path}:") for line in lines]


def test_a_range_of_any_length_is_refused_at_once(tmp_path: Path) -> None:
    """It was made into a list before it was counted: gigabytes, for one wrong number."""
    line = "  schedule.warmup: {from: 0, to: 20000000}\nlimits"
    tracemalloc.start()
    try:
        found = faults_of(tmp_path, GOOD.replace("limits", line, 1))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert any("vary.schedule.warmup: 20000001 levels, allowed: at most" in one for one in found)
    assert most < 50e6


@pytest.mark.parametrize("path", SPACES, ids=lambda p: p.stem)
def test_shipped_spaces_load(path: Path) -> None:
    file = load_space_file(path)
    assert file.space.size > (1 if file.ablation else 12)
    assert file.name in path.stem.replace("_", "-")


def test_the_example_means_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(GOOD)
    file = load_space_file(path)
    assert [c.path for c in file.space.choices] == [
        "width",
        "STAGE3.NUM_MODULES",
        "STAGE4.NUM_BRANCHES",
        "STAGE3.NUM_BLOCKS[0]",
        "STAGE3.NUM_BLOCKS[1]",
        "STAGE3.NUM_BLOCKS[2]",
    ]
    assert file.space.choices[1].values == (1, 2, 3, 4)
    assert {limit.objective: limit.at_most for limit in file.space.limits} == {
        "macs": 40e9,
        "params": 10e6,
        "latency_ms": 25,
    }
    assert file.objectives == ("miou", "latency_ms")
    assert (file.schedule.steps, file.schedule.crop, file.rungs) == (300, (128, 128), (300,))
    assert file.schedule.data.size == (128, 128)
    assert file.tracking.mlflow == "off"
    assert file.space.size == 3 * 4 * 2 * 2**3
    assert load_space(path) == file.space


def test_initial_weights_are_none_a_base_a_trial_or_a_file_beside_the_space(
    tmp_path: Path,
) -> None:
    path, key = tmp_path / "space.yaml", "hr-0123456789ab.sc-0123456789ab.0"
    (tmp_path / "w.pth").write_bytes(b"weights")
    for init, place in (("none", ""), ("base", ""), (f"trial:{key}", ""), ("w.pth", "w.pth")):
        path.write_text(GOOD.replace("steps: 300", f"steps: 300, init: {init}"))
        schedule = load_space_file(path).schedule
        assert schedule.init == init
        assert schedule.init_path == (str(tmp_path / place) if place else "")
    path.write_text(GOOD.replace("steps: 300", "steps: 300, init: base, init_steps: 900"))
    schedule = load_space_file(path).schedule
    assert (schedule.init_steps, schedule.init_lr, schedule.lr) == (900, 0.05, 0.02)
    path.write_text(path.read_text().replace("init: base", "init: base, lr: 0.1"))
    schedule = load_space_file(path).schedule
    assert (schedule.init_lr, schedule.lr) == (0.1, 0.1)
    path.write_text(path.read_text().replace("lr: 0.1", "lr: 0.1, init_lr: 0.3"))
    assert load_space_file(path).schedule.init_lr == 0.3
    assert load_space_file(path).init_at == (11, 30)


def test_shared_weights_are_trained_as_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"

    def read(schedule: str) -> tuple[int, int, int, float]:
        path.write_text(GOOD.replace("steps: 300", schedule))
        found = load_space_file(path).schedule
        way = found.init_steps, found.init_networks, found.init_warmup
        return *way, found.init_teacher_weight

    assert read("steps: 300, init: shared") == (1500, 4, 0, 0.5)
    assert read("steps: 300, init: shared, warmup: 20") == (1500, 4, 20, 0.5)
    few = "steps: 300, init: shared, shared: {steps: 9, networks: 2, warm: 3}"
    assert read(few) == (9, 2, 3, 0.5)
    assert read("steps: 300, init: shared, warmup: 20, shared: {steps: 9}") == (9, 4, 8, 0.5)
    assert read("steps: 300, init: shared, shared: {teacher_weight: 0}") == (1500, 4, 0, 0)
    assert read("steps: 300, init: shared, shared: {networks: 2, teacher_weight: 1}")[3] == 1
    assert read("steps: 300, init: shared, shared: {networks: 1}")[3] == 0
    assert read("steps: 300") == (0, 0, 0, 0)
    path.write_text(GOOD.replace("steps: 300", "steps: 300, init: shared, init_lr: 0.3"))
    schedule = load_space_file(path).schedule
    assert (schedule.init_lr, schedule.lr) == (0.3, 0.02)


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        f"name: a\nbase: {BASE}\nvary: {{width: [16, 18]}}\nobjectives: {{miou: max}}\n"
        "data: {kind: shapes}\nschedule: {}\n"
    )
    file = load_space_file(path)
    assert (file.schedule.steps, file.schedule.batch, file.schedule.crop) == (300, 8, (128, 128))
    assert file.seeds == (0,)
    assert (file.latency.size, file.latency.batch, file.latency.seconds) == ((512, 1024), 1, 5.0)
    assert (file.search.trials, file.search.seed, file.search.confirm) == (40, 0, 0.3)
    assert file.tracking.mlflow == "auto"


# What is replaced in the good file, by what, where the fault stands and what it says.
WRONG = [
    ("name: test\n", "", "1:1: name: is missing"),
    ("schedule: ", "shedule: ", "1:1: schedule: is missing"),
    ("schedule: ", "shedule: ", "11:1: shedule: is not a known key, did you mean schedule?"),
    ("name: test", "name: ../up", "1:7: name: ../up is not a name"),
    ("name: test", "name: .hidden", "1:7: name: .hidden is not a name"),
    ("name: test", "name: " + "a" * 65, "1:7: name: "),
    ("name: test", "name: 2020-01-01", "1:7: name: 2020-01-01: YAML reads this as a date"),
    ("name: test", "name: 2020-99-99", "1:7: name: 2020-99-99: YAML reads this as a date"),
    ("name: test", "name: no", "1:7: name: no: YAML readers take this for a truth value"),
    ("steps: 300", "steps: 1e3", "11:19: schedule.steps: 1e3: YAML readers differ"),
    ("steps: 300", "steps: 010", "11:19: schedule.steps: 010: YAML reads a leading zero"),
    ("steps: 300", "steps: 1:30", "11:19: schedule.steps: 1:30: YAML reads this as a number in"),
    ("steps: 300", "steps: 99999999999999", "11:19: schedule.steps: 99999999999999: beyond 10^12"),
    ("steps: 300", "steps: .inf", "schedule.steps: .inf: not a finite number"),
    ("steps: 300", "steps: 3.5", "schedule.steps: 3.5 is not an integer, allowed: an integer"),
    ("steps: 300", "steps: '300'", "schedule.steps: 300 is not an integer"),
    ("steps: 300", "steps: 300, steps: 4", "11:24: schedule.steps: repeated, first in line 11"),
    ("steps: 300", "steps: [300]", "schedule.steps: is not a single value"),
    ("seeds: [0]", "optimiser: adam", "schedule.optimiser: adam is not known, did you mean adamw?"),
    ("seeds: [0]", "warmup: 300", "schedule.warmup: 300 is not allowed, allowed: an integer from"),
    ("seeds: [0]", "loss: dice", "schedule.loss: dice is not known"),
    ("seeds: [0]", "ohem_keep: 9", "11:52: schedule.ohem_keep: is not used with loss: cross_ent"),
    ("seeds: [0]", "class_weights: [1]", "schedule.class_weights: 1 entries, allowed: 8 entries"),
    ("seeds: [0]", "class_weights: even", "schedule.class_weights: even is not known"),
    (
        "seeds: [0]",
        "class_weights: [2, 2, 2, 2, 2, 2, 2, 2]",
        "schedule.class_weights: all weights are equal, allowed: none, or weights that differ",
    ),
    ("seeds: [0]", "accumulate: 3", "schedule.accumulate: 3 does not divide a batch of 8"),
    ("seeds: [0]", "accumulate: 16", "schedule.accumulate: 16 is not allowed"),
    ("seeds: [0]", "precision: fp8", "schedule.precision: fp8 is not known"),
    ("seeds: [0]", "memory_format: nchw", "schedule.memory_format: nchw is not known"),
    ("seeds: [0]", "ema: 1", "schedule.ema: 1 is not allowed"),
    ("seeds: [0]", "photometric: 2", "schedule.photometric: 2 is not allowed"),
    ("seeds: [0]", "compile: maybe", "schedule.compile: maybe is not allowed"),
    ("seeds: [0]", "seeds: [0, 1, 0]", "schedule.seeds: 0 is repeated"),
    ("seeds: [0]", "seeds: []", "schedule.seeds: is an empty list"),
    ("crop: [128, 128]", "crop: [128]", "schedule.crop: 1 entries, allowed: [height, width], like"),
    (
        "crop: [128, 128]",
        "crop: 64",
        "schedule.crop: is not a list, allowed: [height, width], like",
    ),
    (
        "kind: shapes",
        "kind: shapes, size: 64",
        "data.size: is not a list, allowed: [height, width]",
    ),
    ("seeds: [0]", "scale: 2", "schedule.scale: is not a list, allowed: a list of 2 entries"),
    ("crop: [128, 128]", "crop: [8, 8]", "schedule.crop: 8 is not allowed"),
    ("steps: 300", "init: absent.pth", "11:18: schedule.init: "),
    (
        "steps: 300",
        "init: absent.pth",
        "absent.pth is not a file, allowed: none, base, shared, pretrained, trial:KEY",
    ),
    ("steps: 300", "init: bass", "bass is not a file, did you mean base?"),
    ("steps: 300", f"init: {'a' * 5000}", "is not a file"),
    (str(BASE), "a" * 5000, "is not a file, allowed: an HRNet-library yaml"),
    (
        "steps: 300",
        "init: trial:7",
        "11:18: schedule.init: trial:7 names no trial, allowed: trial:",
    ),
    ("steps: 300", "init: 7", "schedule.init: 7 is not text"),
    ("steps: 300", "init_steps: 9", "11:12: schedule.init_steps: is only used with init: base"),
    (
        "steps: 300",
        "init: none, init_lr: 1",
        "11:24: schedule.init_lr: is only used with init: base or shared",
    ),
    ("steps: 300", "init: base, init_steps: 0", "schedule.init_steps: 0 is not allowed"),
    ("steps: 300", "shared: {}", "11:12: schedule.shared: is only used with init: shared"),
    ("steps: 300", "init: shared, init_steps: 9", "init_steps: is only used with init: base"),
    ("steps: 300", "init: shared, shared: 9", "11:34: schedule.shared: is not a mapping"),
    ("steps: 300", "init: shared, shared: {step: 9}", "schedule.shared.step: is not a known key"),
    ("steps: 300", "init: shared, shared: {steps: 0}", "schedule.shared.steps: 0 is not allowed"),
    ("steps: 300", "init: shared, shared: {networks: 0}", "shared.networks: 0 is not allowed"),
    ("steps: 300", "init: shared, shared: {networks: 65}", "an integer from 1 to 64"),
    ("steps: 300", "init: shared, shared: {steps: 9, warm: 9}", "an integer from 0 to 8"),
    ("steps: 300", "init: shared, shared: {teacher_weight: 1.1}", "a number from 0 to 1"),
    (
        "steps: 300",
        "init: shared, shared: {networks: 1, teacher_weight: 0.5}",
        "teacher_weight: one network a step has none to teach, allowed: networks: 2 or more",
    ),
    ("[16, 18, 24]", "[16, 18, 16]", "4:19: vary.width: 16 is repeated"),
    ("[16, 18, 24]", "[16, 18, 2000]", "vary.width: no valid variant can use the level 2000"),
    ("[16, 18, 24]", "16", "vary.width: is not a list"),
    ("[16, 18, 24]", "[]", "vary.width: is an empty list"),
    (
        "{from: 1, to: 4}",
        "{from: 4, to: 1}",
        "vary.STAGE3.NUM_MODULES: the range 4 to 1 is reversed",
    ),
    ("{from: 1, to: 4}", "{from: 1}", "vary.STAGE3.NUM_MODULES.to: is missing"),
    ("{from: 1, to: 4}", "{from: 0, to: 4}", "0 is not allowed, allowed: an integer from 1"),
    ("{from: 1, to: 4}", "{from: 1, to: 4, by: 2}", "by: is not a known key"),
    (
        "STAGE4.NUM_BRANCHES: [3, 4]",
        "FINAL_CONV_KERNEL: {from: 1, to: 3}",
        "vary.FINAL_CONV_KERNEL: the range 1 to 3 holds other numbers too, allowed: 1, 3",
    ),
    ("STAGE3.NUM_MODULES", "STAGE1.NUM_MODULES", "the network never reads it"),
    ("STAGE3.NUM_MODULES", "STAGE3.NUM_MODULS", "did you mean STAGE3.NUM_MODULES?"),
    ("STAGE3.NUM_MODULES", "STAGE5.NUM_MODULES", "cannot be varied"),
    ("STAGE4.NUM_BRANCHES: [3, 4]", "STAGE4.NUM_BRANCHES: [2, 4]", "can use the level 2"),
    ("STAGE4.NUM_BRANCHES: [3, 4]", "STAGE4.NUM_BRANCHES: [3, 5]", "5 is not allowed"),
    ("STAGE4.NUM_BRANCHES: [3, 4]", "STAGE2.FUSE_METHOD: [SUM, ADD]", "ADD is not known"),
    ("STAGE4.NUM_BRANCHES: [3, 4]", "STAGE4.BLOCK: [basic]", "did you mean BASIC?"),
    ("STAGE4.NUM_BRANCHES: [3, 4]", "FINAL_CONV_KERNEL: [1, 2]", "2 is not allowed, allowed: 1, 3"),
    (
        "STAGE4.NUM_BRANCHES: [3, 4]",
        "STAGE4.NUM_CHANNELS: [[8, 16, 32, 64]]",
        "6:3: vary.STAGE4.NUM_CHANNELS: sets what vary.width sets too",
    ),
    (
        "STAGE4.NUM_BRANCHES: [3, 4]",
        "STAGE*.NUM_BLOCKS: [[1, 1, 1, 1]]",
        "sets what vary.STAGE*.NUM_BLOCKS sets too",
    ),
    ("{each_branch: [1, 2]}", "[[1, 1], [2, 2]]", "2 entries where the stage can have 3 branches"),
    ("{each_branch: [1, 2]}", "[1, 2]", "1 is not a list, allowed: whole lists"),
    ("{each_branch: [1, 2]}", "{each_branch: [0]}", "0 is not allowed"),
    ("macs: 40G", "flops: 40G", "8:10: limits.flops: FLOPs are counted in two ways, allowed: macs"),
    ("macs: 40G", "macs: 1M", "limits.macs: 1e+06 is below the space's minimum of"),
    ("macs: 40G", "macs: -1", "limits.macs: -1 is not an amount"),
    ("macs: 40G", "macs: 40P", "limits.macs: 40P is not an amount"),
    ("miou: max", "miou: min", "objectives.miou: min is not known, allowed: max"),
    ("{miou: max, latency_ms: min}", "{macs: min}", "objectives.miou: is missing"),
    ("{miou: max, latency_ms: min}", "{}", "9:1: objectives: is empty"),
    (
        "miou: max",
        '"iou[cisc]": max',
        "objectives.iou[cisc]: class cisc is not known, did you mean disc?, allowed: ground, ",
    ),
    ("miou: max", '"iou[disc,8]": max', "class 8 is not known, allowed: ground, line, "),
    ("miou: max", '"iou[disc, 6]": max', "objectives.iou[disc, 6]: disc is named twice"),
    ("miou: max", "iou[disc,line]: max", 'allowed: in {...} quotes, "iou[CLASS,...]"'),
    ("miou: max", '"iou[]": max', "objectives.iou[]: a class is missing"),
    (
        "miou: max",
        "iou: max",
        "objectives.iou: is not a known key, did you mean miou?",
    ),
    ("miou: max", '"iou[disc]": min', "objectives.iou[disc]: min is not known, allowed: max"),
    (
        "miou: max",
        'miou: max, "iou[disc]": max',
        "objectives: miou and iou[disc] are both accuracies, allowed: one of them; limits may",
    ),
    (
        "miou: max",
        '"iou[line,disc]": max, "iou[6,1]": max',
        "objectives.iou[6,1]: is the same as iou[line,disc]",
    ),
    ("latency_ms: 25", "miou: 0.5", "limits.miou: 0.5 does not say which side, allowed: {at_least"),
    (
        "latency_ms: 25",
        "miou: [0.5]",
        "limits.miou: a list does not say which side, allowed: {at_l",
    ),
    (
        "latency_ms: 25",
        "miou: {at_least: 50}",
        "limits.miou.at_least: 50 is not allowed, allowed: a",
    ),
    ("latency_ms: 25", "miou: {}", "limits.miou.at_least: is missing"),
    ("latency_ms: 25", "miou: {at_most: 0.5}", "limits.miou.at_most: is not a known key"),
    ("macs: 40G", "macs: {at_least: 1G}", "limits.macs.at_least: is not a known key"),
    ("latency_ms: 25", '"iou[car]": {at_least: 0.5}', "limits.iou[car]: class car is not known"),
    ("{miou: max, latency_ms: min}", "{miou: max, fps: max}", "objectives.fps: is not a known key"),
    ("kind: shapes", "kind: shape", "data.kind: shape is not known, did you mean shapes?"),
    ("kind: shapes", "size: [64, 64]", "10:7: data.kind: is missing"),
    ("kind: shapes", "kind: shapes, root: x", "data.root: is not a known key"),
    ("kind: shapes", "kind: folder, root: /no/such", "/no/such is not a folder"),
    ("kind: shapes", "kind: folder", "data.classes: is missing"),
    ("sampler: random", "sampler: randm", "did you mean random?"),
    ("confirm: 0.2", "confirm: 2", "search.confirm: 2 is not allowed"),
    ("confirm: 0.2", "evaluator: mine", "search.evaluator: mine is not known"),
    ("confirm: 0.2", "evaluator: shared, confirm: 0", "search.confirm: 0.0 does not go with eval"),
    ("sampler: random", "evaluator: shared, learn_from: [a]", "does not go with evaluator: shared"),
    ("trials: 40", "evaluator: shared, trials: 11", "search.trials: 11 does not go with evaluator"),
    ("confirm: 0.2", "fidelity: freeze", "search.fidelity: freeze is not known"),
    ("confirm: 0.2", "fidelity: none, stop: 0.1", "search.stop: is only used with fidelity: stop"),
    ("confirm: 0.2", "fidelity: none, paused: 1G", "search.paused: is only used with fidelity"),
    ("confirm: 0.2", "paused: 1G", "search.paused: thaw does not go with sampler: random"),
    ("sampler: random", "paused: 1G", "thaw pauses trials at the first of schedule.rungs"),
    ("confirm: 0.2", "paused: 1G, stop: 0.2", "only used with fidelity: thaw, and here it is stop"),
    ("trials: 40", "hours: 1, paused: 1G", "search.hours: does not go with fidelity: thaw"),
    ("confirm: 0.2", "fidelity: thaw", "search.fidelity: thaw does not go with sampler: random"),
    ("sampler: random", "fidelity: thaw", "thaw pauses trials at the first of schedule.rungs"),
    ("trials: 40", "trials: 11, fidelity: short_first", "short_first does not go with trials: 11"),
    (
        "sampler: random",
        "evaluator: shared, fidelity: short_first",
        "short_first does not go with evaluator: shared",
    ),
    ("seed: 0", "seed: yes", "search.seed: yes: YAML readers take this for a truth value"),
    (str(BASE), "absent.yaml", "2:7: base: "),
    ("size: [512, 1024]", "size: &a [512, 1024]", "the anchor &a"),
    ("size: [512, 1024]", "size: *a", "the alias *a"),
    ("size: [512, 1024]", "size: !!set {1}", "the tag"),
    ("latency: ", "1: ", "the key 1 is not a string"),
    ("latency: ", "on: ", "the key on is not a string"),
    (
        "size: [512, 1024]",
        "device: gpu",
        "gpu is not known, allowed: auto, cpu, cuda, cuda:N, or cuda:MODEL",
    ),
    ("size: [512, 1024]", "size: " + "[" * 40 + "]" * 40, "nested deeper than 32"),
    ("size: [512, 1024]", "size: \0", "holds a NUL byte"),
    ("name: test", "name: é\x01", "1:8: holds '\\x01', a control character, allowed: text"),
    ("size: [512, 1024]", "size: [", "not YAML"),
    ("vary:", "ablate: {}\nvary:", "vary: cannot be set together with ablate"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[w[1][:30] for w in WRONG])
def test_each_wrong_thing_is_named_where_it_stands(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GOOD
    lines = faults_of(tmp_path, GOOD.replace(old, new, 1))
    assert any(message in line for line in lines), lines
    assert all(len(line) < 400 for line in lines)


def test_a_base_that_is_not_there_is_named_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "spaces").mkdir()
    (line,) = faults_of(tmp_path / "spaces", GOOD.replace(str(BASE), "../configs/x.yaml"))
    wrong = f"2:7: base: {tmp_path.resolve()}/configs/x.yaml is not a file"
    assert line == f"{wrong}, allowed: an HRNet-library yaml, its path relative to this file"


def test_without_a_base_no_number_of_branches_is_guessed(tmp_path: Path) -> None:
    lists = "  STAGE2.NUM_BLOCKS: [[2, 2], [4, 4]]\n"
    text = GOOD.replace(str(BASE), "x.yaml").replace("vary:\n", f"vary:\n{lists}", 1)
    assert lists in text
    (line,) = faults_of(tmp_path, text)
    assert "x.yaml is not a file" in line


@pytest.mark.parametrize("text", ["- a\n- b\n", "word\n", "[]\n", "12\n"])
def test_a_file_that_is_no_mapping_is_one_fault(text: str, tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path, text)
    assert "1:1: is not a mapping, allowed: keys with values: name, base" in fault


def test_all_parts_report_at_once(tmp_path: Path) -> None:
    text = GOOD
    for old, new in (
        ("name: test", "name: a b"),
        ("[16, 18, 24]", "[16, 16]"),
        ("40G", "forty"),
        ("max", "min"),
        ("shapes", "clouds"),
        ("300", "0"),
        ("512", "none"),
        ("trials: 40", "trials: 0"),
    ):
        text = text.replace(old, new, 1)
    lines = faults_of(tmp_path, text)
    assert [int(line.split(":")[0]) for line in lines] == [1, 4, 8, 9, 10, 11, 12, 13]


def test_faults_of_the_base_are_reported_with_its_own_places(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(BASE.read_text().replace("BLOCK: BASIC", "BLOCK: BASICS", 1))
    (tmp_path / "space.yaml").write_text(
        GOOD.replace(str(BASE), "base.yaml").replace("40G", "forty")
    )
    with pytest.raises(SpaceError) as caught:
        load_space(tmp_path / "space.yaml")
    files = [Path(fault.file).name for fault in caught.value.faults]
    assert files == ["space.yaml", "base.yaml"]
    assert "BASICS is not known" in str(caught.value.faults[1])


def test_a_file_that_is_too_large_empty_or_absent_is_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    for content in (b"", b"# nothing\n", b"a" * 1_000_001, b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(SpaceError) as caught:
            load_space(path)
        assert len(caught.value.faults) == 1
    with pytest.raises(SpaceError, match="No such file"):
        load_space(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("schedule.steps", "11:19: "),
        ("schedule.lr", "11:11: "),  # its parent: the key is not there
        ("vary.STAGE4.NUM_BRANCHES", "6:24: "),
        ("vary.STAGE3.NUM_BLOCKS[1]", "7:22: "),
        ("data.train.images", "10:7: "),
        ("ablate", "1:1: "),
        ("--reuse", ""),  # stands elsewhere
    ],
)
def test_what_is_found_later_is_placed_where_the_file_has_its_key(
    key: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(GOOD)
    (fault,) = placed(load_space_file(path), [Fault(key, None, "is wrong")])
    assert str(fault) == f"{f'{path}:{place}' if place else ''}{key}: is wrong"


def test_a_data_root_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"--data-root: .* is not a folder"):
        load_space_file(ROOT / "search_spaces" / "camvid.yaml", str(tmp_path / "absent"))
    file = load_space_file(ROOT / "search_spaces" / "camvid.yaml", str(tmp_path))
    assert file.schedule.data.root == str(tmp_path)
    assert load_space_file(ROOT / "search_spaces" / "camvid.yaml").schedule.data.root == ""


def test_labels_have_numbers_and_colours_as_keys(tmp_path: Path) -> None:
    text = GOOD.replace(
        "{kind: shapes}",
        "{kind: folder, classes: 2, mapping: {7: 0, 8: 1}, train: {list: a.lst}, "
        "val: {images: i, masks: m}}",
    )
    (tmp_path / "space.yaml").write_text(text)
    data = load_space_file(tmp_path / "space.yaml").schedule.data
    assert data.mapping == ((7, 0), (8, 1))
    assert (data.train.list, data.val.images, data.val.masks) == ("a.lst", "i", "m")
    (tmp_path / "space.yaml").write_text(
        text.replace("mapping: {7: 0, 8: 1}", "colors: {[0, 0, 9]: 1, [7, 0, 0]: ignore}")
    )
    data = load_space_file(tmp_path / "space.yaml").schedule.data
    assert data.colors == (((0, 0, 9), 1), ((7, 0, 0), 255))


def test_how_variants_are_trained_is_read(tmp_path: Path) -> None:
    training = """optimiser: adamw, lr: 0.001, warmup: 20, loss: ohem, ohem_threshold: 0.7,
        ohem_keep: 5000, class_weights: balanced, photometric: 0.3, accumulate: 2, ema: 0.99,
        precision: auto, memory_format: auto, compile: true"""
    path = tmp_path / "space.yaml"
    path.write_text(GOOD.replace("seeds: [0]", training))
    found = load_space_file(path).schedule
    assert (found.optimiser, found.lr, found.warmup) == ("adamw", 0.001, 20)
    assert (found.loss, found.ohem_threshold, found.ohem_keep) == ("ohem", 0.7, 5000)
    assert (found.class_weights, found.photometric, found.ema) == ("balanced", 0.3, 0.99)
    assert (found.accumulate, found.precision, found.memory_format) == (2, "auto", "auto")
    assert found.compile is True


def test_a_default_is_not_spelt_in_two_ways(tmp_path: Path) -> None:
    defaults = """optimiser: sgd, warmup: 0, loss: cross_entropy, class_weights: none,
        photometric: 0, accumulate: 1, ema: 0, precision: fp32, memory_format: channels_last,
        compile: false, init: none"""
    ids = set()
    for schedule in ("seeds: [0]", defaults):
        path = tmp_path / "space.yaml"
        path.write_text(GOOD.replace("seeds: [0]", schedule))
        ids.add(load_space_file(path).schedule.id)
    assert len(ids) == 1


def test_what_the_loss_never_reads_is_no_part_of_a_schedule() -> None:
    plain = Schedule(DataSpec("shapes", 8))
    assert replace(plain, ohem_keep=7).id == plain.id
    hard = replace(plain, loss="ohem")
    assert len({plain.id, hard.id, replace(hard, ohem_keep=7).id}) == 3


@pytest.mark.parametrize(
    ("batch", "parts", "side", "trainable"),
    [(1, 1, 32, False), (2, 2, 32, False), (2, 1, 32, True), (1, 1, 33, True), (4, 2, 32, True)],
)
def test_a_part_of_one_image_whose_last_branch_is_one_pixel_is_refused(
    tmp_path: Path, batch: int, parts: int, side: int, trainable: bool
) -> None:
    said = f"accumulate: {parts}, batch: {batch}, crop: [32, {side}]"
    text = GOOD.replace("batch: 8, crop: [128, 128]", said)
    if trainable:
        (tmp_path / "space.yaml").write_text(text)
        load_space_file(tmp_path / "space.yaml")
        return
    (line,) = faults_of(tmp_path, text)
    assert line.startswith("11:24: schedule: crop [32, 32] leaves the last of 4 branches one pixel")
    assert f"batch {batch} with accumulate {parts} makes a part of one image" in line


def test_no_variant_is_lost_where_only_some_have_so_many_branches(tmp_path: Path) -> None:
    text = GOOD.replace("batch: 8, crop: [128, 128]", "batch: 1, crop: [32, 32]")
    fewer = text.replace("STAGE4.NUM_BRANCHES: [3, 4]", "STAGE4.NUM_BRANCHES: [3]")
    assert "last of 4 branches" in faults_of(tmp_path, text)[0]
    (tmp_path / "space.yaml").write_text(fewer)
    load_space_file(tmp_path / "space.yaml")
    # The base of four branches is trained too where variants inherit from it, or it is tried.
    for key in ("init: base", "precision: auto"):
        text = fewer.replace("seeds: [0]", f"seeds: [0], {key}")
        assert "last of 4 branches" in faults_of(tmp_path, text)[0]


def test_a_limit_is_not_judged_by_choices_that_could_not_be_read(tmp_path: Path) -> None:
    # width 4 would keep it, but its list has a fault: to say so of the limit would be wrong.
    text = GOOD.replace("width: [16, 18, 24]", "width: [4, x]").replace("macs: 40G", "macs: 6G")
    (line,) = faults_of(tmp_path, text)
    assert "vary.width: x is not an integer" in line


def test_faults_of_the_base_the_form_and_the_space_come_in_one_round(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    wrong = BASE.read_text().replace("NAME: seg_hrnet", "NAME: seg_hrnet_ocr")
    base.write_text(wrong.replace("FUSE_METHOD: SUM", "FUSE_METHOD: ADD"))
    text = GOOD.replace(str(BASE), "base.yaml").replace("steps: 300", "stepz: 300")
    text = text.replace("name: test", "name: &anchor test").replace("sampler: random", "sampler: r")
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError) as caught:
        load_space_file(path)
    said = str(caught.value)
    for words in (
        "the anchor &anchor", "FUSE_METHOD: ADD is not known",
        "STAGE2.FUSE_METHOD: ADD is not known", "schedule.stepz: is not a known key",
        "search.sampler: r is not known",
    ):  # fmt: skip
        assert words in said, words


def test_limits_that_no_network_keeps_together_are_refused(tmp_path: Path) -> None:
    """Each by itself is kept by one: a narrow network of few weights, a deep one of few MACs."""
    vary = "vary:\n  STAGE4.NUM_CHANNELS: [[16, 32, 64, 300], [60, 80, 64, 64]]\n"
    text = GOOD[: GOOD.index("vary")] + vary + GOOD[GOOD.index("limits") :]
    for together, fits in (("macs: 25G, params: 4M", False), ("macs: 32G, params: 4M", True)):
        limited = text.replace("macs: 40G, params: 10M", together)
        (tmp_path / "space.yaml").write_text(limited)
        if fits:
            load_space(tmp_path / "space.yaml")
        else:
            (line,) = faults_of(tmp_path, limited)
            assert "limits: no network of the space keeps macs and params together" in line


def test_a_limit_may_be_of_the_largest_networks_there_are(tmp_path: Path) -> None:
    """W48 with an OCR head has 1.3 T multiplications at 1024x2048."""
    path = tmp_path / "space.yaml"
    for spelt, value in (("1300G", 1.3e12), ("1.3T", 1.3e12), ("1300000000000", 1.3e12)):
        path.write_text(GOOD.replace("macs: 40G", f"macs: {spelt}"))
        (limit,) = (one for one in load_space(path).limits if one.objective == "macs")
        assert limit.at_most == value
    (line,) = faults_of(tmp_path, GOOD.replace("macs: 40G", "macs: 1001T"))
    assert "1001T is not an amount, allowed: a positive number up to 1000T" in line
