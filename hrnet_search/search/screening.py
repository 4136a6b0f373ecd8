"""Screen variants by latency before theirs is measured: a regression on their exact costs.

Latency is taken as a sum over groups of convolutions, by kind and map size, of what their
kernels, their MACs and the bytes they move cost on this device, each at least zero. The weights
are fitted to what was measured on this device, in relative error, and drawn towards equal shares
as far as leave-one-out errors ask for. It only screens: no latency that is reported comes from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load where they are used: stats takes a second
from numpy.typing import NDArray

from hrnet_search.arch.architecture import Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import Size, batch_attention_macs, batch_costs, halved, operations
from hrnet_search.search.by_point import ByPoint
from hrnet_search.space.generate import generate
from hrnet_search.space.space import SearchSpace

Floats = NDArray[np.float64]
Points = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST = 8
"""Networks below which MACs, scaled to what was measured, stand in for latency."""

PULLS = (0.01, 0.1, 1.0, 10.0)
"""How strongly weights may be drawn towards equal shares."""

REFIT = 1.1
"""Beyond EACH networks a fit is renewed when they have grown by this factor."""

EACH = 20
TRIED, JUDGED = 30, 200
"""Networks left out at most, evenly spread over all, to choose the pull and to tell the error."""

CHUNK = 1 << 14
KEPT_FROM = 1 << 10
"""Points from which it is worth keeping their features: a pool is asked about at every ask."""

MOST_KEPT = 1 << 14
"""Points, of those that are asked about by the few, whose features are kept."""

SURE = 0.95
"""Share of leave-one-out errors that the margin of a limit covers."""

LEAST_MARGIN = 0.02
DRAWN = 20
"""Variants drawn for each one of a start set."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was learned from `n` networks; `used` says that it screens, not MACs.

    `weights` [F] are ms a unit of each feature. `loo_error` is the median relative error and
    `tau` Kendall's tau of predictions for networks left out one at a time, `macs_error` the
    error of MACs scaled; `margin` how far a prediction may be off, in log.
    """

    n: int
    weights: Floats
    loo_error: float
    tau: float
    macs_error: float
    margin: float
    used: bool


def features(batch: ArchitectureBatch, size: Size, classes: int) -> Floats:
    """Return kernels, MACs and elements moved by kind and map size, [N, F].

    Moved are weights, and what convolutions, batch norm, additions and upsampling put out; the
    matrix products of OCR are a kind of their own.
    """
    groups: dict[tuple[str, Size], NDArray[np.int64]] = {}
    for op in operations(batch, size, classes):
        moved = op.weights + op.activations + op.normed + op.additions + op.upsamplings
        group = np.stack([op.count, op.macs, moved], axis=1)
        key = (op.kind, op.size)
        groups[key] = groups[key] + group if key in groups else group
    height, width = halved(size, 2)
    shares = classes * (batch.mid_channels + 2 * height * width)
    moved = batch.ocr * (shares + height * width * batch.key_channels)
    products = batch_attention_macs(batch, size, classes)
    groups["attention", size] = np.stack([3 * batch.ocr, products, moved], axis=1)
    return np.concatenate(list(groups.values()), axis=1).astype(np.float64)


def fit(rows: Floats, ms: Floats, macs: Floats) -> Fit:
    """Fit latencies `ms` [n] to features `rows` [n, F]; `macs` [n] are those of the networks.

    `n` is at least 2.
    """
    scale = rows.mean(axis=0)
    there = scale > 0
    system = _System.of(rows[:, there] / scale[there], ms)
    tried, judged = (_spread(len(ms), most) for most in (TRIED, JUDGED))
    pull = min(PULLS, key=lambda p: _error(system.left_out(p, tried), ms[tried]))
    guesses, true = system.left_out(pull, judged), ms[judged]
    error, macs_error = _error(guesses, true), _error(_scaled_macs(macs, ms)[judged], true)
    weights = np.zeros(rows.shape[1])
    weights[there] = system.solve(pull) / scale[there]
    return Fit(
        n=len(ms),
        weights=weights,
        loo_error=error,
        tau=float(np.nan_to_num(scipy.stats.kendalltau(guesses, true).statistic)),
        macs_error=macs_error,
        margin=max(LEAST_MARGIN, float(np.quantile(np.abs(np.log(guesses / true)), SURE))),
        used=len(ms) >= FEWEST and error <= macs_error,
    )


@dataclass(frozen=True, slots=True)
class _System:
    """Normal equations of the relative errors: sums over networks, and each one's own part."""

    rows: Floats
    ms: Floats
    gram: Floats
    sides: Floats

    @classmethod
    def of(cls, rows: Floats, ms: Floats) -> _System:
        relative = rows / ms[:, None]
        return cls(rows, ms, relative.T @ relative, relative.sum(axis=0))

    def solve(self, pull: float, without: int | None = None) -> Floats:
        """Return the weights [F] of all networks, or of all but one."""
        gram, sides, count = self.gram, self.sides, len(self.ms)
        if without is not None:
            own = self.rows[without] / self.ms[without]
            gram, sides, count = gram - np.outer(own, own), sides - own, count - 1
        # In units of the latency that equal shares of every feature would make up.
        unit = len(sides) * count / sides.sum()
        width = len(sides)
        square = unit**2 * gram + pull * np.eye(width)
        factor = np.linalg.cholesky(square)
        target = np.linalg.solve(factor, unit * sides + pull / width)
        return np.asarray(unit * scipy.optimize.nnls(factor.T, target)[0])

    def left_out(self, pull: float, which: Points) -> Floats:
        """Return the latency of some networks as all the others predict it."""
        guesses = np.array([self.rows[i] @ self.solve(pull, int(i)) for i in which])
        return np.asarray(np.maximum(guesses, np.finfo(np.float64).tiny))


