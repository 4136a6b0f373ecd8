"""What is believed of accuracy: a Gaussian process, from scikit-learn, over points and costs.

The covariance is a smooth part (Matern 5/2, one length a choice, so that nominal levels are as
far apart as their Hamming distance says), a linear part and the noise of a training. Its
hyperparameters maximise the posterior under priors that hold a dozen observations in check.
Columns of a family, such as what points are made of, are held to matter about as much as each
other, much or not at all: a long length takes a column out of both parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from hrnet_search.search.problem import Floats

Groups = tuple[int, ...]
"""The choice that each column of features belongs to, numbered from 0 without gaps."""

Families = tuple[Groups, ...]
"""Choices that are held to matter about as much as each other; each is in one family or none."""

LOWEST, HIGHEST = 1e-5, 1e3
"""Bounds of all hyperparameters."""

UNBOUNDED = (1e-300, 1e300)
"""What scikit-learn is told instead: it would warn of every noise that is next to nothing."""

JITTER = 1e-6
SMOOTH, LINEAR, NOISE = (1.0, 1.0), (0.4, 1.5), (0.05, 1.5)
"""Prior of each variance as (median, spread of its logarithm), for accuracies of variance 1."""

SCALE = (1.4, 1.0)
"""Prior of a length likewise, where there is one choice; see `_priors`."""

TOGETHER, APART = 2.0, 0.5
"""Spread of the logarithm of what lengths of a family have in common, and of each beside it."""


class Landscape(Kernel):  # type: ignore[misc]
    """Covariance of accuracies; the last column of X is the noise of a row, as a share.

    `smooth`, `linear` and `noise` are variances, `scales` lengths by group; those of `families`
    count in the linear part too. A row that is only asked about has no noise.
    """

    def __init__(
        self,
        groups: Groups,
        families: Families = (),
        linear: float = LINEAR[0],
        noise: float = NOISE[0],
        scales: Any = 1.0,
        smooth: float = SMOOTH[0],
    ) -> None:
        self.groups = groups
        self.families = families
        self.linear = linear
        self.noise = noise
        self.scales = scales
        self.smooth = smooth

    # scikit-learn collects what is fitted from these, in the order of their names.
    @property
    def hyperparameter_linear(self) -> Hyperparameter:
        return Hyperparameter("linear", "numeric", UNBOUNDED)

    @property
    def hyperparameter_noise(self) -> Hyperparameter:
        return Hyperparameter("noise", "numeric", UNBOUNDED)

    @property
    def hyperparameter_scales(self) -> Hyperparameter:
        return Hyperparameter("scales", "numeric", UNBOUNDED, max(self.groups) + 1)

    @property
    def hyperparameter_smooth(self) -> Hyperparameter:
        return Hyperparameter("smooth", "numeric", UNBOUNDED)

    def __call__(
        self,
        X: Floats,  # noqa: N803 -- the names that scikit-learn calls them by
        Y: Floats | None = None,  # noqa: N803
        eval_gradient: bool = False,
    ) -> Any:
        """Return the covariance [n, k], and its gradient by the logarithms [n, n, p] if asked."""
        left, right = X[:, :-1], (X if Y is None else Y)[:, :-1]
        lengths = self._lengths()
        root = np.sqrt(5 * cdist(left / lengths, right / lengths, "sqeuclidean"))
        decay = self.smooth * np.exp(-root)
        sloped = left * self._weights(), right * self._weights()
        smooth, linear = (1 + root + root**2 / 3) * decay, self.linear * (sloped[0] @ sloped[1].T)
        covariance = smooth + linear
        if Y is not None:
            return covariance
        noise = np.diag(self.noise * X[:, -1])
        covariance += noise
        if not eval_gradient:
            return covariance
        # One hyperparameter after the other in memory: side by side takes most of a fit.
        gradient = np.empty((len(self.theta), *covariance.shape))
        gradient[0], gradient[1], gradient[-1] = linear, noise, smooth
        steep = 5 / 3 * (1 + root) * decay
        for row, part in zip(gradient[2:-1], self._parts(left / lengths), strict=True):
            np.multiply(steep, part, out=row)
        for group in _members(self.families):
            columns = sloped[0][:, np.array(self.groups) == group]
            gradient[2 + group] -= 2 * self.linear * (columns @ columns.T)
        return covariance, gradient.T  # each is symmetric

    def diag(self, X: Floats) -> Floats:  # noqa: N803
        """Return the variance of each row, [n]."""
        spread: Floats = ((X[:, :-1] * self._weights()) ** 2).sum(axis=1)
        return np.asarray(self.smooth + self.linear * spread + self.noise * X[:, -1])

    def is_stationary(self) -> bool:
        """The linear part is not."""
        return False

    def _lengths(self) -> Floats:
        """Return the length of each column."""
        return np.asarray(np.broadcast_to(self.scales, max(self.groups) + 1)[list(self.groups)])

    def _weights(self) -> Floats:
        """Return how much of each column the linear part takes: of a family's by its length."""
        usual = _usual_length(max(self.groups) + 1, self.families)
        inside = np.isin(self.groups, _members(self.families))
        return np.where(inside, usual / self._lengths(), 1.0)

    def _parts(self, scaled: Floats) -> list[Floats]:
        """Return the squared distances within each group, [n, n] each."""
        groups = np.array(self.groups)
        columns = (scaled[:, groups == g] for g in range(max(self.groups) + 1))
        return [cdist(part, part, "sqeuclidean") for part in columns]


