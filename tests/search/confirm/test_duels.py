"""Duels of a study: who against whom, in which order, and within what device time."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import network
from search.made_up_trials import run_made_up
from search.tabulated import SPACE, create, plan, with_latency

from hrnet_search.arch.cost import cost
from hrnet_search.duel_rule import BETTER, FEWEST_PAIRS, NOT_SHOWN, OPEN, WORSE, verdicts
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult, TrialTask
from hrnet_search.report.trust.candidates import candidates_of
from hrnet_search.search.brain import Brain
from hrnet_search.search.confirm.choice import SPARE_SEEDS
from hrnet_search.search.confirm.duels import (
    NO_RIVAL,
    NONE_WITHIN,
    NOTHING_FOUND,
    NOTHING_NEW,
    Found,
    Known,
    budgeted,
    matches,
)
from hrnet_search.search.driver import run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.space.space import Limit, SearchSpace
from hrnet_search.store.duels import Duels, pairs_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import open_study
from hrnet_search.store.trial_rows import SEARCH
from hrnet_search.store.writer import StudyStore

BASE = SPACE.base.id
Accuracy = Callable[[TrialTask], float]


def noise(key: TrialKey) -> float:
    """Return a number between -1 and 1 that belongs to a trial."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return int.from_bytes(digest[:4]) / 2**31 - 1


def ahead_by(points: float, sd: float) -> Accuracy:
    """Return accuracies by which every network is so far ahead of the base."""
    return lambda task: 0.5 + (task.key.architecture != BASE) * points + sd * noise(task.key)


def fight(
    folder: Path, planned: Plan, accuracy: Accuracy, least: int = 10**6, **notes: Any
) -> Duels:
    """Run a study, or the next trials of one, and return what it notes of its duels.

    `notes` are those that it has beside.
    """
    create(folder)
    if notes:
        with StudyStore(folder) as store:
            store.note(Notes(**notes))

    def run(task: TrialTask, report: object) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        if result.status != COMPLETED:
            return result
        seconds = result.wall_s * (0.5 + abs(noise(task.key)))
        return replace(result, miou=accuracy(task), wall_s=seconds)

    with StudyStore(folder) as store:
        brain = Brain(planned, store, None)
        for _ in range(least):
            if (task := brain.ask()) is None:
                break
            brain.tell(task.number, run(task, None))
    return open_study(folder).notes.duels or Duels()


def known(folder: Path) -> Duels:
    found = open_study(folder).notes.duels
    assert found is not None
    return found


def results(folder: Path) -> dict[TrialKey, TrialResult]:
    return {ask.key: result for ask, result in open_study(folder).trials() if result}


def called(folder: Path) -> list[str]:
    duels, ended = known(folder), results(folder)
    rows = [(d.most, pairs_of(d, ended).differences) for d in duels.duels[: duels.family]]
    return [one.called for one in verdicts(rows)]


def planned(trials: int = 60, share: float = 0.6, seeds: tuple[int, ...] = (0,)) -> Plan:
    return replace(plan(trials=trials, seeds=seeds), confirm=share)


def test_a_clear_pick_is_called_better_and_the_rest_goes_to_others(tmp_path: Path) -> None:
    (duel,) = fight(tmp_path, planned(), ahead_by(0.1, 0.005)).duels
    assert (duel.rival, duel.name, duel.cost) == (BASE, "the base", "macs")
    assert duel.budget == cost(SPACE.base, (64, 64), 8).macs
    pick = next(r for k, r in results(tmp_path).items() if k.architecture == duel.pick)
    assert pick.cost is not None
    assert pick.cost.macs <= duel.budget
    assert called(tmp_path) == [BETTER]
    pairs = pairs_of(duel, results(tmp_path))
    assert FEWEST_PAIRS <= len(pairs.differences) < duel.most  # it stopped when it was decided
    asks = [a for a, _ in open_study(tmp_path).trials() if a.purpose == "confirm"]
    fought = [key for seed in duel.seeds for key in duel.keys(seed)]
    order = [a.key for a in asks]
    count = 2 * len(pairs.differences)
    assert order[:count] == fought[:count]
    assert len(order) > count
    assert not set(order[count:]) & set(fought)


