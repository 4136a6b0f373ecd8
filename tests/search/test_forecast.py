"""What is forecast of a study: the truth of a simulated device is within it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from search.tabulated import SPACE, drive, plan, with_latency

from hrnet_search.arch.cost import Cost, cost
from hrnet_search.evaluate.training.train import SLICES_IMAGES, Report
from hrnet_search.inventory import Inventory, SplitInventory
from hrnet_search.records.search_options import GATE, KEEP_FRONT, SHORT_FIRST, STOP_EARLY, THAW
from hrnet_search.records.trial import RungResult, TrialProgress, TrialTask
from hrnet_search.search import probe as module
from hrnet_search.search.disk import checkpoint_bytes, drawn_costs, sized, weight_bytes
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.first_measurements import untrained_variants
from hrnet_search.search.forecast import Done, done_of, forecast, of_probe, of_study
from hrnet_search.search.initial_weights import base_schedule
from hrnet_search.search.plan import Plan
from hrnet_search.search.time_budget import spelt
from hrnet_search.space.choice import Choice
from hrnet_search.space.generate import generate
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.study import open_study

COSTS = [cost(network, (64, 64), 8) for network in generate(SPACE, 60, 1)]


def seconds(exact: Cost, steps: int) -> float:
    """Return what a device takes: something for itself, MACs and activations."""
    return steps * (0.01 + 3 * exact.macs / 1e9 + 0.02 * exact.activations / 1e6)


def took(costs: list[Cost], noise: float = 0.0, steps: int = 10) -> list[Took]:
    rng = np.random.default_rng(0)
    spread = 1 + noise * rng.standard_normal(len(costs))
    return [Took(c, steps, seconds(c, steps) * s) for c, s in zip(costs, spread, strict=True)]


def test_seconds_without_noise_are_learned_of_a_few_and_hold_for_other_steps() -> None:
    learned = Durations(took(COSTS[:6]))
    for exact in COSTS[6:]:
        assert learned.expected(exact, 300) == pytest.approx(seconds(exact, 300), rel=1e-3)


def test_what_is_taken_is_hardly_ever_more_than_at_most() -> None:
    learned = Durations(took(COSTS[:20], noise=0.1))
    rng = np.random.default_rng(1)
    over = [
        seconds(c, 10) * (1 + 0.1 * rng.standard_normal()) > learned.at_most(c, 10)
        for c in COSTS[20:]
        for _ in range(20)
    ]
    assert np.mean(over) < 0.06
    assert learned.at_most(COSTS[30], 10) < 1.5 * seconds(COSTS[30], 10)


def test_a_larger_network_is_never_expected_to_take_less() -> None:
    shrinking = [Took(c, 10, 100 - 1e-6 * c.macs) for c in COSTS[:10]]
    learned = Durations(shrinking)
    by_macs = sorted(COSTS, key=lambda c: (c.macs, c.activations))
    small, large = learned.expected(by_macs[0], 10), learned.expected(by_macs[-1], 10)
    assert small <= large + 1e-9


def test_of_one_training_a_larger_one_is_expected_in_proportion_and_a_smaller_one_alike() -> None:
    small, large = min(COSTS, key=lambda c: c.macs), max(COSTS, key=lambda c: c.macs)
    known = Durations([Took(small, 10, 5.0)])
    assert known.expected(large, 10) == pytest.approx(5.0 * large.macs / small.macs)
    assert Durations([Took(large, 10, 5.0)]).expected(small, 10) == 5.0
    assert Durations(()).at_most(large, 10) == 0.0


def test_trials_take_what_was_forecast() -> None:
    planned = plan(trials=40)
    said = forecast(planned, Durations(took(COSTS[:4], 0.05)), "by simulation", 1)
    truth = sum(seconds(cost(n, (64, 64), 8), 10) for n in generate(SPACE, 40, 9))
    least, expected, most = said.seconds
    assert least < truth < most
    assert expected == pytest.approx(truth, rel=0.3)
    assert most < 3 * least


def test_what_has_ended_and_what_confirms_change_what_is_left() -> None:
    durations = Durations(took(COSTS[:4]))
    whole = forecast(plan(trials=40), durations, "", 1)
    half = forecast(plan(trials=40), durations, "", 2, Done(trials=20, searched=20))
    assert half.seconds[1] == pytest.approx(whole.seconds[1] / 2)
    assert half.trials == 20
    assert "with 2 workers" in half.lines()[0]
    confirmed = forecast(replace(plan(trials=40), confirm=0.3), durations, "", 1)
    assert confirmed.seconds[2] > 0.9 * whole.seconds[2]


def test_hours_are_said_in_trials() -> None:
    planned = replace(plan(trials=40), hours=1.0)
    said = forecast(planned, Durations(took(COSTS[:4])), "by simulation", 1).lines()[0]
    assert said.startswith("budget: 1 device-hours, ")
    assert " trials of about " in said
    done = Done(trials=9, searched=9, measured=True, spent=1800.0)
    rest = forecast(planned, Durations(took(COSTS[:4])), "by simulation", 1, done)
    assert rest.lines()[0].startswith("budget: 0.5 device-hours, ")


def test_in_hours_long_trials_that_confirm_leave_fewer() -> None:
    """Of 1.5 hours and trials of 54 s, 30% confirm by three times the steps: 70 and 10 trials."""
    planned = replace(plan(trials=40), hours=1.5, confirm=0.3, long=3)
    steps = planned.schedule.steps
    known = Durations([Took(replace(c, macs=1, activations=1), steps, 54.0) for c in COSTS[:4]])
    said = forecast(planned, known, "", 1, Done(measured=True))
    assert said.trials == 80
    assert said.seconds == pytest.approx((0.85 * 5400, 5400, 1.15 * 5400), rel=1e-3)
    assert "69 to 94 trials of about 67.5 s each" in said.lines()[0]
    without = forecast(replace(planned, confirm=0.0), known, "", 1, Done(measured=True))
    assert without.trials == 100


def of_widths(*widths: int) -> SearchSpace:
    return SearchSpace(SPACE.base, (Choice("width", widths),), (), (64, 64), 8)


def all_alike(planned: Plan, trial_s: float) -> Durations:
    """Return that every trial by the search's schedule takes so long, whatever its network."""
    exact = replace(COSTS[0], macs=1, activations=1)
    return Durations([Took(exact, planned.schedule.steps, trial_s)] * 3)


