"""Stopping at rungs: who is held against whom, and what is never stopped."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from made_up import result
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import Ridge

from hrnet_search.records.accuracy import SOFT_IOU
from hrnet_search.records.trial import COMPLETED, STOPPED, RungResult, TrialKey, TrialResult
from hrnet_search.search.rungs import (
    AUDITED,
    FEWEST,
    Curve,
    _predicted,
    audit,
    chance,
    curve_of,
    is_audited,
)

Ended = tuple[TrialKey, TrialResult, tuple[float, ...]]


def finished(count: int = 40, seed: int = 0, noise: float = 0.005) -> list[Curve]:
    """Return curves whose end is what the rung showed and half as much again, and noise."""
    rng = np.random.default_rng(seed)
    costs = np.exp(rng.uniform(0, 3, count))
    quality = 0.1 + 0.05 * np.log(costs) + rng.uniform(0, 0.1, count)
    noises = rng.normal(0, noise, count)
    return [
        Curve((float(c),), ((10, float(q)),), float(1.5 * q + e))
        for c, q, e in zip(costs, quality, noises, strict=True)
    ]


def test_nothing_is_stopped_before_enough_trials_have_completed() -> None:
    known = finished(FEWEST)
    hopeless = Curve(known[0].costs, ((10, 0.0),))
    assert chance(hopeless, 10, known[1:]) == 1
    assert chance(hopeless, 10, known) < 0.05


def test_a_bad_trial_has_no_chance_and_the_best_a_good_one() -> None:
    known = finished()
    assert chance(Curve((10.0,), ((10, 0.05),)), 10, known) < 0.01
    assert chance(Curve((10.0,), ((10, 0.40),)), 10, known) > 0.9


def test_a_small_network_is_not_held_against_larger_ones() -> None:
    dear = [replace(curve, costs=(100 * curve.costs[0],)) for curve in finished()]
    assert chance(Curve((1.0,), ((10, 0.01),)), 10, dear) == 1


def test_a_dear_network_is_not_held_against_much_cheaper_ones() -> None:
    assert chance(Curve((1000.0,), ((10, 0.01),)), 10, finished()) == 1


def test_only_who_is_as_cheap_in_every_cost_competes() -> None:
    known = [replace(curve, costs=(curve.costs[0], 9.0)) for curve in finished()]
    bad = ((10, 0.05),)
    assert chance(Curve((10.0, 10.0), bad), 10, known) < 0.01
    assert chance(Curve((10.0, 8.0), bad), 10, known) == 1


def test_what_was_not_seen_at_the_rung_says_nothing() -> None:
    assert chance(Curve((10.0,), ((10, 0.01),)), 20, finished()) == 1
    stopped = [replace(curve, final=None) for curve in finished()]
    assert chance(Curve((10.0,), ((10, 0.01),)), 10, stopped) == 1


@pytest.mark.parametrize("costs", [1, 2])
def test_a_prediction_is_the_weighted_ridge_of_scikit_learn(costs: int) -> None:
    """And its error that of fitting anew without each trial."""
    rng = np.random.default_rng(costs)
    known = [
        Curve(tuple(np.exp(rng.uniform(0, 3, costs))), ((10, q),), q * rng.uniform(1.2, 1.8))
        for q in rng.uniform(0.1, 0.5, 25).tolist()
    ]
    at = Curve((5.0,) * costs, ((10, 0.3),))
    rows = np.array([[c.rungs[0][1], *np.log(c.costs)] for c in known])
    point = np.array([0.3, *np.log(at.costs)])
    far = (((rows[:, 1:] - point[1:]) / 0.7) ** 2).sum(axis=1)
    weight = np.exp(-far / 2) + 1e-6
    centre = np.average(rows, axis=0, weights=weight)
    scale = np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=weight))
    x, finals = (rows - centre) / scale, np.array([c.final for c in known])

    def predict(kept: NDArray[np.bool_], where: NDArray[np.float64]) -> float:
        model = Ridge(alpha=1.0, tol=1e-12).fit(x[kept], finals[kept], sample_weight=weight[kept])
        return float(model.predict(where.reshape(1, -1))[0])

    everyone = np.ones(len(x), dtype=np.bool_)
    without = [finals[i] - predict(np.arange(len(x)) != i, x[i]) for i in range(len(x))]
    mean, error = _predicted(at, 0.3, 10, known)
    assert mean == pytest.approx(predict(everyone, (point - centre) / scale), rel=1e-6)
    assert error == pytest.approx(np.sqrt(np.average(np.square(without), weights=weight)), rel=1e-6)


def test_the_chance_is_that_of_a_normal_error_beyond_the_best_neighbour() -> None:
    known, at = finished(noise=0.02), Curve((10.0,), ((10, 0.3),))
    near = [c for c in known if 5 <= c.costs[0] <= 10]
    bar = max(c.final for c in near if c.final is not None)
    mean, error = _predicted(at, 0.3, 10, known)
    expected = float(norm.sf(bar, mean, error))
    assert 0.05 < expected < 0.95
    assert chance(at, 10, known) == pytest.approx(expected)
    stopped = [replace(c, final=None) for c in finished(5, seed=8)]
    elsewhere = [replace(c, rungs=((20, 0.9),)) for c in finished(5, seed=9)]
    assert chance(at, 10, [*known, *stopped, *elsewhere]) == pytest.approx(expected)


def test_neighbours_cost_as_much_or_down_to_half() -> None:
    bad = Curve((10.0,), ((10, 0.01),))
    far = [replace(c, costs=(100.0,)) for c in finished()]
    for cost, competes in ((10.0, True), (5.0, True), (4.99, False), (10.01, False)):
        one = Curve((cost,), ((10, 0.4),), 0.9)
        assert (chance(bad, 10, [*far, one]) < 1) is competes


def test_noisy_curves_stop_fewer() -> None:
    at = Curve((10.0,), ((10, 0.24),))
    assert chance(at, 10, finished(noise=0.05)) > chance(at, 10, finished(noise=0.005))


def test_the_rule_loses_few_and_stops_many() -> None:
    curves = finished(400, seed=3, noise=0.01)
    lost = stopped = 0
    for i, curve in enumerate(curves):
        assert curve.final is not None
        if chance(curve, 10, curves[:i]) >= 0.1:
            continue
        stopped += 1
        cheaper = [c.final for c in curves if c.costs <= curve.costs and c.final is not None]
        lost += curve.final >= max(cheaper)
    assert stopped > 200
    assert lost <= 2


def test_a_share_of_the_trials_is_audited_whoever_asks() -> None:
    keys = [TrialKey(f"hr-{i:012x}", "sc-0", 0) for i in range(2000)]
    audited = [key for key in keys if is_audited(key)]
    assert 0.7 < AUDITED * len(audited) / len(keys) < 1.3
    assert audited == [key for key in keys if is_audited(key)]
    digests = {key: hashlib.sha256(str(key).encode()).hexdigest() for key in keys}
    assert audited == [key for key in keys if int(digests[key][:16], 16) % AUDITED == 0]


def test_the_audit_counts_what_the_rule_would_have_lost() -> None:
    ended = []
    for i, curve in enumerate([*finished(), Curve((10.0,), ((10, 0.05),), 0.9)]):
        assert curve.final is not None
        at = RungResult(10, curve.rungs[0][1], (), 0.0, 0.0)
        last = RungResult(20, curve.final, (), 0.0, 0.0)
        key = TrialKey(f"hr-{i}", "sc-0", 0)
        done = replace(result(0, curve.final), key=key, rungs=(at, last))
        ended.append((key, done, curve.costs))
    late = ended[-1][0]
    ended.append((late, replace(ended[-1][1], status=STOPPED, miou=0.0), (10.0,)))
    found = audit(ended, [late], 0.1)
    assert found.lost == 1
    assert found.audited >= 1
    assert found.stopped == 1
    assert audit(ended, [], 0.1).lost == 0
    assert audit(ended, [late], 0.0).audited == 0


def with_rungs(number: int, cost: float, *scores: float, status: str = COMPLETED) -> Ended:
    """Return a trial as the audit has it, with these mIoUs at its rungs."""
    rungs = tuple(RungResult(10 * (i + 1), q, (), 0.0, 0.0) for i, q in enumerate(scores))
    key = TrialKey(f"hr-{number}", "sc-0", 0)
    done = replace(result(0, scores[-1]), key=key, rungs=rungs, status=status)
    return key, done, (cost,)


def test_the_audit_looks_at_every_rung_but_the_last() -> None:
    """A trial falls behind at its second of three rungs, another at its last alone."""
    rng = np.random.default_rng(2)
    known = [
        with_rungs(i, 10 + i / 10, q, 1.5 * q, 2 * q)
        for i, q in enumerate(rng.uniform(0.2, 0.3, 20))
    ]
    second = with_rungs(97, 13.0, 0.32, 0.05, 0.9)
    last = with_rungs(98, 13.0, 0.32, 0.48, 0.01)
    assert audit([*known, second], [], 0.05).audited == audit(known, [], 0.05).audited + 1
    assert audit([*known, last], [], 0.05).audited == audit(known, [], 0.05).audited
    ended = with_rungs(99, 13.0, 0.01, 0.01, 0.01, status=STOPPED)
    found = audit([*known, ended], [ended[0]], 0.05)
    assert (found.lost, found.stopped) == (0, 1), "what was stopped was not lost by the audit"
    assert curve_of(ended[1], ended[2]).final is None
    few = known[: FEWEST - 1]
    assert audit(few, [], 1.0).audited == 0, "where nothing can be said nothing is stopped"
    assert audit([*known, second], [], 0.05, SOFT_IOU).audited == 0, "none has a soft IoU"


def test_curves_are_of_the_signal_and_hold_what_is_known_of_it() -> None:
    known = RungResult(5, 0.4, (), 1.0, 0.4, soft_iou=0.3)
    before = RungResult(10, 0.5, (), 1.0, 0.5)  # a study that did not keep it
    one = replace(result(0, miou=0.5), rungs=(known, before))
    assert curve_of(one, (1.0,)).rungs == ((5, 0.4), (10, 0.5))
    found = curve_of(one, (1.0,), SOFT_IOU)
    assert (found.rungs, found.final) == (((5, 0.3),), None)
