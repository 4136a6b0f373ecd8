"""What a study will take, said before it is begun: device-hours with an interval, and disk.

Hours are those of networks drawn from the space, by what a training takes as a function of its
network's exact cost: of trainings that have ended, or of a few short ones that are measured for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import fmean, pstdev

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.counts import digits
from hrnet_search.errors import counted
from hrnet_search.evaluate.latency.reference import MOST_CHECKS
from hrnet_search.evaluate.training.train import RECALIBRATION_IMAGES, SLICES_IMAGES
from hrnet_search.records.search_options import GATE, THAW
from hrnet_search.records.trial import COMPLETED, INFEASIBLE, PAUSED, TrialResult
from hrnet_search.search.confirm.phase import SEARCHED_FROM
from hrnet_search.search.disk import (
    DRAWN,
    checkpoint_bytes,
    drawn_costs,
    first_bytes,
    paused_bytes,
    sized,
    weight_bytes,
)
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.fidelity.expected import first_study
from hrnet_search.search.first_measurements import untrained_variants
from hrnet_search.search.plan import Plan
from hrnet_search.search.probe import PROBE_S, Training, in_steps, timed
from hrnet_search.search.run import spent_of
from hrnet_search.search.slices import judged_of
from hrnet_search.search.space_problem import latency_matters
from hrnet_search.search.time_budget import HOUR, spelt
from hrnet_search.space.generate import generate, generate_points
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import BASE, CONFIRM, SEARCH, SHORT, SLICES

LEAST_DOUBT = 0.15
"""Share by which hours are in doubt whatever was measured: a machine has other work too."""

LEAST_SHARE = 0.1
"""Of what is expected, the least that a training may take, however much is in doubt."""

WORTH_SAYING = 0.02
"""Share of a budget from which what is measured before the first trial is said."""

ROUNDING = 1e-6

MOST_DRAWN = 5_000
"""Variants that are drawn to see whether a space has as many as would end; it may have more."""

LEAN = 0.5
"""By how much of the spread of a space's trainings a search may lean to large or small ones."""


@dataclass(frozen=True, slots=True)
class Done:
    """What of a study is done: `trials` that have ended, of which `searched` did not confirm.

    `short` are those of a first study, beside them, `judged` networks by slices. `base` says that
    what all variants start from is trained, `measured` that what is measured before the first
    trial is; `spent` are device seconds.
    """

    trials: int = 0
    searched: int = 0
    short: int = 0
    judged: int = 0
    base: bool = False
    measured: bool = False
    spent: float = 0.0


