"""What networks are believed to reach: the algebra, its intervals, and that it helps to rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from large_study import LEVELS, PATHS
from large_study import make_study as large_study

from hrnet_search.order_rule import COST_SLOPES, SLOPE, columns_of, expected, scores_seen
from hrnet_search.records.accuracy import MIOU, SIGNAL, SOFT_IOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import TrialResult
from hrnet_search.report.report import write_report
from hrnet_search.report.summary import summary
from hrnet_search.report.trust import believed as rule
from hrnet_search.report.trust.believed import (
    FEWEST_LONG,
    SLOPE_SD,
    Believed,
    believe,
    believed_of,
    expect,
    foretold,
    order_of,
)
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.report.trust.statistics import Floats, tau_b
from hrnet_search.report.trust.trials import Trial, seeds_of
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.schedules import long_ids, search_ids
from hrnet_search.store.study import Study
from hrnet_search.store.trial_rows import SLICES


def believed_of_study(study: Study) -> Believed | None:
    found = foretold(study)
    return found if isinstance(found, Believed) else None


def made_up(
    n: int, long: int, seed: int, worth: float = 1.0, seeds: int = 1
) -> tuple[Floats, tuple[Floats, Floats], list[list[float]], Floats]:
    """Return what a search saw [n], costs, long trainings, and what networks truly reach.

    `worth` is how much of what makes networks differ beside their size the search sees.
    """
    rng = np.random.default_rng(seed)
    size, own = rng.normal(size=(2, n))
    true = 0.6 + 0.02 * size + 0.02 * own
    short = 0.3 + 0.05 * (0.3 * size + worth * own + 0.5 * rng.normal(size=n))
    costs = np.exp(size), np.exp(size + 0.5 * rng.normal(size=n))
    chosen = rng.permutation(n)[:long]
    scores: list[list[float]] = [[] for _ in range(n)]
    for i in chosen:
        scores[i] = (true[i] + 0.01 * rng.normal(size=seeds)).tolist()
    return short, costs, scores, true


def of(n: int, long: int, seed: int, **options: float | int) -> tuple[Believed, Floats, Floats]:
    short, costs, scores, true = made_up(n, long, seed, **options)  # type: ignore[arg-type]
    found = believe([str(i) for i in range(n)], short, costs, scores)
    assert found is not None
    return found, short, true


def test_nothing_is_believed_of_few_long_trainings() -> None:
    short, costs, scores, _ = made_up(20, FEWEST_LONG - 1, 0, seeds=3)
    names = [str(i) for i in range(20)]
    assert believe(names, short, costs, scores) is None
    assert believe([], np.zeros(0), (np.zeros(0), np.zeros(0)), []) is None
    scores[next(i for i, own in enumerate(scores) if not own)] = [0.6]
    found = believe(names, short, costs, scores)
    assert found is not None
    assert (found.long, found.networks) == (FEWEST_LONG, tuple(names))


@pytest.mark.parametrize("seeds", [1, 3])
def test_beliefs_are_those_of_a_normal_distribution_given_the_trainings(
    seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the textbook: all networks and trainings as one normal vector, conditioned at once."""
    slope, deviation, share, lasting = 0.4, 0.6, 0.3, 0.4
    monkeypatch.setattr(rule, "COST_SLOPES_SD", (slope,))
    monkeypatch.setattr(rule, "DEVIATIONS", (deviation,))
    monkeypatch.setattr(rule, "SEED_SHARES", (share,))
    monkeypatch.setattr(rule, "LASTING", (lasting,))
    short, costs, scores, _ = made_up(15, 8, 1, seeds=seeds)
    searched = [1, 2, 3] * 5
    found = believe([str(i) for i in range(15)], short, costs, scores, searched)
    assert found is not None
    z = np.array([(x - x.mean()) / x.std() for x in (short, np.log(costs[0]), np.log(costs[1]))])
    y = np.array([score for own in scores for score in own])
    rows = [i for i, own in enumerate(scores) for _ in own]
    networks = 1 + SLOPE_SD**2 * np.outer(z[0], z[0])
    networks += slope**2 * (np.outer(z[1], z[1]) + np.outer(z[2], z[2]))
    own = lasting + (1 - lasting) / np.array(searched)
    networks += (1 - share) * deviation**2 * np.diag(own)
    trainings = networks[np.ix_(rows, rows)] + share * deviation**2 * np.eye(len(rows))
    gain = networks[:, rows] @ np.linalg.inv(trainings)
    expected = SLOPE * z[0] + COST_SLOPES[0] * z[1] + COST_SLOPES[1] * z[2]
    mean = expected + gain @ ((y - y.mean()) / y.std(ddof=1) - expected[rows])
    assert found.mean == pytest.approx(y.mean() + y.std(ddof=1) * mean)
    variance = np.diag(networks - gain @ networks[rows])
    degrees_7_at_95 = 2.364624
    spread = degrees_7_at_95 * y.std(ddof=1)
    assert found.half == pytest.approx(spread * np.sqrt(variance), rel=1e-5)