@pytest.mark.parametrize(("init", "by"), [("none", "expected"), ("base", "measured")])
def test_what_is_fought_for_is_what_a_report_picked_before(
    tmp_path: Path, init: str, by: str
) -> None:
    """By what is expected, or as it was measured where trainings begin with weights of others."""
    asked = planned()
    asked = replace(asked, schedule=replace(asked.schedule, init=init))
    noted = NotedSchedule(asked.schedule.id, asked.schedule)

    def accuracy(task: TrialTask) -> float:
        return 0.5 + 0.01 * (noise(task.key) > 0)  # many are equal: the cheapest, or the largest

    (duel,) = fight(tmp_path / "whole", asked, accuracy, schedule=noted).duels
    searched = [a for a, _ in open_study(tmp_path / "whole").trials() if a.purpose == SEARCH]
    fight(tmp_path / "part", asked, accuracy, least=len(searched), schedule=noted)
    found = candidates_of(open_study(tmp_path / "part"), ranked=False)
    assert found.by == by
    picked = found.pick({duel.cost: duel.budget})
    assert picked is not None
    networks = {ask.number: ask.key.architecture for ask in searched}
    assert duel.pick == networks[found.numbers[picked]]


def test_a_pick_that_is_not_better_is_not_shown_to_be(tmp_path: Path) -> None:
    fight(tmp_path, planned(), ahead_by(0.0, 0.02))
    assert called(tmp_path) in ([NOT_SHOWN], [WORSE])


def test_seeds_of_a_duel_are_those_that_nothing_else_has_and_paired(tmp_path: Path) -> None:
    short = planned(seeds=(0, 3))
    (duel,) = fight(tmp_path, short, ahead_by(0.01, 0.02)).duels
    long = [key for key in results(tmp_path) if key.schedule == short.long_schedule.id]
    others = {k.seed for k in results(tmp_path) if k.schedule == short.schedule.id}
    assert {key.seed for key in long}.isdisjoint(others | {0, 3})
    seeds = [{k.seed for k in long if k.architecture == name} for name in (duel.pick, duel.rival)]
    assert seeds[0] == seeds[1]
    assert len(set(duel.seeds)) == len(duel.seeds)


def test_killed_at_any_moment_of_a_duel_it_ends_the_same(tmp_path: Path) -> None:
    accuracy = ahead_by(0.012, 0.02)
    whole = fight(tmp_path / "whole", planned(40), accuracy)
    rng, folder = random.Random(0), tmp_path / "cut"
    create(folder)
    for _ in range(200):
        fight(folder, planned(40), accuracy, least=rng.randint(2, 6))
        with StudyStore(folder) as store:
            brain = Brain(planned(40), store, None)
            if brain.ask() is None:  # what it asked for otherwise is lost with this driver
                break
    assert known(folder) == whole
    rows = [
        [(a.key, a.purpose, a.point, r and r.miou) for a, r in open_study(f).trials()]
        for f in (tmp_path / "whole", folder)
    ]
    assert rows[0] == rows[1]


def test_without_time_for_two_pairs_no_duel_begins_and_why_is_noted(tmp_path: Path) -> None:
    small = replace(planned(12, 0.3), long=20)
    (duel,) = fight(tmp_path, small, ahead_by(0.1, 0.005)).duels
    assert duel.most == 0
    assert duel.why.startswith("2 pairs of trainings would ")
    assert all(key.schedule == small.schedule.id for key in results(tmp_path))


def test_why_a_duel_does_not_begin_is_found_anew_with_more_trials(tmp_path: Path) -> None:
    why = []
    for trials in (12, 60):
        (duel,) = fight(tmp_path, replace(planned(trials, 0.3), long=8), ahead_by(0.1, 0)).duels
        assert duel.most == 0
        why.append(duel.why)
    assert len(set(why)) == 2, why


