"""A study whose variants share weights trains those first, once, and starts all from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from search import tabulated
from search.made_up_trials import run_made_up
from search.tabulated import drive
from search.test_initial_weights import space

from hrnet_search.arch.cost import cost
from hrnet_search.records.trial import COMPLETED, FAILED, INFEASIBLE, TrialResult, TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.identity import differing, training_leaves
from hrnet_search.search.initial_weights import base_schedule, networks_that_share
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_plan import plan_of
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore


def plan(trials: int = 6) -> Plan:
    planned = tabulated.plan(trials=trials, seeds=(4,))
    schedule = replace(planned.schedule, init="shared", init_steps=30, init_networks=3)
    schedule = replace(schedule, init_warmup=2, init_fingerprint="0f")
    return replace(planned, schedule=schedule, base=base_schedule(schedule))


def test_shared_weights_are_trial_number_0_and_teach_the_whole_space(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes())
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(), store, 7.0)
        task = brain.ask()
        assert task is not None
        assert (task.schedule.networks, task.schedule.warmup, task.rungs) == (3, 2, (30,))
        assert (task.schedule.init, task.latency) == ("none", None)
        assert task.sharing == networks_that_share(tabulated.SPACE)
        assert brain.ask() is None
        brain.tell(task.number, run_made_up(task, lambda _: True))
        variant = brain.ask()
        assert variant is not None
        assert (variant.schedule.init, variant.schedule.networks) == ("shared", 0)
        assert variant.sharing == ()


def test_what_shares_is_the_base_and_all_within_the_limits() -> None:
    found = networks_that_share(tabulated.SPACE)
    limits = {limit.objective: limit.at_most for limit in tabulated.SPACE.limits}
    assert found[0] == tabulated.SPACE.base
    assert len({network.id for network in found}) == len(found) > 20
    for network in found[1:]:
        assert cost(network, (64, 64), 8).params <= limits["params"]
    every = {tabulated.SPACE.decode(point).id for point in tabulated.SPACE.points()}
    kept = {n.id for n in found[1:]}
    assert kept <= every


def test_a_study_with_shared_weights_asks_as_one_without(tmp_path: Path) -> None:
    drive(tmp_path / "with", plan())
    drive(tmp_path / "without", tabulated.plan(trials=6, seeds=(4,)))
    shared = open_study(tmp_path / "with").results()["architecture"].tolist()
    assert shared[1:] == open_study(tmp_path / "without").results()["architecture"].tolist()


def test_shared_weights_that_fail_end_the_study_with_their_reason(tmp_path: Path) -> None:
    def fail(task: TrialTask, _: object) -> TrialResult:
        return TrialResult(task.key, FAILED, error="the loss is nan at step 3")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulated, "run_made_up", fail)
        brain = drive(tmp_path, plan())
    wanted = "the shared weights, from which all variants start, ended as failed: the loss is nan"
    assert brain.why_ended.startswith(wanted)


def test_shared_weights_that_found_no_memory_once_are_trained_when_they_are_asked_for_again(
    tmp_path: Path,
) -> None:
    """Other programs may have filled a GPU: no option may lead out of a study that is done for."""

    def full(task: TrialTask, _: object) -> TrialResult:
        return TrialResult(task.key, INFEASIBLE, error="out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabulated, "run_made_up", full)
        brain = drive(tmp_path, plan())
    assert "out of memory; --retry-failed trains it again" in brain.why_ended
    assert drive(tmp_path, plan()).why_ended == brain.why_ended
    with StudyStore(tmp_path) as store:
        assert store.retry_failed() == 1
    drive(tmp_path, plan())
    ended = [result.status for _, result in open_study(tmp_path).ended()]
    assert (ended[0], len(ended)) == (COMPLETED, 7)


def test_another_way_to_train_them_is_another_study(tmp_path: Path) -> None:
    first = plan_of(space(tmp_path, "shared"), tmp_path / "study")
    assert first.base is not None
    assert (first.base.steps, first.base.networks, first.base.lr) == (1500, 4, 0.05)
    assert first.base.teacher_weight == 0.5
    assert first.schedule.lr == 0.02
    keys = {first.schedule.id}
    for changed in ("steps: 900", "networks: 3", "warm: 7", "teacher_weight: 0"):
        other = plan_of(space(tmp_path, f"shared, shared: {{{changed}}}"), tmp_path / "study")
        assert other.base is not None
        keys.add(other.schedule.id)
        again = plan_of(space(tmp_path, f"shared, shared: {{{changed}}}"), tmp_path / "elsewhere")
        assert again.schedule.id == other.schedule.id
    assert len(keys) == 5
    leaves = [
        training_leaves(replace(first.schedule, init_teacher_weight=weight)) for weight in (0.5, 0)
    ]
    differs = differing(leaves[1], leaves[0], tmp_path)
    (key,) = differs
    assert key == "schedule.shared.teacher_weight"
    assert differs[key].startswith("is 0.5, was 0 when")
    # What follows from another start is not said beside it.
    none = training_leaves(replace(first.schedule, init="none", init_fingerprint=""))
    assert list(differing(leaves[0], none, tmp_path)) == ["schedule.init"]
    # Of a training by itself nothing else says which weights it started from.
    others = training_leaves(replace(first.schedule, init_fingerprint="0f"))
    assert list(differing(leaves[0], others, tmp_path)) == ["schedule.init"]
    assert first.long_schedule.init == "none"
    assert (first.long_schedule.networks, first.long_schedule.lr) == (0, 0.05)