@dataclass(frozen=True, slots=True)
class Data:
    """Rows to learn from: features [n, k], accuracies [n], and repeats behind each, [n].

    `groups` says which choice each feature belongs to, `families` which choices are of a kind.
    """

    features: Floats
    accuracy: Floats
    repeats: Floats
    groups: Groups
    families: Families = ()

    def rows(self) -> Floats:
        """Return the rows as the kernel wants them, with their noise."""
        return np.column_stack([self.features, 1 / self.repeats])


def fitted(data: Data, start: Floats | None, iterations: int) -> Floats:
    """Return the logarithms of the hyperparameters that suit the data best, from a start."""
    centre, precision = _priors(max(data.groups) + 1, data.families)
    begin = centre if start is None else start

    def climb(objective: Any, theta: Floats, bounds: Floats) -> tuple[Floats, float]:
        del bounds

        def with_prior(theta: Floats) -> tuple[float, Floats]:
            value, gradient = objective(theta)
            away = theta - centre
            return value + 0.5 * float(away @ precision @ away), gradient + precision @ away

        found = minimize(
            with_prior,
            theta,
            jac=True,
            method="L-BFGS-B",
            bounds=[(np.log(LOWEST), np.log(HIGHEST))] * len(theta),
            options={"maxiter": iterations},
        )
        return found.x, found.fun

    regressor = GaussianProcessRegressor(_kernel(data, begin), alpha=JITTER, optimizer=climb)
    regressor.fit(data.rows(), _scaled(data.accuracy)[0])
    return np.asarray(regressor.kernel_.theta, dtype=np.float64)


class Belief:
    """Accuracies as believed after the data, under given hyperparameters.

    Rows whose result is still to come may be added as `pending` features: their mean is taken
    for their result, so that means stay and the doubt around them shrinks.
    """

    def __init__(self, data: Data, theta: Floats, pending: Floats | None = None) -> None:
        self._kernel = _kernel(data, theta)
        scaled, self._centre, self._spread = _scaled(data.accuracy)
        rows = data.rows()
        self._regressor = self._conditioned(rows, scaled)
        if pending is not None and len(pending):
            expected = self._regressor.predict(_asked(pending))
            waiting = np.column_stack([pending, np.ones(len(pending))])
            rows = np.concatenate([rows, waiting])
            self._regressor = self._conditioned(rows, np.concatenate([scaled, expected]))

    def __call__(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the accuracies without noise, [n] each."""
        mean, deviation = self._regressor.predict(_asked(features), return_std=True)
        return self._centre + self._spread * mean, self._spread * deviation

    def mean(self, features: Floats) -> Floats:
        """Return the means of the accuracies, [n]."""
        mean: Floats = self._regressor.predict(_asked(features))
        return self._centre + self._spread * mean

    def chance_above(self, level: float, features: Floats) -> Floats:
        """Return how likely the accuracies are to be above a level, [n]."""
        mean, deviation = self(features)
        return np.asarray(ndtr((mean - level) / np.maximum(deviation, 1e-12)))

    def _conditioned(self, rows: Floats, accuracy: Floats) -> GaussianProcessRegressor:
        regressor = GaussianProcessRegressor(self._kernel, alpha=JITTER, optimizer=None)
        return regressor.fit(rows, accuracy)


def _asked(features: Floats) -> Floats:
    return np.column_stack([features, np.zeros(len(features))])


def _scaled(accuracy: Floats) -> tuple[Floats, float, float]:
    centre, spread = float(accuracy.mean()), float(accuracy.std())
    spread = spread if spread > 0 else 1.0
    return (accuracy - centre) / spread, centre, spread


def _members(families: Families) -> Groups:
    return tuple(group for family in families for group in family)


def _usual_length(groups: int, families: Families) -> float:
    """Return the median of the prior of lengths; a family counts as one choice.

    It grows with the root of the number of choices (Hvarfner et al. 2024): else everything is
    far from everything where there are many.
    """
    choices = groups - sum(len(family) - 1 for family in families)
    return float(SCALE[0] * choices**0.5)


def _priors(groups: int, families: Families) -> tuple[Floats, Floats]:
    """Return medians [p] and precision [p, p] of the logarithms of the kernel's parameters.

    Lengths of a family have a normal deviate in common, beside one of their own.
    """
    length = np.log(_usual_length(groups, families))
    medians = [np.log(LINEAR[0]), np.log(NOISE[0]), *[length] * groups, np.log(SMOOTH[0])]
    spreads = np.array([LINEAR[1], NOISE[1], *[SCALE[1]] * groups, SMOOTH[1]])
    covariance = np.diag(spreads**2)
    for family in families:
        own = np.array(family) + 2  # after the variances of the linear part and of noise
        covariance[np.ix_(own, own)] = TOGETHER**2 + APART**2 * np.eye(len(own))
    return np.array(medians), np.linalg.inv(covariance)


def shares(data: Data, theta: Floats) -> Floats:
    """Return how much each choice weighs beside all others, [groups], by hyperparameters.

    In inverse squared lengths, which is how fast accuracy may change with it; they sum to 1.
    """
    weights: Floats = np.exp(-2 * theta[2:-1])
    assert len(weights) == max(data.groups) + 1
    return np.asarray(weights / weights.sum())


def _kernel(data: Data, theta: Floats) -> Landscape:
    # The lengths have to be an array for the kernel to know how many there are.
    kernel = Landscape(data.groups, data.families, scales=np.ones(max(data.groups) + 1))
    found: Landscape = kernel.clone_with_theta(theta)
    return found
