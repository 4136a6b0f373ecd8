"""The default sampler: its start, what it learns from, and where it then looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import network
from threadpoolctl import threadpool_info, threadpool_limits

from hrnet_search.pareto import hypervolume
from hrnet_search.records.point import Point
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.search.samplers import SAMPLERS, fits, surrogate
from hrnet_search.search.samplers.history import Observation
from hrnet_search.search.samplers.sampler import Sampler
from hrnet_search.search.samplers.start_sample import start_sample
from hrnet_search.search.samplers.training_rows import FLOOR, SAMPLE, chosen, raised
from hrnet_search.search.screening import LatencyScreen
from hrnet_search.search.space_problem import problem_of
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import Limit, SearchSpace
from hrnet_search.space.space import costs as space_costs


def grid(
    axes: int = 4,
    levels: int = 6,
    objectives: int = 1,
    valid: Callable[[Points], Bools] | None = None,
) -> Problem:
    """A grid whose costs rise with the levels: the first with all, the second with some."""

    def cost(points: Points) -> Floats:
        both = np.stack([1.0 + points.sum(axis=1), 1.0 + points[:, ::2].sum(axis=1)], axis=1)
        return both[:, :objectives]

    def all_valid(points: Points) -> Bools:
        return np.ones(len(points), dtype=np.bool_)

    return Problem([Axis(f"x{i}", levels, True) for i in range(axes)], cost, valid or all_valid)


def score(point: Sequence[int]) -> float:
    """Saturate with the first axis; the second has its best in the middle, others only cost."""
    return float(10 * (1 - np.exp(-point[0])) - (point[1] - 2.0) ** 2)


def search(
    sampler: Sampler, trials: int, accuracy: Callable[[Point], float | None] = score
) -> list[Point]:
    points = []
    for _ in range(trials):
        (point,) = sampler.ask()
        sampler.tell(point, accuracy(point))
        points.append(point)
    return points


@pytest.mark.parametrize(("trials", "count"), [(None, 20), (12, 4), (30, 10), (2, 1)])
def test_the_start_sample_is_at_most_a_third_of_the_plan(trials: int | None, count: int) -> None:
    problem = grid(axes=3)
    sampler = SAMPLERS["pareto"](problem, seed=0, trials=trials)
    points = sampler.ask(count)
    assert set(points) == set(map(tuple, start_sample(problem, count, [], 0).points.tolist()))


def test_a_start_sample_covers_all_costs_and_no_two_points_are_alike() -> None:
    problem = grid(axes=6, levels=5)
    start = start_sample(problem, 20, [], seed=1)
    assert len(np.unique(start.points, axis=0)) == 20
    costs = np.sort(np.log(problem.cost(start.points)[:, 0]))
    least, most = (float(np.log(f(problem.cost(start.pool)[:, 0]))) for f in (np.min, np.max))
    span = most - least
    assert span == pytest.approx(np.log(25) - np.log(1))  # both ends, which chance never draws
    assert costs[0] < least + span / 2
    assert costs[-1] > most - span / 8
    assert np.diff(costs).max() < 0.4 * span


def test_anchors_come_first_and_those_over_the_limits_never() -> None:
    problem = grid(valid=lambda p: np.asarray(p.sum(axis=1) < 12))
    anchors = [(5, 5, 5, 5), (2, 2, 2, 2), (0, 1, 0, 1)]
    sampler = SAMPLERS["pareto"](problem, seed=0, trials=12, anchors=anchors)
    asked = sampler.ask(4)
    assert set(asked[:2]) == set(anchors[1:])
    assert (5, 5, 5, 5) not in sampler.ask(400)


def test_estimates_that_change_leave_the_start_sample_as_it_was() -> None:
    """Latency is predicted anew after each measurement; a resumed search has to begin alike."""
    plain = grid()
    starts = []
    for worth in (1.0, -1.0):

        def estimate(points: Points, worth: float = worth) -> Floats:
            return np.asarray(plain.cost(points) ** worth, dtype=np.float64)

        problem = replace(plain, cost=estimate, estimated=True, exact=plain.cost)
        starts.append(start_sample(problem, 12, [(3, 3, 0, 0)], seed=0))
    assert starts[0].points.tolist() == starts[1].points.tolist()
    assert starts[0].pool.tolist() == starts[1].pool.tolist()


def test_where_few_points_are_valid_the_search_is_around_its_anchors_and_takes_no_minutes() -> None:
    """120 of 6 billion points keep the limit: hardly any draw does, nor a walk of millions."""
    width = 14
    problem = Problem(
        [Axis(f"a{i}", 5, True) for i in range(width)],
        lambda points: 1.0 + points.sum(axis=1)[:, None],
        lambda points: points.sum(axis=1) <= 2,
    )
    anchor = (0,) * width
    sampler = SAMPLERS["pareto"](problem, 0, trials=30, anchors=[anchor])
    before, asked = time.process_time(), list[Point]()
    for _ in range(16):
        (point,) = sampler.ask()
        asked.append(point)
        sampler.tell(point, 0.5 + 0.1 * sum(point))
    assert asked[0] == anchor
    assert len(set(asked)) == 16
    assert {sum(point) for point in asked} == {0, 1, 2}
    assert time.process_time() - before < 60  # a walk takes as long as that each time


def test_more_anchors_than_places_are_thinned_over_their_costs() -> None:
    anchors = [(level, level, 0, 0) for level in range(6)]
    sampler = SAMPLERS["pareto"](grid(), seed=0, trials=9, anchors=anchors)
    asked = sampler.ask(3)
    assert asked[0] == anchors[0]
    assert asked[-1] == anchors[-1]
    assert set(asked) <= set(anchors)


def share(problem: Problem, points: Sequence[Point]) -> float:
    """Return the share of the true hypervolume that points hold, over the first cost."""

    def area(points: Points) -> float:
        accuracy = np.array([score(p) for p in points.tolist()])
        return hypervolume(accuracy, np.log(problem.cost(points)[:, 0]), (-9.5, np.log(40)))

    return area(np.array(points)) / area(problem.enumerate())


@pytest.mark.parametrize("objectives", [0, 1, 2])
def test_the_front_of_a_space_of_thousands_is_found_in_dozens(objectives: int) -> None:
    problem = grid(6, 6, objectives)
    points = search(SAMPLERS["pareto"](problem, seed=0, trials=45), 45)
    if objectives:
        assert share(problem, points) > 0.95
    else:
        assert max(map(score, points)) > 9.9


def test_points_around_failures_are_avoided() -> None:
    def failing(point: Point) -> float | None:
        return None if point[2] >= 3 else score(point) + 3 * point[2]

    points = search(SAMPLERS["pareto"](grid(), seed=0, trials=60), 40, failing)
    # Accuracy rises towards what fails, and half of the space fails.
    assert sum(failing(p) is None for p in points[:20]) >= 5
    assert sum(failing(p) is None for p in points[20:]) <= 2


def test_collapses_do_not_drown_the_rest() -> None:
    def collapsing(point: Point) -> float:
        return -1e4 if point[3] == 5 else score(point)

    points = search(SAMPLERS["pareto"](grid(), seed=0, trials=45), 45, collapsing)
    assert share(grid(), points) > 0.95


def test_accuracies_of_any_scale_give_the_same_search() -> None:
    plain = search(SAMPLERS["pareto"](grid(), seed=2, trials=30), 24)
    shifted = search(SAMPLERS["pareto"](grid(), seed=2, trials=30), 24, lambda p: score(p) / 64 + 8)
    assert plain == shifted


def test_what_is_pending_is_not_looked_for_a_second_time() -> None:
    """Proposals in flight are unlike each other: each one's neighbourhood counts as taken."""
    problem = grid(axes=6)
    sampler = SAMPLERS["pareto"](problem, seed=0, trials=60)
    search(sampler, 30)
    batch = np.array(sampler.ask(8))
    costs = problem.cost(batch)[:, 0]
    assert len(np.unique(costs)) >= 4


