"""What a problem says of its points beside levels, and what the default sampler makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from made_up import network

from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.structure import structure
from hrnet_search.pareto import hypervolume
from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers import SAMPLERS
from hrnet_search.search.samplers.columns import Unit
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.surrogate import Data, fitted
from hrnet_search.search.space_problem import problem_of
from hrnet_search.space.choice import Choice
from hrnet_search.space.space import SearchSpace

MODULES, BLOCKS = slice(0, 3), slice(3, 6)


def depth(points: Points) -> Floats:
    """Modules times blocks, summed over three scales: what no axis says alone."""
    each = (1 + points[:, MODULES]) * (1 + points[:, BLOCKS])
    return np.asarray(np.log(each), dtype=np.float64)


def deep(features: Callable[[Points], Floats] | None) -> Problem:
    """4,096 networks of three scales, and a width that costs and brings less and less."""
    axes = [Axis(f"x{i}", 4, True) for i in range(6)]
    return Problem(
        axes,
        lambda p: np.exp(depth(p).sum(axis=1, keepdims=True) / 3),
        lambda p: np.ones(len(p), dtype=np.bool_),
        features=features,
    )


def truth(points: Points) -> Floats:
    """Each scale wants a depth of its own, whichever way it is had."""
    wanted = np.log([12.0, 6.0, 2.0])
    return np.asarray(-((depth(points) - wanted) ** 2).sum(axis=1), dtype=np.float64)


def share(features: Callable[[Points], Floats] | None, seed: int, trials: int = 20) -> float:
    """Return the share of the front's hypervolume that a search holds."""
    problem = deep(features)
    sampler = SAMPLERS["pareto"](problem, seed=seed, trials=3 * trials)
    rng = np.random.default_rng(seed)
    for _ in range(3 * trials // 2):
        (point,) = sampler.ask()
        sampler.tell(point, float(truth(np.array([point]))[0] + rng.normal(0, 0.05)))

    def area(points: Points) -> float:
        return hypervolume(truth(points), np.log(problem.cost(points)[:, 0]), (-3.0, 3.0))

    return area(np.array(list(sampler.history.told))) / area(problem.enumerate())


def test_what_axes_amount_to_together_finds_the_front_sooner() -> None:
    seeds = range(2)
    without, told = (np.array([share(f, s) for s in seeds]) for f in (None, depth))
    assert told.mean() > without.mean() + 0.01
    assert (told >= without).all()


def test_features_that_say_nothing_cost_next_to_nothing() -> None:
    """Ten columns of noise, fixed by point, which the lengths of a family let vanish."""
    noise = np.random.default_rng(0).normal(size=(4**6, 10))

    def junk(points: Points) -> Floats:
        return np.asarray(noise[points @ 4 ** np.arange(6)], dtype=np.float64)

    seeds = range(2)
    without, told = (np.array([share(f, s) for s in seeds]) for f in (None, junk))
    assert told.mean() > 0.95 * without.mean()


def test_a_family_of_features_matters_together_or_not_at_all() -> None:
    rng = np.random.default_rng(3)
    features = rng.uniform(-0.5, 0.5, (60, 6))
    groups, families = tuple(range(6)), ((2, 3, 4, 5),)
    lengths = {}
    for name, accuracy in (
        ("one axis", np.sin(6 * features[:, 0])),
        ("the family", np.sin(2 * features[:, 2:].sum(axis=1))),
    ):
        data = Data(features, accuracy + rng.normal(0, 0.05, 60), np.ones(60), groups, families)
        lengths[name] = np.exp(fitted(data, None, 60)[2:-1])
    assert lengths["the family"][2:].max() < lengths["the family"][:2].min()
    assert lengths["one axis"][2:].min() > 3 * lengths["one axis"][0]


def test_like_axes_say_how_often_each_level_is_taken_where_a_problem_says_nothing() -> None:
    edges = [Axis(f"edge{i}", ("none", "skip", "conv"), False) for i in range(3)]
    others = [
        Axis("alone", ("a", "b"), False),
        Axis("unnamed", 3, False),
        Axis("unnamed too", 3, False),
        Axis("ordered", ("none", "skip", "conv"), True),
    ]
    problem = Problem(
        [*edges, *others], lambda p: np.ones((len(p), 0)), lambda p: np.ones(len(p), dtype=np.bool_)
    )
    pool = problem.enumerate()
    features = Features(problem, pool)
    points = np.array([[0, 2, 2, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]])
    (family,) = features.families
    columns = [number for number, group in enumerate(features.groups) if group in family]
    assert features(points)[:, columns] + 0.5 == pytest.approx(
        np.array([[1 / 3, 0, 2 / 3], [0, 1, 0]])
    )
    own = Features(replace(problem, features=lambda p: p[:, :1].astype(np.float64)), pool)
    assert list(map(len, own.families)) == [1]


def test_a_column_that_never_changed_stays_finite_where_it_does() -> None:
    unit = Unit(np.array([[1.0, 2.0], [1.0, 4.0]]))
    assert unit(np.array([[1.5, 3.0]])) == pytest.approx(np.array([[0.5, 0.0]]))


def test_the_problem_of_a_space_says_what_its_networks_are_made_of() -> None:
    width = Choice("width", (8, 16, 24))
    space = SearchSpace(network(8), (width, Choice("STAGE4.NUM_MODULES", (1, 2))))
    problem = problem_of(space, ("miou", "macs"))
    points = problem.enumerate()
    assert problem.features is not None
    batch = ArchitectureBatch.of([space.decode(point) for point in points.tolist()])
    assert np.array_equal(problem.features(points), structure(batch))
    assert np.array_equal(problem.features(points[::-1]), structure(batch)[::-1])
