"""Heads as a choice: what one head alone reads is nothing under the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hrnet_search import Architecture, cost, costs, load_space
from hrnet_search.arch.architecture import OCR
from hrnet_search.arch.targets import HRNET
from hrnet_search.errors import SpaceError
from hrnet_search.space.choice import Choice
from hrnet_search.space.generate import generate
from hrnet_search.space.load import load_space_file
from hrnet_search.space.published import designs, known_designs, point_of
from hrnet_search.space.space import SearchSpace
from hrnet_search.space.survey import least_costs, survey

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = CONFIGS / "seg_hrnet_w18_small_v1_sgd_lr5e-2_wd1e-4_bs32_x100.yaml"
SMALL = Architecture.from_yaml(BASE)
SPACE = SearchSpace(
    SMALL,
    (
        Choice("OCR.MID_CHANNELS", (32, 64)),
        Choice("HEAD", ("plain", "ocr")),
        Choice("FINAL_CONV_KERNEL", (1, 3)),
        Choice("OCR.KEY_CHANNELS", (8, 16, 32)),
    ),
    input_size=(64, 96),
    classes=5,
)
TEXT = f"""
name: heads
base: {BASE}
vary:
  HEAD: [plain, ocr]
  OCR.MID_CHANNELS: [64, 128]
data: {{kind: shapes}}
schedule: {{steps: 10}}
objectives: {{miou: max, macs: min}}
"""


def test_levels_of_another_head_collapse_and_ids_with_them() -> None:
    points = np.array(list(SPACE.points()))
    assert len(points) == SPACE.size == 24
    canonical = SPACE.canonical(points)
    ids = [SPACE.decode(point).id for point in points.tolist()]
    assert len({tuple(point) for point in canonical.tolist()}) == len(set(ids)) == 2 + 6
    assert [SPACE.decode(point).id for point in canonical.tolist()] == ids
    plain = {SPACE.decode(p).id for p in points.tolist() if not SPACE.decode(p).has_ocr}
    assert plain == {SMALL.id, replace(SMALL, final_kernel=3).id}
    assert survey(SPACE).distinct == 8
    assert len({network.id for network in generate(SPACE, 8)}) == 8


def test_costs_of_both_heads_are_those_of_each_network() -> None:
    points = np.array(list(SPACE.points()))
    found = costs(SPACE, points)
    for point, row in zip(points.tolist(), found.tolist(), strict=True):
        one = cost(SPACE.decode(point), SPACE.input_size, SPACE.classes)
        assert row == [one.params, one.macs, one.activations]
    assert least_costs(SPACE) == tuple(found.min(axis=0).tolist())


def test_published_networks_are_known_with_each_head_of_a_space() -> None:
    space = replace(SPACE, choices=(*SPACE.choices[:1], Choice("HEAD", ("plain", "ocr"))))
    wide = replace(space, choices=(Choice("OCR.MID_CHANNELS", (64, 512)), *space.choices[1:]))
    names = designs(wide)
    assert names["W18-Small-v1-OCR"] == replace(SMALL, head=OCR)
    found = {wide.decode(point).id for point in known_designs(wide)}
    assert found == {SMALL.id, replace(SMALL, head=OCR).id}
    assert point_of(wide, SMALL) == (0, 0)
    assert "W48-OCR" not in designs(SearchSpace(SMALL, (Choice("width", (16, 18)),)))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return path


def test_a_space_file_with_heads_reads_as_written(tmp_path: Path) -> None:
    file = load_space_file(written(tmp_path, TEXT + "require: [\"HEAD == 'ocr' or width > 9\"]\n"))
    assert [choice.path for choice in file.space.choices] == ["HEAD", "OCR.MID_CHANNELS"]
    assert file.schedule.aux_weight == 0.4
    weighed = TEXT.replace("steps: 10", "steps: 10, aux_weight: 1.0")
    assert load_space_file(written(tmp_path, weighed)).schedule.aux_weight == 1.0
    target = load_space(written(tmp_path, f"{TEXT}target: {HRNET}\n"))
    assert len(list(target.points())) == 4


FAULTS = [
    ("HEAD: [plain, ocr]", "HEAD: [plain, seg]", "vary.HEAD: seg is not known"),
    ("  HEAD: [plain, ocr]\n", "", "OCR.MID_CHANNELS: the network never reads it: a plain head"),
    ("[plain, ocr]", "[ocr]\n  FINAL_CONV_KERNEL: [1, 3]", "FINAL_CONV_KERNEL: the network never"),
    ("[64, 128]", "[64, 0]", "vary.OCR.MID_CHANNELS: 0 is not"),
    ("OCR.MID_CHANNELS", "OCR.MID_CHANELS", "OCR.MID_CHANNELS"),
    ("[plain, ocr]\n  OCR.MID_CHANNELS: [64, 128]\n", "[plain]\n  width: [16, 18]\n", "aux_weight"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS)
def test_what_no_head_reads_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = TEXT.replace(old, new)
    if said == "aux_weight":
        text = text.replace("steps: 10", "steps: 10, aux_weight: 1.0")
        said = "schedule.aux_weight: is not used by a plain head"
    with pytest.raises(SpaceError) as caught:
        load_space_file(written(tmp_path, text))
    assert said in str(caught.value)