NOTHING = Done()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study, or the rest of one, should take.

    `seconds` are of devices, (least, expected, most), up to `first` of them before the first
    trial; `trials` those that are counted, by what `basis` says, and `short` come before them in a
    first study, or `judged` networks by slices. Of a budget in hours `trials` are
    as many as should end in it, `between` the fewest and the most, `each` the seconds of one.
    `whole` says that they are all that there is to try. `alone` are seconds of what one worker
    trains before all others. `disk` are bytes of weights and checkpoints together.
    """

    trials: int
    seconds: tuple[float, float, float]
    disk: int = 0
    basis: str = ""
    workers: int = 1
    hours: float = 0.0
    between: tuple[int, int] = (0, 0)
    each: float = 0.0
    first: float = 0.0
    whole: bool = False
    short: int = 0
    judged: int = 0
    alone: float = 0.0

    def lines(self) -> list[str]:
        """Return it for people to read."""
        least, expected, most = self.seconds
        if self.hours:
            said = f"budget: {self.hours:g} device-hours, {self._in_hours()}"
            wall = f"{digits(self.hours / self.workers)} hours"
        else:
            said = counted(self.trials, "trial")
            said += f" after {counted(self.short, 'short one')}" if self.short else ""
            said += f" after {counted(self.judged, 'network')} by slices" if self.judged else ""
            said += f": about {spelt(expected)} of device time"
            said += f" ({spelt(least)} to {spelt(most)})"
            wall = f"about {spelt(self.alone + (expected - self.alone) / self.workers)}"
        if self.whole:
            said += ", all that there is to try"
        if self.workers > 1:
            said += f", {wall} with {self.workers} workers"
        return [
            f"{said}; {self.basis}",
            f"disk: about {sized(self.disk)} of weights and checkpoints",
        ]

    def _in_hours(self) -> str:
        few, many = self.between
        trials = counted(few, "trial") if few == many else f"{few} to {many} trials"
        trials += f" of about {spelt(self.each)} each"
        if self.first > WORTH_SAYING * self.hours * HOUR:
            trials += f" after up to {spelt(self.first)} of measurements"
        return trials


def forecast(
    plan: Plan, durations: Durations, basis: str, workers: int, done: Done = NOTHING
) -> Forecast:
    """Return what is left of a study of which that much is `done`."""
    costs = costs_of(plan)
    each = [durations.expected(one, plan.schedule.steps) for one in costs] or [0.0]
    mean, base = fmean(each), 0.0
    if plan.base and not done.base:
        # A step of weights that many share is a step of each network that learns in it.
        one = durations.expected(_cost(plan, plan.space.base), plan.base.steps)
        base = one * max(1, plan.base.networks)
    alone = base
    judged = max(0, judged_of(plan.space) - done.judged) if plan.slices else 0
    if judged:
        base += judged * _judging(plan, fmean([durations.expected(one, 1) for one in costs] or [0]))
    doubt = max(LEAST_DOUBT, durations.spread) + (LEAN * pstdev(each) / mean if mean else 0.0)
    if plan.hours:
        found = _of_hours(plan, mean, doubt, base, done)
    else:
        short, steps = _first_study(plan, costs, done)
        first = fmean([durations.expected(one, steps) for one in costs] or [0.0])
        found = _of_trials(plan, mean, doubt, base, done, (short, short * first))
    disk = disk_of(plan, costs, found.trials, workers, done)
    return replace(found, disk=disk, basis=basis, workers=workers, judged=judged, alone=alone)


def _judging(plan: Plan, step: float) -> float:
    """Return the seconds of a judgement by slices, by those of a step: statistics, and some images.

    It takes a share of what a trial takes besides its steps, as a step does here.
    """
    judged = min(SLICES_IMAGES, plan.data.val.length)
    return step * in_steps(RECALIBRATION_IMAGES + judged, plan.schedule)


def _of_trials(
    plan: Plan, mean: float, doubt: float, base: float, done: Done, before: tuple[int, float]
) -> Forecast:
    """`before` is how many trials come first, and their seconds."""
    planned = max(0, plan.trials - plan.confirming - done.searched)
    searching = int(_left_to_try(plan, planned, done))
    short, first = before
    search, share = searching * mean + base, plan.confirm if plan.confirming else 0.0
    # What slices said is held against trainings whatever they take.
    gate = GATE if plan.slices else 0
    held = max(0, gate - (done.trials - done.searched)) * plan.long * mean
    # Confirming takes its share of device time at most, and less where little is to confirm.
    most = max(search / (1 - share), search + held)
    # What is paused and goes on is not trained twice: up to all.
    least = search + held + (0.0 if plan.fidelity == THAW else first)
    trials = searching + max(0, plan.trials - done.trials - planned)
    seconds = in_doubt(least, most + first, doubt)
    return Forecast(trials, seconds, whole=searching < planned, short=short)


def _first_study(plan: Plan, costs: Sequence[Cost], done: Done) -> tuple[int, int]:
    """Return how many trials are still to come first, and the steps of each."""
    if done.searched:
        return 0, 0  # a search begins no other
    count, steps = first_study(plan, costs)
    return max(0, count - done.short), steps


def _of_hours(plan: Plan, mean: float, doubt: float, base: float, done: Done) -> Forecast:
    hours = max(0.0, plan.hours - done.spent / HOUR)
    first = 0.0 if done.measured else min(hours * HOUR, _measured_first(plan))
    seconds = max(0.0, hours * HOUR - base - first)
    slow, usual, fast = (
        _within(plan, seconds, mean * times, done)
        for times in (1 + doubt, 1.0, max(LEAST_SHARE, 1 - doubt))
    )
    # Of a budget all is taken, but where all was tried before its end.
    taken = base + first + usual.seconds if usual.whole else hours * HOUR
    return Forecast(
        usual.trials,
        in_doubt(taken, taken, doubt),
        hours=hours,
        between=(slow.trials, fast.trials),
        each=usual.seconds / usual.count if usual.count else mean,
        first=first,
        whole=usual.whole,
    )


@dataclass(frozen=True, slots=True)
class _Ends:
    """How many trials end in a time, in parts, and their seconds; `whole`: nothing else is left."""

    count: float
    seconds: float
    whole: bool

    @property
    def trials(self) -> int:
        return int(self.count + ROUNDING)


def _within(plan: Plan, seconds: float, mean: float, done: Done) -> _Ends:
    """Return what ends in a budget: its share goes to trials that confirm, as long as they are.

    Too few of the search confirm none, and all of the time is theirs (`confirm/phase.py`).
    """
    if not mean:
        return _Ends(0.0, 0.0, False)
    share = plan.confirm
    wanted = seconds * (1 - share) / mean
    if done.searched + _left_to_try(plan, wanted, done) < SEARCHED_FROM:
        share, wanted = 0.0, seconds / mean
    searching = _left_to_try(plan, wanted, done)
    confirming = seconds * share / (mean * plan.long)
    taken = mean * (searching + plan.long * confirming)
    return _Ends(searching + confirming, taken, searching < wanted)


def _left_to_try(plan: Plan, trials: float, done: Done) -> float:
    """Return as many trials as are wanted of a search, or as its space has left, with each seed."""
    seeds = len(plan.seeds)
    wanted = min(MOST_DRAWN, ceil((trials + done.searched) / seeds))
    there_are = len(generate_points(plan.space, wanted, plan.seed))
    return trials if there_are == wanted else min(trials, max(0, there_are * seeds - done.searched))


def _measured_first(plan: Plan) -> float:
    """Return the seconds that measurements before the first trial take at most.

    The A/A check as often as a noisy device needs it, and untrained variants.
    """
    matters = latency_matters(plan.space, plan.objectives)
    variants = untrained_variants(plan.trials) if matters else 0
    return (MOST_CHECKS + variants) * plan.latency.seconds


def in_doubt(least: float, most: float, doubt: float) -> tuple[float, float, float]:
    """Return the least, expected and most seconds of what takes from `least` to `most`.

    `doubt` is the share by which both may be wrong.
    """
    return least * max(LEAST_SHARE, 1 - doubt), (least + most) / 2, most * (1 + doubt)


def disk_of(
    plan: Plan, costs: Sequence[Cost], trials: int, workers: int, done: Done = NOTHING
) -> int:
    """Return bytes of the weights of that many more trials, and of checkpoints of what runs.

    Those of what is to be paused are among them; those of what is paused lie there. So are those of
    what all start from, where that is not trained yet.
    """
    checkpoints = checkpoint_bytes(costs, plan.schedule, workers)
    if plan.base and not done.base:
        checkpoints += first_bytes(_cost(plan, plan.space.base), costs, plan.base)
    if plan.fidelity == THAW:
        checkpoints += paused_bytes(costs, plan.schedule, _first_study(plan, costs, done)[0])
    return weight_bytes(costs, trials, plan.keep) + checkpoints


def costs_of(plan: Plan) -> list[Cost]:
    """Return the costs of networks drawn from a plan's space."""
    return drawn_costs(plan.space, plan.latency.size, plan.schedule.data.classes, plan.seed)


