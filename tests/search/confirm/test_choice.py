"""The confirm phase: what is worth a second look, and that it is asked for once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search.made_up_trials import run_made_up
from search.tabulated import drive, plan

from hrnet_search.goals import Goals
from hrnet_search.records.search_options import CONFIRMED_FROM
from hrnet_search.records.trial import TrialTask
from hrnet_search.search.brain import Brain
from hrnet_search.search.confirm.choice import (
    LONG_FEWEST,
    Candidate,
    confirm_trials,
    confirming,
    long_trials,
    stratified,
)
from hrnet_search.search.plan import Plan
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.writer import StudyStore

GOALS = Goals.of(["miou", "macs"])
LONG = {"sc-s": "sc-l"}


def candidates(count: int, seed: int = 0) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    values = zip(rng.random(count).tolist(), rng.lognormal(0, 1, count).tolist(), strict=True)
    return [Candidate(i, f"hr-{i}", pair, schedule="sc-s") for i, pair in enumerate(values)]


def test_small_studies_confirm_nothing() -> None:
    assert confirm_trials(CONFIRMED_FROM - 1, 0.5, 3) == 0
    assert confirm_trials(40, 0.3, 3) == 5  # 15 of 50 times a trial of the search
    assert confirm_trials(40, 0.3, 1) == 12
    assert confirm_trials(40, 0.0, 3) == 0


def test_the_long_schedule_is_for_enough_architectures_or_none() -> None:
    """Each takes as long as three of the search's, and is one trial."""
    times = (0, 16, 39, 40, 43, 52, 90)
    assert [long_trials((99, n), 3) for n in times] == [0, 0, 0, 12, 13, 16, 16]
    assert all(n >= 3 * long_trials((99, n), 3) for n in range(100))
    assert [long_trials((n, 99), 3) for n in (0, 11, 12, 15, 20)] == [0, 0, 12, 15, 16]


def test_front_members_get_seeds_before_anything_is_trained_long() -> None:
    found = candidates(50)
    asked = confirming(found, GOALS, (0, 1), LONG.__getitem__, (99, 50), 3)
    assert len(asked) == len(set(asked))
    short = [key for key in asked if key.schedule == "sc-s"]
    assert asked[: len(short)] == short
    assert all(key.seed not in (0, 1) for key in short)
    long = sum(key.schedule == "sc-l" for key in asked)
    assert long == long_trials((99, 50), 3)
    assert len(short) + 3 * long == 50
    front = [
        c
        for c in found
        if not any(o.values[0] > c.values[0] and o.values[1] <= c.values[1] for o in found)
    ]
    assert {key.architecture for key in short} <= {c.architecture for c in front}


def test_what_is_below_a_limit_gets_no_seeds_and_may_be_trained_long() -> None:
    """It still says how the short schedule ranks."""
    found = [replace(c, fits=c.number % 3 > 0) for c in candidates(50)]
    asked = confirming(found, GOALS, (0,), LONG.__getitem__, (99, 99), 3)
    fitting = {c.architecture for c in found if c.fits}
    front = {key.architecture for key in asked if key.schedule == "sc-s"}
    alone = confirming([c for c in found if c.fits], GOALS, (0,), LONG.__getitem__, (99, 99), 3)
    assert front == {key.architecture for key in alone if key.schedule == "sc-s"} <= fitting
    assert not {key.architecture for key in asked if key.schedule == "sc-l"} <= fitting


def test_more_seeds_leave_trials_for_what_is_trained_long() -> None:
    asked = confirming(candidates(50), GOALS, (0,), LONG.__getitem__, (14, 99), 3)
    assert [key.schedule for key in asked] == ["sc-l"] * 14
    asked = confirming(candidates(50), GOALS, (0,), LONG.__getitem__, (20, 99), 3)
    assert [key.schedule for key in asked] == ["sc-s"] * 4 + ["sc-l"] * 16


def test_long_trainings_spread_over_cost_and_accuracy() -> None:
    found = candidates(200)
    chosen = stratified(found, GOALS, 12)
    assert len({c.number for c in chosen}) == 12
    quarters = np.searchsorted(
        np.quantile([c.values[1] for c in found], (0.25, 0.5, 0.75)),
        [c.values[1] for c in chosen],
    )
    assert np.bincount(quarters).tolist() == [3, 3, 3, 3]
    best = max(found, key=lambda c: c.values[0])
    assert best in chosen
    assert stratified(found[:5], GOALS, 12) == found[:5]


@pytest.mark.parametrize("seeds", [(0,), (3, 0), (1, 2, 3, 4, 5), (2**31,)])
def test_long_trainings_have_a_seed_that_nothing_else_had(seeds: tuple[int, ...]) -> None:
    found = confirming(candidates(40), GOALS, seeds, LONG.__getitem__, (99, 90), 3)
    long = {key.seed for key in found if key.schedule == "sc-l"}
    assert len(long) == 1
    assert long.isdisjoint({*seeds, *(key.seed for key in found if key.schedule == "sc-s")})