def test_draws_have_the_stated_mean_and_intervals() -> None:
    found, _, _ = of(30, 12, 2)
    assert found.drawn.shape == (1000, 30)
    sd = found.drawn.std(axis=0)
    assert np.abs(found.drawn.mean(axis=0) - found.mean).max() < 0.2 * sd.max()
    outside = np.abs(found.drawn - found.mean) > found.half
    assert outside.mean() == pytest.approx(0.05, abs=0.01)
    again, _, _ = of(30, 12, 2)
    assert np.array_equal(found.drawn, again.drawn)


def test_networks_of_one_trend_move_together() -> None:
    """So the chance that one is better than another is not that of two strangers."""
    found, short, _ = of(40, 6, 3)
    untrained = np.argsort(np.abs(short - np.median(short)))[:6]
    correlations = np.asarray(np.corrcoef(found.drawn[:, untrained].T))
    assert np.median(correlations[np.triu_indices(6, 1)]) > 0.05


@pytest.mark.parametrize("long", [6, 12])
def test_intervals_hold_and_beliefs_rank_better_than_what_was_seen(long: int) -> None:
    held, gained = [], []
    for seed in range(40):
        found, short, true = of(40, long, seed)
        held.append((np.abs(found.mean - true) <= found.half).mean())
        gained.append(float(tau_b(found.mean, true)) - float(tau_b(short, true)))
    assert 0.90 <= np.mean(held) <= 0.99
    assert np.mean(gained) > 0.05


def test_of_equals_to_the_search_the_one_of_more_parameters_is_believed_to_reach_more() -> None:
    """A short training shows less than a long one of what size is worth."""
    leads = []
    for seed in range(20):
        short, (macs, params), scores, _ = made_up(20, 0, seed)
        short[-2:], macs[-2:], params[-2:] = short.mean(), np.exp(np.log(macs).mean()), (0.5, 2.0)
        scores[:6] = [[0.5 + (-1) ** i * 0.01] for i in range(6)]  # which no trend foresees
        found = believe([str(i) for i in range(20)], short, (macs, params), scores)
        assert found is not None
        leads.append(found.mean[-1] - found.mean[-2])
    assert np.mean(leads) > 2 * np.std(leads) / np.sqrt(len(leads))


def test_a_search_that_saw_nothing_is_put_right() -> None:
    for seed in range(5):
        found, short, true = of(40, 14, seed, worth=0.0)
        assert float(tau_b(found.mean, true)) > float(tau_b(short, true)) + 0.1


def test_beliefs_depend_on_no_unit_and_no_order() -> None:
    short, costs, scores, _ = made_up(20, 9, 4)
    names = [str(i) for i in range(20)]
    found = believe(names, short, costs, scores)
    other = believe(
        names,
        10 * short + 3,
        (1e6 * costs[0], 1e-3 * costs[1]),
        [[2 * score for score in own] for own in scores],
    )
    order = np.random.default_rng(0).permutation(20)
    turned = believe(
        [names[i] for i in order],
        short[order],
        (costs[0][order], costs[1][order]),
        [scores[i] for i in order],
    )
    assert found is not None
    assert other is not None
    assert turned is not None
    assert other.mean == pytest.approx(2 * found.mean)
    assert other.half == pytest.approx(2 * found.half)
    assert turned.mean == pytest.approx(found.mean[order])


