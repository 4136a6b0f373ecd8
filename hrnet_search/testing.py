"""What every sampler has to do, as checks to run on one of your own.

    import pytest
    from hrnet_search.testing import SAMPLER_CHECKS, sampler_from

    @pytest.mark.parametrize("check", SAMPLER_CHECKS)
    def test_my_sampler(check):
        check(sampler_from(my_factory))

`my_factory` is what `search.sampler: package.module:my_factory` names (docs/samplers.md). A check
raises AssertionError. The samplers of this package pass the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hrnet_search.records.point import Point
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.search.samplers import MakeSampler
from hrnet_search.search.samplers.own import sampler_from
from hrnet_search.search.samplers.sampler import Sampler

__all__ = ["SAMPLER_CHECKS", "MakeSampler", "accuracy", "sampler_from", "toy_problem"]


def toy_problem(objectives: int = 1, more: int = 0, limit: int = 5) -> Problem:
    """Return a space of all kinds of axes: a limit, duplicates, `more` axes of four levels."""
    axes = [
        Axis("width", (16, 18, 24, 32, 48), True),
        Axis("block", ("a", "b", "c"), False),
        Axis("depth", 4, True),
        Axis("only", ("one",), False),
        *(Axis(f"more{i}", 4, i % 2 == 0) for i in range(more)),
    ]

    def cost(points: Points) -> Floats:
        size = (1.0 + points[:, 0]) * (1.0 + points[:, 2]) + points[:, 4:].sum(axis=1)
        return np.stack([size, 1.0 + points.sum(axis=1)], axis=1)[:, :objectives]

    def valid(points: Points) -> Bools:
        return np.asarray(points[:, 0] + points[:, 2] <= limit, dtype=np.bool_)

    def canonical(points: Points) -> Points:
        same = points.copy()
        same[points[:, 1] == 0, 2] = 0  # the depth of an "a" does not matter
        return same

    return Problem(axes, cost, valid, canonical)


def accuracy(point: Sequence[int]) -> float:
    """Return the accuracy of a point of the toy problem."""
    return 80 + 3 * point[0] + point[1] - (point[2] - 1) ** 2 + sum(point[4:])


def estimated_problem(scale: list[float]) -> Problem:
    """Return a toy whose second cost is an estimate: `scale` is its factor now; over 12 is not
    likely."""
    exact = toy_problem(2)

    def cost(points: Points) -> Floats:
        return np.asarray(exact.cost(points) * np.array([1.0, scale[0]]))

    def likely(points: Points) -> Bools:
        return np.asarray(cost(points)[:, 1] <= 12, dtype=np.bool_)

    return replace(exact, cost=cost, likely=likely, estimated=True, exact=exact.cost)


def distinct_points(problem: Problem) -> set[Point]:
    """Return every distinct valid point."""
    return set(map(tuple, problem.enumerate().tolist()))


def told(sampler: Sampler, points: Sequence[Point]) -> None:
    """Tell a sampler the accuracies of points of the toy problem."""
    for point in points:
        sampler.tell(point, accuracy(point))


class Watched:
    """A sampler whose every proposal is checked against all that it was ever told."""

    def __init__(self, sampler: Sampler, problem: Problem) -> None:
        self.sampler = sampler
        self.problem = problem
        self.known: set[Point] = set()

    def ask(self, count: int) -> list[Point]:
        points = self.sampler.ask(count)
        assert len(points) <= count, f"{len(points)} points where {count} were asked for"
        for point in points:
            assert type(point) is tuple
            assert all(type(level) is int for level in point), f"{point} is not of ints"
            row = np.array([point])
            assert self.problem.valid(row).all(), f"{point} is not valid"
            assert self.problem.canonical is not None
            assert (self.problem.canonical(row) == row).all(), f"{point} is not canonical"
            assert point not in self.known, f"{point} was known"
            self.known.add(point)
        return points

    def tell(self, point: Point, value: float | None, fidelity: float = 1.0) -> None:
        self.sampler.tell(point, value, fidelity)
        assert self.problem.canonical is not None
        self.known.add(tuple(self.problem.canonical(np.array([point]))[0].tolist()))


def disturbed_search(make: MakeSampler, objectives: int, rounds: int, seed: int = 3) -> int:
    """Search with all that may happen on the way; return how many points were proposed."""
    problem = toy_problem(objectives, more=4)
    watched = Watched(make(problem, seed=seed), problem)
    rng = np.random.default_rng(seed)
    running: list[Point] = []
    for number in range(rounds):
        running += watched.ask(3 if number % 4 == 0 else 1)
        if number % 5 == 3:  # one that was never asked for, valid or not, canonical or not
            foreign = problem.uniform(rng, 1)[0]
            watched.tell(tuple(foreign.tolist()), 50.0)
        while len(running) > 2:  # the one that ends is any of them
            point = running.pop(int(rng.integers(len(running))))
            if number % 7 == 5:
                watched.tell(point, None)
            elif number % 7 == 6:
                watched.tell(point, accuracy(point) / 2, 0.3)
            else:
                watched.tell(point, accuracy(point))
    return len(watched.known)


def proposes_only_valid_new_points_whatever_happens(make: MakeSampler) -> None:
    """Failures, repeats, stopped trials and foreign points, with 0 to 2 costs."""
    for objectives in range(3):
        assert disturbed_search(make, objectives, rounds=12) >= 18


def asks_for_nothing_that_estimates_rule_out(make: MakeSampler) -> None:
    """A cost that is an estimate may change with every result, as latency does."""
    scale = [3.0]
    problem = estimated_problem(scale)
    sampler = make(problem, seed=4)
    everything = problem.enumerate()
    unlikely: Point = tuple(everything[~problem.promising(everything)][0].tolist())
    sampler.tell(unlikely, 90.0)  # it was measured after all: what was told stays
    asked: list[Point] = []
    for factor in (3.0, 2.0, 4.0, 1.0):
        scale[0] = factor
        for _ in range(2):
            for point in sampler.ask():
                assert problem.promising(np.array([point])).all(), f"{point} was ruled out"
                sampler.tell(point, accuracy(point))
                asked.append(point)
    while found := sampler.ask():
        asked += found
    assert len(set(asked)) == len(asked)
    likely = set(map(tuple, everything[problem.promising(everything)].tolist()))
    assert likely - {unlikely} == set(asked) - {unlikely}


def visits_every_point_of_a_finite_space_once(make: MakeSampler) -> None:
    """And then it says that there is no more."""
    problem = toy_problem(limit=2)
    watched = Watched(make(problem, seed=1), problem)
    visited: set[Point] = set()
    while points := watched.ask(2):
        visited.update(points)
        for point in points:
            watched.tell(point, accuracy(point))
    assert visited == distinct_points(problem)
    assert watched.ask(1) == []


def proposes_the_same_with_the_same_seed_alone(make: MakeSampler) -> None:
    """Two searches with one seed are one search, with two seeds two."""
    problem = toy_problem(more=4)

    def proposals(seed: int) -> list[Point]:
        sampler = make(problem, seed=seed)
        points: list[Point] = []
        for _ in range(12):
            points += sampler.ask()
            told(sampler, points[-1:])
        return points

    assert proposals(0) == proposals(0), "nothing but the history and the generator may decide"
    assert set(proposals(0)) != set(proposals(1)), "the seed changes nothing"


def goes_on_as_the_one_before_that_was_told_the_same(make: MakeSampler) -> None:
    """A study that goes on makes its sampler anew, and tells it what is known."""
    problem = toy_problem(more=2)
    old = make(problem, seed=5)
    points = old.ask(12)
    told(old, points[:11])
    new = make(problem, seed=5)
    told(new, points[:11])
    new.pend(points[11:])
    assert new.ask(3) == old.ask(3), "it remembers what is not in its history"


def takes_the_number_of_trials_and_anchors(make: MakeSampler) -> None:
    """Which may mean nothing to it."""
    assert len(make(toy_problem(), seed=0, trials=30, anchors=[(1, 1, 1, 0)]).ask()) == 1


def hears_numbers_of_numpy(make: MakeSampler) -> None:
    """As they come out of arrays."""
    problem = toy_problem()
    sampler = make(problem, seed=np.int64(2))
    heard = set(sampler.ask(3))
    for point in heard:
        sampler.tell(np.array(point), np.float32(1.0), costs=np.array([2.0]))  # type: ignore[arg-type]
    assert set(sampler.ask(1000)) | heard == distinct_points(problem)


SAMPLER_CHECKS: tuple[Callable[[MakeSampler], None], ...] = (
    proposes_only_valid_new_points_whatever_happens,
    asks_for_nothing_that_estimates_rule_out,
    visits_every_point_of_a_finite_space_once,
    proposes_the_same_with_the_same_seed_alone,
    goes_on_as_the_one_before_that_was_told_the_same,
    takes_the_number_of_trials_and_anchors,
    hears_numbers_of_numpy,
)
"""Each takes what makes a sampler: `make(problem, seed=0, *, trials=None, anchors=())`."""
