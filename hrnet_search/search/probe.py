"""What whole trials take on this machine, by a few steps of a few of them, taken now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from statistics import median

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.cost import Cost, cost
from hrnet_search.data.dataset import largest_sizes
from hrnet_search.evaluate.training.trial import Worker
from hrnet_search.records.latency import LatencySpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialKey, TrialProgress, TrialTask
from hrnet_search.search.durations import Durations, Took

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


@dataclass(frozen=True, slots=True)
class Training:
    """A trial that would train a network; at its rungs that many `images` judge it."""

    architecture: Architecture
    schedule: Schedule
    rungs: tuple[int, ...]
    latency: LatencySpec
    seed: int
    device: str
    images: int

    @property
    def cost(self) -> Cost:
        """The exact cost of its network."""
        return cost(self.architecture, self.latency.size, self.schedule.data.classes)


def timed(trainings: Sequence[Training], within: float = PROBE_S) -> Durations:
    """Train a few of those networks for some steps; return what the whole trials would take.

    Nothing is written. Data are loaded as trials load them, but without a cache. A first network
    opens them and warms up, and counts where time is for no other. From then on no step begins
    after `within` seconds; of the first two are measured however long they take.
    """
    worker, chosen = Worker(), _spread(trainings)
    middle, end = chosen[len(chosen) // 2], time.monotonic() + within
    first = [(middle, _seconds(middle, worker, end, LEAST_STEPS))]
    end = time.monotonic() + within
    others = [(one, _seconds(one, worker, end)) for one in _far_first(chosen)]
    known = [(one, seconds) for one, seconds in others if seconds] or first
    return Durations([Took(one.cost, one.schedule.steps, s) for one, s in known if s])


def _spread(trainings: Sequence[Training]) -> list[Training]:
    """Return some that are spread over MACs."""
    found = sorted(trainings, key=lambda one: one.cost.macs)
    places = {round(i * (len(found) - 1) / (PROBED - 1)) for i in range(PROBED)}
    return [found[place] for place in sorted(places)]


def _far_first(trainings: list[Training]) -> list[Training]:
    """Return them with both ends of their order before the rest: time may end between them."""
    return trainings[:1] + trainings[:0:-1]


def _seconds(one: Training, worker: Worker, end: float, least: int = 0) -> float | None:
    """Return the seconds of a whole trial, from one of a few steps.

    It is cut off at `end`, but not before `least` steps; None if it had too few by then.
    """
    steps = min(PROBE_STEPS, one.schedule.steps)
    schedule = replace(one.schedule.from_scratch(), steps=steps, warmup=0)
    key = TrialKey(one.architecture.id, schedule.id, one.seed)
    task = TrialTask(0, key, one.architecture, schedule, (steps,), one.latency, device=one.device)
    marks: list[float] = []
    judged: list[float] = []

    def report(progress: TrialProgress) -> bool:
        now = time.monotonic()
        if progress.rung is not None:
            judged.append(now)
        if progress.phase == "train":
            marks.append(now)
        whole = progress.phase == "train" and progress.step == steps
        needed = _judging(one, _step(marks, began)) if whole else 0.0
        return now + needed < end or len(marks) < least

    began = time.monotonic()
    worker.run(task, report)
    whole = time.monotonic() - began
    if len(marks) < min(LEAST_STEPS, steps):
        # Infeasible or failed, and what it took is all that is known; or cut off.
        return whole if time.monotonic() < end else None
    step = _step(marks, began)
    judge = judged[-1] - marks[-1] if judged else _judging(one, step)
    rest = whole - (marks[-1] - marks[0]) - step - (judge if judged else 0)
    return max(0.0, rest) + judge * len(one.rungs) + step * one.schedule.steps


def in_steps(images: int, schedule: Schedule) -> float:
    """Return as how many steps of training it takes to judge by that many images, about."""
    data = schedule.data
    pixels = images * prod(data.size or largest_sizes(data)["val"])
    return FORWARD * pixels / (schedule.batch * prod(schedule.crop))


def _step(marks: list[float], began: float) -> float:
    """Return the seconds of a step, of which the ends are known."""
    return median([b - a for a, b in pairwise(marks)] or [marks[0] - began])


def _judging(one: Training, step: float) -> float:
    """Return about what judging takes, by the seconds of a `step`."""
    return step * in_steps(one.images, one.schedule)
