"""What a study says of itself: from repeats, images and long trainings, or that it is unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from large_study import make_study as large_study
from made_up import CHECK, network, result

from hrnet_search.report.evidence import evidence_of
from hrnet_search.report.near_front import front_accuracy
from hrnet_search.report.trust import NOT_CHECKED, NOT_TRUSTWORTHY, STRONG
from hrnet_search.store.study import Study

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
    assert (found.mious, found.chances, found.pairs, found.ious) == ({}, {}, (), {})


def test_an_empty_study_says_nothing_and_breaks_nothing(make_study: MakeStudy) -> None:
    assert evidence_of(make_study()).stamp.verdict == NOT_CHECKED


def test_repeats_give_intervals_chances_and_rivals(make_study: MakeStudy) -> None:
    study = make_study(
        (network(9), result(1, miou=0.50)),
        (network(10), result(2, miou=0.60)),
        (network(11), result(3, miou=0.595)),
        (network(12), result(4, miou=0.2)),
    )
    make_study((network(9), result(1, miou=0.52)), (network(10), result(2, miou=0.60)), seed=1)
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
    assert (pair.first, pair.second, pair.paired) == (0, 1, False)
    assert pair.better.value == pytest.approx(0.09)


def test_images_pair_networks(tmp_path: Path) -> None:
    found = evidence_of(large_study(tmp_path / "s", 60))
    assert found.images == 24
    pair = next(p for p in found.pairs if p.paired)
    own = found.mious[pair.second]
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
    assert found.known
    assert found.drawn.shape == (1000, len(found.numbers))
    assert found.drawn.mean(axis=0) == pytest.approx(found.mious, abs=2e-3)
    assert (np.diff(found.costs) > 0).all()
