"""Problems: numbering of points, what is valid and distinct, neighbours, wrong input."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hrnet_search.errors import InputError
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem

AXES = (Axis("width", (16, 18, 24), True), Axis("fuse", ("SUM", "CAT"), False), Axis("n", 4, True))


def no_cost(points: Points) -> Floats:
    return np.empty((len(points), 0))


def even(points: Points) -> Bools:
    assert len(points), "the functions of a problem are never handed an empty array"
    return np.asarray(points.sum(axis=1) % 2 == 0, dtype=np.bool_)


def all_valid(points: Points) -> Bools:
    return np.ones(len(points), dtype=np.bool_)


def without_fuse_at_zero(points: Points) -> Points:
    """Width and fuse do not matter where n is 0."""
    same = points.copy()
    same[same[:, 2] == 0, :2] = 0
    return same


def test_levels_may_be_values_or_their_number() -> None:
    problem = Problem(AXES, no_cost, all_valid)
    assert problem.counts == (3, 2, 4)
    assert problem.size == 24
    assert Axis("n", np.int64(4), True).count == 4  # type: ignore[arg-type]


def test_points_are_numbered_with_the_last_axis_fastest() -> None:
    problem = Problem(AXES, no_cost, all_valid)
    every = list(product(range(3), range(2), range(4)))
    assert problem.at(range(24)).tolist() == [list(point) for point in every]


def test_points_of_spaces_beyond_int64_have_numbers_too() -> None:
    problem = Problem([Axis(f"x{i}", 10, True) for i in range(30)], no_cost, all_valid)
    number = 123456789012345678901234567890
    assert "".join(map(str, problem.at([number])[0].tolist())) == str(number)
    assert problem.at([number]).dtype == np.int64


def test_enumeration_keeps_one_valid_point_of_each_kind() -> None:
    problem = Problem(AXES, no_cost, even, without_fuse_at_zero)
    every = {p for p in product(range(3), range(2), range(4)) if sum(p) % 2 == 0}
    assert set(map(tuple, problem.enumerate().tolist())) == {
        p for p in every if p[2] or p == (0, 0, 0)
    }


def test_distinct_points_keep_their_order() -> None:
    problem = Problem(AXES, no_cost, even, without_fuse_at_zero)
    points = np.array([[2, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [2, 1, 1], [0, 0, 2]])
    assert problem.distinct(points).tolist() == [[2, 1, 1], [0, 0, 0], [0, 0, 2]]
    assert problem.distinct(points[2:3]).tolist() == []


def test_neighbours_are_one_level_away_or_any_nominal_one() -> None:
    axes = (Axis("a", 5, True), Axis("b", 4, False), Axis("c", 1, True))
    problem = Problem(axes, no_cost, all_valid)
    found = problem.neighbours(np.array([[0, 1, 0]])).tolist()
    assert sorted(found) == [[0, 0, 0], [0, 2, 0], [0, 3, 0], [1, 1, 0]]


def test_uniform_draws_reach_every_level() -> None:
    problem = Problem(AXES, no_cost, all_valid)
    drawn = problem.uniform(np.random.default_rng(0), 1000)
    assert {tuple(p) for p in drawn.tolist()} == set(product(range(3), range(2), range(4)))


@pytest.mark.parametrize("point", [(0, 0), (0, 0, 4), (-1, 0, 0), (0.5, 0, 0), (0, 0, 0, 0), "ab"])
def test_what_is_no_point_is_refused(point: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"point: .* is not a point, allowed: 3 level indices"):
        Problem(AXES, no_cost, all_valid).point(point)


def test_numpy_integers_make_a_point() -> None:
    point = Problem(AXES, no_cost, all_valid).point(np.array([2, 1, 3]))
    assert point == (2, 1, 3)
    assert all(type(level) is int for level in point)


def test_every_wrong_axis_is_named() -> None:
    axes = (Axis("a", (), True), Axis("b", 2, True), Axis("b", 3, True))
    with pytest.raises(InputError) as caught:
        Problem(axes, no_cost, all_valid)
    assert [fault.path for fault in caught.value.faults] == ["a", "b"]
