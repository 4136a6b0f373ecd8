"""Stopping at rungs: a trial ends early when it will hardly be on the front of its neighbourhood.

A global top fraction would kill every small network, so a trial is held against those only that
cost no more than it does and not much less. What it would reach is predicted from what others
of like cost had at the same rung and at the end.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.trial import COMPLETED, STOPPED, RungResult, TrialKey, TrialResult
from hrnet_search.store.findings import RungAudit

FEWEST = 10
"""Completed trials before anything is stopped: fewer do not show how curves go on."""

NEIGHBOURHOOD = 2.0
"""Costs down to 1/N of a trial's own are those of its neighbourhood."""

SPREAD = 0.7
"""Deviation, in log cost, of the weight that a completed trial has for the prediction."""

RIDGE = 1.0
SMALLEST_ERROR = 0.005
"""Of a prediction, mIoU: curves that agree by chance prove no more."""

AUDITED = 10
"""One trial in N runs to its end whatever the rule says, so that the rule can be judged."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What a trial has shown: its costs, and (step, score) at each rung; `final` at its end.

    Scores are of the study's signal: mIoU or soft IoU.
    """

    costs: tuple[float, ...]
    rungs: tuple[tuple[int, float], ...]
    final: float | None = None

    def at(self, step: int) -> float | None:
        """Return the score at a rung, None if the trial did not come so far."""
        return dict(self.rungs).get(step)


def chance(curve: Curve, step: int, others: Sequence[Curve]) -> float:
    """Return the chance that a trial at a rung ends on the front of its cost neighbourhood.

    1 where nothing can be said: too few completed trials, or no neighbour.
    """
    here = curve.at(step)
    known = [o for o in others if o.final is not None and o.at(step) is not None]
    if here is None or len(known) < FEWEST:
        return 1.0
    bar = max((o.final for o in known if _competes(o, curve) and o.final is not None), default=None)
    if bar is None:
        return 1.0
    mean, error = _predicted(curve, here, step, known)
    return 0.5 * math.erfc((bar - mean) / (error * math.sqrt(2)))


def is_audited(key: TrialKey) -> bool:
    """Return whether a trial runs to its end whatever the rule says: by its key alone."""
    digest = hashlib.sha256(str(key).encode()).digest()
    return int.from_bytes(digest[:8]) % AUDITED == 0


def curve_of(result: TrialResult, costs: tuple[float, ...], signal: str = MIOU) -> Curve:
    """Return the curve of a trial that has ended."""
    final = result.score(signal) if result.status == COMPLETED else None
    return Curve(costs, seen(result.rungs, signal), final)


def audit(
    ended: Sequence[tuple[TrialKey, TrialResult, tuple[float, ...]]],
    front: Collection[TrialKey],
    least: float,
    signal: str = MIOU,
) -> RungAudit:
    """Judge the rule on trials in the order they ended, each with its costs.

    `least` is the chance below which a trial is stopped, `front` the trials on the front.
    """
    curves: list[Curve] = []
    doomed: set[TrialKey] = set()
    for key, result, costs in ended:
        curve = curve_of(result, costs, signal)
        steps = [step for step, _ in curve.rungs[:-1]]
        if curve.final is not None and any(chance(curve, s, curves) < least for s in steps):
            doomed.add(key)
        curves.append(curve)
    stopped = sum(result.status == STOPPED for _, result, _ in ended)
    return RungAudit(len(doomed), len(doomed & set(front)), stopped)


def seen(rungs: Sequence[RungResult], signal: str) -> tuple[tuple[int, float], ...]:
    """Return (step, score) of the rungs whose score by a signal is known."""
    scores = ((rung.step, rung.score(signal)) for rung in rungs)
    return tuple((step, score) for step, score in scores if score is not None)


def _competes(other: Curve, curve: Curve) -> bool:
    """Say whether another could push a trial off the front of its neighbourhood."""
    return all(
        cost / NEIGHBOURHOOD <= others <= cost
        for others, cost in zip(other.costs, curve.costs, strict=True)
    )


def _predicted(curve: Curve, here: float, step: int, known: Sequence[Curve]) -> tuple[float, float]:
    """Return the score that a trial would end with, and the error of the prediction.

    A ridge regression of the final score on that of the rung and on log costs, in which trials
    of like cost count more; the error is that of leaving each of them out.
    """
    rows = np.array([_features(o, o.at(step)) for o in known])
    finals = np.array([o.final for o in known], dtype=np.float64)
    at = np.array(_features(curve, here))
    distance = (rows[:, 1:] - at[1:]) / SPREAD
    weights = np.exp(-0.5 * (distance**2).sum(axis=1)) + 1e-6
    centre = np.average(rows, axis=0, weights=weights)
    scale = np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=weights)) + 1e-9
    design = np.column_stack([np.ones(len(rows)), (rows - centre) / scale])
    penalty = np.diag([0.0, *[RIDGE] * (design.shape[1] - 1)])
    inverse = np.linalg.inv((design.T * weights) @ design + penalty)
    fit = inverse @ (design.T * weights) @ finals
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design) * weights
    residuals = (finals - design @ fit) / np.maximum(1 - leverage, 0.1)
    error = math.sqrt(np.average(residuals**2, weights=weights))
    mean = float(np.concatenate([[1.0], (at - centre) / scale]) @ fit)
    return mean, max(error, SMALLEST_ERROR)


def _features(curve: Curve, score: float | None) -> list[float]:
    assert score is not None, "asked for only where there is one"
    return [score, *(math.log(cost) for cost in curve.costs)]
