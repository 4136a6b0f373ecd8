"""How a study went: volumes only grow, failures share reasons, stops have their step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import ask, result

from hrnet_search.arch.cost import Cost
from hrnet_search.goals import Goals
from hrnet_search.records.trial import COMPLETED, FAILED, STOPPED, RungResult, TrialResult
from hrnet_search.report.page.history import audit_line, learning_curves, reasons, stops
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.findings import RungAudit
from hrnet_search.store.growth import _front, _joined, growth
from hrnet_search.store.schedules import Every
from hrnet_search.store.trial_rows import CONFIRM


def trials(*found: TrialResult | None) -> list[Trial]:
    return [(ask(i), one) for i, one in enumerate(found)]


GOALS = Goals.of(["miou", "macs"])


def rungs(*mious: float) -> tuple[RungResult, ...]:
    return tuple(RungResult(10 * (i + 1), m, (m,), 1.0, m) for i, m in enumerate(mious))


def test_hypervolume_grows_with_the_front_and_time_with_every_trial() -> None:
    rows = trials(
        result(0, miou=0.5, cost=Cost(1, 100, 1), wall_s=3600.0),
        result(1, miou=0.4, cost=Cost(1, 1000, 1), wall_s=3600.0),
        None,
        result(2, status=FAILED, miou=None, cost=None, latency=None, wall_s=1800.0),
        result(3, miou=0.7, cost=Cost(1, 1000, 1), wall_s=3600.0),
    )
    found = growth(rows, GOALS, Every())
    assert found is not None
    assert found.trainings == (1, 4)  # the two between changed nothing but the time
    assert found.hours == (1.0, 3.5)
    first, better = found.volume
    assert first < better
    level = growth(rows[:2], GOALS, Every())
    assert level is not None
    assert level.trainings == (1, 2)  # the last one says how long nothing changed
    assert growth(rows, Goals.of(["miou"]), Every()) is not None
    assert growth(rows[2:4], GOALS, Every()) is None


def test_a_front_that_a_point_joins_is_what_it_would_be_anew() -> None:
    rng = np.random.default_rng(0)
    points = [(float(a), float(c)) for a, c in rng.integers(0, 12, (80, 2))]
    front: list[tuple[float, float]] = []
    for count, point in enumerate(points, start=1):
        front = _joined(front, point)
        assert front == _front(points[:count])


def test_a_network_counts_by_the_mean_of_its_seeds_and_what_confirms_adds_none() -> None:
    first = result(0, miou=0.5, cost=Cost(1, 100, 1))
    lucky = result(1, miou=0.9, cost=Cost(1, 1000, 1))
    again = replace(lucky, miou=0.3, key=replace(lucky.key, seed=1))
    rows = trials(first, lucky, again)
    found = growth(rows, GOALS, Every(), (0.0, 8.0))
    assert found is not None
    one, two, both = found.volume
    assert one < both < two
    mean = growth(trials(first, replace(lucky, miou=0.6)), GOALS, Every(), (0.0, 8.0))
    assert mean is not None
    assert both == pytest.approx(mean.volume[-1])
    confirming = [*rows[:2], (replace(rows[2][0], purpose=CONFIRM), replace(again, miou=0.99))]
    seen = growth(confirming, GOALS, Every(), (0.0, 8.0))
    assert seen is not None
    assert max(seen.volume) == two


def test_only_trials_of_the_search_s_schedule_make_the_volume() -> None:
    rows = trials(result(0, miou=0.5), result(1, miou=0.9))
    other = replace(rows[1][1].key, schedule="sc-long") if rows[1][1] else None
    assert other is not None
    long = [rows[0], (rows[1][0], result(1, miou=0.9, key=other))]
    both, one = (
        growth(rows, GOALS, {"sc-0"}),
        growth(long, GOALS, {"sc-0"}),
    )
    assert both is not None
    assert one is not None
    assert both.volume[-1] > one.volume[-1]
    assert len(one.hours) == 2


def test_curves_are_of_trials_with_rungs_and_thinned_evenly() -> None:
    rows = trials(
        result(0, rungs=rungs(0.1, 0.2)),
        result(1, status=STOPPED, rungs=rungs(0.1, 0.15)),
        result(2, rungs=rungs(0.3)),
        result(3, status=FAILED, miou=None, rungs=rungs(0.1, 0.2)),
    )
    curves, in_all = learning_curves(rows)
    assert [(c.number, c.status) for c in curves] == [(0, COMPLETED), (1, STOPPED)]
    assert curves[0].steps == (10, 20)
    assert in_all == 2
    many = [(ask(1), result(1, rungs=rungs(0.1, 0.2))) for _ in range(1000)]
    assert [len(learning_curves(many)[0]), learning_curves(many)[1]] == [300, 1000]


def test_stops_are_counted_by_their_last_step() -> None:
    stopped = [result(i, status=STOPPED, rungs=rungs(*[0.1] * n)) for i, n in enumerate((1, 2, 1))]
    assert stops(trials(*stopped, result(3))) == ((10, 2), (20, 1))


def test_failures_that_differ_in_numbers_share_a_reason() -> None:
    errors = ["nan at step 12", "out of memory", "nan at step 7", "nan at step 0.5"]
    failed = [result(i, status=FAILED, miou=None, error=e) for i, e in enumerate(errors)]
    found = [(r.count, r.text, r.trial) for r in reasons(trials(*failed))]
    assert found == [(3, "nan at step 12", 0), (1, "out of memory", 1)]


def test_the_audit_is_a_sentence_or_nothing() -> None:
    line = audit_line(RungAudit(audited=17, lost=1, stopped=120))
    assert "stopped 120" in line
    assert "17; 1 of those" in line
    assert audit_line(None) == ""
