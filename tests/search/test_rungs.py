"""Stopping at rungs: who is held against whom, and what is never stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_up import result

from hrnet_search.records import SOFT_IOU, STOPPED, RungResult, TrialKey
from hrnet_search.search.rungs import AUDITED, FEWEST, Curve, audit, chance, curve_of, is_audited


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


def test_curves_are_of_the_signal_and_hold_what_is_known_of_it() -> None:
    known = RungResult(5, 0.4, (), 1.0, 0.4, soft_iou=0.3)
    before = RungResult(10, 0.5, (), 1.0, 0.5)  # a study that did not keep it
    one = replace(result(0, miou=0.5), rungs=(known, before))
    assert curve_of(one, (1.0,)).rungs == ((5, 0.4), (10, 0.5))
    found = curve_of(one, (1.0,), SOFT_IOU)
    assert (found.rungs, found.final) == (((5, 0.3),), None)