def test_equal_columns_tell_nothing_and_break_nothing() -> None:
    ones, names = np.ones(8), [str(i) for i in range(8)]
    scores = [[0.5 + 0.01 * i] for i in range(7)]
    found = believe(names, ones, (ones, ones), [*scores, []])
    assert found is not None
    assert found.mean[7] == pytest.approx(0.53)
    assert np.isfinite(found.half).all()


@pytest.mark.parametrize("score", [0.3, 0.5, 0.1 + 0.2])
def test_nothing_is_believed_where_all_reach_the_same(score: float) -> None:
    short, costs, _, _ = made_up(20, 12, 7)
    assert believe([str(i) for i in range(20)], short, costs, [[score]] * 12 + [[]] * 8) is None


def test_more_seeds_and_long_trainings_of_its_own_narrow_an_interval() -> None:
    found, _, _ = of(30, 10, 5)
    trained = np.array([bool(own) for own in made_up(30, 10, 5)[2]])
    assert found.half[trained].max() < found.half[~trained].min()
    more, _, _ = of(30, 10, 5, seeds=4)
    assert np.median(more.half[trained]) < np.median(found.half[trained])


def test_more_seeds_in_the_search_narrow_an_interval() -> None:
    short, costs, scores, _ = made_up(30, 10, 6)
    names = [str(i) for i in range(30)]
    one = believe(names, short, costs, scores)
    alone = believe(names, short, costs, scores, [1] * 30)
    some = believe(names, short, costs, scores, [4, *[1] * 29])
    assert one is not None
    assert some is not None
    assert alone is not None
    assert some.half[0] < one.half[0]
    assert np.array_equal(one.mean, alone.mean)


def test_a_study_says_what_it_believes(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 60, noise=0.001)
    found = believed_of_study(study)
    assert found is not None
    assert found.long == 16
    files = write_report(study)
    page = files.page.read_text()
    assert "Believed accuracies" in page
    assert "its front is by mIoU, its pick by what the long schedule is believed to reach" in page
    beliefs = found.by_network()
    for file in (files.trials, files.front):
        table = pd.read_csv(file)
        assert len(table)
        for row in table.to_dict("records"):
            mean, half = beliefs.get(row["architecture"], (np.nan, np.nan))
            assert row["believed"] == pytest.approx(mean, nan_ok=True)
            assert row["believed_half"] == pytest.approx(half, nan_ok=True)
    first = pd.read_csv(files.front).iloc[0]
    said = f"{100 * first['believed']:.2f} ± {100 * first['believed_half']:.2f}"
    text = summary(study)
    assert f"{said}%" in text
    assert (
        "; its front is by mIoU, its pick by what the long schedule is believed to reach\n" in text
    )
    assert f"{100 * first['believed']:.2f}% ± {100 * first['believed_half']:.2f}" in page


def test_networks_have_an_order_by_what_is_believed_or_else_expected(tmp_path: Path) -> None:
    """Without long trainings size counts beside what was seen; where weights are inherited none."""
    study = large_study(tmp_path / "long", 60, noise=0.001)
    found = believed_of_study(study)
    assert found is not None
    order = order_of(foretold(study))
    assert sorted(order.values()) == list(range(1, len(found.networks) + 1))
    assert order[found.networks[int(found.mean.argmax())]] == 1
    few = large_study(tmp_path / "few", 60, confirmed=0)
    expected = order_of(foretold(few))
    variants = few.variants()
    short, params = variants["miou"].to_numpy(), np.log(variants["params"].to_numpy())
    places = -np.array([expected[name] for name in variants["architecture"]])
    assert float(tau_b(places, short)) > 0.6
    assert float(tau_b(places, params)) > float(tau_b(short, params))
    noted = few.notes.schedule
    assert noted is not None
    inherits = replace(noted, schedule=replace(noted.schedule, init="shared"))
    shared = foretold(large_study(tmp_path / "shared", 60, confirmed=0, schedule=inherits))
    assert order_of(shared) == expected
    inherits = replace(noted, schedule=replace(noted.schedule, init="base"))
    assert foretold(large_study(tmp_path / "base", 60, confirmed=0, schedule=inherits)) is None
    assert order_of(None) == {}