def test_repeats_and_stopped_trials_are_taken_for_what_they_say() -> None:
    """A lucky first seed, then nine poor ones: the mean counts, and early rungs are not whole."""
    problem = grid(axes=2, levels=10)
    sampler = SAMPLERS["pareto"](problem, seed=0)
    points = sampler.ask(30)
    for point in points:
        sampler.tell(point, score(point) - 5, fidelity=0.3)
    (proposed,) = sampler.ask()
    # All that was seen is low because it was stopped: nothing whole is known to be so bad.
    sampler.tell(proposed, score(proposed))
    after = search(sampler, 12)
    assert max(map(score, [proposed, *after])) > 9


def test_measured_costs_of_another_unit_are_understood() -> None:
    """Costs are told in milliseconds where MACs were predicted; the order is kept, not the unit."""
    problem = grid()
    sampler = SAMPLERS["pareto"](problem, seed=0, trials=45)
    points = []
    for _ in range(45):
        (point,) = sampler.ask()
        predicted = float(problem.cost(np.array([point]))[0, 0])
        sampler.tell(point, score(point), costs=[1e-6 * predicted**0.8])
        points.append(point)
    assert share(problem, points) > 0.95


def test_of_many_observations_the_best_of_every_cost_are_kept() -> None:
    rng = np.random.default_rng(0)
    costs = rng.uniform(1, 100, size=(2000, 1))
    seen = [Observation((i,), (float(rng.normal()),), 1.0) for i in range(2000)]
    kept = chosen(seen, costs, 300)
    assert len(kept) == len({o.point for o in kept}) == 300
    part = np.argsort(np.argsort(costs[:, 0])) * 30 // 2000
    for number in range(30):
        best = max((o for o in seen if part[o.point[0]] == number), key=lambda o: o.accuracies)
        assert best in kept


