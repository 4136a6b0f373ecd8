"""The contract that every sampler keeps, and what each one adds to it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from hrnet_search.errors import InputError
from hrnet_search.records.point import Point
from hrnet_search.records.search_options import SAMPLER_NAMES
from hrnet_search.search.problem import Axis, Bools, Floats, Points, Problem
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.history import ENUMERABLE, History
from hrnet_search.testing import (
    SAMPLER_CHECKS,
    MakeSampler,
    accuracy,
    distinct_points,
    disturbed_search,
    estimated_problem,
    told,
    toy_problem,
)

SLOW = {"optuna:gp": pytest.mark.slow}
every_sampler = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(SAMPLERS)]
)


def all_valid(points: Points) -> Bools:
    return np.ones(len(points), dtype=np.bool_)


def test_the_table_holds_the_names_that_space_files_may_use() -> None:
    assert set(SAMPLERS) == set(SAMPLER_NAMES)


@every_sampler
@pytest.mark.parametrize("check", SAMPLER_CHECKS, ids=lambda check: check.__name__)
def test_every_sampler_does_what_samplers_do(
    check: Callable[[MakeSampler], None], name: str
) -> None:
    check(SAMPLERS[name])


@every_sampler
def test_no_sampler_takes_an_option_misspelt(name: str) -> None:
    with pytest.raises(TypeError):
        SAMPLERS[name](toy_problem(), seed=0, trails=30)


@pytest.mark.bench
@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"optuna:gp"}))
def test_ten_thousand_proposals_are_all_valid_and_new(name: str) -> None:
    proposed = 0
    while proposed < 10_000:
        proposed += disturbed_search(
            SAMPLERS[name], objectives=proposed % 3, rounds=80, seed=proposed
        )


@pytest.mark.parametrize("name", sorted(n for n in SAMPLERS if not n.startswith("optuna:")))
def test_estimates_that_change_leave_nothing_hidden_in_a_sampler(name: str) -> None:
    scale = [3.0]
    problem = estimated_problem(scale)
    old = SAMPLERS[name](problem, seed=4, trials=12)
    history: list[Point] = []
    for number in range(12):
        scale[0] = 3.0 - 2.0 * number / 12
        new = SAMPLERS[name](problem, seed=4, trials=12)
        told(new, history)
        found = old.ask()
        assert new.ask() == found, number
        told(old, found)
        history += found


@pytest.mark.parametrize("name", ["optuna:tpe", "optuna:nsga2", "optuna:gp"])
def test_samplers_of_optuna_say_nothing_and_leave_its_logging_as_it_was(name: str) -> None:
    messages: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = messages.append  # type: ignore[method-assign,assignment]
    logging.getLogger("optuna").addHandler(listener)
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        sampler = SAMPLERS[name](toy_problem(objectives=2, more=2), seed=0)
        for _ in range(12):
            told(sampler, sampler.ask())
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        logging.getLogger("optuna").removeHandler(listener)
    assert messages == []


@pytest.mark.parametrize(("name", "trials"), [("tpe", 60), ("nsga2", 160), ("gp", 16)])
def test_samplers_of_optuna_learn(name: str, trials: int) -> None:
    problem = toy_problem(objectives=0, more=6)
    sampler = SAMPLERS[f"optuna:{name}"](problem, seed=0)
    seen = []
    for _ in range(trials):
        (point,) = sampler.ask()
        seen.append(accuracy(point))
        sampler.tell(point, seen[-1])
    # The mean of a uniform draw is 95, its spread 5.
    assert np.mean(seen[:10]) < 97
    assert np.mean(seen[-trials // 4 :]) > 99


@pytest.mark.parametrize("unfinished", ["pending", "stopped"])
def test_tpe_heeds_what_is_unfinished(unfinished: str) -> None:
    """Such points stand in its study as running or pruned, which moves what it suggests."""
    problem = toy_problem(more=4)
    everything = list(map(tuple, problem.enumerate().tolist()))
    proposals = []
    # Equally many each time, so that the seeds are the same.
    for points in (everything[:40], everything[-40:]):
        sampler = SAMPLERS["optuna:tpe"](problem, seed=1)
        told(sampler, sampler.ask(20))
        if unfinished == "pending":
            sampler.pend(points)
        for point in points if unfinished == "stopped" else ():
            sampler.tell(point, 0.0, fidelity=0.1)
        proposals.append(sampler.ask(4))
    assert proposals[0] != proposals[1]


def test_a_random_sampler_costs_no_import_of_optuna() -> None:
    code = (
        "import sys; from hrnet_search.search.samplers import SAMPLERS;"
        "print(sorted({'optuna', 'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("more", [0, 9])
def test_random_draws_uniformly_over_distinct_points(more: int) -> None:
    problem = toy_problem(more=more)
    assert (problem.size > ENUMERABLE) == (more == 9)
    cells = sorted(distinct_points(toy_problem()))
    draws = [SAMPLERS["random"](problem, seed=seed).ask()[0][:4] for seed in range(1200)]
    observed = np.array([draws.count(cell) for cell in cells])
    expected = len(draws) / len(cells)
    chi_squared = float(((observed - expected) ** 2 / expected).sum())
    assert observed.sum() == len(draws)
    assert chi_squared < 1.7 * len(cells)  # p < .001 above, with this many cells


class Counted:
    """A huge space in which one point of a thousand is valid; counts what it is asked."""

    def __init__(self, rare: int) -> None:
        self.rare = rare
        self.rows = 0

    def valid(self, points: Points) -> Bools:
        self.rows += len(points)
        return np.asarray((points[:, 0] == 7) & (points[:, 1] < self.rare), dtype=np.bool_)

    def cost(self, points: Points) -> Floats:
        return np.asarray(points[:, 1:2] + 1, dtype=np.float64)

    def problem(self, *counts: int) -> Problem:
        axes = [Axis(str(i), n, True) for i, n in enumerate((50, 20, *counts))]
        return Problem(axes, self.cost, self.valid)


@pytest.mark.parametrize("name", ["random", "grid"])
def test_rare_points_of_a_huge_space_are_found_without_listing_it(name: str) -> None:
    counted = Counted(rare=1)
    sampler = SAMPLERS[name](counted.problem(100, 200), seed=0)
    points = sampler.ask(50)
    assert len(set(points)) == 50
    assert all(point[:2] == (7, 0) for point in points)
    assert counted.rows < 50 * 10_000


@pytest.mark.parametrize("name", ["random", "grid"])
def test_a_large_space_with_few_points_ends_when_they_are_known(name: str) -> None:
    counted = Counted(rare=3)
    problem = Problem(
        counted.problem(201).axes,
        counted.cost,
        lambda points: counted.valid(points) & (points[:, 2] == 200),
    )
    assert problem.size > ENUMERABLE
    sampler = SAMPLERS[name](problem, seed=0)
    assert sorted(sampler.ask(9)) == [(7, 0, 200), (7, 1, 200), (7, 2, 200)]


def test_a_grid_goes_through_a_large_space_by_equal_steps() -> None:
    problem = Problem(
        [Axis(str(i), 50, True) for i in range(4)],
        lambda p: (p + 1.0).astype(np.float64),
        all_valid,
    )
    sampler = SAMPLERS["grid"](problem, seed=2)
    numbers = np.array([sampler.ask()[0] for _ in range(60)]) @ 50 ** np.arange(4)[::-1]
    assert len(set(np.diff(numbers) % problem.size)) == 1


@pytest.mark.parametrize("count", [5, 12, 30])
def test_any_first_part_of_a_grid_spreads_over_the_costs(count: int) -> None:
    problem = toy_problem(more=4)
    points = problem.enumerate()
    costs = np.sort(problem.cost(points)[:, 0])
    asked = np.array(SAMPLERS["grid"](problem, seed=4).ask(count))
    shares = np.searchsorted(costs, np.sort(problem.cost(asked)[:, 0])) / len(costs)
    assert np.diff([0.0, *shares, 1.0]).max() < 3.2 / count


def test_a_history_keeps_the_highest_fidelity_and_all_its_repeats() -> None:
    history = History(toy_problem())
    point = (1, 1, 1, 0)
    history.pend(point)
    assert point in history.pending
    for value, fidelity in ((0.5, 0.3), (0.7, 1.0), (0.9, 1.0), (0.1, 0.3), (None, 1.0)):
        history.tell(point, value, fidelity)
    history.pend(point)
    seen = history.told[point]
    assert (seen.accuracies, seen.fidelity) == ((0.7, 0.9), 1.0)
    assert not history.pending
    assert len(history) == 1


def test_a_point_is_known_by_its_canonical_form() -> None:
    history = History(toy_problem())
    history.tell((1, 0, 3, 0), 0.5)
    assert list(history.told) == [(1, 0, 0, 0)]
    assert history.fresh(np.array([[1, 0, 2, 0], [1, 1, 2, 0]])) == [(1, 1, 2, 0)]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_accuracy_is_a_failure(value: float | None) -> None:
    history = History(toy_problem())
    history.tell((1, 1, 1, 0), value)
    assert (1, 1, 1, 0) in history
    assert history.seen() == []


def test_measured_costs_replace_predicted_ones() -> None:
    history = History(toy_problem(objectives=2))
    history.tell((1, 1, 1, 0), 0.5)
    history.tell((2, 1, 1, 0), 0.5, costs=(7.5, 2.5))
    history.tell((2, 1, 1, 0), 0.6)
    assert history.costs(history.seen()).tolist() == [[4.0, 4.0], [7.5, 2.5]]


def test_results_of_points_over_the_limits_are_not_learned_from() -> None:
    history = History(toy_problem())
    history.tell((4, 1, 3, 0), 0.9)
    history.tell((0, 1, 0, 0), 0.5)
    assert [o.point for o in history.seen()] == [(0, 1, 0, 0)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"point": (9, 0, 0, 0)}, "is not a point"),
        ({"fidelity": 0.0}, "fidelity"),
        ({"fidelity": 1.5}, "fidelity"),
        ({"costs": (1.0, 2.0)}, "allowed: 1 positive numbers"),
        ({"costs": (-1.0,)}, "allowed: 1 positive numbers"),
        ({"costs": (float("nan"),)}, "allowed: 1 positive numbers"),
    ],
)
def test_what_cannot_have_been_seen_is_refused(wrong: dict[str, Any], message: str) -> None:
    sampler = SAMPLERS["random"](toy_problem(), seed=0)
    with pytest.raises(InputError, match=message):
        sampler.tell(**{"point": (0, 0, 0, 0), "accuracy": 0.5, **wrong})
    assert len(sampler.history) == 0
