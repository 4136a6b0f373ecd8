"""What a study will take, said before it is begun: device-hours with an interval, and disk.

Hours are those of networks drawn from the space, by what a training takes as a function of its
network's exact cost: of trainings that have ended, or of a few short ones that are measured for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.records.trial import COMPLETED
from hrnet_search.search.disk import DRAWN, checkpoint_bytes, drawn_costs, sized, weight_bytes
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.plan import Plan
from hrnet_search.search.probe import PROBE_S, Training, timed
from hrnet_search.search.time_budget import HOUR, spelt
from hrnet_search.space.generate import generate
from hrnet_search.store.study import Study

LEAST_DOUBT = 0.15
"""Share by which hours are in doubt whatever was measured: a machine has other work too."""

LEAN = 0.5
"""By how much of the spread of a space's trainings a search may lean to large or small ones."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a study, or the rest of one, should take.

    `seconds` are of devices, (least, expected, most); `trials` those that are counted, by what
    `basis` says. Of a budget in hours `trials` are as many as should end in it, and `seconds` what
    they would take. `disk` are bytes of weights and checkpoints together.
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
    mean, hours = fmean(each), max(0.0, plan.hours - spent / HOUR)
    first = durations.expected(_cost(plan, plan.space.base), plan.base.steps) if plan.base else 0.0
    share, base = plan.confirm if plan.confirming else 0.0, 0.0 if ended else first
    doubt = max(LEAST_DOUBT, durations.spread) + (LEAN * pstdev(each) / mean if mean else 0.0)
    if plan.hours:
        # Of a budget all is taken, and what confirms is long: fewer end in its share.
        left, whole = _within(hours * HOUR - base, mean, share, plan.long), hours * HOUR
        search = whole
    else:
        # Confirming takes its share of device time at most, and less where little is to confirm.
        left = max(0, plan.trials - ended)
        search = max(0, left - plan.confirming) * mean + base
        whole = (search - base) / (1 - share) + base
    seconds = in_doubt(search, whole, doubt)
    return Forecast(left, seconds, disk_of(plan, costs, left, workers), basis, workers, hours)


def in_doubt(least: float, most: float, doubt: float) -> tuple[float, float, float]:
    """Return the least, expected and most seconds of what takes from `least` to `most`.

    `doubt` is the share by which both may be wrong.
    """
    return least * max(0.1, 1 - doubt), (least + most) / 2, most * (1 + doubt)


def _within(seconds: float, mean: float, share: float, long: int) -> int:
    """Return how many trials end in a budget; `share` of it goes to some `long` times as long."""
    return int(max(0.0, seconds) * (1 - share + share / long) / mean) if mean else 0


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


def of_probe(plan: Plan, within: float = PROBE_S) -> Durations:
    """Return what a few steps of networks of a plan's space, taken now, say of whole trials."""
    images = plan.data.val.images
    return timed(
        [
            Training(n, plan.schedule, plan.rungs, plan.latency, plan.seeds[0], plan.device, images)
            for n in generate(plan.space, DRAWN, plan.seed)
        ],
        within,
    )


def _cost(plan: Plan, network: Architecture) -> Cost:
    return cost(network, plan.latency.size, plan.schedule.data.classes)