@pytest.mark.parametrize(("seeds", "trials"), [((0,), 6), ((0, 1), 12)])
def test_no_more_trials_are_promised_than_the_space_has_networks(
    seeds: tuple[int, ...], trials: int
) -> None:
    planned = replace(plan(seeds=seeds), space=of_widths(2, 4, 6, 8, 10, 12), hours=10.0)
    said = forecast(planned, all_alike(planned, 60.0), "", 1, Done(measured=True))
    assert said.trials == trials
    assert f"{trials} trials of about 60 s each, all that there is to try" in said.lines()[0]
    assert said.seconds[1] == pytest.approx(60 * trials)
    some = Done(trials=4, searched=4, measured=True, spent=240.0)
    assert forecast(planned, all_alike(planned, 60.0), "", 1, some).trials == trials - 4
    by_trials = forecast(replace(planned, hours=0.0, trials=20), all_alike(planned, 60.0), "", 1)
    assert (by_trials.trials, by_trials.whole) == (trials, True)
    assert by_trials.seconds[1] == pytest.approx(60 * trials)


def test_limits_and_spellings_of_one_network_leave_fewer_to_try() -> None:
    known = len(generate(SPACE, 1000))
    assert known < SPACE.size
    planned = replace(plan(), hours=1000.0)
    assert forecast(planned, all_alike(planned, 60.0), "", 1).trials == known


def test_too_few_of_a_search_confirm_none_of_it() -> None:
    """The share that confirms goes to the search where that has fewer than ten trials."""
    planned = replace(plan(), hours=0.1, confirm=0.3, long=3)
    said = forecast(planned, all_alike(planned, 40.0), "", 1, Done(measured=True))
    assert said.trials == 9


def test_what_is_measured_before_the_first_trial_is_taken_off_the_hours() -> None:
    """By docs/space-yaml.md it counts. Four checks of the reference take 5 s each at most."""
    planned = replace(plan(), hours=30 / 3600)
    said = forecast(planned, all_alike(planned, 4.0), "", 1)
    assert said.trials == 2  # of 10 s, not of 30
    assert "2 trials of about 4 s each after up to 20 s of measurements" in said.lines()[0]
    assert forecast(planned, all_alike(planned, 4.0), "", 1, Done(measured=True)).trials == 7
    none = forecast(replace(planned, hours=15 / 3600), all_alike(planned, 4.0), "", 1)
    assert none.trials == 0
    assert "0 trials of about 4 s each after up to 15 s of measurements" in none.lines()[0]


def test_untrained_variants_whose_latency_is_measured_first_count_too() -> None:
    planned = with_latency(replace(plan(trials=40), hours=100 / 3600), 1e6)
    said = forecast(planned, all_alike(planned, 4.0), "", 1)
    assert said.first == 5.0 * (4 + untrained_variants(40))


