"""What the rules of `search.fidelity` save: training time until the front is nearly found.

    python -m benchmarks.fidelity_rules --problems shapes equal-macs hrnet-shaped --seeds 20

Each rule searches with the default sampler. On tables of real trainings a search sees one training
seed of each network, drawn by its own seed; on made-up problems an early look at a training is its
accuracy with a deviation of the network's own, as large as makes it rank as looks do on our tables.
What a search has found is the area of the true means of what it trained to the end. Time is
that of one worker's trainings, in whole trainings of mean length.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.problems import PROBLEMS, Places
from benchmarks.problems.benchmark import Benchmark, area, deviations
from benchmarks.rungs import problem_of_table
from benchmarks.rungs import read_table as read_shapes
from benchmarks.tables.fill import TABLE
from benchmarks.tables.fill import read_table as read_rows
from benchmarks.tables.variants import read_variants
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.structure import structure
from hrnet_search.records import Point, TrialKey
from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.rungs import Curve, chance, is_audited
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.expectation import Expectation
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.start_sample import start_sample
from hrnet_search.search.samplers.training_rows import accuracies

HERE = Path(__file__).parent
LEVELS = (0.85, 0.90, 0.95)
Run = Iterator[tuple[float, Point]]
"""Time spent when a network's training ends, in mean whole trainings, and the network."""


@dataclass(frozen=True, slots=True)
class Looks:
    """One training of a network: scores at shares of the schedule, the last 1."""

    scores: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class World:
    """A problem whose trainings can be looked at early.

    `train(point, seed)` gives the scores at `rungs` (shares of the schedule, the last 1);
    `short(point, seed)` the score of a schedule of its own of a share `fraction`, None where no
    table has one. `hours(point)` is the time of a whole training, 1 on average.
    """

    problem: Problem
    rungs: tuple[float, ...]
    fraction: float
    train: Callable[[Point, int], tuple[float, ...]]
    short: Callable[[Point, int], float]
    hours: Callable[[Point], float]
    share: Callable[[list[Point]], float]
    size: int


def shapes() -> World:
    """Return the table of 48 networks with rungs at 24 and 80 of 240 steps."""
    table, lengths = read_shapes(HERE / "tables" / "shapes.csv")
    problem = problem_of_table(table)
    mean = statistics.fmean(table.second_a_step[p] for p in table.seen)
    total = table.area(list(table.seen))
    return World(
        problem,
        (0.1, 1 / 3, 1.0),
        1 / 3,
        lambda point, seed: table.seen[point][seed],
        lambda point, seed: lengths[point, seed][80],
        lambda point: table.second_a_step[point] / mean,
        lambda points: table.area(points) / total,
        len(table.seen),
    )


def equal_macs() -> World:
    """Return the table of 24 networks with rungs of 2,400 steps, and own schedules of 150."""
    rows = read_rows(TABLE)
    variants = {v.id: v for v in read_variants()}
    seen: dict[tuple[str, int, int, int], float] = {}
    cpu: dict[str, list[float]] = {}
    for r in rows:
        seen[r["variant"], int(r["steps"]), int(r["seed"]), int(r["step"])] = float(r["miou"])
        if int(r["steps"]) == 2400 and int(r["step"]) == 2400:
            cpu.setdefault(r["variant"], []).append(float(r["cpu_s"]))
    names = sorted(
        {
            v
            for v, steps, seed, _ in seen
            if (v, 2400, 1, 2400) in seen and (v, 2400, 0, 2400) in seen
        }
    )
    networks = ArchitectureBatch.of([variants[n].architecture for n in names])
    macs = np.array([float(variants[n].macs) for n in names])
    params = np.array([float(variants[n].params) for n in names])
    made = structure(networks)
    problem = Problem(
        (Axis("network", len(names), ordinal=False),),
        lambda points: macs[points[:, 0]][:, None],
        lambda points: np.ones(len(points), dtype=np.bool_),
        exact=lambda points: np.column_stack([macs, params])[points[:, 0]],
        features=lambda points: made[points[:, 0]],
    )
    truth = np.array([np.mean([seen[n, 2400, s, 2400] for s in (0, 1)]) for n in names])
    reference = (truth.min() - 1e-9, float(macs.max()) * 1.2)
    best = area(truth, np.log(macs), reference)
    steps = (75, 150, 300, 600, 1200, 2400)
    mean = statistics.fmean(statistics.fmean(c) for c in cpu.values())

    def share(points: list[Point]) -> float:
        rows = [p[0] for p in points]
        return area(truth[rows], np.log(macs[rows]), reference) / best

    return World(
        problem,
        tuple(s / 2400 for s in steps),
        150 / 2400,
        lambda p, seed: tuple(seen[names[p[0]], 2400, seed, s] for s in steps),
        lambda p, seed: seen[names[p[0]], 150, seed + 2, 150],
        lambda p: statistics.fmean(cpu[names[p[0]]]) / mean,
        share,
        len(names),
    )


