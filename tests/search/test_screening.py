"""The screening predicts latencies from costs, says how well, and rests on what was told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from search.made_up_trials import made_up_ms as true_ms
from search.tabulated import SPACE

from hrnet_search.arch.architecture import OCR, Architecture
from hrnet_search.arch.batch import ArchitectureBatch
from hrnet_search.arch.cost import attention_macs, cost
from hrnet_search.arch.cost_table import cost_table, total
from hrnet_search.search.screening import LatencyScreen, _System, features, start_set
from hrnet_search.search.space_problem import problem_of
from hrnet_search.space.generate import generate
from hrnet_search.space.space import Limit, SearchSpace

VARIANTS = generate(SPACE, 100, seed=1)


def taught(count: int) -> LatencyScreen:
    screen = LatencyScreen(SPACE)
    for architecture in VARIANTS[:count]:
        screen.add(architecture, true_ms(architecture))
    return screen


def points_of(space: SearchSpace) -> tuple[NDArray[np.int64], list[str]]:
    points = np.array(list(space.points()))
    return points, [space.decode(tuple(p)).id for p in points]


def predicted(screen: LatencyScreen) -> dict[str, float]:
    points, ids = points_of(SPACE)
    return dict(zip(ids, screen.predict(points).tolist(), strict=True))


def test_features_are_the_exact_costs_by_kind_and_map_size() -> None:
    rows = features(ArchitectureBatch.of(VARIANTS[:5]), (64, 64), 8)
    for row, architecture in zip(rows, VARIANTS, strict=False):
        assert row[1::3].sum() == cost(architecture, (64, 64), 8).macs
        summed = total(cost_table(architecture, (64, 64), 8))
        assert row[0::3].sum() == summed.convolutions
        moved = summed.activations + summed.norm + summed.upsampling + summed.addition
        assert row[2::3].sum() > moved  # and the weights


def test_an_ocr_head_is_seen_with_its_products() -> None:
    plain = VARIANTS[0]
    ocr = replace(plain, head=OCR, mid_channels=32, key_channels=16)
    both = features(ArchitectureBatch.of([plain, ocr]), (64, 64), 8)
    assert both[1].sum() - both[0].sum() > attention_macs(ocr, (64, 64), 8)
    products = features(ArchitectureBatch.of([ocr]), (64, 64), 8)[0, -3:]
    assert products[:2].tolist() == [3, attention_macs(ocr, (64, 64), 8)]
    assert not both[0, -3:].any()


def test_a_device_that_adds_up_its_operations_is_learned_from_a_few_networks() -> None:
    screen = taught(20)
    fit = screen.fit
    assert fit is not None
    assert fit.used
    assert fit.loo_error < 0.06
    assert fit.loo_error < fit.macs_error / 2
    assert fit.tau > 0.85
    found = predicted(screen)
    errors = [abs(found[a.id] / true_ms(a) - 1) for a in VARIANTS[20:]]
    assert np.median(errors) < 0.06
    assert np.mean(np.array(errors) < np.exp(fit.margin) - 1) > 0.85


def test_the_error_is_of_networks_that_were_left_out() -> None:
    rng = np.random.default_rng(0)
    screen = LatencyScreen(SPACE)
    for architecture in VARIANTS[:30]:  # nothing to be learned
        screen.add(architecture, float(rng.lognormal(0, 1)))
    assert screen.fit is not None
    assert screen.fit.loo_error > 0.3
    assert abs(screen.fit.tau) < 0.4
    assert screen.fit.margin > 0.7


def test_leaving_one_out_is_fitting_the_others() -> None:
    rows = features(ArchitectureBatch.of(VARIANTS[:12]), (64, 64), 8)
    rows = rows[:, rows.any(axis=0)] / rows[:, rows.any(axis=0)].mean(axis=0)
    ms = np.array([true_ms(a) for a in VARIANTS[:12]])
    which = np.arange(12)
    found = _System.of(rows, ms).left_out(0.1, which)
    for i in which:
        others = which != i
        weights = _System.of(rows[others], ms[others]).solve(0.1)
        assert found[i] == pytest.approx(rows[i] @ weights, rel=1e-6)
    assert found != pytest.approx(rows @ _System.of(rows, ms).solve(0.1), rel=1e-3)


def test_few_measurements_only_scale_macs() -> None:
    screen = taught(0)
    points, _ = points_of(SPACE)
    macs = np.array([cost(SPACE.decode(tuple(p)), (64, 64), 8).macs for p in points.tolist()])
    assert screen.fit is None
    assert screen.predict(points).tolist() == macs.tolist()
    for count in (1, 2, 7):
        screen = taught(count)
        ratios = [true_ms(a) / cost(a, (64, 64), 8).macs for a in VARIANTS[:count]]
        assert screen.predict(points) == pytest.approx(macs * np.median(ratios))
        assert screen.likely(points, 1e-9).all()  # too little is known to rule anything out
        assert screen.fit is None or not screen.fit.used
    assert taught(8).fit is not None


def test_a_limit_rules_out_only_what_is_over_it_by_more_than_the_error() -> None:
    screen = taught(40)
    points, _ = points_of(SPACE)
    true = np.array([true_ms(SPACE.decode(tuple(p))) for p in points.tolist()])
    limit = float(np.median(true))
    likely = screen.likely(points, limit)
    assert likely[true <= limit].mean() > 0.97
    assert likely[true > 1.5 * limit].mean() < 0.05


def test_what_is_foretold_follows_from_what_was_told_and_its_order_alone() -> None:
    asked_often = LatencyScreen(SPACE)
    points, _ = points_of(SPACE)
    for architecture in VARIANTS[:47]:
        asked_often.add(architecture, true_ms(architecture))
        asked_often.predict(points[:9])
        asked_often.add(architecture, 99.0)  # a second seed of one network changes nothing
    assert asked_often.predict(points).tolist() == taught(47).predict(points).tolist()


def test_a_fit_is_renewed_with_each_network_and_then_in_steps() -> None:
    screen, sizes = LatencyScreen(SPACE), []
    for architecture in VARIANTS[:60]:
        screen.add(architecture, true_ms(architecture))
        sizes.append(screen.fit.n if screen.fit else 0)
    assert sizes[:20] == [0, *range(2, 21)]
    later = sorted(set(sizes[20:]))
    assert later == [20, 22, 25, 28, 31, 35, 39, 43, 48, 53, 59]


def test_large_arrays_are_foretold_like_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from hrnet_search.search import screening

    points, _ = points_of(SPACE)
    screen = taught(20)
    small = screen.predict(points)
    monkeypatch.setattr(screening, "CHUNK", 16)
    monkeypatch.setattr(screening, "KEPT_FROM", 16)
    large, again = screen.predict(points), screen.predict(points)
    assert large.tolist() == again.tolist() == pytest.approx(small.tolist())
    assert screen.predict(points[::2]).tolist() == pytest.approx(small[::2].tolist())


def test_the_start_set_spreads_over_the_range_of_macs() -> None:
    found = start_set(SPACE, 12, seed=5)
    macs = [cost(a, (64, 64), 8).macs for a in found]
    assert len({a.id for a in found}) == 12
    assert macs == sorted(macs)
    everything = sorted(cost(a, (64, 64), 8).macs for a in generate(SPACE, 240, 5))
    assert (macs[0], macs[-1]) == (everything[0], everything[-1])
    ranks = np.searchsorted(everything, macs)
    assert np.diff(ranks).max() < 2 * len(everything) / 11
    assert [a.id for a in start_set(SPACE, 12, seed=5)] == [a.id for a in found]
    assert all(cost(a, (64, 64), 8).params <= 1.5e6 for a in found)


def test_a_start_set_of_a_small_space_is_all_of_it() -> None:
    tiny = SearchSpace(SPACE.base, SPACE.choices[:1], (), (64, 64), 8)
    assert len(start_set(tiny, 20, seed=0)) == 5


def with_limit(ms: float) -> SearchSpace:
    limits = (*SPACE.limits, Limit("latency_ms", ms))
    return SearchSpace(SPACE.base, SPACE.choices, limits, (64, 64), 8)


def test_the_problem_takes_latency_from_the_screening_as_it_stands() -> None:
    screen = LatencyScreen(SPACE)
    problem = problem_of(SPACE, ("miou", "macs", "latency_ms"), screen)
    points, _ = points_of(SPACE)
    before = problem.cost(points)
    assert before[:, 0].tolist() == before[:, 1].tolist()  # MACs stand in
    for architecture in VARIANTS[:20]:
        screen.add(architecture, true_ms(architecture))
    after = problem.cost(points)
    assert after[:, 0].tolist() == before[:, 0].tolist()
    assert after[:, 1].tolist() == screen.predict(points).tolist()
    assert problem.likely is None  # no limit


def test_a_limit_of_latency_keeps_slow_points_from_being_asked_for() -> None:
    space = with_limit(1.2)
    screen = LatencyScreen(space)
    problem = problem_of(space, ("miou",), screen)
    points = np.array(list(space.points()))
    assert problem.promising(points).all()
    for architecture in VARIANTS[:30]:
        screen.add(architecture, true_ms(architecture))
    promising = problem.promising(points)
    assert 0 < promising.sum() < len(points)
    assert problem.valid(points[~promising]).any()  # validity itself is exact


def test_networks_are_told_apart_by_what_they_compute() -> None:
    twice: list[Architecture] = [VARIANTS[0], VARIANTS[0]]
    screen = LatencyScreen(SPACE)
    for architecture in twice:
        screen.add(architecture, 5.0)
    assert screen.fit is None  # one network only
