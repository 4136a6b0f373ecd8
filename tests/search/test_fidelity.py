"""How far a search trains: `search.fidelity`."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from search import tabulated
from search.driven import drive
from search.made_up_trials import (
    KilledError,
    Run,
    accuracy,
    by_steps,
    killed_after,
    made_up_latency,
    run_made_up,
)

from hrnet_search.arch.cost import cost
from hrnet_search.errors import InputError
from hrnet_search.records.search_options import SHORT_FIRST, STOP_EARLY, THAW, TO_THE_END
from hrnet_search.records.trial import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    PAUSED,
    STOPPED,
    RungResult,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.report.page.gather import gather
from hrnet_search.report.summary import summary
from hrnet_search.search.brain import Brain
from hrnet_search.search.disk import drawn_costs
from hrnet_search.search.driver import Report
from hrnet_search.search.fidelity.expected import first_lines, first_study
from hrnet_search.search.fidelity.first_study import FEWEST
from hrnet_search.search.fidelity.short_first import short_schedule
from hrnet_search.search.fidelity.thaw import PAUSED_TRIALS
from hrnet_search.search.plan import Plan
from hrnet_search.search.settled_plan import check_budget
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import CONFIRM, SEARCH, SHORT
from hrnet_search.store.writer import StudyStore


def plan(trials: int = 20, confirm: float = 0.0, fidelity: str = SHORT_FIRST) -> Plan:
    planned = tabulated.plan("pareto", trials)
    return replace(planned, fidelity=fidelity, confirm=confirm, stop=0.1)


def purposes(study: Study) -> list[str]:
    return [ask.purpose for ask, _ in study.trials()]


def test_a_short_study_comes_first_and_beside_the_count(tmp_path: Path) -> None:
    planned = plan(30, confirm=0.3)
    study, brain = drive(tmp_path, planned)
    said = purposes(study)
    short = round(0.4 * 30)
    assert set(said[:short]) == {SHORT}
    assert SHORT not in said[short:]
    assert Counter(said)[SEARCH] + Counter(said)[CONFIRM] == 30
    assert (
        f"30 trials: 30 completed; beside them {short - 1} short trainings first, 1 short"
        in summary(study)
    )
    assert "30 trials of 30" in brain.why_ended
    schedules = {ask.key.schedule for ask, _ in study.trials() if ask.purpose == SHORT}
    assert schedules == {short_schedule(planned.schedule).id}
    front = set(study.front()["number"])
    assert front
    assert min(front) >= short  # a short score is never one of the front


def test_a_short_schedule_is_a_third_with_its_warm_up() -> None:
    schedule = replace(plan().schedule, steps=300, warmup=30)
    assert (short_schedule(schedule).steps, short_schedule(schedule).warmup) == (100, 10)
    tiny = short_schedule(replace(schedule, steps=2, warmup=1))
    assert (tiny.steps, tiny.warmup) == (1, 0)


@pytest.mark.slow
def test_whole_trainings_learn_from_the_short_ones(tmp_path: Path) -> None:
    planned = plan(30)
    study, _ = drive(tmp_path, planned)
    shorts = [(ask, r) for ask, r in study.trials() if ask.purpose == SHORT and r is not None]
    with StudyStore(tmp_path) as store:
        brain = Brain(planned, store, None)
        sampler = brain._rule.sampler_of(SEARCH)
    assert sampler
    (expected,) = sampler.history.problem.earlier
    done = [(ask.point, r.miou) for ask, r in shorts if r.status == COMPLETED]
    points = np.array([point for point, _ in done])
    assert kendalltau(expected(points), [miou for _, miou in done]).statistic > 0.5


def test_cut_off_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    planned = plan(16)
    whole, _ = drive(tmp_path / "whole", planned)
    rng = random.Random(1)
    for _ in range(100):
        try:
            drive(tmp_path / "cut", planned, killed_after(rng.randint(0, 6)))
            break
        except KilledError:
            continue
    cut = open_study(tmp_path / "cut")
    assert [ask for ask, _ in cut.trials()] == [ask for ask, _ in whole.trials()]


def test_more_trials_begin_no_other_short_study(tmp_path: Path) -> None:
    drive(tmp_path, plan(12))
    study, _ = drive(tmp_path, plan(24))
    said = purposes(study)
    assert Counter(said) == {SHORT: FEWEST, SEARCH: 24}
    assert set(said[:FEWEST]) == {SHORT}


def test_of_too_few_short_trials_nothing_is_learned(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.beside and task.number % 2:
            return TrialResult(task.key, FAILED, error="made to fail")
        return run_made_up(task, report)

    study, _ = drive(tmp_path, plan(20), run)
    assert Counter(purposes(study)) == {SHORT: FEWEST, SEARCH: 20}


def test_a_space_smaller_than_the_short_study_is_searched_whole(tmp_path: Path) -> None:
    choices = (replace(tabulated.SPACE.choices[0], values=(4, 6)), tabulated.SPACE.choices[1])
    planned = replace(plan(20), space=replace(tabulated.SPACE, choices=choices))
    study, brain = drive(tmp_path, planned)
    counts = Counter(purposes(study))
    assert counts[SHORT] == counts[SEARCH] == len(set(study.results()["architecture"])) < FEWEST
    assert "all variants within the limits" in brain.why_ended


def worse_and_worse(task: TrialTask, report: Report) -> TrialResult:
    """Run a trial whose accuracy falls with its number: after ten none is worth its end."""
    miou = 0.5 - task.number / 200 + accuracy(task) / 1000
    report(TrialProgress("latency", latency=made_up_latency(task.architecture)))
    rungs: list[RungResult] = []
    for step in task.rungs:
        rungs.append(RungResult(step, miou, (miou,), 1.0, miou))
        if not report(TrialProgress("evaluate", step, rung=rungs[-1])):
            break
    status = COMPLETED if rungs[-1].step == task.rungs[-1] else STOPPED
    counted = cost(task.architecture, (64, 64), 8)
    return TrialResult(task.key, status, counted, miou=miou, rungs=tuple(rungs), wall_s=1.0)


@pytest.mark.parametrize("fidelity", [STOP_EARLY, TO_THE_END, SHORT_FIRST])
def test_only_one_rule_stops_at_rungs(fidelity: str, tmp_path: Path) -> None:
    planned = replace(plan(30, fidelity=fidelity), sampler="random", stop=0.5)
    study, _ = drive(tmp_path, planned, worse_and_worse)
    stopped = [r for _, r in study.trials() if r is not None and r.status == STOPPED]
    assert bool(stopped) == (fidelity == STOP_EARLY)


def equally_good(task: TrialTask, report: Report) -> TrialResult:
    """Run a trial of one of many networks that differ by the chance of their seeds alone."""
    rng = np.random.default_rng(int(task.architecture.id[3:], 16) + task.key.seed)
    final = 0.5 + 0.02 * rng.standard_normal()
    report(TrialProgress("latency", latency=made_up_latency(task.architecture)))
    rungs: list[RungResult] = []
    for step in task.rungs:
        miou = final * (1 if step == task.rungs[-1] else 0.75)
        rungs.append(RungResult(step, miou, (miou,), 1.0, miou))
        if not report(TrialProgress("evaluate", step, rung=rungs[-1])):
            break
    status = COMPLETED if rungs[-1].step == task.rungs[-1] else STOPPED
    counted = cost(task.architecture, (64, 64), 8)
    return TrialResult(
        task.key, status, counted, miou=rungs[-1].miou, rungs=tuple(rungs), wall_s=1.0
    )


def test_no_other_seed_runs_beside_the_first_which_decides(tmp_path: Path) -> None:
    """Two workers: one that were faster with the lucky seed would have it complete."""
    planned = replace(plan(24, fidelity=STOP_EARLY), sampler="random", seeds=(0, 1), confirm=0.0)
    tabulated.create(tmp_path)
    with StudyStore(tmp_path) as store:
        brain, running = Brain(planned, store, None), list[TrialTask]()
        rng, together = random.Random(0), 0
        while True:
            while len(running) < 3 and (task := brain.ask()) is not None:
                running.append(task)
            together = max(together, len(running))
            first = {task.architecture.id for task in running if task.key.seed == 0}
            assert not first & {task.architecture.id for task in running if task.key.seed == 1}
            if not running:
                break
            task = running.pop(rng.randrange(len(running)))
            brain.tell(task.number, equally_good(task, partial(brain.report, task.number)))
    assert together == 3
    trained = open_study(tmp_path).results().groupby("architecture")["seed"].agg(list)
    assert all(seeds == [0, 1] for seeds in trained)


def test_the_first_seed_decides_for_all_so_that_means_are_not_of_the_lucky(tmp_path: Path) -> None:
    planned = replace(plan(120, fidelity=STOP_EARLY), sampler="random", seeds=(0, 1, 2))
    study, _ = drive(tmp_path, planned, equally_good)
    statuses: dict[str, list[str]] = {}
    for ask, result in study.trials():
        assert result is not None
        statuses.setdefault(ask.key.architecture, []).append(result.status)
    assert {tuple(of) for of in statuses.values()} == {(COMPLETED,) * 3, (STOPPED,) * 3}
    variants = study.variants()
    assert set(variants["seeds"]) == {3}
    completed = [r for _, r in study.trials() if r and r.status == COMPLETED and r.key.seed]
    assert abs(np.mean([r.miou or 0.0 for r in completed]) - 0.5) < 0.01
    assert study.notes.rung_audit is not None


def test_what_comes_first_is_said_in_words() -> None:
    costs = drawn_costs(tabulated.SPACE, (64, 64), 8)
    said = first_lines(plan(30), costs)
    assert said == ["first 12 variants by 3 of 10 steps (search.fidelity: short_first)"]
    (pausing,) = first_lines(plan(30, fidelity=THAW), costs)
    assert pausing.startswith("first 18 variants by 5 of 10 steps, where they pause (")
    assert first_lines(plan(30, fidelity=STOP_EARLY), costs) == []


def test_no_more_is_promised_to_come_first_than_there_is_or_may_be_paused(tmp_path: Path) -> None:
    costs = drawn_costs(tabulated.SPACE, (64, 64), 8)
    few = tabulated.SPACE.choices[0]
    small = replace(tabulated.SPACE, choices=(replace(few, values=(4, 6)),))
    assert first_study(replace(plan(30, fidelity=THAW), space=small), costs) == (2, 5)
    each = 16 * sum(one.params for one in costs) / len(costs)
    tight = replace(plan(30, fidelity=THAW), paused=int(2.5 * each))
    assert first_study(tight, costs) == (3, 5)
    (line,) = first_lines(tight, costs)
    assert line.endswith("(search.fidelity: thaw); nothing is learned from fewer than 8")
    study, _ = drive(tmp_path, tight, by_steps)
    assert abs(len(study.notes.first_trials or ()) - 3) <= 2


def test_too_few_trials_are_refused() -> None:
    with pytest.raises(InputError, match=r"11 trials do not go with search\.fidelity: short_first"):
        check_budget(11, 0.0, f"search.fidelity: {SHORT_FIRST}")


def test_paused_trials_go_on_as_trials_of_the_search(tmp_path: Path) -> None:
    study, brain = drive(tmp_path, plan(20, fidelity=THAW), by_steps)
    asks = dict(enumerate(study.trials()))
    first = range(round(PAUSED_TRIALS * 20))
    status = dict(zip(*study.results()[["number", "status"]].values.T, strict=True))
    went_on = [n for n in first if status[n] == COMPLETED]
    assert went_on
    assert {status[n] for n in first} == {COMPLETED, PAUSED}
    assert all(asks[n][0].purpose == SEARCH for n in went_on)
    assert sum(s == COMPLETED for s in status.values()) == 20
    assert "20 trials of 20" in brain.why_ended
    both_parts = asks[went_on[0]][1]
    assert both_parts
    assert both_parts.wall_s == 2.0
    found = gather(study).standing
    assert found.counts == ((COMPLETED, 20),)
    assert found.beside == (f"{len(first) - len(went_on)} paused after a short training",)


def test_more_trials_go_on_with_what_is_paused(tmp_path: Path) -> None:
    study, _ = drive(tmp_path, plan(12, fidelity=THAW), by_steps)
    before = len(study.trials())
    study, _ = drive(tmp_path, plan(40, fidelity=THAW), by_steps)
    status = study.results()["status"].value_counts()
    assert status[COMPLETED] == 40
    assert Counter(purposes(study)[before:]) == {SEARCH: len(study.trials()) - before}


def harsh(task: TrialTask, report: Report) -> TrialResult:
    """Run a trial that may fail, be infeasible, or fail once it goes on, and has a latency."""
    kind = int(task.architecture.id[-1], 16)
    counted = cost(task.architecture, (64, 64), 8)
    if kind in (3, 7, 11):
        return TrialResult(task.key, INFEASIBLE, counted, made_up_latency(task.architecture))
    if kind in (4, 8) or (kind in (5, 9, 13) and task.before is not None):
        return TrialResult(task.key, FAILED, counted, error=f"made to fail, {task.number}")
    before = task.before.latency if task.before else None
    latency = before or made_up_latency(task.architecture)
    report(TrialProgress("latency", latency=latency))
    return replace(by_steps(task, report), latency=latency)


@pytest.mark.parametrize(
    ("run", "trials"), [(by_steps, 16), pytest.param(harsh, 24, marks=pytest.mark.slow)]
)
def test_a_thawing_study_cut_off_anywhere_ends_the_same(
    run: Run, trials: int, tmp_path: Path
) -> None:
    planned = plan(trials, fidelity=THAW)
    if run is harsh:
        planned = replace(tabulated.with_latency(planned, 1e6), fidelity=THAW)
    whole, _ = drive(tmp_path / "whole", planned, run)
    rng = random.Random(2)
    for _ in range(100):
        try:
            drive(tmp_path / "cut", planned, killed_after(rng.randint(0, 6), run))
            break
        except KilledError:
            continue
    cut = open_study(tmp_path / "cut")
    # What was told since the last ask is asked for again where a kill came between.
    assert [replace(ask, told=()) for ask, _ in cut.trials()] == [
        replace(ask, told=()) for ask, _ in whole.trials()
    ]
    assert list(cut.results()["status"]) == list(whole.results()["status"])


def test_few_are_paused_where_checkpoints_may_take_little(tmp_path: Path) -> None:
    planned = replace(plan(20, fidelity=THAW), paused=1)
    study, _ = drive(tmp_path, planned, by_steps)
    assert (study.results()["status"] == COMPLETED).sum() == 20
    assert (study.results()["status"] == PAUSED).sum() <= 1


def test_a_trial_that_goes_on_ends_when_it_does_and_is_not_timed_again(tmp_path: Path) -> None:
    clock, before = iter(range(1000, 10**6, 10)), dict[int, TrialResult | None]()

    def run(task: TrialTask, report: Report) -> TrialResult:
        before[task.number] = task.before
        return replace(by_steps(task, report), began=float(next(clock)))

    study, _ = drive(tmp_path, plan(20, fidelity=THAW), run)
    went_on = [(ask, r) for ask, r in study.trials() if r is not None and r.wall_s == 2.0]
    assert went_on
    ends = [r.began + r.wall_s for _, r in study.ended() if r.began is not None]
    assert ends == sorted(ends)
    for ask, _ in went_on:
        shown = before[ask.number]
        assert shown is not None
        assert shown.rungs[-1].step == 5


def test_first_trials_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number in (0, 2):
            return TrialResult(task.key, INFEASIBLE, cost(task.architecture, (64, 64), 8))
        return by_steps(task, report)

    study, _ = drive(tmp_path, plan(20, fidelity=THAW), run)
    assert gather(study).standing.beside[-1] == "2 short trainings infeasible"


def test_what_pauses_is_no_failure_in_a_row(tmp_path: Path) -> None:
    def run(task: TrialTask, report: Report) -> TrialResult:
        if task.number in (1, 4, 7):
            return TrialResult(task.key, FAILED, error="made to fail")
        return by_steps(task, report)

    _, brain = drive(tmp_path, plan(20, fidelity=THAW), run)
    assert "20 trials of 20" in brain.why_ended


@pytest.mark.slow
def test_a_network_that_failed_first_is_not_proposed_for_ever(tmp_path: Path) -> None:
    """The search that proposes it hears so, also once it goes on after a kill."""
    planned = tabulated.with_latency(plan(24, fidelity=THAW), 1e6)
    study, brain = drive(tmp_path, planned, harsh)
    asks = {ask.key.architecture: ask for ask, _ in study.trials()}
    known = zip(study.notes.known_points or (), study.notes.known_for or (), strict=True)
    lost = [
        point
        for point, (purpose, _) in known
        if purpose == SEARCH and asks[planned.space.decode(point).id].purpose == SHORT
    ]
    assert lost
    with StudyStore(tmp_path) as store:
        for one in (brain, Brain(planned, store, None)):
            sampler = one._rule.sampler_of(SEARCH)
            assert sampler
            assert {*lost} <= {tuple(point) for point in sampler.history.failed()}


def test_a_first_study_that_was_learned_from_is_over_whatever_is_asked_for(tmp_path: Path) -> None:
    """Killed between what was learned and the first trial of the search."""
    first = round(PAUSED_TRIALS * 20)
    tabulated.create(tmp_path)
    with StudyStore(tmp_path) as store:
        brain = Brain(plan(20, fidelity=THAW), store, None)
        for number in range(first):
            task = brain.ask()
            assert task
            brain.tell(number, by_steps(task, partial(brain.report, number)))
        store.note(Notes(first_trials=tuple(range(first)), first_scores=(0.5,) * first))
    assert purposes(open_study(tmp_path)) == [SHORT] * first
    study, _ = drive(tmp_path, plan(60, fidelity=THAW), by_steps)
    assert SHORT not in purposes(study)[first:]