def test_out_of_time_a_duel_stays_open_and_more_trials_take_it_up_again(tmp_path: Path) -> None:
    def slow(task: TrialTask) -> float:
        return ahead_by(0.02, 0.03)(task)

    create(tmp_path)

    def run(task: TrialTask, report: object) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        first = task.key.schedule == planned().schedule.id
        seconds = result.wall_s * (1 if first else 2.5)  # long ones take longer than expected
        miou = None if result.miou is None else slow(task)
        return replace(result, miou=miou, wall_s=seconds)

    for trials in (40, 70):
        with StudyStore(tmp_path) as store:
            run_inline(Brain(planned(trials, 0.5), store, None), run)
        duels = known(tmp_path)
        pairs = len(pairs_of(duels.duels[0], results(tmp_path)).differences)
        if trials == 40:
            assert "another pair of trainings would" in duels.duels[0].why
            assert pairs < duels.duels[0].most
            before, begun = pairs, duels.duels[0].most
    assert duels.duels[0].most == begun  # settled before the first pair
    assert before < pairs <= begun


def test_a_rival_whose_trainings_fail_ends_its_duel_and_not_the_study(tmp_path: Path) -> None:
    create(tmp_path)

    def run(task: TrialTask, report: object) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        lost = task.key.architecture == BASE and task.schedule.steps > 10
        return TrialResult(task.key, "infeasible", result.cost) if lost else result

    with StudyStore(tmp_path) as store:
        run_inline(Brain(planned(), store, None), run)
    (duel,) = known(tmp_path).duels
    assert duel.why == "its trainings did not complete"
    assert pairs_of(duel, results(tmp_path)).void == 2


def test_a_base_that_the_search_never_measured_is_measured_by_its_first_training(
    tmp_path: Path,
) -> None:
    """Where latency is the budget, what the base costs has to be known before its pick is."""
    base = network(10)
    asked = with_latency(plan("random", trials=60), 1e3)
    space = SearchSpace(base, SPACE.choices[1:], (), SPACE.input_size, SPACE.classes)
    asked = replace(asked, space=space, confirm=0.6)
    space = replace(space, choices=SPACE.choices)
    asked = replace(asked, space=space)
    (duel,) = fight(tmp_path, asked, lambda t: 0.5 + t.architecture.width / 100).duels
    trials = open_study(tmp_path).trials()
    first = next(ask for ask, _ in trials if ask.purpose == "confirm")
    assert first.key == TrialKey(base.id, asked.long_schedule.id, duel.seeds[0])
    assert first.point == ()
    assert duel.cost == "latency_ms"
    assert duel.budget == pytest.approx(results(tmp_path)[first.key].latency_ms)
    # It stands at no point: a sampler that resumes hears nothing of it.
    fight(tmp_path, replace(asked, trials=70), lambda t: 0.5)


def test_several_workers_train_the_first_two_pairs_at_once_and_then_wait(tmp_path: Path) -> None:
    create(tmp_path)
    long = planned().long_schedule.id
    with StudyStore(tmp_path) as store:
        brain = Brain(planned(), store, None)
        running: list[TrialTask] = []
        at_once: list[int] = []
        while True:
            while len(running) < 8 and (task := brain.ask()) is not None:
                running.append(task)
            if not running:
                break
            at_once.append(sum(t.key.schedule == long for t in running))
            done = running.pop(0)
            result = run_made_up(done, lambda _: True)
            miou = None if result.miou is None else ahead_by(0.005, 0.02)(done)
            brain.tell(done.number, replace(result, miou=miou))
    assert max(at_once) == 4
    duel = known(tmp_path).duels[0]
    assert len(pairs_of(duel, results(tmp_path)).differences) > 2


FOUND = [
    Found(0, "hr-small", 2.0, 0.50),
    Found(1, "hr-good", 4.0, 0.62),
    Found(2, "hr-wide", 8.0, 0.60),
    Found(3, "hr-best", 9.0, 0.66),
]
V1 = Known("W18-Small-v1", "hr-v1", 5.0, 5, 0.58)
V2 = Known("W18-Small-v2", "hr-v2", 9.5, 9, 0.61)


def test_the_pick_of_a_budget_meets_the_best_known_within_it() -> None:
    base = replace(V1, base=True)
    found, why = matches(FOUND, [base, V2], None)
    assert why == ""
    (first,) = found  # V2 costs more than all that was found
    assert (first.budget, first.pick.architecture, first.rival.name) == (
        5.0,
        "hr-good",
        "W18-Small-v1",
    )
    assert first.ahead == pytest.approx(0.04)


