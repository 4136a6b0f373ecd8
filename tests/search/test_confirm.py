"""The confirm phase: what is worth a second look, and that it is asked for once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search.made_up_trials import run_made_up
from search.tabulated import drive, plan

from hrnet_search.records import CONFIRMED_FROM, TrialTask
from hrnet_search.search.confirm import (
    LONG_FEWEST,
    Candidate,
    confirm_trials,
    confirming,
    long_trials,
    stratified,
)
from hrnet_search.search.plan import Plan
from hrnet_search.search.study import Brain
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

OBJECTIVES = ("miou", "macs")


def candidates(count: int, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    values = zip(rng.random(count).tolist(), rng.lognormal(0, 1, count).tolist(), strict=True)
    return [Candidate(i, f"hr-{i}", pair) for i, pair in enumerate(values)]


def test_small_studies_confirm_nothing() -> None:
    assert confirm_trials(CONFIRMED_FROM - 1, 0.5) == 0
    assert confirm_trials(40, 0.2) == 8
    assert confirm_trials(40, 0.0) == 0


def test_the_long_schedule_is_for_enough_architectures_or_none() -> None:
    assert [long_trials(n) for n in (0, 8, 15, 16, 20, 28, 60)] == [0, 0, 0, 13, 14, 16, 16]
    assert all(n >= long_trials(n) for n in range(100))


def test_front_members_get_seeds_before_anything_is_trained_long() -> None:
    found = candidates(50)
    asked = confirming(found, OBJECTIVES, (0, 1), ("sc-s", "sc-l"), 20)
    assert len(asked) == len({key for _, key in asked}) == 20
    short = [key for _, key in asked if key.schedule == "sc-s"]
    assert [key for _, key in asked][: len(short)] == short
    assert all(key.seed not in (0, 1) for key in short)
    assert sum(key.schedule == "sc-l" for _, key in asked) == long_trials(20)
    front = [
        c
        for c in found
        if not any(o.values[0] > c.values[0] and o.values[1] <= c.values[1] for o in found)
    ]
    assert {key.architecture for key in short} <= {c.architecture for c in front}


def test_long_trainings_spread_over_cost_and_accuracy() -> None:
    found = candidates(200)
    chosen = stratified(found, OBJECTIVES, 12)
    assert len({c.number for c in chosen}) == 12
    quarters = np.searchsorted(
        np.quantile([c.values[1] for c in found], (0.25, 0.5, 0.75)),
        [c.values[1] for c in chosen],
    )
    assert np.bincount(quarters).tolist() == [3, 3, 3, 3]
    best = max(found, key=lambda c: c.values[0])
    assert best in chosen
    assert stratified(found[:5], OBJECTIVES, 12) == found[:5]


@pytest.mark.parametrize("seeds", [(0,), (3, 0), (1, 2, 3, 4, 5)])
def test_long_trainings_have_a_seed_that_nothing_else_had(seeds: tuple[int, ...]) -> None:
    found = [key for _, key in confirming(candidates(40), OBJECTIVES, seeds, ("short", "long"), 90)]
    long = {key.seed for key in found if key.schedule == "long"}
    assert len(long) == 1
    assert long.isdisjoint({*seeds, *(key.seed for key in found if key.schedule == "short")})


def test_long_trainings_of_variants_that_inherit_are_from_scratch() -> None:
    """At the base's rate: that of inherited weights is measured for those."""
    schedule = replace(plan().schedule, init="base", init_steps=90, init_lr=0.1, lr=0.01)
    long = replace(plan(), schedule=schedule, long=3).long_schedule
    assert (long.init, long.init_steps, long.lr) == ("none", 0, 0.1)
    assert long.steps == 3 * schedule.steps


def test_without_a_completed_trial_nothing_confirms() -> None:
    assert confirming([], OBJECTIVES, (0,), ("a", "b"), 20) == []


def confirming_plan(trials: int = 60, share: float = 0.4) -> Plan:
    return replace(plan(trials=trials), confirm=share)


def test_the_last_part_of_a_budget_confirms(tmp_path: Path) -> None:
    planned = confirming_plan()
    brain = drive(tmp_path, planned)
    asks = [ask for ask, _ in open_study(tmp_path).trials()]
    confirmed = [ask for ask in asks if ask.purpose == "confirm"]
    assert len(asks) == 60
    assert len(confirmed) == 24
    assert asks[-24:] == confirmed
    long = [a for a in confirmed if a.key.schedule == planned.long_schedule.id]
    assert len(long) == long_trials(24) >= LONG_FEWEST
    others = {ask.key.seed for ask in asks if ask not in long}
    assert {a.key.seed for a in long}.isdisjoint(others)
    assert brain.why_ended == "60 trials of 60 have ended"


def test_what_another_schedule_showed_is_not_on_the_front(tmp_path: Path) -> None:
    planned = confirming_plan()
    drive(tmp_path, planned)
    study = open_study(tmp_path)
    assert set(study.front()["schedule"]) == {planned.schedule.id}
    variants = study.variants()
    assert variants["architecture"].is_unique
    assert variants["seeds"].max() > 1
    table = study.results()
    row = variants.sort_values("seeds").iloc[-1]
    seeds = table[
        (table["architecture"] == row["architecture"])
        & (table["schedule"] == planned.schedule.id)
        & (table["status"] == "completed")
    ]
    assert row["miou"] == pytest.approx(seeds["miou"].mean())
    assert row["number"] == seeds["number"].min()


def test_a_confirm_phase_cut_off_anywhere_ends_the_same(tmp_path: Path) -> None:
    planned = confirming_plan()
    drive(tmp_path / "whole", planned)
    folder = tmp_path / "cut"
    StudyStore.create(folder, Notes(objectives=("miou", "macs")))
    done = 0
    while done < 60:
        with StudyStore(folder) as store:
            brain = Brain(planned, store, None)
            for _ in range(3):
                task = brain.ask()
                if task is None:
                    break
                brain.tell(task.number, run_made_up(task, lambda _: True))
            brain.ask()  # committed, and lost with this driver
            done = brain.ended
    rows = [[(a.key, a.purpose, r and r.miou) for a, r in open_study(tmp_path / part).trials()]
            for part in ("whole", "cut")]  # fmt: skip
    assert rows[0] == rows[1]


def test_several_workers_never_overshoot_and_wait_before_confirming(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    planned = confirming_plan()
    with StudyStore(tmp_path) as store:
        brain = Brain(planned, store, None)
        running: list[TrialTask] = []
        most = 0
        while True:
            while len(running) < 8 and (task := brain.ask()) is not None:
                running.append(task)
            if not running:
                break
            most = max(most, len(running))
            done = running.pop(0)
            brain.tell(done.number, run_made_up(done, lambda _: True))
        assert brain.why_ended == "60 trials of 60 have ended"
    assert most == 8
    assert len(open_study(tmp_path).results()) == 60
