"""Choices of how variants are trained: read, refused, counted, and written into configs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import TINY

from hrnet_search.arch.hrnet_yaml import config_text, parse_config
from hrnet_search.commands.generate import write_variants
from hrnet_search.errors import SpaceError
from hrnet_search.space.load import SpaceFile, load_space_file
from hrnet_search.space.schema import space_schema
from hrnet_search.space.sections import SCHEDULE
from hrnet_search.space.survey import survey
from hrnet_search.space.training_choices import (
    TRAINING_PATHS,
    VARIED,
    of_choices,
    schedules_of,
)

TEXT = """\
name: tiny
base: tiny.yaml
vary: {width: [4, 8], VARY}
objectives: {miou: max, macs: min}
data: {kind: shapes, size: [64, 64], train: 12, val: 5, classes: 3}
schedule: {steps: 30, batch: 4, crop: [64, 64]MORE}
search: {sampler: random, trials: 12SEARCH}
"""


def load(folder: Path, vary: str, more: str = "", search: str = "") -> SpaceFile:
    (folder / "tiny.yaml").write_text(config_text(TINY))
    text = TEXT.replace("VARY", vary).replace("MORE", more).replace("SEARCH", search)
    (folder / "space.yaml").write_text(text)
    return load_space_file(folder / "space.yaml")


def test_the_schedule_of_a_file_is_that_of_the_first_levels(tmp_path: Path) -> None:
    file = load(tmp_path, "schedule.lr: [0.02, 0.01], schedule.flip: [false, true]")
    assert (file.schedule.lr, file.schedule.flip) == (0.02, False)
    found = schedules_of(file.schedule, 90, of_choices(file.space.choices))
    assert next(iter(found.search)) == file.schedule.id == found.of((1, 0, 0)) == found.of(())
    other = found.search[found.of((0, 1, 1))]
    assert other == replace(file.schedule, lr=0.01, flip=True)
    long = found.long[found.long_of(other.id)]
    assert long == replace(other, steps=90)
    assert len(found.search) == len(found.long) == 4


def test_an_optimiser_brings_its_own_rate_unless_rates_are_varied(tmp_path: Path) -> None:
    file = load(tmp_path, "schedule.optimiser: [adamw, sgd]")
    found = schedules_of(file.schedule, 90, of_choices(file.space.choices)).search.values()
    assert [(s.optimiser, s.lr) for s in found] == [("adamw", 0.005), ("sgd", 0.05)]
    file = load(tmp_path, "schedule.optimiser: [adamw, sgd]", ", init: base")
    found = schedules_of(file.schedule, 90, of_choices(file.space.choices)).search.values()
    assert [(s.lr, s.init_lr) for s in found] == [(0.002, 0.005), (0.02, 0.05)]
    long = schedules_of(file.schedule, 90, of_choices(file.space.choices)).long.values()
    assert [(s.optimiser, s.init, s.lr) for s in long] == [
        ("adamw", "none", 0.005), ("sgd", "none", 0.05),
    ]  # fmt: skip
    file = load(
        tmp_path, "schedule.lr: [0.1, 0.2], schedule.optimiser: [adamw, sgd]", ", init: base"
    )
    both = schedules_of(file.schedule, 90, of_choices(file.space.choices)).long.values()
    # The first is that of the base, which the first levels train; no rate is another optimiser's.
    assert {(s.optimiser, s.lr) for s in both} == {("adamw", 0.1), ("sgd", 0.05)}
    file = load(tmp_path, "schedule.lr: [0.1, 0.2], schedule.optimiser: [adamw, sgd]")
    found = schedules_of(file.schedule, 90, of_choices(file.space.choices)).search.values()
    assert {(s.optimiser, s.lr) for s in found} == {
        (name, rate) for name in ("adamw", "sgd") for rate in (0.1, 0.2)
    }


def test_keys_of_one_loss_may_stand_beside_several(tmp_path: Path) -> None:
    file = load(tmp_path, "schedule.loss: [cross_entropy, ohem]", ", ohem_keep: 7")
    found = schedules_of(file.schedule, 90, of_choices(file.space.choices)).search.values()
    assert [(s.loss, s.ohem_keep) for s in found] == [("cross_entropy", 7), ("ohem", 7)]


WRONG = (
    ("schedule.lr: [0.1, -1]", "", "", "3:42: vary.schedule.lr: -1 is not allowed", "above 0"),
    ("schedule.lrr: [0.1]", "", "", "did you mean schedule.lr?", "optimiser, lr"),
    ("schedule.steps: [10, 20]", "", "", "vary.schedule.steps: cannot be varied", "optimiser, lr"),
    ("schedule.optimiser: [adam]", "", "", "adam is not known", "sgd, adamw"),
    ("schedule.warmup: [0, 30]", "", "", "30 is not below schedule.steps, 30", "from 0 to 29"),
    ("schedule.scale: [[2, 0.5]]", "", "", "the range 2.0 to 0.5 is reversed", "[min, max]"),
    ("schedule.lr: [0.1, 0.1]", "", "", "0.1 is repeated", "each once"),
    ("schedule.lr: {from: 1, to: 2}", "", "", "is a range", "a list of levels"),
    ("schedule.lr: [0.1]", ", lr: 0.2", "", "6:", "schedule.lr or vary.schedule.lr"),
    ("schedule.optimiser: [sgd, adamw]", ", lr: 0.2", "", "rate of one", "vary.schedule.lr"),
    ("schedule.lr: [0.1]", "", ", evaluator: shared", "with search.evaluator: shared", "alone"),
    (
        f"schedule.lr: {[*range(1, 12)]}, schedule.momentum: {[n / 10 for n in range(10)]}",
        "", "", "it makes 110 schedules", "at most 100",
    ),
)  # fmt: skip


@pytest.mark.parametrize(("vary", "more", "search", "wrong", "allowed"), WRONG)
def test_what_cannot_be_varied_so_is_said_where_it_stands(
    tmp_path: Path, vary: str, more: str, search: str, wrong: str, allowed: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        load(tmp_path, vary, more, search)
    lines = [str(fault) for fault in caught.value.faults]
    found = [line for line in lines if wrong in line and allowed in line]
    assert len(found) == 1, lines
    assert all(len(line) < 500 for line in lines)


def test_points_count_and_networks_count_by_themselves(tmp_path: Path) -> None:
    plain = survey(load(tmp_path, "STAGE3.NUM_MODULES: [1, 2]").space)
    vary = "STAGE3.NUM_MODULES: [1, 2], schedule.lr: [0.1, 0.2, 0.3]"
    space = load(tmp_path, vary).space
    found = survey(space)
    assert (found.distinct, found.costs, found.trainings) == (plain.distinct, plain.costs, 3)
    assert space.size == 3 * plain.size
    assert f"each of them in 3 ways, {3 * plain.size} points in all" in "\n".join(found.lines())
    assert len(list(space.points())) == space.size
    same = [space.decode((1, 1, level)).id for level in range(3)]
    assert len(set(same)) == 1
    assert space.canonical([(1, 1, 0), (1, 1, 2)]).tolist() == [[1, 1, 0], [1, 1, 2]]  # type: ignore[arg-type]


def test_a_space_of_one_network_in_several_ways_is_counted_and_searched(tmp_path: Path) -> None:
    load(tmp_path, "schedule.lr: [0.1, 0.2, 0.3]")
    path = tmp_path / "space.yaml"
    path.write_text(path.read_text().replace("width: [4, 8], ", ""))
    space = load_space_file(path).space
    found = survey(space)
    assert (found.size, found.distinct, found.trainings) == (1, 1, 3)
    points = list(space.points())
    assert points == [(0,), (1,), (2,)]
    assert space.canonical(np.array(points)).tolist() == [[0], [1], [2]]
    assert space.networks.canonical(np.zeros((2, 0), dtype=np.int64)).shape == (2, 0)


def test_generated_configs_have_the_rates_that_are_varied(tmp_path: Path) -> None:
    file = load(tmp_path, "schedule.lr: [0.1, 0.2], schedule.weight_decay: [0.0, 0.001]")
    written = write_variants(file, tmp_path / "out", 100)
    assert len(written) == len({path.name for path in written}) == 8
    trains = [parse_config(path.read_text()).sections["TRAIN"] for path in written]
    assert {(t["LR"], t["WD"]) for t in trains} == {
        (rate, decay) for rate in (0.1, 0.2) for decay in (0.0, 0.001)
    }


def test_the_schema_knows_what_is_varied_and_nothing_else() -> None:
    known = space_schema()["properties"]["vary"]["properties"]
    assert set(TRAINING_PATHS) == {path for path in known if path.startswith("schedule.")}
    assert known["schedule.lr"]["anyOf"][0]["items"]["exclusiveMinimum"] == 0
    assert set(VARIED) <= set(SCHEDULE)
