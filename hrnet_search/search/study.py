"""The brain of a study: asks, tells, stops and resumes; how and where trials run is a driver's.

Everything it decides follows from the space file and from what is committed in the store, so
that a study killed at any moment goes on as if it had not been.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass

from hrnet_search.records import (
    COMPLETED,
    FAILED,
    INFEASIBLE,
    STOPPED,
    LatencySpec,
    Point,
    Schedule,
    TrialKey,
    TrialProgress,
    TrialResult,
    TrialTask,
)
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.space_problem import cost_objectives, problem_of
from hrnet_search.space.space import SearchSpace
from hrnet_search.store.writer import Ask, StudyStore

KNOWN_POINTS = "known_points"

INFEASIBLE_A_TRIAL = 10
"""Networks over the latency limit that may be tried for each trial before the search gives up."""

LEAST_FAILURES = 5
"""Failures that end a study when they are half of what was planned, or more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study is to do: the space file, settled, with everything a trial needs.

    `seeds` are trained for every architecture; `trials` counts all but infeasible ones.
    """

    space: SearchSpace
    objectives: tuple[str, ...]
    schedule: Schedule
    seeds: tuple[int, ...]
    rungs: tuple[int, ...]
    latency: LatencySpec
    sampler: str
    seed: int
    trials: int
    device: str = "auto"
    folder: str = ""


class Brain:
    """Turns a plan and a store into trials to run, one `ask` and one `tell` each."""

    def __init__(self, plan: Plan, store: StudyStore, reference_ms: float | None) -> None:
        self.plan = plan
        self.why_ended = ""
        self._store = store
        self._reference_ms = reference_ms
        problem = problem_of(plan.space, plan.objectives)
        self._sampler = SAMPLERS[plan.sampler](problem, seed=plan.seed, trials=plan.trials)
        self._asks: dict[int, Ask] = {}
        self._results: dict[TrialKey, TrialResult] = {}
        self._waiting: deque[Ask] = deque()
        self._told: list[int] = []
        self._resume()

    @property
    def counts(self) -> dict[str, int]:
        """Trials that have ended, by status."""
        counts = dict.fromkeys((COMPLETED, STOPPED, FAILED, INFEASIBLE), 0)
        for result in self._results.values():
            counts[result.status] += 1
        return counts

    @property
    def ended(self) -> int:
        """Trials that have ended and count as such: infeasible ones cost no training."""
        return len(self._results) - self.counts[INFEASIBLE]

    def ask(self) -> TrialTask | None:
        """Return the next trial, committed before it may start; None when there is none left.

        Trials that were cut off come first. `why_ended` says why there is none.
        """
        if not self._waiting:
            self.why_ended = self._reason_to_end()
            if self.why_ended or not self._propose():
                return None
        return self._task(self._waiting.popleft())

    def report(self, number: int, progress: TrialProgress) -> bool:
        """Take a trial's progress, commit what a rung showed; False would stop the trial."""
        if progress.rung is not None:
            self._store.rung(number, progress.rung)
        else:
            self._store.heartbeat()
        return True

    def tell(self, number: int, result: TrialResult) -> bool:
        """Commit a result; False if the trial had one already, which then stands."""
        first = self._store.finish(number, result)
        if first:
            ask = self._asks[number]
            self._results[ask.key] = result
            self._tell_sampler(ask.point, result)
            self._told.append(number)
        return first

    def _resume(self) -> None:
        finished = dict(self._store.finished())
        for ask in self._store.asks():
            self._asks[ask.number] = ask
            self._sampler.pend([ask.point])
            if ask.number not in finished:
                self._waiting.append(ask)
        for number, result in finished.items():
            ask = self._asks[number]
            self._results[ask.key] = result
            self._tell_sampler(ask.point, result)
        for point in self._known_points():
            self._tell_known(point)
        if self._asks:  # a kill may have come between the seeds of one architecture
            self._ask_seeds(self._asks[max(self._asks)].point)

    def _propose(self) -> bool:
        """Ask the sampler until it names a computation that is new; False at its end."""
        while points := self._sampler.ask():
            if self._ask_seeds(points[0]):
                return True
            self._remember_known(points[0])
        self.why_ended = "every variant within the limits has been tried"
        return False

    def _ask_seeds(self, point: Point) -> bool:
        """Commit an ask for each seed of a point that has none; False if all have."""
        architecture = self.plan.space.decode(point)
        known = {ask.key for ask in self._asks.values()}
        asked = False
        for seed in self.plan.seeds:
            key = TrialKey(architecture.id, self.plan.schedule.id, seed)
            if key in known:
                continue
            ask = Ask(len(self._asks), key, point, architecture, told=tuple(self._told))
            self._store.ask(ask)
            self._told = []
            self._asks[ask.number] = ask
            self._waiting.append(ask)
            asked = True
        return asked

    def _known_points(self) -> list[Point]:
        """Return points that turned out to spell a computation asked for before."""
        return [tuple(p) for p in json.loads(self._store.meta().get(KNOWN_POINTS, "[]"))]

    def _remember_known(self, point: Point) -> None:
        """Commit such a point: a resumed sampler has to have seen what this one saw."""
        self._store.set_meta(KNOWN_POINTS, json.dumps([*self._known_points(), point]))
        self._tell_known(point)

    def _tell_known(self, point: Point) -> None:
        self._sampler.pend([point])
        architecture = self.plan.space.decode(point)
        for seed in self.plan.seeds:
            result = self._results.get(TrialKey(architecture.id, self.plan.schedule.id, seed))
            if result is not None:
                self._tell_sampler(point, result)

    def _reason_to_end(self) -> str:
        counts = self.counts
        if self.ended >= self.plan.trials:
            return f"{self.ended} trials of {self.plan.trials} have ended"
        if counts[FAILED] >= max(LEAST_FAILURES, self.plan.trials / 2):
            return f"{counts[FAILED]} trials failed: the study stops until the cause is mended"
        if counts[INFEASIBLE] >= INFEASIBLE_A_TRIAL * self.plan.trials:
            return f"{counts[INFEASIBLE]} networks were measured over the latency limit"
        return ""

    def _task(self, ask: Ask) -> TrialTask:
        plan = self.plan
        limits = {limit.objective: limit.at_most for limit in plan.space.limits}
        return TrialTask(
            number=ask.number,
            key=ask.key,
            architecture=ask.architecture,
            schedule=plan.schedule,
            rungs=plan.rungs,
            latency=plan.latency,
            reference_ms=self._reference_ms,
            latency_limit_ms=limits.get("latency_ms"),
            device=plan.device,
            folder=plan.folder,
        )

    def _tell_sampler(self, point: Point, result: TrialResult) -> None:
        if result.status == STOPPED and result.rungs:
            fidelity = result.rungs[-1].step / self.plan.schedule.steps
            self._sampler.tell(point, result.miou, fidelity, costs=self._costs(result))
        elif result.status == COMPLETED:
            self._sampler.tell(point, result.miou, costs=self._costs(result))
        else:
            self._sampler.tell(point, None)

    def _costs(self, result: TrialResult) -> tuple[float, ...] | None:
        """Return what the result says of the cost objectives, if it says it of all."""
        values = []
        for name in cost_objectives(self.plan.objectives):
            value = result.latency_ms if name == "latency_ms" else getattr(result.cost, name, None)
            if value is None:
                return None
            values.append(float(value))
        return tuple(values) or None
