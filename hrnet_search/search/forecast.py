"""What a study will take, said before it is begun: device-hours with an interval, and disk.

Hours are those of networks drawn from the space, by what a training takes as a function of its
network's exact cost: of trainings that have ended, or of a few short ones that are measured for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from statistics import fmean, median, pstdev

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.data.dataset import largest_sizes
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialProgress, TrialTask
from hrnet_search.search.disk import DRAWN, checkpoint_bytes, drawn_costs, sized, weight_bytes
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.plan import Plan
from hrnet_search.search.time_budget import HOUR, spelt
from hrnet_search.space.generate import generate
from hrnet_search.store.study import Study

PROBED = 4
"""Networks that are trained for some steps, spread over MACs."""

PROBE_STEPS = 4
"""Steps of each of them; the first, in which kernels are chosen, is not counted."""

PROBE_S = 600.0
"""Seconds after which no further step is measured."""

LEAST_STEPS = 2
"""Steps of a first network that are measured however long they take."""

FORWARD = 1 / 3
"""Share of a training step that goes forward."""

LEAST_DOUBT = 0.15
"""Share by which hours are in doubt whatever was measured: a machine has other work too."""

LEAN = 0.5
"""By how much of the spread of a space's trainings a search may lean to large or small ones."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study, or the rest of one, should take.

    `seconds` are of devices, (least, expected, most); `trials` those that are counted, by what
    `basis` says. `disk` are bytes of weights and checkpoints together.
    """

    trials: int
    seconds: tuple[float, float, float]
    disk: int
    basis: str
    workers: int = 1
    hours: float = 0.0

    def lines(self) -> list[str]:
        """Return it for people to read."""
        least, expected, most = self.seconds
        if self.hours:
            each = expected / max(1, self.trials)
            few, many = (int(self.trials * expected / max(s, 1e-9)) for s in (most, least))
            budget = f"budget: {self.hours:g} device-hours"
            said = f"{budget}, {few} to {many} trials of about {spelt(each)} each"
            wall = f"{self.hours / self.workers:.3g} hours"
        else:
            said = f"{self.trials} trials: about {spelt(expected)} of device time"
            said += f" ({spelt(least)} to {spelt(most)})"
            wall = f"about {spelt(expected / self.workers)}"
        if self.workers > 1:
            said += f", {wall} with {self.workers} workers"
        return [
            f"{said}; {self.basis}",
            f"disk: about {sized(self.disk)} of weights and checkpoints",
        ]


def forecast(
    plan: Plan, durations: Durations, basis: str, ended: int, workers: int, spent: float = 0.0
) -> Forecast:
    """Return what is left of a study of which that many trials have ended, in `spent` seconds."""
    costs = costs_of(plan)
    each = [durations.expected(one, plan.schedule.steps) for one in costs] or [0.0]
    hours = max(0.0, plan.hours - spent / HOUR)
    left = max(0, plan.trials - ended)
    if plan.hours:
        left = int(hours * HOUR / fmean(each)) if fmean(each) else 0
    first = durations.expected(_cost(plan, plan.space.base), plan.base.steps) if plan.base else 0.0
    share = plan.confirm if plan.confirming else 0.0
    searched = max(0, left - plan.confirming) if not plan.hours else left
    lean = LEAN * pstdev(each) / fmean(each) if fmean(each) else 0.0
    doubt = max(LEAST_DOUBT, durations.spread) + lean
    # Confirming takes its share of device time at most, and less where little is to confirm.
    search, base = searched * fmean(each), 0.0 if ended else first
    whole = search / (1 - share)
    least, most = (search + base) * max(0.1, 1 - doubt), (whole + base) * (1 + doubt)
    seconds = (least, (search + whole) / 2 + base, most)
    return Forecast(left, seconds, disk_of(plan, costs, left, workers), basis, workers, hours)


def disk_of(plan: Plan, costs: Sequence[Cost], trials: int, workers: int) -> int:
    """Return bytes of the weights of that many more trials, and of checkpoints of what runs."""
    checkpoints = checkpoint_bytes(costs, plan.schedule, workers)
    return weight_bytes(costs, trials, plan.keep) + checkpoints


def costs_of(plan: Plan) -> list[Cost]:
    """Return the costs of networks drawn from a plan's space."""
    return drawn_costs(plan.space, plan.latency.size, plan.schedule.data.classes, plan.seed)