def test_what_has_ended_counts_as_the_driver_counts_it(tmp_path: Path) -> None:
    schedule = replace(plan().schedule, init="base", init_steps=30, init_fingerprint="0f")
    planned = replace(plan(trials=12), schedule=schedule, base=base_schedule(schedule))
    brain = drive(tmp_path, planned)
    done = done_of(open_study(tmp_path))
    assert (done.trials, done.searched, done.base) == (brain.ended, 12, True)
    assert not done.measured


@pytest.mark.parametrize(("fidelity", "extra"), [(THAW, (0, 40)), (SHORT_FIRST, (24, 24))])
def test_what_comes_first_is_forecast_beside_the_count(
    fidelity: str, extra: tuple[float, float]
) -> None:
    """Eight trainings of 10 s for half of it, of which all or none may go on, or 0.3 of it."""
    planned = replace(plan(trials=12), fidelity=fidelity)
    known = all_alike(planned, 10.0)
    whole = forecast(replace(planned, fidelity=STOP_EARLY), known, "", 1)
    said = forecast(planned, known, "", 1)
    assert said.trials == 12
    assert said.seconds[1] == pytest.approx(120 + sum(extra) / 2)
    assert said.seconds[2] / whole.seconds[2] == pytest.approx((120 + extra[1]) / 120)
    assert said.lines()[0].startswith("12 trials after 8 short ones: about ")
    assert (said.disk > whole.disk) == (fidelity == THAW)
    begun = forecast(planned, known, "", 1, Done(short=6))
    assert begun.seconds[1] == pytest.approx(120 + sum(extra) / 8)
    searching = forecast(planned, known, "", 1, Done(trials=2, searched=2, short=6))
    assert searching.seconds[1] == pytest.approx(100)


def test_weights_that_networks_share_take_a_step_of_each(tmp_path: Path) -> None:
    schedule = replace(
        plan().schedule, init="shared", init_steps=30, init_networks=4, init_fingerprint="0f"
    )
    planned = replace(plan(trials=12), schedule=schedule, base=base_schedule(schedule))
    assert planned.base
    assert planned.base.networks == 4
    known = all_alike(planned, 10.0)
    alone = replace(planned, base=replace(planned.base, networks=0))
    none = forecast(replace(planned, base=None), known, "", 1).seconds[1]
    extra = [forecast(one, known, "", 1).seconds[1] - none for one in (planned, alone)]
    assert extra[0] == pytest.approx(4 * extra[1])
    disks = [forecast(one, known, "", 1).disk for one in (planned, replace(planned, base=None))]
    done = forecast(planned, known, "", 1, Done(base=True)).disk
    largest = max(c.params for c in drawn_costs(SPACE, (64, 64), 8, planned.seed))
    assert disks[0] - disks[1] >= 4 * 2 * largest, "their weights and a checkpoint"
    assert done == disks[1]
    completed = drive(tmp_path, planned).counts["completed"]
    assert of_study(planned, open_study(tmp_path)).known == completed - 1  # not the shared ones


