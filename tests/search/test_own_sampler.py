"""A sampler of one's own: found by its name, looked at before anything runs, and searched with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from search import tabulated
from search.made_up_trials import run_made_up
from search.own_samplers import HEARD, near_the_best
from search.tabulated import drive, plan

from hrnet_search.commands.check import check
from hrnet_search.commands.run import run
from hrnet_search.errors import InputError, SpaceError
from hrnet_search.records.accuracy import MIOU, SOFT_IOU
from hrnet_search.records.trial import TrialResult, TrialTask
from hrnet_search.search.driver import Report
from hrnet_search.space.load import load_space_file
from hrnet_search.store.study import open_study
from hrnet_search.testing import SAMPLER_CHECKS, MakeSampler, sampler_from, toy_problem

BASE = sorted((Path(__file__).parents[2] / "configs").glob("seg_hrnet_w*.yaml"))[1]
SPACE = f"""\
name: own
base: {BASE}
vary: {{width: [2, 4, 6, 8], STAGE3.NUM_MODULES: [1, 2]}}
objectives: {{miou: max, macs: min}}
data: {{kind: shapes, size: [64, 64], train: 16, val: 4}}
schedule: {{steps: 4, batch: 4, crop: [64, 64]}}
search: {{sampler: "%s", trials: 4}}
"""


def space_file(folder: Path, sampler: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(SPACE % sampler)
    return path


@pytest.mark.parametrize("checked", SAMPLER_CHECKS, ids=lambda check: check.__name__)
def test_the_checks_for_users_pass_a_good_one(checked: Callable[[MakeSampler], None]) -> None:
    checked(sampler_from(near_the_best))


def test_the_checks_for_users_find_one_with_a_memory_of_its_own() -> None:
    memory: list[int] = []

    def make(problem: object, **_: object) -> Callable[..., object]:
        def propose(history: object, rng: object) -> object:
            memory.append(0)
            return [toy_problem(more=4).at([37 * len(memory)]), toy_problem(more=2).at([5])]

        return propose

    failed = 0
    for checked in SAMPLER_CHECKS:
        try:
            checked(sampler_from(make))  # type: ignore[arg-type]
        except (AssertionError, InputError):
            failed += 1
    assert failed


def test_a_study_is_searched_and_gone_on_with(tmp_path: Path) -> None:
    planned = plan("search.own_samplers:near_the_best", 14)
    drive(tmp_path / "whole", planned)
    drive(tmp_path / "parts", replace(planned, trials=6))
    drive(tmp_path / "parts", planned)
    columns = ["number", "architecture", "status"]
    whole, parts, random = (
        open_study(tmp_path / name).results()[columns].values.tolist()
        if name != "random"
        else open_study(drive_random(tmp_path)).results()[columns].values.tolist()
        for name in ("whole", "parts", "random")
    )
    assert whole == parts
    assert whole != random, "its own sampler was asked"


@pytest.mark.parametrize(("signal", "share"), [(MIOU, 1.0), (SOFT_IOU, 0.5)])
def test_a_sampler_is_told_the_scores_of_the_signal(
    signal: str, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        done = run_made_up(task, report)
        softer = tuple(replace(rung, soft_iou=rung.miou / 2) for rung in done.rungs)
        return replace(done, rungs=softer)

    monkeypatch.setattr(tabulated, "run_made_up", run)
    planned = replace(plan("search.own_samplers:remembering", 8), signal=signal)
    drive(tmp_path, planned)
    mious = open_study(tmp_path).results()["miou"].dropna()
    assert HEARD
    assert set(HEARD) <= {share * miou for miou in mious}


def drive_random(folder: Path) -> Path:
    drive(folder / "random", plan("random", 14))
    return folder / "random"


def test_one_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    (tmp_path / "lying_here.py").write_text("from search.own_samplers import near_the_best\n")
    try:
        found = check(space_file(tmp_path, "lying_here:near_the_best"))
    finally:
        sys.modules.pop("lying_here", None)
    assert found.lines[0] == "own: no problems"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:factory", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("search.own_samplers:no_such_factory", "has no attribute 'no_such_factory'"),
        ("search.own_samplers:NOT_CALLABLE", "3 cannot be called"),
        ("search.own_samplers:of_nothing", "returned None, which cannot be called"),
        ("search.own_samplers:with_other_arguments", "TypeError"),
        ("search.own_samplers:raising", "ZeroDivisionError: of the user's own"),
        ("search.own_samplers:of_five_axes", "an array of int64 [1, 5], allowed: arrays of "),
        ("search.own_samplers:of_floats", "an array of float64 [1, 2], allowed: arrays of "),
        ("search.own_samplers:off_the_axes", "(99, 99), which is not on the axes, allowed: "),
    ],
)
@pytest.mark.parametrize("begin", [check, lambda path: run(path, path.with_name("study"))])
def test_one_that_cannot_be_used_is_one_line_before_anything_runs(
    begin: Callable[[Path], object], name: str, said: str, tmp_path: Path
) -> None:
    path = space_file(tmp_path, name)
    with pytest.raises(InputError) as caught:
        begin(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: search.sampler: ")
    assert said in line
    assert "\n" not in line
    assert not (tmp_path / "study").exists()


def test_a_module_that_ends_the_process_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a script does that reads its command line when it is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ending_script.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(
        InputError, match=r"search\.sampler: it cannot be imported \(SystemExit: 3\)"
    ):
        check(space_file(tmp_path, "ending_script:factory"))


@pytest.mark.parametrize("name", ["parto", "optuna:tp", "a b:c", "module:", ":factory", "a:b:c"])
def test_a_name_that_is_neither_is_a_fault_of_the_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"search\.sampler: .*package\.module:factory"):
        load_space_file(space_file(tmp_path, name))
