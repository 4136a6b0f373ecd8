"""The expected gain, against its definition by integration over accuracies and cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from hrnet_search.pareto import hypervolume
from hrnet_search.search.problem import Floats
from hrnet_search.search.samplers.acquisition import MOST_MEMBERS, Front, expected_improvement

FLOOR = 0.2


def volume(accuracy: Floats, costs: Floats, most: Floats) -> float:
    """Dominated volume above the reference, by its definition: cell by cell."""
    if costs.shape[1] == 0:
        return float(max([FLOOR, *accuracy]) - FLOOR)
    if costs.shape[1] == 1:
        return hypervolume(accuracy, costs[:, 0], (FLOOR, float(most[0])))
    edges = np.unique(np.append(costs[:, 1], most[1]))
    total = 0.0
    for low, high in pairwise(edges):
        inside = costs[:, 1] <= low
        part = hypervolume(accuracy[inside], costs[inside, 0], (FLOOR, float(most[0])))
        total += part * (high - low)
    return total


def by_integration(
    front: tuple[Floats, Floats], most: Floats, mean: float, deviation: float, cost: Floats
) -> float:
    accuracy, costs = front
    before = volume(accuracy, costs, most)

    def gain(value: float) -> float:
        after = volume(np.append(accuracy, value), np.vstack([costs, cost]), most)
        return float((after - before) * stats.norm.pdf(value, mean, deviation))

    limits = mean - 8 * deviation, mean + 8 * deviation
    breaks = sorted({FLOOR, *(a for a in accuracy if limits[0] < a < limits[1])})
    return float(integrate.quad(gain, *limits, points=breaks, limit=200)[0])


@pytest.mark.parametrize("objectives", [0, 1, 2])
@pytest.mark.parametrize("members", [0, 1, 6])
def test_the_gain_is_its_definition(objectives: int, members: int) -> None:
    rng = np.random.default_rng([objectives, members])
    most = np.full(objectives, 1.0)
    accuracy = rng.uniform(0, 1, members)
    costs = rng.uniform(-1, 1.2, (members, objectives))  # beyond the reference, too
    front = Front.of(accuracy, costs, FLOOR, most)
    inside = (costs < most).all(axis=1)
    for mean, deviation in ((0.5, 0.2), (0.1, 0.05), (0.9, 0.01)):
        cost = rng.uniform(-1.2, 1.0, objectives)
        expected = by_integration((accuracy[inside], costs[inside]), most, mean, deviation, cost)
        found = front.expected_gain(np.array([mean]), np.array([deviation]), cost[None])
        assert found[0] == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_point_as_dear_as_the_reference_gains_nothing() -> None:
    front = Front.of(np.array([0.5]), np.array([[0.0]]), FLOOR, np.array([1.0]))
    gain = front.expected_gain(np.array([9.0, 9.0]), np.array([1.0, 1.0]), np.array([[1.0], [2.0]]))
    assert gain.tolist() == [0.0, 0.0]


def test_what_is_certain_gains_exactly_what_it_adds() -> None:
    gain = expected_improvement(np.array([3.0, 1.0]), np.zeros(2), np.array([2.0]))
    assert gain[:, 0] == pytest.approx([1.0, 0.0], abs=1e-9)


def test_large_fronts_of_two_costs_are_thinned_and_keep_their_ends() -> None:
    costs = np.stack([np.linspace(0, 1, 400), np.linspace(1, 0, 400)], axis=1)
    front = Front.of(np.full(400, 0.5), costs, FLOOR, np.array([2.0, 2.0]))
    assert len(front.accuracy) == MOST_MEMBERS
    assert front.log_costs[[0, -1]].tolist() == costs[[0, -1]].tolist()