RUNG_TAUS = {1 / 16: 0.67, 1 / 8: 0.76, 1 / 4: 0.82, 1 / 2: 0.88}
OWN_TAUS = {1 / 3: 0.65}


def made_up(benchmark: Benchmark, seed_noise: float) -> World:
    """Return a benchmark with early looks that rank, among networks of like cost, as measured."""
    problem = benchmark.problem
    rng = np.random.default_rng(0)
    sample = problem.distinct(problem.uniform(rng, 4000))
    sample = sample[problem.valid(sample)]
    truth = benchmark.truth(sample)
    good = truth > benchmark.reference[0]
    trend = np.polynomial.Polynomial.fit(benchmark.log_costs(sample[good]), truth[good], 2)
    spread = float(np.std(truth[good] - trend(benchmark.log_costs(sample[good]))))
    mean = float(np.mean(benchmark.hours(sample)))
    counts = problem.counts

    def noisy(point: Point, tau: float, kind: int, seed: int) -> float:
        """Return accuracy with a deviation of the network's own, two thirds, and the seed's."""
        r = np.sin(np.pi / 2 * tau)
        sigma = spread * float(np.sqrt(1 / r**2 - 1))
        number = np.array([np.ravel_multi_index(point, counts)])
        own = deviations(number, sigma * (2 / 3) ** 0.5, 1000 + kind)[0]
        luck = deviations(number, sigma * (1 / 3) ** 0.5, 2000 + 100 * seed + kind)[0]
        return float(benchmark.truth(np.array([point]))[0] + own + luck)

    def train(point: Point, seed: int) -> tuple[float, ...]:
        number = np.array([np.ravel_multi_index(point, counts)])
        luck = float(deviations(number, seed_noise, 5000 + seed)[0])
        early = [
            noisy(point, tau, 1, seed) - 0.1 * abs(np.log(share)) * spread + luck
            for share, tau in RUNG_TAUS.items()
        ]
        return (*early, float(benchmark.truth(np.array([point]))[0]) + luck)

    def share(points: list[Point]) -> float:
        p = np.array(points)
        return (
            area(benchmark.truth(p), benchmark.log_costs(p), benchmark.reference) / benchmark.best
        )

    return World(
        problem,
        (*RUNG_TAUS, 1.0),
        1 / 3,
        train,
        lambda p, seed: noisy(p, OWN_TAUS[1 / 3], 50, seed) - spread,
        lambda p: float(benchmark.hours(np.array([p]))[0]) / mean,
        share,
        10**6,
    )


def whole(
    world: World, seed: int, trials: int, at: tuple[int, ...] = (), least: float = 0.0
) -> Run:
    """Train all to the end, or stop below a chance of `least` at the rungs `at`."""
    draws = np.random.default_rng([seed, 5])
    sampler = SAMPLERS["pareto"](world.problem, seed=seed, trials=trials)
    spent, curves = 0.0, list[Curve]()
    while points := sampler.ask():
        (point,) = points
        seen = world.train(point, int(draws.integers(2)))
        costs = tuple(world.problem.cost(np.array([point]))[0])
        rungs = tuple((i, seen[i]) for i in at)
        end = 1.0
        for i in range(len(at)):
            curve = Curve(costs, rungs[: i + 1])
            if (
                not is_audited(TrialKey(str(point), "s", seed))
                and chance(curve, at[i], curves) < least
            ):
                end, rungs = world.rungs[at[i]], rungs[: i + 1]
                break
        spent += end * world.hours(point)
        final = seen[-1] if end == 1 else None
        curves.append(Curve(costs, rungs, final))
        sampler.tell(point, rungs[-1][1] if final is None else final, end, costs)
        if final is not None:
            yield spent, point


def learned(
    problem: Problem, results: list[tuple[Point, float]], seed: int
) -> Callable[[Points], Floats]:
    """Return what scores of a short study make one expect of points."""
    features = Features(problem, start_sample(problem, 20, [], seed).pool)
    sampler = SAMPLERS["random"](problem, seed=seed)
    for point, score in results:
        sampler.tell(point, score)
    data = accuracies(features, sampler.history.seen())
    assert data is not None
    return Expectation(data, features)