class LatencyScreen:
    """Learns the latencies of a space as they are measured, and predicts the others.

    What it predicts follows from the measurements and their order alone: one that is told the
    same predicts the same. Of several measurements of one network the first counts.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._measured: dict[str, tuple[Architecture, float]] = {}
        self._fit: Fit | None = None
        self._ms_a_mac = 1.0
        self._kept: tuple[Points, Floats] | None = None
        self._few = ByPoint(lambda points: self._features(space.batch(points)), MOST_KEPT)

    def add(self, architecture: Architecture, ms: float) -> None:
        """Take a measured latency."""
        self._measured.setdefault(architecture.id, (architecture, ms))

    @property
    def fit(self) -> Fit | None:
        """The regression on what was measured; None before the second network."""
        count = _fitted(len(self._measured))
        if count and (self._fit is None or self._fit.n != count):
            known = list(self._measured.values())[:count]
            batch = ArchitectureBatch.of([architecture for architecture, _ in known])
            ms, macs = np.array([ms for _, ms in known]), self._macs(batch)
            self._ms_a_mac = float(np.median(ms / macs))
            if count > 1:
                self._fit = fit(self._features(batch), ms, macs)
        return self._fit

    def predict(self, points: Points) -> Floats:
        """Return the latency to expect of points [n, d], in ms; MACs before any was measured."""
        found = self.fit
        if found is None or not found.used:
            parts = [self._macs(self._space.batch(chunk)) for chunk in _chunks(points)]
            return np.concatenate([np.zeros(0), *parts]) * self._ms_a_mac
        return self._rows(points, len(found.weights)) @ found.weights

    def likely(self, points: Points, at_most: float) -> Bools:
        """Say which points may be as fast as a limit, the margin of error given to them, [n]."""
        found = self.fit
        if found is None or not found.used:
            return np.ones(len(points), dtype=np.bool_)
        return np.asarray(self.predict(points) <= at_most * np.exp(found.margin))

    def _rows(self, points: Points, width: int) -> Floats:
        """Return the features of points; those of the largest array, a pool, are kept."""
        if self._kept is not None and np.array_equal(self._kept[0], points):
            return self._kept[1]
        if 0 < len(points) < KEPT_FROM:
            return np.asarray(self._few(points), dtype=np.float64)
        parts = [self._features(self._space.batch(chunk)) for chunk in _chunks(points)]
        rows = np.concatenate([np.zeros((0, width)), *parts])
        if len(points) >= KEPT_FROM and len(points) >= len(self._kept[0] if self._kept else ()):
            self._kept = points.copy(), rows
        return rows

    def _features(self, batch: ArchitectureBatch) -> Floats:
        return features(batch, self._space.input_size, self._space.classes)

    def _macs(self, batch: ArchitectureBatch) -> Floats:
        costs = batch_costs(batch, self._space.input_size, self._space.classes)
        return costs[:, 1].astype(np.float64)


def start_set(space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Draw untrained variants within the exact limits, evenly spread over the range of MACs."""
    drawn = generate(space, DRAWN * count, seed)
    if not drawn:
        return []
    costs = batch_costs(ArchitectureBatch.of(drawn), space.input_size, space.classes)
    order = np.argsort(costs[:, 1], kind="stable")
    return [drawn[order[i]] for i in _spread(len(drawn), count)]


def _fitted(count: int) -> int:
    """Return how many of the measured networks a fit is made of: it is renewed in steps."""
    step = min(count, EACH)
    while step >= EACH and (after := int(np.ceil(step * REFIT))) <= count:
        step = after
    return step


def _spread(count: int, most: int) -> Points:
    """Return at most `most` of the numbers below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _chunks(points: Points) -> Iterator[Points]:
    for start in range(0, len(points), CHUNK):
        yield points[start : start + CHUNK]


def _scaled_macs(macs: Floats, ms: Floats) -> Floats:
    """Return each latency as MACs predict it, scaled by what the others took for theirs."""
    ratios = ms / macs
    others = [float(np.median(np.delete(ratios, i))) for i in range(len(ms))]
    return np.asarray(macs * np.array(others))


def _error(guesses: Floats, ms: Floats) -> float:
    return float(np.median(np.abs(guesses / ms - 1)))