def of_study(plan: Plan, study: Study) -> Durations:
    """Return what the trainings of a study that have ended say of its next ones."""
    return Durations(
        [
            Took(_cost(plan, ask.architecture), result.rungs[-1].step, result.wall_s)
            for ask, result in study.ended()
            if result.status == COMPLETED and result.rungs and not result.taken_over
        ]
    )


def probe(plan: Plan, within: float = PROBE_S) -> Durations:
    """Train a few networks of a plan's space for some steps; return what whole trials would take.

    Nothing is written. Data are loaded as trials load them, but without a cache. A first network
    opens them and warms up, and counts where time is for no other. From then on no step begins
    after `within` seconds; of the first two are measured however long they take.
    """
    worker, networks = Worker(), _spread(plan)
    middle, end = networks[len(networks) // 2], time.monotonic() + within
    first = [(middle, _trial_seconds(plan, worker, middle, end, LEAST_STEPS))]
    end = time.monotonic() + within
    others = [(one, _trial_seconds(plan, worker, one, end)) for one in _far_first(networks)]
    known = [(one, seconds) for one, seconds in others if seconds] or first
    steps = plan.schedule.steps
    return Durations([Took(_cost(plan, one), steps, s) for one, s in known if s])


def _spread(plan: Plan) -> list[Architecture]:
    """Return networks spread over MACs."""
    found = sorted(generate(plan.space, DRAWN, plan.seed), key=lambda n: _cost(plan, n).macs)
    places = {round(i * (len(found) - 1) / (PROBED - 1)) for i in range(PROBED)}
    return [found[place] for place in sorted(places)]


def _far_first(networks: list[Architecture]) -> list[Architecture]:
    """Return networks with both ends of their order before the rest: time may end between them."""
    order = (networks[0], networks[-1], *networks[1:-1])
    return list({network.id: network for network in order}.values())


def _trial_seconds(
    plan: Plan, worker: Worker, network: Architecture, end: float, least: int = 0
) -> float | None:
    """Return the seconds of a whole trial, from one of a few steps.

    It is cut off at `end`, but not before `least` steps; None if it had too few by then.
    """
    steps = min(PROBE_STEPS, plan.schedule.steps)
    schedule = replace(plan.schedule.from_scratch(), steps=steps, warmup=0)
    key = TrialKey(network.id, schedule.id, plan.seeds[0])
    task = TrialTask(0, key, network, schedule, (steps,), plan.latency, device=plan.device)
    marks: list[float] = []
    judged: list[float] = []

    def report(progress: TrialProgress) -> bool:
        now = time.monotonic()
        if progress.rung is not None:
            judged.append(now)
        if progress.phase == "train":
            marks.append(now)
        whole = progress.phase == "train" and progress.step == steps
        needed = _judging(plan, _step(marks, began)) if whole else 0.0
        return now + needed < end or len(marks) < least

    began = time.monotonic()
    worker.run(task, report)
    whole = time.monotonic() - began
    if len(marks) < min(LEAST_STEPS, steps):
        # Infeasible or failed, and what it took is all that is known; or cut off.
        return whole if time.monotonic() < end else None
    step = _step(marks, began)
    judge = judged[-1] - marks[-1] if judged else _judging(plan, step)
    rest = whole - (marks[-1] - marks[0]) - step - (judge if judged else 0)
    return max(0.0, rest) + judge * len(plan.rungs) + step * plan.schedule.steps


def _step(marks: list[float], began: float) -> float:
    """Return the seconds of a step, of which the ends are known."""
    return median([b - a for a, b in pairwise(marks)] or [marks[0] - began])


def _judging(plan: Plan, step: float) -> float:
    """Return about what judging takes where a step takes so many seconds: it goes forward alone."""
    data = plan.schedule.data
    pixels = plan.data.val.images * prod(data.size or largest_sizes(data)["val"])
    return step * FORWARD * pixels / (plan.schedule.batch * prod(plan.schedule.crop))


def _cost(plan: Plan, network: Architecture) -> Cost:
    return cost(network, plan.latency.size, plan.schedule.data.classes)
