"""One search on a benchmark in simulated time, and what is recorded of it."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection

from benchmarks.peers import PEERS
from benchmarks.problems.benchmark import Benchmark, area
from benchmarks.problems.earlier import SHARED, after
from hrnet_search.pareto import non_dominated
from hrnet_search.records.point import Point
from hrnet_search.search.problem import Points
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.history import History
from hrnet_search.search.samplers.sampler import Sampler

LEVELS = (0.85, 0.90, 0.95)
"""Shares of the best hypervolume that a search is timed to."""

CHECKPOINTS = (20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000)
"""Trainings after which the share reached is recorded."""

VAIN_PROPOSALS = 200
"""Invalid proposals in a row after which a plain sampler is given a random point."""

PLAIN: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "plain:tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "plain:nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}
"""Optuna's samplers as their users run them: what they propose is trained, known or not."""


AFTER = " after "
LEARNING = tuple(f"pareto{AFTER}{kind}" for kind in SHARED)
"""The default sampler with an earlier study to learn from, by how alike that is."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is searched by whom: the key of a record."""

    problem: str
    sampler: str
    seed: int
    workers: int
    trials: int


class Ours:
    """A sampler of ours or a peer; `NAME after KIND` learns from an earlier study of the kind."""

    def __init__(self, benchmark: Benchmark, run: Run, options: dict[str, Any]) -> None:
        if run.sampler in PEERS:
            propose = PEERS[run.sampler](benchmark.problem, run.seed)
            self._sampler = Sampler(benchmark.problem, propose, run.seed)
            return
        name, _, kind = run.sampler.partition(AFTER)
        problem = after(benchmark, kind, run.seed).problem if kind else benchmark.problem
        self._sampler = SAMPLERS[name](problem, seed=run.seed, trials=run.trials, **options)

    def ask(self) -> Point | None:
        """Return the next point to train, None at the end of the space."""
        return next(iter(self._sampler.ask()), None)

    def tell(self, point: Point, accuracy: float) -> None:
        """Take the accuracy of a training."""
        self._sampler.tell(point, accuracy)


class Plain:
    """One of Optuna's samplers without our removal of duplicates; invalid points fail."""

    def __init__(self, benchmark: Benchmark, run: Run) -> None:
        self._benchmark = benchmark
        self._running: dict[Point, list[optuna.Trial]] = {}
        directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
        sampler = PLAIN[run.sampler](run.seed)
        self._study = optuna.create_study(directions=directions, sampler=sampler)
        self._rng = np.random.default_rng(run.seed)

    def ask(self) -> Point:
        """Return the next valid point that Optuna suggests, or a random one for want of it."""
        problem = self._benchmark.problem
        for _ in range(VAIN_PROPOSALS):
            trial, point = self._suggested()
            if problem.valid(np.array([point]))[0]:
                self._running.setdefault(point, []).append(trial)
                return point
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        (drawn,) = History(problem).draw(self._rng)
        self._study.enqueue_trial({a.name: n for a, n in zip(problem.axes, drawn, strict=True)})
        trial, point = self._suggested()
        self._running.setdefault(point, []).append(trial)
        return point

    def _suggested(self) -> tuple[optuna.Trial, Point]:
        trial = self._study.ask()
        point = tuple(
            trial.suggest_int(axis.name, 0, axis.count - 1)
            if axis.ordinal
            else int(trial.suggest_categorical(axis.name, range(axis.count)))
            for axis in self._benchmark.problem.axes
        )
        return trial, point

    def tell(self, point: Point, accuracy: float) -> None:
        """Take the accuracy of a training."""
        log_cost = self._benchmark.log_costs(np.array([point]))[0]
        self._study.tell(self._running[point].pop(), [accuracy, log_cost])


def simulate(benchmark: Benchmark, run: Run, options: dict[str, Any]) -> dict[str, Any]:
    """Search until `run.trials` trainings have ended; return the record of it.

    Trainings last as long as `benchmark.hours` says; a worker that is free asks at once.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plain = run.sampler in PLAIN
    sampler = Plain(benchmark, run) if plain else Ours(benchmark, run, options)
    # Not the sampler's own numbers, and the same for every sampler.
    noise = np.random.default_rng([run.seed, 99])
    progress, asking = Progress(benchmark), []
    running: list[tuple[float, int, Point]] = []
    now, asked = 0.0, count()
    while progress.trainings < run.trials:
        while len(running) < min(run.workers, run.trials - progress.trainings):
            began = time.perf_counter()
            point = sampler.ask()
            asking.append(time.perf_counter() - began)
            if point is None:
                break
            hours = float(benchmark.hours(np.array([point]))[0])
            heapq.heappush(running, (now + hours, next(asked), point))
        if not running:
            break
        now, _, point = heapq.heappop(running)
        sampler.tell(point, benchmark.observe(np.array([point]), noise))
        progress.add(np.array([point]), now)
    return progress.record() | {
        "ask_mean_s": round(float(np.mean(asking)), 4),
        "ask_p99_s": round(float(np.quantile(asking, 0.99)), 4),
    }


class Progress:
    """The share of the best hypervolume that the trained points hold by their true means."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._front = np.zeros((0, 2))
        self._distinct: set[Point] = set()
        self._reached: dict[float, tuple[int, float]] = {}
        self._shares: dict[int, float] = {}
        self._hours: dict[int, float] = {}
        self.trainings = 0
        self._share = 0.0

    def add(self, point: Points, hour: float) -> None:
        """Count a training that ended."""
        self.trainings += 1
        known = self._benchmark.problem.distinct(point)
        self._distinct.add(tuple(known[0].tolist()))
        value = [self._benchmark.truth(point)[0], self._benchmark.log_costs(point)[0]]
        front = np.vstack([self._front, value])
        self._front = np.unique(front[non_dominated(front, ("max", "min"))], axis=0)
        found = area(self._front[:, 0], self._front[:, 1], self._benchmark.reference)
        self._share = found / self._benchmark.best
        for level in LEVELS:
            if self._share >= level:
                self._reached.setdefault(level, (self.trainings, hour))
        if self.trainings in CHECKPOINTS:
            self._shares[self.trainings] = round(self._share, 4)
            self._hours[self.trainings] = round(hour, 2)

    def record(self) -> dict[str, Any]:
        """Return what was reached, and when; nothing for levels that were not."""
        return {
            "trainings": self.trainings,
            "share": self._shares,
            "hours": self._hours,
            "reached": {str(k): [n, round(h, 2)] for k, (n, h) in self._reached.items()},
            "final": round(self._share, 4),
            "distinct": round(len(self._distinct) / self.trainings, 4),
        }
