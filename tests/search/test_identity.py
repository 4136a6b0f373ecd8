"""A file that is not the one a study was begun with is told each key that differs."""

from __future__ import annotations

import re
from pathlib import Path

import made_up
import pytest

from hrnet_search.errors import StudyError
from hrnet_search.report.summary import summary
from hrnet_search.search.begin import open_store
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import load_space_file
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

ROOT = Path(__file__).parents[2]
FIRST, SECOND = sorted((ROOT / "configs").glob("seg_hrnet_w*.yaml"))[:2]
SPACE = f"""\
name: tiny
base: {SECOND}
vary: {{width: [2, 4], STAGE3.NUM_BLOCKS: {{each_branch: [1, 2]}}}}
limits: {{params: 4M}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 8, batch: 4, crop: [64, 64]}}
latency: {{size: [32, 32], device: cpu}}
search: {{sampler: random, trials: 4}}
"""


def begin(folder: Path, text: str) -> None:
    path = folder / "space.yaml"
    path.write_text(text)
    file = load_space_file(path)
    open_store(file, plan_of(file, folder / "study"), folder / "study").close()


def test_a_study_without_a_trial_may_be_deleted_and_says_so(tmp_path: Path) -> None:
    """Workers that there is no room for are refused when the study is there already."""
    begin(tmp_path, SPACE)
    with pytest.raises(StudyError, match="it has no trial yet: delete the folder to begin anew"):
        begin(tmp_path, SPACE.replace("steps: 8", "steps: 9"))
    with StudyStore(tmp_path / "study") as store:
        store.ask(made_up.ask(0))
    with pytest.raises(StudyError) as raised:
        begin(tmp_path, SPACE.replace("steps: 8", "steps: 9"))
    assert "delete" not in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("steps: 8", "steps: 9", ["7:19: schedule.steps: is 9, was 8"]),
        ("steps: 8, ", "", ["7:11: schedule.steps: is 300, was 8"]),
        ("steps: 8", "steps: 8, rungs: [2]", ["7:29: schedule.rungs: is [2], was []"]),
        ("steps: 8", "steps: 8, seeds: [1]", ["7:29: schedule.seeds: is [1], was [0]"]),
        ("steps: 8", "steps: 8, flip: false", ["7:28: schedule.flip: is false, was true"]),
        ("train: 16", "train: 8", ["6:45: data.train: is 8, was 16"]),
        ("[2, 4]", "[2]", ["3:15: vary.width: is [2], was [2, 4]"]),
        (
            "width: [2, 4], ",
            "",
            ["3:7: vary.width: is not there, was [2, 4]"],
        ),
        (
            "each_branch: [1, 2]",
            "each_branch: [1, 3]",
            [f"3:42: vary.STAGE3.NUM_BLOCKS[{b}]: is [1, 3], was [1, 2]" for b in range(3)],
        ),
        ("params: 4M", "params: 5M", ["4:18: limits.params: is 5000000, was 4000000"]),
        (
            "params: 4M",
            "macs: 40M",
            [
                "4:16: limits.macs: is 40000000, was not there",
                "4:9: limits.params: is not there, was 4000000",
            ],
        ),
        ("macs: min}", "params: min}", ['is ["miou", "params"], was ["miou", "macs"]']),
        ("[32, 32]", "[64, 64]", ["8:17: latency.size: is [64, 64], was [32, 32]"]),
        ("random", "pareto", ["9:19: search.sampler: is pareto, was random"]),
        ("random", "random, signal: miou", ["search.signal: is miou, was soft_iou"]),
        ("limits:", "target: mmseg\nlimits:", ["4:9: target: is mmseg, was any"]),
        (
            "limits:",
            'require: ["width > 1"]\nlimits:',
            ['4:10: require: is ["width > 1"], was []'],
        ),
        (str(SECOND), str(FIRST), ["2:7: base: is hr-"]),
    ],
)
def test_what_differs_is_named_by_its_key_with_both_values(
    old: str, new: str, lines: list[str], tmp_path: Path
) -> None:
    assert old in SPACE
    begin(tmp_path, SPACE)
    begin(tmp_path, SPACE)
    with pytest.raises(StudyError) as caught:
        begin(tmp_path, SPACE.replace(old, new))
    found = [str(fault) for fault in caught.value.faults]
    assert len(found) == len(lines), found
    for line, expected in zip(found, lines, strict=True):
        assert re.search(rf"space.yaml:[0-9]+:[0-9]+: .* when {tmp_path}/study was begun, ", line)
        assert expected in line


def test_a_study_of_before_signals_goes_on_with_miou(tmp_path: Path) -> None:
    begin(tmp_path, SPACE.replace("random", "random, signal: miou"))
    identity = open_study(tmp_path / "study").notes.identity or {}
    assert "search.signal" not in identity, "as studies were written before"
    begin(tmp_path, SPACE)
    with pytest.raises(StudyError, match=r"search\.signal: is soft_iou, was miou when "):
        begin(tmp_path, SPACE.replace("random", "random, signal: soft_iou"))


def test_rules_that_are_taken_away_are_a_difference_too(tmp_path: Path) -> None:
    ruled = SPACE.replace("limits:", 'target: mmseg\nrequire: ["width > 1"]\nlimits:')
    begin(tmp_path, ruled)
    begin(tmp_path, ruled)
    with pytest.raises(StudyError, match=r"target: is any, was mmseg when ") as caught:
        begin(tmp_path, SPACE)
    assert 'require: is [], was ["width > 1"]' in str(caught.value)


def test_a_study_with_a_note_that_is_not_of_its_type_is_shown_and_does_not_go_on(
    tmp_path: Path,
) -> None:
    begin(tmp_path, SPACE)
    folder = tmp_path / "study"
    with StudyStore(folder) as store:
        store.note(Notes(trials="many"))  # type: ignore[arg-type]
    assert "warning: its note trials cannot be read" in summary(open_study(folder))
    with pytest.raises(StudyError) as caught:
        begin(tmp_path, SPACE)
    assert str(caught.value) == (
        f"{folder}: what it noted as trials cannot be read, so it cannot go on,"
        " allowed: the version that noted it, or another folder with -o"
    )
