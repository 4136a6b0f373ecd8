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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.problems import PROBLEMS, Places
from benchmarks.problems.benchmark import Benchmark, area, deviations
from benchmarks.rungs import problem_of_table
from benchmarks.rungs import read_table as read_shapes
from benchmarks.tables.fill import SHORT_SEEDS, TABLE, TRUTH, TRUTH_SEEDS
from benchmarks.tables.fill import read_table as read_rows
from benchmarks.tables.variants import Variant, read_variants
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.structure import structure
from hrnet_search.records.point import Point
from hrnet_search.records.trial import TrialKey
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
    seen = {
        (r["variant"], int(r["steps"]), int(r["seed"]), int(r["step"])): r
        for r in read_rows(TABLE)
    }  # fmt: skip
    both = ((TRUTH, seed, TRUTH) for seed in TRUTH_SEEDS)
    ends = [{name for name, *rest in seen if tuple(rest) == end} for end in both]
    names = sorted(set.intersection(*ends))
    problem = _problem_of([v for name in names for v in read_variants() if v.id == name])

    def score(point: Point, steps: int, seed: int, step: int) -> float:
        return float(seen[names[point[0]], steps, seed, step]["miou"])

    whole = [[seen[n, TRUTH, seed, TRUTH] for seed in TRUTH_SEEDS] for n in names]
    truth = np.array([statistics.fmean(float(r["miou"]) for r in rows) for rows in whole])
    hours = np.array([statistics.fmean(float(r["cpu_s"]) for r in rows) for rows in whole])
    log_macs = np.log(problem.cost(np.arange(len(names))[:, None])[:, 0])
    reference = (truth.min() - 1e-9, float(np.exp(log_macs.max())) * 1.2)

    def found(points: list[Point]) -> float:
        rows = [point[0] for point in points]
        return area(truth[rows], log_macs[rows], reference)

    best = found([(row,) for row in range(len(names))])
    return World(
        problem,
        tuple(step / TRUTH for step in STEPS),
        SHORT_STEPS / TRUTH,
        lambda point, seed: tuple(score(point, TRUTH, seed, step) for step in STEPS),
        lambda point, seed: score(point, SHORT_STEPS, SHORT_SEEDS[seed], SHORT_STEPS),
        lambda point: float(hours[point[0]] / hours.mean()),
        lambda points: found(points) / best,
        len(names),
    )


def _problem_of(variants: Sequence[Variant]) -> Problem:
    """Return a problem of one choice, the network, by what it costs and is made of."""
    counts = np.array([[float(v.macs), float(v.params)] for v in variants])
    made = structure(ArchitectureBatch.of([v.architecture for v in variants]))
    return Problem(
        (Axis("network", len(variants), ordinal=False),),
        lambda points: counts[points[:, 0], :1],
        lambda points: np.ones(len(points), dtype=np.bool_),
        exact=lambda points: counts[points[:, 0]],
        features=lambda points: made[points[:, 0]],
    )


STEPS = (75, 150, 300, 600, 1200, TRUTH)
"""Rungs of the long schedule in the table."""

SHORT_STEPS = 150

RUNG_TAUS = {1 / 16: 0.67, 1 / 8: 0.76, 1 / 4: 0.82, 1 / 2: 0.88}
"""How looks at shares of a schedule rank (tau) in made-up problems: the first two are measured."""

OWN_SHARE, OWN_TAU = 1 / 3, 0.65
"""The share of a made-up short schedule of its own, and how that ranks."""

SEED_NOISE = {"hrnet-shaped": 0.35, "nasbench201": 0.4, "interactions": 0.5}
"""What another seed changes, in percent."""


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
        lambda p, seed: noisy(p, OWN_TAU, 50, seed) - spread,
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


TABLES = {"shapes": shapes, "equal-macs": equal_macs}
"""Problems that are tables of real trainings, by name."""

NEVER = 1e6
FEWEST_SEEDS = 8
"""With fewer pairs a test cannot say anything."""


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
    if options.report:
        print("\n".join(report(read(options.results))))
        return
    places = Places(options.nasbench, HERE.parent / "results" / "benchmark-cache")
    done = {(row["problem"], row["method"], row["seed"]) for row in read(options.results)}
    worlds = {name: world_of(name, places) for name in options.problems}
    for seed, name, method in product(range(options.seeds), worlds, options.methods):
        if (name, method, seed) in done:
            continue
        budget = min(options.trials, worlds[name].size)
        found = times(worlds[name], METHODS[method](worlds[name], seed, options.trials), budget)
        row = {"problem": name, "method": method, "seed": seed, "times": found}
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(name, method, seed, [round(x, 3) for x in found], flush=True)


def world_of(name: str, places: Places) -> World:
    """Return a problem by its name, tables of real trainings first."""
    if name in TABLES:
        return TABLES[name]()
    return made_up(PROBLEMS[name](places), SEED_NOISE[name])


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of results, none where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def report(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a Markdown table: medians over seeds, each with its p against training all."""
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in rows:
        found.setdefault((row["problem"], row["method"]), {})[row["seed"]] = row["times"]
    shares = " | ".join(f"to {level:.2f} | p" for level in LEVELS)
    yield f"| problem | rule | seeds | {shares} | share at half | p | at the end | p |"
    yield "| --- | --- | --: |" + " --: |" * 10
    for (problem, method), runs in found.items():
        base = found[problem, "none"]
        seeds = sorted(runs.keys() & base.keys())
        columns = zip(*(zip(runs[seed], base[seed], strict=True) for seed in seeds), strict=True)
        cells = (cell for column in columns for cell in _median_and_p(column))
        yield f"| {problem} | {method} | {len(seeds)} | {' | '.join(cells)} |"


def _median_and_p(pairs: Sequence[tuple[float, float]]) -> tuple[str, str]:
    """Return the median of the first of pairs, and Wilcoxon's p; a level not reached is last."""
    median = statistics.median(one for one, _ in pairs)
    shown = f"{median:.3g}" if np.isfinite(median) else "-"
    away = [min(a, NEVER) - min(b, NEVER) for a, b in pairs]
    if not any(away) or len(pairs) < FEWEST_SEEDS:
        return shown, ""
    return shown, f"{stats.wilcoxon(away).pvalue:.2g}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--problems", nargs="+", default=list(TABLES), choices=[*TABLES, *SEED_NOISE])
    add("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    add("--nasbench", type=Path, help="folder with cifar100.npz of NAS-Bench-201")
    add("--trials", type=int, default=40)
    add("--seeds", type=int, default=20)
    add("--results", type=Path, default=HERE / "results" / "fidelity_rules.jsonl")
    add("--report", action="store_true", help="print what there is, and run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
