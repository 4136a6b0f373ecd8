"""Weights that a study keeps: those that may still matter are there at any moment."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from search.made_up_trials import KilledError, killed_after, run_made_up
from search.tabulated import create, plan

from hrnet_search.errors import WeightsError
from hrnet_search.records.search_options import KEEPS
from hrnet_search.records.trial import FAILED, TrialKey, TrialResult, TrialTask
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.search.brain import Brain
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.store.kept import no_weights, weights_path
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


def keeping(folder: Path, keep: str, trials: int = 24) -> Plan:
    planned = plan("random", trials, seeds=(0, 1))
    return replace(planned, folder=str(folder), keep=keep, confirm=0.4)


def run(task: TrialTask, report: Report) -> TrialResult:
    """Run a made-up trial that leaves weights."""
    result = run_made_up(task, report)
    if result.miou is not None:
        path = weights_path(Path(task.folder), task.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    return result


def drive(folder: Path, planned: Plan, runs: object = run) -> Brain:
    create(folder)
    with StudyStore(folder) as store:
        if planned.keep != "all":
            store.note(Notes(keep=planned.keep))
        brain = Brain(planned, store, None)
        run_inline(brain, runs)  # type: ignore[arg-type]
    return brain


def kept(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "weights").glob("*.safetensors")}


def keys(folder: Path, *purposes: str) -> dict[str, set[str]]:
    """Return the keys of completed trials by their networks."""
    found: dict[str, set[str]] = {}
    for ask, result in open_study(folder).trials():
        if result and result.miou is not None and (not purposes or ask.purpose in purposes):
            found.setdefault(ask.key.architecture, set()).add(str(ask.key))
    return found


def on_front(folder: Path) -> set[str]:
    return set(open_study(folder).front()["architecture"])


def test_what_is_picked_within_a_budget_of_the_objective_is_kept(tmp_path: Path) -> None:
    """It goes by what is expected, and is not always on the front of what was measured."""
    planned = replace(keeping(tmp_path, "front", trials=60), confirm=0.0)
    drive(tmp_path, planned)
    study = open_study(tmp_path)
    found, front = candidates_of(study, ranked=False), set(study.front()["architecture"])
    assert found.by == "expected"
    networks = {ask.number: ask.key.architecture for ask, _ in study.trials()}
    picks = {found.pick({"macs": macs}) for macs in study.variants()["macs"]}
    picked = {networks[found.numbers[pick]] for pick in picks if pick is not None}
    assert picked - front
    assert all(keys(tmp_path)[name] <= kept(tmp_path) for name in picked)


@pytest.mark.parametrize("keep", KEEPS)
def test_what_stays_is_what_was_asked_for(keep: str, tmp_path: Path) -> None:
    drive(tmp_path, keeping(tmp_path, keep))
    every, front = keys(tmp_path), on_front(tmp_path)
    confirmed = set(keys(tmp_path, "confirm"))
    networks = {"all": set(every), "front": front, "confirmed": front | confirmed}[keep]
    assert kept(tmp_path) == set().union(*(every[name] for name in networks))
    assert front
    assert confirmed
    assert len(front) < len(every)


def test_the_front_has_its_weights_after_every_trial(tmp_path: Path) -> None:
    missing: list[TrialKey] = []

    def looked_at(task: TrialTask, report: Report) -> TrialResult:
        first = set(open_study(tmp_path).front()["number"])
        missing.extend(
            ask.key
            for ask, _ in open_study(tmp_path).trials()
            if ask.number in first and str(ask.key) not in kept(tmp_path)
        )
        return run(task, report)

    drive(tmp_path, keeping(tmp_path, "front"), looked_at)
    assert not missing


def test_a_network_below_a_floor_takes_no_place_on_the_front(tmp_path: Path) -> None:
    """Half of the networks are as accurate as any, and none of them counts."""

    def below(task: TrialTask) -> bool:
        return int(task.architecture.id[-1], 16) % 2 == 1

    def halves(task: TrialTask, report: Report) -> TrialResult:
        result = run(task, report)
        if result.miou is None:
            return result
        miou = min(0.99, result.miou + 0.3 * below(task))
        iou = (miou, 0.1 if below(task) else 0.9)
        rungs = tuple(replace(rung, miou=miou, iou=iou) for rung in result.rungs)
        return replace(result, miou=miou, rungs=rungs)

    planned = replace(keeping(tmp_path, "front"), floors=(("iou[1]", 0.5),), confirm=0.0)
    brain = drive(tmp_path, planned, halves)
    front = {key.architecture for key in brain._trials.front()}
    assert front
    assert {name.split(".")[0] for name in kept(tmp_path)} == front


def test_what_returns_to_the_front_has_its_weights(tmp_path: Path) -> None:
    def disappointing(task: TrialTask, report: Report) -> TrialResult:
        """Run one whose further seeds are worse, as those of what was chosen for the best are."""
        result = run(task, report)
        if result.miou is None or task.key.seed < 2:
            return result
        miou = result.miou / 20
        rungs = tuple(replace(rung, miou=miou, iou=(miou,)) for rung in result.rungs)
        return replace(result, miou=miou, rungs=rungs)

    searched: list[set[str]] = []

    def looked_at(task: TrialTask, report: Report) -> TrialResult:
        if task.key.seed >= 2 and not searched:
            searched.append(on_front(tmp_path))
        return disappointing(task, report)

    drive(tmp_path, replace(keeping(tmp_path, "front", 40), confirm=0.6), looked_at)
    front = on_front(tmp_path)
    assert front - searched[0]
    assert kept(tmp_path) == set().union(*(keys(tmp_path)[name] for name in front))


def test_killed_at_any_moment_it_keeps_the_same(tmp_path: Path) -> None:
    drive(tmp_path / "whole", keeping(tmp_path / "whole", "front"))
    rng, folder = random.Random(1), tmp_path / "cut"
    for _ in range(100):
        try:
            drive(folder, keeping(folder, "front"), killed_after(rng.randint(0, 6), run))
            break
        except KilledError:
            assert {s for n in on_front(folder) for s in keys(folder)[n]} <= kept(folder)
    assert kept(folder) == kept(tmp_path / "whole")


def test_files_of_no_trial_stay(tmp_path: Path) -> None:
    stranger = tmp_path / "weights" / "mine.safetensors"
    stranger.parent.mkdir()
    stranger.write_bytes(b"mine")
    drive(tmp_path, keeping(tmp_path, "front", 8))
    assert stranger.exists()


def test_weights_that_were_removed_are_told_from_those_that_never_were(tmp_path: Path) -> None:
    key = TrialKey("hr-1", "sc-1", 0)
    create(tmp_path)
    assert "were not kept" in str(no_weights(tmp_path, key))
    with StudyStore(tmp_path) as store:
        store.note(Notes(keep="front"))
    error = no_weights(tmp_path, key)
    assert isinstance(error, WeightsError)
    assert "weights were removed (search.keep: front)" in str(error)
    assert len(str(error).splitlines()) == 1


def test_a_study_that_failures_stop_keeps_three_fronts_to_go_on_with(tmp_path: Path) -> None:
    planned = keeping(tmp_path, "front")

    def failing(task: TrialTask, report: Report) -> TrialResult:
        if 8 <= task.number < 20:
            return replace(run_made_up(task, report), status=FAILED, miou=None, error="alike")
        return run(task, report)

    brain = drive(tmp_path, planned, failing)
    assert "in a row failed the same way" in brain.why_ended
    stopped, front = kept(tmp_path), on_front(tmp_path)
    assert {name.split(".")[0] for name in stopped} > front
    drive(tmp_path, planned)
    assert kept(tmp_path) == set().union(*(keys(tmp_path)[name] for name in on_front(tmp_path)))