def short_first(world: World, seed: int, trials: int, count: int) -> Run:
    """Train `count` networks by a short schedule, then what that and whole trainings promise."""
    draws = np.random.default_rng([seed, 5])
    spent, looked = 0.0, dict[Point, float]()
    for point in _first(world, seed, min(count, world.size), looked):
        spent += world.fraction * world.hours(point)
        looked[point] = world.short(point, int(draws.integers(2)))
    problem = replace(world.problem, earlier=(learned(world.problem, list(looked.items()), seed),))
    sampler = SAMPLERS["pareto"](problem, seed=seed, trials=trials)
    while points := sampler.ask():
        (point,) = points
        spent += world.hours(point)
        sampler.tell(point, world.train(point, int(draws.integers(2)))[-1])
        yield spent, point


def thaw(world: World, seed: int, trials: int, count: int, rung: int, timed: bool = True) -> Run:
    """Train `count` networks to a rung, then go on with them, or begin others, by gain a second."""
    draws = np.random.default_rng([seed, 5])
    spent, looked, seeds = 0.0, dict[Point, float](), dict[Point, int]()
    part = world.rungs[rung]
    for point in _first(world, seed, min(count, world.size), looked):
        seeds[point] = int(draws.integers(2))
        spent += part * world.hours(point)
        looked[point] = world.train(point, seeds[point])[rung]
    problem = replace(world.problem, earlier=(learned(world.problem, list(looked.items()), seed),))

    def left(points: Points) -> Floats:
        rows = [tuple(row) for row in points.tolist()]
        return np.array([world.hours(p) * (1 - part * (p in looked)) for p in rows])

    options = {"hours": left} if timed else {}
    sampler = SAMPLERS["pareto"](problem, seed=seed, trials=trials, **options)
    while points := sampler.ask():
        (point,) = points
        drawn = seeds.get(point, int(draws.integers(2)))
        spent += float(left(np.array([point]))[0])
        sampler.tell(point, world.train(point, drawn)[-1])
        yield spent, point


def _first(world: World, seed: int, count: int, looked: dict[Point, float]) -> Iterator[Point]:
    """Yield the networks of a first study; `looked` has the score of each before the next."""
    sampler = SAMPLERS["pareto"](world.problem, seed=seed, trials=count)
    for _ in range(count):
        for point in sampler.ask():
            yield point
            sampler.tell(point, looked[point])


METHODS: dict[str, Callable[[World, int, int], Run]] = {
    "none": whole,
    "stop": partial(whole, at=(0, 2), least=0.1),
    **{f"short_first {n}": partial(short_first, count=n) for n in (8, 16, 24)},
    **{f"thaw {n} at {r}": partial(thaw, rung=r, count=n) for r in (0, 1) for n in (8, 16, 24, 40)},
    **{f"untimed thaw {n} at {r}": partial(thaw, rung=r, count=n, timed=False)
       for r in (0, 1) for n in (8, 16, 24, 40)},
}  # fmt: skip


def times(world: World, run: Run, budget: float) -> list[float]:
    """Return the time to each level, inf beyond a budget, and the share at its half and end."""
    reached, done = list[float](), list[Point]()
    half = share = 0.0
    for spent, point in run:
        if spent > budget:
            break
        done.append(point)
        share = world.share(done)
        if spent <= budget / 2:
            half = share
        while len(reached) < len(LEVELS) and share >= LEVELS[len(reached)]:
            reached.append(spent)
    return [*reached, *[float("inf")] * (len(LEVELS) - len(reached)), half, share]


def main() -> None:
    options = _options()
    places = Places(options.nasbench, HERE.parent / "results" / "benchmark-cache")
    done = set()
    if options.results.exists():
        for line in options.results.read_text().splitlines():
            row = json.loads(line)
            done.add((row["problem"], row["method"], row["seed"]))
    worlds: dict[str, World] = {}
    for seed in range(options.first, options.first + options.seeds):
        for name in options.problems:
            for method in options.methods:
                if (name, method, seed) in done:
                    continue
                if name not in worlds:
                    worlds[name] = (
                        {"shapes": shapes, "equal-macs": equal_macs}[name]()
                        if name in ("shapes", "equal-macs")
                        else made_up(
                            PROBLEMS[name](places),
                            {
                                "hrnet-shaped": 0.35,
                                "nasbench201": 0.4,
                                "interactions": 0.5,
                                "dtlz2": 0.01,
                                "zdt3": 0.01,
                            }[name],
                        )
                    )
                world = worlds[name]
                budget = options.trials if world.size > 100 else world.size
                found = times(world, METHODS[method](world, seed, options.trials), budget)
                row = {"problem": name, "method": method, "seed": seed, "times": found}
                with options.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(name, method, seed, [round(x, 3) for x in found], flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--problems", nargs="+", default=["shapes", "equal-macs"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--nasbench", type=Path)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--results", type=Path, default=HERE / "fidelity_rules.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
