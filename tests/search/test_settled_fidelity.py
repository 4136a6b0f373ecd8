"""What `search.fidelity` is where a space file does not say it: by its rungs, and for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrnet_search.errors import InputError, StudyError
from hrnet_search.records.search_options import SHORT_FIRST, STOP_EARLY, THAW, TO_THE_END
from hrnet_search.search.begin import open_store
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.space.load import SpaceFile, load_space_file

BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: tiny
base: {BASE}
vary: {{width: [2, 4, 6, 8]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 8, batch: 4, crop: [64, 64], rungs: [2, 4]}}
latency: {{size: [32, 32], device: cpu}}
search: {{trials: 12}}
"""
RUNGS, TRIALS = ", rungs: [2, 4]", "trials: 12"


def file_of(folder: Path, *changes: tuple[str, str]) -> SpaceFile:
    text = SPACE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "space.yaml"
    path.write_text(text)
    return load_space_file(path)


def begun(file: SpaceFile, folder: Path, trials: int | None = None) -> Plan:
    """Begin a study or go on with it, up to its first trial."""
    plan = plan_of(file, folder, trials)
    open_store(file, plan, folder).close()
    return plan


@pytest.mark.parametrize(
    ("change", "fidelity"),
    [
        ((TRIALS, TRIALS), THAW),
        ((TRIALS, "fidelity: auto"), THAW),
        ((TRIALS, "paused: 1G"), THAW),
        ((RUNGS, ""), STOP_EARLY),  # and there is no rung to end at
        ((TRIALS, "stop: 0.1"), STOP_EARLY),
        ((TRIALS, "trials: 11"), STOP_EARLY),
        ((TRIALS, "hours: 1"), STOP_EARLY),
        ((TRIALS, "sampler: optuna:tpe"), STOP_EARLY),
        ((TRIALS, "sampler: search.own_samplers:near_the_best"), STOP_EARLY),
        ((TRIALS, "evaluator: shared"), STOP_EARLY),
        (("width: [2, 4, 6, 8]", "width: [2, 4], schedule.lr: [0.1, 0.2]"), STOP_EARLY),
        ((TRIALS, "fidelity: none"), TO_THE_END),
        ((TRIALS, "fidelity: short_first"), SHORT_FIRST),
    ],
)
def test_trials_pause_at_the_first_rung_where_that_goes_with_all_else(
    change: tuple[str, str], fidelity: str, tmp_path: Path
) -> None:
    assert plan_of(file_of(tmp_path, change), tmp_path / "study").fidelity == fidelity


@pytest.mark.parametrize(("trials", "fidelity"), [(11, STOP_EARLY), (12, THAW)])
def test_a_budget_of_the_command_counts(trials: int, fidelity: str, tmp_path: Path) -> None:
    file = file_of(tmp_path, (TRIALS, "trials: 40"))
    assert plan_of(file, tmp_path / "study", trials).fidelity == fidelity
    assert plan_of(file, tmp_path / "study", hours=1.0).fidelity == STOP_EARLY


def test_a_study_goes_on_as_it_began(tmp_path: Path) -> None:
    """Also one from before trials paused without a word, which noted none."""
    file = file_of(tmp_path)
    for first, fidelity in ((11, STOP_EARLY), (12, THAW)):
        folder = tmp_path / fidelity
        assert begun(file, folder, first).fidelity == fidelity
        assert begun(file, folder, 40).fidelity == fidelity
    assert begun(file, tmp_path / THAW, 1).trials == 1  # fewer than have ended, which is said
    with pytest.raises(InputError, match=r"--hours: does not go with .*thaw \(auto, by schedule"):
        plan_of(file, tmp_path / THAW, hours=1.0)
    pausing = file_of(tmp_path, (TRIALS, "fidelity: thaw"))
    with pytest.raises(InputError, match=r"--trials: 1 trial does not go with search\.fidelity"):
        begun(pausing, tmp_path / "new", 1)
    stopping = file_of(tmp_path, (TRIALS, "trials: 40, stop: 0.1"))
    with pytest.raises(StudyError, match=r"search\.fidelity: is stop, was thaw"):
        begun(stopping, tmp_path / THAW)


def test_what_a_study_keeps_begins_one_with_the_same_rule(tmp_path: Path) -> None:
    """Whatever its budget is by then, and where the file has no `search` at all."""
    for change in ((TRIALS, TRIALS), ("search: {trials: 12}\n", "")):
        file = file_of(tmp_path, change)
        folder = tmp_path / f"study{len(file.text)}"
        assert begun(file, folder, 11).fidelity == STOP_EARLY
        begun(file, folder, 40)
        again = load_space_file(folder / "space.yaml")
        assert plan_of(again, tmp_path / "again", 40).fidelity == STOP_EARLY
    plain = file_of(tmp_path, (RUNGS, ""))
    begun(plain, tmp_path / "plain")
    assert "fidelity" not in (tmp_path / "plain" / "space.yaml").read_text()
