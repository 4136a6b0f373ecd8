"""What is believed of accuracy: the covariance, its fit, repeats, pending and collapses."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_search.search.problem import Axis, Floats, Points, Problem
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.surrogate import (
    Belief,
    Data,
    Landscape,
    fitted,
)

GROUPS = (0, 1, 1, 1, 2)


def wave(rows: int, noise: float = 0.1, repeats: int = 1, seed: int = 0) -> tuple[Data, Floats]:
    """Rows of a smooth function of the first and the last feature, and the function itself."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(-0.5, 0.5, (rows, len(GROUPS)))
    truth = np.sin(6 * features[:, 0]) + features[:, -1]
    accuracy = truth + rng.normal(0, noise, rows) / np.sqrt(repeats)
    return Data(features, accuracy, np.full(rows, float(repeats)), GROUPS), truth


@pytest.mark.parametrize("families", [(), ((1, 2),), ((1,), (2,))])
def test_the_gradient_of_the_covariance_is_that_of_differences(
    families: tuple[tuple[int, ...], ...],
) -> None:
    rows = wave(6)[0].rows()
    kernel = Landscape(GROUPS, families, 0.3, 0.2, np.array([0.5, 1.0, 2.0]), 1.5)
    _, gradient = kernel(rows, eval_gradient=True)
    assert gradient.shape == (6, 6, len(kernel.theta))
    for number, step in enumerate(np.eye(len(kernel.theta)) * 1e-6):
        up, down = (kernel.clone_with_theta(kernel.theta + s)(rows) for s in (step, -step))
        assert gradient[:, :, number] == pytest.approx((up - down) / 2e-6, abs=1e-7)


def test_the_variance_of_rows_is_the_diagonal_of_their_covariance() -> None:
    rows = wave(5)[0].rows()
    kernel = Landscape(GROUPS, ((1, 2),), 0.3, 0.2, np.array([0.5, 1.0, 2.0]), 1.5)
    assert kernel.diag(rows) == pytest.approx(np.diag(kernel(rows)))


def test_a_fit_finds_what_matters_and_how_noisy_it_is() -> None:
    data, _ = wave(120, noise=0.3)
    theta = fitted(data, None, 60)
    _, noise, first, second, third, _ = np.exp(theta)
    assert first < second
    assert first < third
    assert noise * data.accuracy.var() == pytest.approx(0.09, rel=0.4)


def test_beliefs_are_better_than_the_mean_and_know_their_doubt() -> None:
    data, _ = wave(80)
    belief = Belief(data, fitted(data, None, 40))
    other, truth = wave(400, seed=1)
    mean, deviation = belief(other.features)
    assert np.abs(mean - truth).mean() < 0.25 * np.abs(truth - truth.mean()).mean()
    assert (np.abs(mean - truth) < 2 * deviation).mean() > 0.85


def test_repeats_weigh_as_much_as_they_are() -> None:
    single, _ = wave(30)
    theta = fitted(single, None, 20)
    many = Data(single.features, single.accuracy, np.full(30, 9.0), GROUPS)
    at = single.features
    assert (Belief(many, theta)(at)[1] < Belief(single, theta)(at)[1]).all()
    nearer = np.abs(Belief(many, theta)(at)[0] - single.accuracy)
    assert nearer.mean() < np.abs(Belief(single, theta)(at)[0] - single.accuracy).mean()


def test_pending_rows_take_doubt_away_and_leave_the_means() -> None:
    data, _ = wave(30)
    theta = fitted(data, None, 20)
    at = wave(10, seed=5)[0].features
    before, after = Belief(data, theta), Belief(data, theta, pending=at[:1])
    assert after(at)[0] == pytest.approx(before(at)[0], abs=1e-4)
    assert (after(at)[1] <= before(at)[1] + 1e-9).all()
    assert after(at)[1][0] < 0.6 * before(at)[1][0]


def test_equal_accuracies_are_no_trouble() -> None:
    data = Data(wave(5)[0].features, np.full(5, 7.0), np.ones(5), GROUPS)
    mean, deviation = Belief(data, fitted(data, None, 10))(data.features)
    assert mean == pytest.approx(np.full(5, 7.0))
    assert np.isfinite(deviation).all()


def test_features_are_levels_costs_and_fidelity_with_one_group_a_choice() -> None:
    def cost(points: Points) -> Floats:
        return np.exp(points[:, :1].astype(np.float64))

    problem = Problem(
        [Axis("a", 5, True), Axis("b", 3, False), Axis("one", 1, True)],
        cost,
        lambda p: np.ones(len(p), dtype=np.bool_),
    )
    features = Features(problem, np.array([[0, 0, 0], [4, 0, 0], [2, 1, 0]]))
    found = features(np.array([[0, 2, 0], [4, 0, 0]]), fidelity=np.array([1.0, 0.5]))
    half = np.sqrt(0.5)
    assert features.groups == (0, 1, 1, 1, 2, 3)
    assert features.families == ()
    assert found == pytest.approx(
        np.array([[-0.5, 0, 0, half, -0.5, 0], [0.5, half, 0, 0, 0.5, np.log(0.5)]])
    )
