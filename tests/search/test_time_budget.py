"""Budgets of device time: what is counted, and that nothing is begun that would not end in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_up
import pytest
from search.made_up_trials import accuracy
from search.tabulated import create, plan

from hrnet_search.arch.cost import cost
from hrnet_search.records.search_options import STOP_EARLY
from hrnet_search.records.trial import COMPLETED, RungResult, TrialProgress, TrialResult, TrialTask
from hrnet_search.report.duels import duel_lines
from hrnet_search.search.brain import Brain
from hrnet_search.search.confirm.phase import SEARCHED_FROM
from hrnet_search.search.driver import Report, run_inline
from hrnet_search.search.plan import Plan
from hrnet_search.search.run import budget_of
from hrnet_search.search.time_budget import HOUR, TimeBudget, TimeSpentError
from hrnet_search.store.notes import Notes
from hrnet_search.store.study import Study, open_study
from hrnet_search.store.trial_rows import CONFIRM, SEARCH
from hrnet_search.store.writer import StudyStore

STEP_S = 2.0
"""Seconds of a step of a network without operations."""


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Device:
    """Runs trials whose steps take the seconds that their networks' costs ask for.

    `slower` multiplies them after so many trials, as a device that others use too.
    """

    def __init__(self, clock: Clock, slower: tuple[int, float] = (10**9, 1.0)) -> None:
        self.clock, self.slower, self.ran = clock, slower, 0
        self.steps: dict[str, int] = {}

    def run(self, task: TrialTask, report: Report) -> TrialResult:
        exact = cost(task.architecture, (64, 64), 8)
        after, times = self.slower
        step_s = (STEP_S + 80 * exact.macs / 1e9) * (times if self.ran >= after else 1)
        self.ran += 1
        began, miou = self.clock.now, accuracy(task)
        done = self.steps.get(str(task.key), 0)  # a checkpoint
        for step in range(done + 1, task.schedule.steps + 1):
            self.clock.now += step_s
            self.steps[str(task.key)] = step
            report(TrialProgress("train", step, task.schedule.steps))
        rung = RungResult(task.schedule.steps, miou, (miou,), 1.0, miou)
        report(TrialProgress("evaluate", rung.step, rung.step, rung=rung))
        seconds = self.clock.now - began
        return TrialResult(task.key, COMPLETED, exact, None, miou, (rung,), wall_s=seconds)


def timed(hours: float, confirm: float = 0.3, **changes: object) -> Plan:
    planned = replace(plan("random", 40), hours=hours, confirm=confirm, rungs=(10,))
    return replace(planned, **changes)  # type: ignore[arg-type]


def drive(folder: Path, planned: Plan, device: Device) -> tuple[Brain, TimeBudget]:
    create(folder)
    with StudyStore(folder) as store:
        spent = store.notes().spent_s or 0.0
        time = TimeBudget(planned.hours, spent, noting(store), device.clock)
        brain = Brain(planned, store, None, time=time)
        run_inline(brain, device.run)
    return brain, time


def noting(store: StudyStore) -> Callable[[float], None]:
    return lambda seconds: store.note(Notes(spent_s=seconds))


def purposes(study: Study) -> list[str]:
    return [ask.purpose for ask, result in study.trials() if result]


@pytest.mark.parametrize("hours", [0.1, 0.4])
@pytest.mark.parametrize("confirm", [0.0, 0.3])
def test_a_study_ends_in_its_time_and_uses_it(hours: float, confirm: float, tmp_path: Path) -> None:
    device = Device(Clock())
    brain, time = drive(tmp_path, timed(hours, confirm), device)
    study, total = open_study(tmp_path), hours * HOUR
    assert time.spent <= total + longest(study) / 10  # a step
    assert all(result for _, result in study.trials())  # nothing was begun in vain
    assert time.spent > 0.6 * total or "all variants" in brain.why_ended
    assert f"{hours:g} device-hours" in brain.why_ended or "all variants" in brain.why_ended
    assert not brain.fell_short


def longest(study: Study) -> float:
    return max(result.wall_s for _, result in study.trials() if result)


@pytest.mark.slow
def test_hours_for_too_few_networks_confirm_none_and_the_study_says_why(tmp_path: Path) -> None:
    drive(tmp_path, timed(0.05), Device(Clock()))
    study = open_study(tmp_path)
    assert 0 < len(purposes(study)) < SEARCHED_FROM
    assert study.notes.duels is not None
    why = f"fewer than {SEARCHED_FROM} trials of the search ended in time"
    assert study.notes.duels.why == why
    said = f"no duel with a published network or the base: {why}"
    assert duel_lines(study.notes, study.trials()) == (said,)
    drive(tmp_path, timed(1.0), Device(Clock()))  # more hours choose duels
    assert open_study(tmp_path).notes.duels.duels  # type: ignore[union-attr]


def test_the_share_that_confirms_is_kept(tmp_path: Path) -> None:
    drive(tmp_path, timed(0.6), Device(Clock()))
    study = open_study(tmp_path)
    seconds = {SEARCH: 0.0, CONFIRM: 0.0}
    for ask, result in study.trials():
        seconds[ask.purpose] += result.wall_s if result else 0.0
    confirmed = seconds[CONFIRM] / sum(seconds.values())
    assert 0.2 < confirmed < 0.4
    kinds = purposes(study)
    assert kinds.index(CONFIRM) >= 10


def test_too_few_trials_to_confirm_leave_all_time_to_the_search(tmp_path: Path) -> None:
    _, time = drive(tmp_path, timed(0.1), Device(Clock()))
    assert set(purposes(open_study(tmp_path))) == {SEARCH}
    assert time.spent > 0.6 * time.total


def test_a_device_that_slows_down_stops_at_the_step_and_goes_on_with_more(tmp_path: Path) -> None:
    device = Device(Clock(), slower=(6, 30.0))
    brain, time = drive(tmp_path, timed(0.3), device)
    study = open_study(tmp_path)
    left = [ask for ask, result in study.trials() if not result]
    assert len(left) == 1
    assert "1 trial" in brain.why_ended
    assert "--hours" in brain.why_ended
    step_s = max(STEP_S + 80 * cost(a.architecture, (64, 64), 8).macs / 1e9 for a in left) * 30
    assert time.total <= time.spent <= time.total + step_s
    done = device.steps[str(left[0].key)]
    assert 0 < done < 10
    device.slower = (10**9, 1.0)
    again, _ = drive(tmp_path, timed(0.6), device)
    study = open_study(tmp_path)
    assert all(result for _, result in study.trials())
    assert again.ended > brain.ended
    (resumed,) = [r for a, r in study.trials() if r and a.key == left[0].key]
    assert resumed.wall_s < 10 * step_s / 30  # from where it was, not from its beginning


def test_a_study_that_goes_on_counts_what_it_spent(tmp_path: Path) -> None:
    device = Device(Clock())
    drive(tmp_path, timed(0.2), device)
    ended = len(purposes(open_study(tmp_path)))
    _, time = drive(tmp_path, timed(0.2), device)
    assert len(purposes(open_study(tmp_path))) == ended
    assert time.spent <= time.total + longest(open_study(tmp_path)) / 10


@pytest.mark.parametrize("hours", [0.1, 0.4])
def test_a_study_that_has_ended_has_spent_what_it_spent(hours: float, tmp_path: Path) -> None:
    """The last trial too counts once, for there is no note after it."""
    create(tmp_path)
    device = Device(Clock())
    with StudyStore(tmp_path) as store:
        planned = timed(hours)
        time = budget_of(planned, store)
        time._clock, time._now = device.clock, device.clock.now
        run_inline(Brain(planned, store, None, time=time), device.run)
    trained = sum(r.wall_s for _, r in open_study(tmp_path).trials() if r)
    assert trained > 0
    with StudyStore(tmp_path) as store:
        assert budget_of(planned, store).spent == pytest.approx(time.spent, abs=1)


def test_seeds_that_may_not_begin_yet_have_their_time(tmp_path: Path) -> None:
    """Of a network that may be stopped its first seed runs alone: what waits for it is no room."""
    create(tmp_path)
    device, clock = Device(Clock()), Clock()
    device.clock = clock
    planned = timed(0.4, 0.0, seeds=(0, 1, 2), stop=0.05, fidelity=STOP_EARLY, rungs=(5, 10))
    with StudyStore(tmp_path) as store:
        brain = Brain(planned, store, None, time=TimeBudget(0.4, 0.0, noting(store), clock))
        running: list[TrialTask] = []
        while True:
            while len(running) < 4 and (task := brain.ask()) is not None:
                running.append(task)
            if not running:
                break
            task = running.pop(0)
            seen = device.run(task, lambda _: True)
            brain.tell(task.number, replace(seen, wall_s=seen.wall_s))
    study = open_study(tmp_path)
    assert len(study.trials()) > 12
    assert all(result for _, result in study.trials())
    of_each = study.results().groupby("architecture")["seed"].count()
    assert set(of_each) == {3}


def test_a_kill_loses_no_more_than_is_noted_rarely(tmp_path: Path) -> None:
    device = Device(Clock())

    def killed(task: TrialTask, report: Report) -> TrialResult:
        if device.ran == 5:
            for _ in range(100):
                device.clock.now += 1.0
                report(TrialProgress("train", 1, 100))
            raise SystemError
        return device.run(task, report)

    create(tmp_path)
    with StudyStore(tmp_path) as store:
        time = TimeBudget(1.0, 0.0, noting(store), device.clock)
        brain = Brain(timed(0.6), store, None, time=time)
        with pytest.raises(SystemError):
            run_inline(brain, killed)
    noted = open_study(tmp_path).notes.spent_s
    assert noted is not None
    assert time.spent - 31 <= noted <= time.spent


def test_a_second_counts_for_each_trial_that_runs_and_once_where_none_does() -> None:
    clock = Clock()
    time = TimeBudget(1.0, 60.0, clock=clock)
    clock.now += 10
    assert time.spent == 70
    time.begin(1, 100.0)
    time.begin(2, 50.0)
    clock.now += 4  # their workers start
    assert time.spent == 74
    time.heard(1)
    time.heard(2)
    time.heard(2)
    clock.now += 20
    assert time.spent == 114
    assert time.free == HOUR - 114 - 80 - 30
    time.end(1)
    clock.now += 5
    assert time.spent == 119
    assert time.running == 25
    assert time.fits(HOUR - 119 - 25)
    assert not time.fits(HOUR - 119 - 24)
    assert time.fits(0.5 * HOUR - 144, kept=0.5)
    assert not time.fits(0.5 * HOUR - 143, kept=0.5)


def test_all_that_is_spent_is_noted_when_time_is_up() -> None:
    clock, noted = Clock(), list[float]()
    time = TimeBudget(100 / HOUR, note=noted.append, clock=clock)
    time.begin(1, 50.0)
    time.heard(1)
    clock.now += 90
    time.check()
    clock.now += 10
    with pytest.raises(TimeSpentError):
        time.check()
    assert noted[-1] == pytest.approx(100)


def test_time_without_a_bound_is_neither_counted_nor_noted() -> None:
    noted: list[float] = []
    time = TimeBudget(note=noted.append)
    time.begin(1, 1e9)
    time.check()
    assert time.fits(1e12)
    assert not noted


def test_a_trial_hears_that_time_is_spent_between_two_steps() -> None:
    clock = Clock()
    time = TimeBudget(1.0, clock=clock)
    time.begin(1, 1.0)
    clock.now += HOUR - 1
    time.check()
    clock.now += 1
    with pytest.raises(TimeSpentError):
        time.check()


def test_what_was_cut_off_goes_on_in_less_time_than_a_whole_training_takes(tmp_path: Path) -> None:
    device = Device(Clock(), slower=(6, 30.0))
    _, time = drive(tmp_path, timed(0.3), device)
    (left,) = [ask for ask, result in open_study(tmp_path).trials() if not result]
    before = device.steps[str(left.key)]
    device.slower = (10**9, 1.0)
    a_step = (STEP_S + 80 * cost(left.architecture, (64, 64), 8).macs / 1e9) / HOUR
    enough = time.spent / HOUR + (10 - before + 0.5) * a_step
    drive(tmp_path, timed(enough), device)
    assert all(result for _, result in open_study(tmp_path).trials())


def test_what_ran_between_two_budgets_of_time_is_spent(tmp_path: Path) -> None:
    create(tmp_path)
    with StudyStore(tmp_path) as store:
        first = budget_of(timed(0.2), store)
        store.finish(0, _done(store, 0, 100.0))
        first._note(700.0)  # with what the search took beside trials
        store.finish(1, _done(store, 1, 900.0))  # by a budget of trials
        assert budget_of(timed(0.4), store).spent == pytest.approx(1600.0, abs=1)


def _done(store: StudyStore, number: int, seconds: float) -> TrialResult:
    store.ask(made_up.ask(number))
    return replace(made_up.result(number), wall_s=seconds)


def test_fewer_hours_than_were_spent_are_said_as_they_are() -> None:
    assert str(TimeBudget(0.1, 720.0)) == "0.2 device-hours, more than the 0.1 asked for"
    assert "all spent" in str(TimeBudget(0.1, 362.0))