def test_long_trainings_of_variants_that_inherit_are_from_scratch() -> None:
    """At the base's rate: that of inherited weights is measured for those."""
    schedule = replace(plan().schedule, init="base", init_steps=90, init_lr=0.1, lr=0.01)
    long = replace(plan(), schedule=schedule, long=3).long_schedule
    assert (long.init, long.init_steps, long.lr) == ("none", 0, 0.1)
    assert long.steps == 3 * schedule.steps


def test_without_a_completed_trial_nothing_confirms() -> None:
    assert confirming([], GOALS, (0,), LONG.__getitem__, (20, 20), 3) == []


def confirming_plan(trials: int = 60, share: float = 0.4) -> Plan:
    return replace(plan(trials=trials), confirm=share)


def seconds(folder: Path) -> tuple[float, float]:
    """Return the seconds of the trials that confirm, and of all."""
    ended = [(ask, result) for ask, result in open_study(folder).trials() if result]
    confirmed = sum(result.wall_s for ask, result in ended if ask.purpose == "confirm")
    return confirmed, sum(result.wall_s for _, result in ended)


@pytest.mark.parametrize(("trials", "share"), [(12, 0.3), (40, 0.3), (60, 0.6)])
def test_what_confirms_takes_its_share_of_device_time_and_no_more(
    trials: int, share: float, tmp_path: Path
) -> None:
    """What it has no use for goes back to the search: a study has the trials it was given."""
    planned = confirming_plan(trials, share)
    brain = drive(tmp_path, planned)
    confirmed, whole = seconds(tmp_path)
    assert share - 0.15 < confirmed / whole <= share + 1e-6
    asks = [ask for ask, _ in open_study(tmp_path).trials()]
    assert brain.why_ended == f"{trials} trials of {trials} have ended"
    first = asks[: trials - planned.confirming]
    assert {ask.purpose for ask in first} == {"search"}
    assert asks[len(first)].purpose == "confirm"


def test_long_trainings_over_all_sizes_come_after_the_duel(tmp_path: Path) -> None:
    planned = confirming_plan(120, 0.6)
    drive(tmp_path, planned)
    asks = [ask for ask, _ in open_study(tmp_path).trials()]
    duels = open_study(tmp_path).notes.duels
    assert duels is not None
    of_duels = {key for duel in duels.duels for seed in duel.seeds for key in duel.keys(seed)}
    long = [a.key for a in asks if a.key.schedule == planned.long_schedule.id]
    fought = [key for key in long if key in of_duels]
    others = [key for key in long if key not in of_duels]
    assert long == fought + others
    assert len(others) >= LONG_FEWEST - 2
    assert {key.seed for key in long}.isdisjoint(
        {a.key.seed for a in asks if a.key.schedule == planned.schedule.id}
    )


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
    """In the middle of a pair and between pairs of a duel too."""
    planned = confirming_plan(30, 0.6)
    ended = drive(tmp_path / "whole", planned).ended
    folder = tmp_path / "cut"
    StudyStore.create(folder, Notes(objectives=("miou", "macs")))
    done = 0
    while done < ended:
        with StudyStore(folder) as store:
            brain = Brain(planned, store, None)
            for _ in range(5):
                task = brain.ask()
                if task is None:
                    break
                brain.tell(task.number, run_made_up(task, lambda _: True))
            brain.ask()  # committed, and lost with this driver
            done = brain.ended
    rows = [[(a.key, a.purpose, r and r.miou) for a, r in open_study(tmp_path / part).trials()]
            for part in ("whole", "cut")]  # fmt: skip
    assert rows[0] == rows[1]
    notes = [open_study(tmp_path / part).notes.duels for part in ("whole", "cut")]
    assert notes[0] == notes[1]


def test_several_workers_never_overshoot_and_wait_before_confirming(tmp_path: Path) -> None:
    StudyStore.create(tmp_path, Notes(objectives=("miou", "macs")))
    planned = confirming_plan()
    with StudyStore(tmp_path) as store:
        brain = Brain(planned, store, None)
        running: list[TrialTask] = []
        most = confirming_at_once = 0
        while True:
            while len(running) < 8 and (task := brain.ask()) is not None:
                running.append(task)
            if not running:
                break
            most = max(most, len(running))
            confirms = [store.asks()[task.number].purpose == "confirm" for task in running]
            assert len(set(confirms)) == 1
            confirming_at_once = max(confirming_at_once, sum(confirms))
            done = running.pop(0)
            brain.tell(done.number, run_made_up(done, lambda _: True))
    assert most == 8
    assert confirming_at_once >= 4  # the first two pairs of a duel, at least
    confirmed, whole = seconds(tmp_path)
    assert confirmed <= 0.4 * whole + 1e-6
    assert len(open_study(tmp_path).results()) == 60
