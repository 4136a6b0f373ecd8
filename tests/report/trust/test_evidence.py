"""What a study says of itself: from repeats, images and long trainings, or that it is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from large_study import make_study as large_study
from made_up import CHECK, ask, network, result

from hrnet_search.order_rule import columns_of, expected, seen_of
from hrnet_search.records.accuracy import MIOU, SIGNAL, SOFT_IOU
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule
from hrnet_search.records.trial import RungResult
from hrnet_search.report.report import write_report
from hrnet_search.report.trust import evidence
from hrnet_search.report.trust.evidence import evidence_of
from hrnet_search.report.trust.near_front import front_accuracy
from hrnet_search.report.trust.statistics import (
    NOT_CHECKED,
    NOT_TRUSTWORTHY,
    STRONG,
    Floats,
    tau_b,
)
from hrnet_search.report.trust.trials import Trial, long_scores
from hrnet_search.store.findings import NotedSchedule
from hrnet_search.store.notes import Notes
from hrnet_search.store.schedules import search_ids
from hrnet_search.store.study import Study
from hrnet_search.store.trainings import Teacher
from hrnet_search.store.trial_rows import CONFIRM

MakeStudy = Callable[..., Study]


def test_the_stamp_changes_when_the_schedule_is_made_worthless(tmp_path: Path) -> None:
    good = evidence_of(large_study(tmp_path / "good", 60, noise=0.001))
    bad = evidence_of(large_study(tmp_path / "bad", 60, noise=0.001, useless=0.2))
    assert good.stamp.verdict == STRONG
    assert bad.stamp.verdict == NOT_TRUSTWORTHY
    assert good.ranking is not None
    assert bad.ranking is not None
    assert good.ranking.n == bad.ranking.n == 16
    assert bad.ranking.partial.low < 0.4 < good.ranking.partial.low


def test_size_is_weighed_with_what_the_search_saw(tmp_path: Path) -> None:
    """A schedule that says nothing, of networks whose parameters say it all, and the contrary."""
    sizes = np.exp(np.linspace(0, 3, 12))
    noise = np.random.default_rng(0).normal(size=12)

    def both(short: Floats, long: Floats) -> float:
        return float(tau_b(expected(columns_of(short, (np.ones(12), sizes))), long))

    by_size, contrary = np.log(sizes), -np.log(sizes)
    assert float(tau_b(noise, by_size)) < both(noise, by_size) < 1
    assert both(contrary, contrary) == 1, "what the search saw counts most"
    study = large_study(tmp_path / "s", 60, noise=0.001)
    found = evidence_of(study)
    assert found.together is not None
    assert found.together.value == pytest.approx(_tau_of_the_order(study.trials(), study.notes))
    page = write_report(study).page.read_text()
    assert "Short schedule and size together" in page


def test_what_learned_nothing_leaves_size_its_weight_on_the_page(tmp_path: Path) -> None:
    """The tau that is stated is that of the column `order`, whatever one network had."""
    study = large_study(tmp_path / "s", 60, noise=0.001)
    rows = study.trials()
    long = long_scores(rows, study.notes, ())
    worst = min(long, key=lambda name: long[name][0])
    one_class = RungResult(150, 0.02, (0.2, *[0.0] * 9), loss=2.3, miou_present=0.02)
    nothing = [
        (ask, replace(result, miou=0.02, rungs=(one_class,)))
        if result and ask.key.architecture == worst and ask.key.schedule == "sc-short"
        else (ask, result)
        for ask, result in rows
    ]
    found = evidence_of(study, nothing).together
    assert found is not None
    assert found.value == pytest.approx(_tau_of_the_order(nothing, study.notes))
    assert found.value != pytest.approx(_tau_of_the_order(nothing, study.notes, masked=False))


def test_what_inherits_has_no_order_to_state_a_tau_of(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 60, noise=0.001)
    noted = study.notes.schedule
    assert noted is not None
    given = replace(noted, schedule=replace(noted.schedule, init="base"))
    assert evidence._together(study.trials(), replace(study.notes, schedule=given), ()) is None


def _tau_of_the_order(trials: Sequence[Trial], notes: Notes, *, masked: bool = True) -> float:
    results = [result for _, result in trials if result]
    seen = seen_of(results, search_ids(notes), notes.signal, MIOU)
    columns = columns_of(seen.short, seen.costs, seen.learned if masked else None)
    scores = dict(zip(seen.networks, expected(columns).tolist(), strict=True))
    both = [(scores[n], mean(long)) for n, long in long_scores(trials, notes, ()).items()]
    return float(tau_b(*np.array(both).T))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"ratio": 1.2, "agrees": False}, "A/A check failed"),
        ({"ratio": 0.9, "agrees": False, "undecided": True}, "A/A check is undecided"),
        ({"noisy": True, "reference_ms": 5.0}, "5 ms (noisy) when"),
        (None, "no A/A check"),
    ],
)
def test_latencies_that_do_not_repeat_are_never_strong(
    tmp_path: Path, check: dict[str, Any] | None, said: str
) -> None:
    noted = None if check is None else replace(CHECK, **check)
    found = evidence_of(large_study(tmp_path / "s", 60, noise=0.001, aa_check=noted))
    assert found.stamp.verdict == "usable"
    assert said in found.stamp.why


def test_a_study_without_repeats_images_or_long_trainings_says_so(make_study: MakeStudy) -> None:
    found = evidence_of(make_study(*((network(n + 8), result(n)) for n in range(1, 8))))
    assert found.stamp.verdict == NOT_CHECKED
    assert (found.noise, found.optimism, found.ranking) == (None, None, None)
    assert (found.accuracies, found.chances, found.pairs, found.ious) == ({}, {}, (), {})


def test_an_empty_study_says_nothing_and_breaks_nothing(make_study: MakeStudy) -> None:
    assert evidence_of(make_study()).stamp.verdict == NOT_CHECKED


def test_repeats_give_intervals_chances_and_rivals(make_study: MakeStudy) -> None:
    study = make_study(
        (network(9), result(1, miou=0.50)),
        (network(10), result(2, miou=0.60)),
        (network(11), result(3, miou=0.595)),
        (network(12), result(4, miou=0.2)),
    )
    again = (network(9), result(1, miou=0.52)), (network(10), result(2, miou=0.60))
    make_study(*again, seed=1, purpose=CONFIRM)
    found = evidence_of(study)
    assert found.noise is not None
    assert found.noise.sd.value == pytest.approx(0.01)
    assert found.optimism is not None
    assert found.optimism[0] == pytest.approx(-0.01)
    assert found.optimism[1] == 2
    # The rival within reach has a chance, the one far below has none and is not looked at.
    assert set(found.chances) == {0, 1, 2}
    assert found.chances[0] == 1
    assert 0.05 < found.chances[2] < 0.7
    (pair,) = found.pairs
    assert (pair.first, pair.second) == (0, 1)
    assert pair.better.value == pytest.approx(0.09)


def test_seeds_that_the_search_chose_by_are_not_fresh(make_study: MakeStudy) -> None:
    """Two seeds of the search and one that confirms, for one of the networks."""
    low, high = network(9), network(10)
    study = make_study((low, result(1, miou=0.50)), (high, result(2, miou=0.60)))
    make_study((low, result(1, miou=0.54)), (high, result(2, miou=0.62)), seed=1)
    assert evidence_of(study).optimism is None
    make_study((high, result(2, miou=0.57)), seed=7, purpose=CONFIRM)
    optimism = evidence_of(study).optimism
    assert optimism is not None
    assert optimism[0] == pytest.approx(0.61 - 0.57)
    assert optimism[1] == 1


def test_who_fresh_seeds_take_off_the_front_is_part_of_its_optimism(make_study: MakeStudy) -> None:
    lucky, better = network(10), network(9)
    study = make_study((lucky, result(2, miou=0.60)), (better, result(1, miou=0.59)))
    again = (lucky, result(2, miou=0.52)), (better, result(1, miou=0.60))
    make_study(*again, seed=1, purpose=CONFIRM)
    assert len(study.front()) == 1
    found = evidence_of(study).optimism
    assert found is not None
    assert found[0] == pytest.approx((0.08 - 0.01) / 2)
    assert found[1] == 2


def test_images_pair_networks(tmp_path: Path) -> None:
    found = evidence_of(large_study(tmp_path / "s", 60))
    assert found.images == 24
    pair = found.pairs[0]
    own = found.accuracies[pair.second]
    # Hard images are hard for both: the difference is surer than either alone.
    assert pair.better.high - pair.better.low < own.high - own.low
    assert all(len(iou) == 6 for iou in found.ious.values())


def test_evaluations_of_other_images_or_torn_ones_are_left_out(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 40, confirmed=0)
    whole = evidence_of(study)
    files = sorted((study.folder / "evaluation").iterdir())
    for path in files[1:]:
        path.write_bytes(b"torn")
    np.savez(files[0], confusions=np.ones((3, 2, 5), dtype=np.int64))
    assert evidence_of(study).images == 0
    assert whole.images == 24


def test_draws_of_a_front_lie_around_what_was_measured(tmp_path: Path) -> None:
    found = front_accuracy(large_study(tmp_path / "s", 60), "macs")
    assert found.drawn.shape == (1000, len(found.numbers))
    assert found.drawn.mean(axis=0) == pytest.approx(found.accuracies, abs=2e-3)
    assert (np.diff(found.costs) > 0).all()


@pytest.mark.parametrize("init", ["base", "none"])
def test_long_trainings_that_inherit_do_not_make_a_study_trustworthy(
    tmp_path: Path, init: str
) -> None:
    study = large_study(tmp_path / "s", 60, noise=0.001)
    long = study.notes.long_schedule
    assert long is not None
    noted = replace(long, schedule=replace(long.schedule, init=init))
    found = evidence_of(large_study(tmp_path / "t", 60, noise=0.001, long_schedule=noted))
    assert found.stamp.verdict == (NOT_TRUSTWORTHY if init == "base" else STRONG)
    assert ("likeness to the base" in found.stamp.why) == (init == "base")


def inheriting(init: str, signal: str) -> dict[str, Any]:
    schedule = NotedSchedule(ask(1).key.schedule, Schedule(DataSpec("shapes", 2), init=init))
    return {"schedule": schedule, "identity": {SIGNAL: signal}}


@pytest.mark.parametrize(("signal", "tau"), [(MIOU, 1), (SOFT_IOU, -1)])
def test_a_study_that_inherits_says_how_far_its_scores_rank_the_share_kept(
    make_study: MakeStudy, signal: str, tau: float
) -> None:
    """Seven trials whose mIoU rises with the share kept, and whose soft IoU falls with it."""
    rung = result(1).rungs[0]
    shares = [0.1 * n for n in range(1, 8)]
    trials = [
        (network(n + 8), result(n, miou=kept, kept=kept, rungs=(replace(rung, soft_iou=1 - kept),)))
        for n, kept in enumerate(shares, 1)
    ]
    study = make_study(*trials, **inheriting("base", signal))
    likeness = evidence_of(study).kept
    assert likeness is not None
    assert (likeness[0].value, likeness[1]) == (tau, 7)
    assert study.results()["kept"].tolist() == pytest.approx(shares)


def test_a_study_from_random_weights_is_like_no_base(make_study: MakeStudy) -> None:
    trials = [(network(n + 8), result(n, miou=0.1 * n, kept=0.1 * n)) for n in range(1, 8)]
    assert evidence_of(make_study(*trials, **inheriting("none", MIOU))).kept is None


def test_a_search_ranks_by_the_mean_of_its_seeds_and_not_by_what_confirms(tmp_path: Path) -> None:
    study = large_study(tmp_path / "s", 60, noise=0.001)
    trials = study.trials()
    again, confirmed = (
        [
            (replace(ask, purpose=purpose), replace(result, miou=miou + more, rungs=()))
            for ask, result in trials
            if result is not None and (miou := result.miou) is not None
            and ask.key.schedule == "sc-short"
        ]
        for purpose, more in (("search", 0.1), (CONFIRM, 0.5))
    )  # fmt: skip
    once, twice = (
        evidence._both_schedules(rows, study.notes, ())[0]
        for rows in (trials, [*trials, *again, *confirmed])
    )
    assert twice == pytest.approx(once + 0.05)


def test_trainings_by_another_teacher_are_other_trainings() -> None:
    def trained(name: str, miou: float, teacher: Teacher | None) -> Any:
        schedule = SimpleNamespace(id="sc-1", schedule=SimpleNamespace(init="none"))
        record = SimpleNamespace(
            schedule=schedule, teacher=teacher, architecture=SimpleNamespace(id=name)
        )
        final = SimpleNamespace(score=lambda _: miou)
        return SimpleNamespace(record=record, results=SimpleNamespace(final=final))

    teacher = Teacher("/t", "0f", 2.0, 0.5)
    alone = [trained(f"hr-{n}", n / 10, None) for n in range(3)]
    taught = [trained(f"hr-{n}", 0.9, teacher) for n in range(2)]
    found = long_scores((), Notes(), [*taught, *alone])
    assert found == {"hr-0": [0.0], "hr-1": [0.1], "hr-2": [0.2]}


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"steps": 900}, False),  # as the long schedule, or shorter
        ({"fingerprint": "other"}, False),
        ({"init": "pretrained"}, False),
        ({"data": DataSpec("shapes", 4)}, False),
    ],
)
def test_trainings_in_full_stand_for_the_longest_schedule_where_they_are_it(
    change: dict[str, Any], counts: bool
) -> None:
    own = Schedule(DataSpec("shapes", 3), steps=300, fingerprint="f")
    long = replace(own, steps=900)
    notes = Notes(schedule=NotedSchedule.of(own), long_schedule=NotedSchedule.of(long))
    schedule = NotedSchedule.of(replace(own, **{"steps": 6000, **change}))
    final = SimpleNamespace(score=lambda _: 0.7)
    record = SimpleNamespace(
        schedule=schedule, teacher=None, architecture=SimpleNamespace(id="hr-a")
    )
    full: Any = SimpleNamespace(record=record, results=SimpleNamespace(final=final))
    assert long_scores((), notes, [full]) == ({"hr-a": [0.7]} if counts else {})