def test_a_study_that_trained_few_for_long_says_nothing(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 60, confirmed=5)
    assert believed_of_study(study) is None
    assert evidence_of(study).believed is None
    files = write_report(study)
    assert "believed" not in pd.read_csv(files.trials)
    page = files.page.read_text()
    assert "believed" not in page.lower()
    assert "its front is by mIoU, its pick by mIoU and size together" in page


def test_long_trainings_that_inherit_teach_nothing(tmp_path: Path) -> None:
    inherits = Schedule(DataSpec("shapes", 6), steps=900, init="base")
    study = large_study(tmp_path / "s", 60, long_schedule=NotedSchedule("sc-long", inherits))
    assert evidence_of(study).ranking is not None
    assert believed_of_study(study) is None


def test_where_a_signal_is_missing_all_are_believed_by_what_all_have(tmp_path: Path) -> None:
    """The cheapest network is one that can be picked, whatever was kept of it."""
    study = large_study(tmp_path / "s", 60, noise=0.001, identity={SIGNAL: SOFT_IOU})
    number = study.variants().sort_values("macs")["number"].iloc[0]
    name = next(ask.key.architecture for ask, _ in study.trials() if ask.number == number)
    trials = [(ask, with_soft(result)) for ask, result in study.trials()]
    assert seen_by_search(trials, study)[name] == [0.25]
    lost = [
        (ask, result if ask.key.architecture == name else with_soft(result))
        for ask, result in study.trials()
    ]
    searched = search_ids(study.notes)
    assert name not in seeds_of(lost, searched, SOFT_IOU)
    assert seen_by_search(lost, study) == seeds_of(lost, searched, MIOU)
    found = believed_of(lost, study.notes)
    assert found is not None
    assert name in found.networks


def seen_by_search(trials: Sequence[Trial], study: Study) -> dict[str, list[float]]:
    results = [result for _, result in trials if result is not None]
    return scores_seen(results, search_ids(study.notes), study.notes.signal, MIOU)[1]


def with_soft(result: TrialResult | None) -> TrialResult | None:
    if result is None:
        return None
    return replace(result, rungs=tuple(replace(rung, soft_iou=0.25) for rung in result.rungs))


def test_networks_that_were_judged_by_slices_are_picked_by_their_trainings(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 60, noise=0.001)
    trials, notes = list(study.trials()), study.notes
    ask, judged = next((a, r) for a, r in trials if r is not None)
    key = replace(ask.key, schedule="sc-slices")
    by_slices = replace(ask, number=999, key=key, purpose=SLICES), replace(judged, key=key)
    alone, beside = believed_of(trials, notes), believed_of([*trials, by_slices], notes)
    assert alone is not None
    assert beside is not None
    assert np.array_equal(alone.mean, beside.mean)


def test_what_is_expected_leaves_the_rest_to_the_networks_themselves() -> None:
    """In deviations of what a long schedule gives, of which there is one in all."""
    short, costs, _, _ = made_up(400, 0, 3)
    found = expect([str(i) for i in range(400)], short, costs)
    assert found.mean == pytest.approx(expected(columns_of(short, costs)))
    assert found.mean.var() + (found.drawn - found.mean).var() == pytest.approx(1, abs=0.01)
    assert (found.drawn - found.mean).mean() == pytest.approx(0, abs=0.01)
    short[0] = 0.0  # which learned nothing, and takes nothing from what is left to others
    lost = expect([str(i) for i in range(400)], short, costs, learned=np.arange(400) > 0)
    assert (lost.drawn - lost.mean).std() == pytest.approx(
        (found.drawn - found.mean).std(), abs=0.01
    )
    alone = expect(["0"], short[:1], (costs[0][:1], costs[1][:1]))
    assert alone.mean.tolist() == [0.0]
    assert alone.drawn.std() == pytest.approx(1, abs=0.1)


def test_long_trainings_by_several_schedules_teach_nothing(tmp_path: Path) -> None:
    """Where the space varies training, each network counts by another schedule."""
    varied: dict[str, Any] = {
        "choices": (*PATHS, "schedule.lr"),
        "levels": (*LEVELS, (0.01, 0.02)),
    }
    study = large_study(tmp_path / "s", 60, noise=0.001, **varied)
    assert len(long_ids(study.notes)) == 2
    assert believed_of_study(study) is None
