"""The gate reads a config as the library's own merge does, and knows its branches."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up import network
from yacs.config import CfgNode

from hrnet_search.arch.architecture import Architecture, Stage
from hrnet_search.arch.hrnet_yaml import cityscapes_sections, read_config
from hrnet_search.arch.targets import crossed_transitions
from hrnet_search.export.official import (
    branch_notes,
    merge_problems,
)
from hrnet_search.library.keys import DEFAULTS, gpu_count

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
FIRST, SECOND, THIRD, FOURTH = network(8).stages
VALUES: tuple[Any, ...] = (
    0, 1.5, True, "", "text", "5", "1e-2", "(0,1)", "[1]", "True", None, [1], [], {"A": 1}, "None",
)  # fmt: skip


def defaults(schema: dict[str, Any] = DEFAULTS) -> CfgNode:
    """Return what yacs merges into: a value of the right type for every key of the schema."""
    node = CfgNode()
    for key, value in schema.items():
        section = isinstance(value, dict)
        node[key] = defaults(value) if value and section else value
        if section and not value:
            node[key] = CfgNode(new_allowed=True)
    return node


def yacs_takes(sections: dict[str, Any], folder: Path) -> bool:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(sections))
    try:
        defaults().merge_from_file(str(path))
    except (KeyError, ValueError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs_have_no_problem(path: Path) -> None:
    assert merge_problems(read_config(path).sections) == []


def test_every_default_and_every_wrong_type_is_judged_as_yacs_does(tmp_path: Path) -> None:
    flat = [(s, k) for s, keys in DEFAULTS.items() if isinstance(keys, dict) for k in keys]
    rng = random.Random(0)
    for section, key in flat:
        for value in rng.sample(VALUES, 4):
            sections = {section: {key: value}}
            assert (merge_problems(sections) == []) == yacs_takes(sections, tmp_path), sections


def test_random_damage_is_judged_as_yacs_does(tmp_path: Path) -> None:
    rng = random.Random(1)
    judged = {True: 0, False: 0}
    for _ in range(150):
        sections = copy.deepcopy(cityscapes_sections())
        for _ in range(rng.randint(0, 2)):
            section = rng.choice(list(sections))
            target = sections[section] if isinstance(sections[section], dict) else sections
            target[rng.choice([*target, "NEW"])] = rng.choice(VALUES)
        taken = yacs_takes(sections, tmp_path)
        assert (merge_problems(sections) == []) == taken, sections
        judged[taken] += 1
    assert min(judged.values()) > 20


def test_a_problem_names_its_key() -> None:
    sections = {"TRAIN": {"LR": 1, "FOO": 2}, "EXTRA": 3, "CUDNN": 4}
    assert merge_problems(sections) == [
        "TRAIN.LR: the library takes float there, not int",
        "TRAIN.FOO: the library knows no such key",
        "EXTRA: the library knows no such key",
        "CUDNN: a section is expected there",
    ]


def test_anything_may_stand_in_extra() -> None:
    assert merge_problems({"MODEL": {"EXTRA": {"STAGE9": {"X": [1]}}}}) == []


def test_older_branches_need_the_new_keys_taken_out() -> None:
    notes = dict(branch_notes(network(8), {"MODEL": {"ALIGN_CORNERS": False}}))
    assert notes["HRNet-OCR"] == "runs it as meant"
    assert notes["master"] == notes["pytorch-v1.1"]
    assert notes["master"] == "runs it after MODEL.ALIGN_CORNERS is taken out of it"
    assert dict(branch_notes(network(8), {}))["master"] == "runs it as it is"


def test_older_branches_do_not_align_corners() -> None:
    notes = dict(branch_notes(replace(network(8), align_corners=True), {}))
    assert notes["HRNet-OCR"] == "runs it as meant"
    assert "align_corners False only" in notes["master"]


def test_a_transition_that_crosses_runs_on_all_branches_but_v1_1() -> None:
    # What the official pytorch-v1.1 crashes on: a channel change on a branch but the last.
    wider = Architecture((FIRST, SECOND, THIRD, replace(FOURTH, channels=(9, 16, 32, 64))))
    assert len(crossed_transitions(wider)) == 1
    notes = dict(branch_notes(wider, {}))
    assert notes["HRNet-OCR"] == "runs it as meant"
    assert notes["master"] == "runs it as it is"
    assert "transition3 changes the channels of branch 0" in notes["pytorch-v1.1"]
    assert "fed from branch 2" in notes["pytorch-v1.1"]


def test_a_change_on_the_last_common_branch_only_crosses_nothing() -> None:
    last = Architecture((FIRST, SECOND, THIRD, replace(FOURTH, channels=(8, 16, 33, 64))))
    assert crossed_transitions(last) == []
    bottleneck = replace(FOURTH, block="BOTTLENECK")
    assert len(crossed_transitions(Architecture((FIRST, SECOND, THIRD, bottleneck)))) == 2
    one = Stage(1, "BASIC", (1,), (7,))
    assert crossed_transitions(Architecture((FIRST, one, THIRD, FOURTH))) == []


@pytest.mark.parametrize(
    ("gpus", "count"), [("(0,1,2,3)", 4), ("(0,)", 1), ([0, 1], 2), ("nonsense", 1), (None, 1)]
)
def test_processes_are_as_many_as_the_config_has_gpus(gpus: object, count: int) -> None:
    assert gpu_count({"GPUS": gpus}) == count
    assert gpu_count({}) == 1