def test_networks_that_slices_judge_take_what_goes_forward_of_them() -> None:
    images = replace(plan().schedule.data, size=(128, 128))  # as large as a crop, 8 of them a step
    schedule = replace(plan().schedule, data=images, init="shared", init_steps=30)
    schedule = replace(schedule, init_networks=4)
    data = Inventory(SplitInventory(64, 64), SplitInventory(32, 32))
    planned = replace(
        plan(trials=12), schedule=schedule, base=base_schedule(schedule), data=data, confirm=0.5
    )
    by_slices = replace(planned, slices=replace(schedule, steps=0))
    known = all_alike(planned, 10.0)
    alone, judged = (forecast(one, known, "", 1) for one in (planned, by_slices))
    (limit,) = SPACE.limits
    assert limit.objective == "params"
    every = {network.id: network for network in map(SPACE.decode, SPACE.points())}
    there_are = sum(cost(n, (64, 64), 8).params <= limit.at_most for n in every.values())
    assert judged.judged == there_are
    # 64 images of statistics and 32 to judge by: 12 steps of a second, which go forward alone.
    gate = 12 - by_slices.confirming - (12 - planned.confirming)
    extra = judged.seconds[0] / 0.85 - alone.seconds[0] / 0.85 - 10 * gate
    held = GATE * planned.long * 10  # trained for long, whatever they take of the share
    assert extra == pytest.approx(there_are * 4 + held)
    together = forecast(by_slices, known, "", 8)
    assert together.alone == pytest.approx(120), "which one worker trains, before all others"
    wall = spelt(120 + (together.seconds[1] - 120) / 8)
    assert together.lines()[0].split(", ")[-1].startswith(f"about {wall} with 8 workers")
    by_many, by_some = (
        replace(by_slices, data=replace(data, val=SplitInventory(count, count)))
        for count in (10_000, SLICES_IMAGES)
    )
    assert forecast(by_many, known, "", 1) == forecast(by_some, known, "", 1)
    half = forecast(by_slices, known, "", 1, Done(judged=there_are // 2))
    assert half.judged == there_are - there_are // 2
    assert f" after {there_are} networks by slices: about " in judged.lines()[0]


def test_trials_that_were_asked_for_first_are_done(tmp_path: Path) -> None:
    drive(tmp_path, replace(plan("pareto", trials=12), fidelity=SHORT_FIRST))
    assert done_of(open_study(tmp_path)).short == 8


def test_bytes_of_weights_are_those_of_their_parameters() -> None:
    costs = drawn_costs(SPACE, (64, 64), 8)
    mean = np.mean([c.params for c in costs])
    assert weight_bytes(costs, 100, "all") == pytest.approx(400 * mean, rel=1e-6)
    assert weight_bytes(costs, 100, KEEP_FRONT) < weight_bytes(costs, 100, "all") / 3
    largest = max(c.params for c in costs)
    schedule = replace(plan().schedule, optimiser="sgd", ema=0.0)
    assert checkpoint_bytes(costs, schedule, 2) == 4 * 2 * 2 * largest
    assert (sized(2.63e8), sized(1.5e9)) == ("263 MB", "1.5 GB")


class Clock:
    """Time that passes where it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Device:
    """Trains in a made-up time: 5 s to measure a latency, `step_s` a step, 12 s to judge."""

    def __init__(self, clock: Clock, step_s: float) -> None:
        self.clock, self.step_s, self.steps, self.judged = clock, step_s, 0, 0
        self.macs: list[int] = []

    def run(self, task: TrialTask, report: Report) -> None:
        if not report(TrialProgress("latency")):
            return
        self.macs.append(cost(task.architecture, (64, 64), 8).macs)
        self.clock.now += 5
        going, steps = True, task.schedule.steps
        for step in range(1, steps + 1):
            self.clock.now += self.step_s
            self.steps += 1
            going = report(TrialProgress("train", step, steps, 1.0))
            if not going:
                return
        self.clock.now += 12
        self.judged += 1
        report(TrialProgress("evaluate", steps, steps, 1.0, RungResult(steps, 0.5, (), 1.0, 0.5)))


def probed(
    monkeypatch: pytest.MonkeyPatch, within: float, step_s: float, images: int = 36
) -> tuple[Device, float, int]:
    """Return the device after a probe, the seconds of a whole trial by it, and of how many."""
    clock = Clock()
    device = Device(clock, step_s)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "Worker", lambda: device)
    planned = plan()
    crop, batch = planned.schedule.crop, planned.schedule.batch
    data = replace(planned.schedule.data, size=crop)
    of_data = Inventory(val=SplitInventory(images * batch, 0))
    schedule = replace(planned.schedule, data=data, steps=100)
    found = of_probe(replace(planned, schedule=schedule, rungs=(50, 100), data=of_data), within)
    return device, found.expected(COSTS[0], 100), found.known


def test_a_probe_says_what_whole_trials_take(monkeypatch: pytest.MonkeyPatch) -> None:
    device, seconds, known = probed(monkeypatch, 1000, 1.0)
    assert (device.steps, device.judged, known) == (20, 5, 4)
    assert device.macs[1:3] == [min(device.macs), max(device.macs)]  # the ends before the rest
    assert seconds == pytest.approx(5 + 100 * 1.0 + 2 * 12)


def test_a_probe_ends_soon_where_steps_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of a first network are measured; it judges as fast as a step goes forward."""
    device, seconds, known = probed(monkeypatch, 30, 40.0, images=3)
    assert (device.steps, device.judged, known) == (3, 0, 1)  # a second network is cut off
    assert device.clock.now == 2 * 5 + 3 * 40
    assert seconds >= 5 + 100 * 40 + 2 * (3 * 40 / 3)


def test_a_probe_does_not_judge_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch a step, 360 times as many images to judge: 120 s, of which there are not so many."""
    device, seconds, known = probed(monkeypatch, 60, 1.0, images=360)
    assert (device.judged, known) == (0, 4)
    assert seconds == pytest.approx(5 + 100 * 1.0 + 2 * 120)