def test_collapses_are_raised_to_the_fence_of_all_and_nothing_above_it_moves() -> None:
    accuracy = np.array([70.0, 71.0, 72.0, 73.0, 1.0, 69.0, 99.0] * 3)
    found = raised(accuracy)
    assert found.min() > 60
    assert found[accuracy > 1].tolist() == accuracy[accuracy > 1].tolist()


def test_what_most_of_the_start_sample_reaches_is_the_floor_for_good() -> None:
    start = np.arange(SAMPLE, dtype=np.float64)
    floor = np.quantile(start, FLOOR)
    for later in (np.zeros(0), np.full(5, 0.1), np.full(5, 15.0)):
        assert raised(np.concatenate([start, later])).min() == pytest.approx(floor)


def test_a_new_sampler_goes_on_as_the_old_between_fits_and_after_repeats() -> None:
    """Hyperparameters come from earlier states of the history, which a new one has to rebuild."""
    problem = grid()
    old = SAMPLERS["pareto"](problem, seed=4, trials=90)
    results: list[tuple[Point, float | None]] = []

    def tell(point: Point, accuracy: float | None) -> None:
        old.tell(point, accuracy)
        results.append((point, accuracy))

    for number in range(44):
        (point,) = old.ask()
        tell(point, None if number % 9 == 8 else score(point))
        if number % 6 == 5:
            tell(results[number // 2][0], 0.25)  # changes what an earlier fit had seen
    new = SAMPLERS["pareto"](problem, seed=4, trials=90)
    for point, accuracy in results:
        new.tell(point, accuracy)
    assert new.ask(3) == old.ask(3)


def test_a_proposal_counts_candidates_and_not_the_past() -> None:
    """What a proposal works out does not grow with the results, whose costs were measured."""
    problem, counted = grid(axes=7, levels=10), 0

    def cost(points: Points) -> Floats:
        nonlocal counted
        counted += len(points)
        return problem.cost(points)

    asked = []
    for told in (400, 1600):
        sampler = SAMPLERS["pareto"](replace(problem, cost=cost), seed=0)
        rng = np.random.default_rng(1)
        points = problem.distinct(problem.uniform(rng, 2 * told))[:told]
        for point, costs in zip(points.tolist(), problem.cost(points).tolist(), strict=True):
            sampler.tell(point, score(point), costs=costs)
        sampler.ask()
        counted = 0
        sampler.ask()
        asked.append(counted)
    assert asked[1] < 1.2 * asked[0]


def test_a_proposal_is_made_on_one_thread_whatever_the_machine_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By threadpoolctl's account of BLAS; what other work is given is as before afterwards."""
    threads: list[int] = []

    def fitted(*arguments: Any) -> Floats:
        threads.extend(threads_of_blas())
        return surrogate.fitted(*arguments)

    monkeypatch.setattr(fits, "fitted", fitted)
    with threadpool_limits(2, user_api="blas"):
        before = threads_of_blas()
        search(SAMPLERS["pareto"](grid(), seed=0, trials=12), 8)
        assert threads_of_blas() == before
    assert set(threads) == {1}


def threads_of_blas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def filled(problem: Problem, told: int) -> Sampler:
    sampler = SAMPLERS["pareto"](problem, seed=0)
    rng = np.random.default_rng(1)
    points = problem.distinct(problem.uniform(rng, 2 * told))[:told]
    for point in points.tolist():
        sampler.tell(point, score(point) + rng.normal(0, 0.3))
    return sampler


@pytest.mark.bench
@pytest.mark.parametrize(("told", "seconds"), [(1_000, 0.5), (10_000, 2.0)])
def test_a_proposal_takes_no_longer_than_promised(told: int, seconds: float) -> None:
    """The p99 of a space of ten million; hyperparameters are fitted on the way."""
    problem = grid(axes=7, levels=10)
    first, took = cpu_of_asks(filled(problem, told), 300)
    print(f"\n{told} results: first {first:.2f} s of CPU, p99 {np.quantile(took, 0.99):.2f} s")
    assert first < 2
    assert np.quantile(took, 0.99) < seconds


@pytest.mark.bench
def test_a_search_of_networks_goes_on_at_once() -> None:
    """18 choices, latency predicted, one training in twenty fails; resumed at 1,000 results."""
    each = ("[0]", "[1]", "[2]", "[3]")
    space = SearchSpace(
        network(18),
        (
            Choice("width", tuple(range(8, 50, 2))),
            *(Choice(f"STAGE{s}.NUM_MODULES", (1, 2, 3, 4)) for s in (2, 3, 4)),
            *(Choice(f"STAGE{s}.NUM_BLOCKS{b}", (1, 2, 3, 4)) for s in (3, 4) for b in each[:s]),
            *(Choice(f"STAGE{s}.NUM_BLOCKS[0]", (1, 2, 3, 4)) for s in (2,)),
            *(Choice(f"STAGE{s}.FUSE_METHOD", ("SUM", "CAT")) for s in (2, 3, 4)),
            *(Choice(f"STAGE{s}.BLOCK", ("BASIC", "BOTTLENECK")) for s in (2, 3)),
            Choice("FINAL_CONV_KERNEL", (1, 3)),
        ),
        (Limit("latency_ms", 60.0),),
    )
    screen = LatencyScreen(space)
    problem = problem_of(space, ("miou", "latency_ms"), screen)
    rng = np.random.default_rng(1)
    points = problem.distinct(problem.uniform(rng, 2000))[:1000]
    macs = space_costs(space, points)[:, 1]
    sampler = SAMPLERS["pareto"](problem, seed=0)
    sampler.pend(points.tolist())
    for number, point in enumerate(points.tolist()):
        ms = float(macs[number] / 4e8 * rng.lognormal(0, 0.02))
        screen.add(space.decode(point), ms)
        accuracy = None if number % 20 == 7 else float(-np.exp(-sum(point) / 5) + rng.normal() / 9)
        sampler.tell(point, accuracy, 1.0 if number % 5 else 0.33, (ms,))
    first, took = cpu_of_asks(sampler, 100, lambda p: (float(space_costs(space, p)[0, 1]) / 4e8,))
    print(f"\nfirst {first:.2f} s of CPU, p99 {np.quantile(took, 0.99):.2f} s")
    assert first < 2
    assert np.quantile(took, 0.99) < 0.5


def cpu_of_asks(
    sampler: Sampler, count: int, costs: Callable[[Points], Sequence[float] | None] = lambda _: None
) -> tuple[float, list[float]]:
    took = []
    for _ in range(1 + count):
        began = time.process_time()
        (point,) = sampler.ask()
        took.append(time.process_time() - began)
        sampler.tell(point, score(point), costs=costs(np.array([point])))
    return took[0], took[1:]