def test_what_is_below_a_limit_is_no_pick() -> None:
    best = max(FOUND, key=lambda one: one.score)
    below = [replace(one, fits=one is not best) for one in FOUND]
    rivals = [replace(V1, base=True), replace(V2, cost=8.5)]
    picks = {m.pick.architecture for m in matches(below, rivals, 9.0)[0]}
    assert best.architecture in {m.pick.architecture for m in matches(FOUND, rivals, 9.0)[0]}
    assert picks
    assert best.architecture not in picks
    assert matches([replace(one, fits=False) for one in FOUND], rivals, 9.0) == ([], NONE_WITHIN)


def test_the_surest_duel_comes_first_and_the_tightest_budget_names_it() -> None:
    wide = replace(V2, cost=8.5)
    found, _ = matches(FOUND, [replace(V1, base=True), wide], 9.0)
    named = [(m.budget, m.pick.architecture, m.rival.name) for m in found]
    assert named == [(9.0, "hr-best", "W18-Small-v2"), (5.0, "hr-good", "W18-Small-v1"),
                     (8.5, "hr-good", "W18-Small-v2")]  # fmt: skip
    found, _ = matches(FOUND, [replace(V1, base=True)], 6.0)
    assert [m.budget for m in found] == [5.0]  # of 5 and 6 the pick and the rival are the same


def test_a_rival_that_was_never_trained_here_counts_by_its_size() -> None:
    unknown = replace(V2, cost=4.5, score=None)
    (duel,) = matches(FOUND, [replace(V1, base=True), unknown], None)[0]
    assert duel.rival == unknown
    assert duel.ahead == 0


def test_why_there_is_no_duel() -> None:
    assert matches([], [V1], None) == ([], NOTHING_FOUND)
    assert matches(FOUND, [replace(V1, cost=1.0, base=True)], None) == ([], NO_RIVAL)
    assert matches(FOUND, [], 5.0) == ([], NO_RIVAL)
    own = Known("the base", "hr-good", 4.0, 4, 0.62, base=True)
    assert matches(FOUND, [own], None) == ([], NOTHING_NEW)


def test_there_are_three_duels_at_most() -> None:
    many = [replace(V1, name=f"n{c}", architecture=f"hr-{c}", cost=c) for c in (2.5, 4.5, 8.5, 9.0)]
    assert len(matches(FOUND, many, 9.0)[0]) == 3


def test_the_budget_is_of_the_first_cost_there_is() -> None:
    limit = Limit("params", 1e6)
    assert budgeted(("latency_ms", "miou", "macs"), [limit]) == "latency_ms"
    assert budgeted(("miou",), [limit]) == "params"
    assert budgeted(("miou",), []) == "macs"


def with_failures(folder: Path, accuracy: Accuracy, lost: Callable[[int], bool]) -> Duels:
    """Run a study in which some of the base's long trainings fail, by their numbers from 0."""
    create(folder)
    long, count = planned().long_schedule.id, iter(range(10**6))

    def run(task: TrialTask, report: object) -> TrialResult:
        result = run_made_up(task, lambda _: True)
        of_base = task.key.architecture == BASE and task.key.schedule == long
        if of_base and lost(next(count)):
            return TrialResult(task.key, "infeasible", result.cost)
        return replace(result, miou=accuracy(task)) if result.miou is not None else result

    with StudyStore(folder) as store:
        run_inline(Brain(planned(100, 0.7), store, None), run)
    return known(folder)


def test_a_pair_that_did_not_complete_has_another_in_its_place(tmp_path: Path) -> None:
    """Of as many pairs as were settled on the last has most of what a verdict may take."""
    (duel,) = with_failures(tmp_path, ahead_by(0.006, 0.02), lambda n: n == 1).duels
    pairs = pairs_of(duel, results(tmp_path))
    assert pairs.void == 1
    assert called(tmp_path) == [NOT_SHOWN] or len(pairs.differences) < duel.most
    assert called(tmp_path) != [OPEN]


def test_a_duel_that_has_no_seeds_left_says_why_it_is_open(tmp_path: Path) -> None:
    (duel,) = with_failures(tmp_path, ahead_by(0.006, 0.02), lambda n: n % 2 == 1).duels
    pairs = pairs_of(duel, results(tmp_path))
    assert pairs.void + len(pairs.differences) == len(duel.seeds)
    assert len(pairs.differences) < duel.most == len(duel.seeds) - SPARE_SEEDS
    assert duel.why == "too many of its trainings did not complete"