def done_of(study: Study) -> Done:
    """Return what of a study is done."""
    ended, notes = study.ended(), study.notes
    table = study.results()
    paused = int((table["status"] == PAUSED).sum())
    return replace(
        counted_as_done(((ask.purpose, result) for ask, result in ended), paused),
        measured=notes.reference_ms is not None,
        spent=spent_of((result for _, result in ended), notes),
    )


def counted_as_done(ended: Iterable[tuple[str, TrialResult]], paused: int) -> Done:
    """Return what trials that have `ended` are of a study, by their purposes, and what is paused.

    Infeasible ones count as none.
    """
    of = Counter(purpose for purpose, result in ended if result.status != INFEASIBLE)
    return Done(
        trials=of[SEARCH] + of[CONFIRM],
        searched=of[SEARCH],
        short=of[SHORT] + paused,
        judged=of[SLICES],
        base=bool(of[BASE]),
    )


def of_study(plan: Plan, study: Study) -> Durations:
    """Return what the trainings of a study that have ended say of its next ones."""
    return Durations(
        [
            Took(_cost(plan, ask.architecture), result.rungs[-1].step, result.wall_s)
            for ask, result in study.ended()
            if result.status == COMPLETED and result.rungs and not result.taken_over
            if not plan.teaches_many(ask.purpose)
        ]
    )


def of_probe(plan: Plan, within: float = PROBE_S) -> Durations:
    """Return what a few steps of networks of a plan's space, taken now, say of whole trials."""
    images = plan.data.val.length
    return timed(
        [
            Training(n, plan.schedule, plan.rungs, plan.latency, plan.seeds[0], plan.device, images)
            for n in generate(plan.space, DRAWN, plan.seed)
        ],
        within,
    )


def _cost(plan: Plan, network: Architecture) -> Cost:
    return cost(network, plan.latency.size, plan.schedule.data.classes)
