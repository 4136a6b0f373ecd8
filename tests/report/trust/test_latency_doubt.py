"""A frozen latency is held against what the reference took beside the trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from made_up import CHECK, ask, network, result

from hrnet_search.records.trial import INFEASIBLE, TrialResult
from hrnet_search.report.summary import summary
from hrnet_search.report.trust.latency_doubt import front_doubt, latency_doubts, ms_doubt
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.study import Study

FROZEN = replace(CHECK, reference_ms=5.0)


def timed(number: int, reference_ms: float, **changes: object) -> TrialResult:
    latency = result(number).latency
    assert latency is not None
    own = replace(latency, reference_median_ms=reference_ms, **changes)  # type: ignore[arg-type]
    return replace(result(number), latency=own)


def trials(*reference_ms: float) -> list[Trial]:
    return [(ask(n), timed(n, ms)) for n, ms in enumerate(reference_ms)] + [(ask(99), None)]


@pytest.mark.parametrize(
    ("check", "beside", "said"),
    [
        ({"reference_ms": 19.16}, (4.4, 4.7, 5.1), "are about 4.1x too high"),
        ({"reference_ms": 8.36}, (42.5, 16.0, 16.0), "when it was 1.9x as fast"),
        ({"reference_ms": 5.0}, (4.0, 6.4), ""),
        ({"reference_ms": 5.0, "noisy": True}, (5.0,), "absolute ms are uncertain, ratios are not"),
        ({"reference_ms": 5.0, "noisy": True}, (), "absolute ms are uncertain, ratios are not"),
        ({"reference_ms": 5.0, "noisy": True, "kept": 3}, (5.0,), ""),
        ({"reference_ms": 5.0}, (), ""),
        ({"reference_ms": 5.0}, (0.0,), ""),  # latencies from before it was noted
        ({}, (5.0,), ""),  # a check from before it was noted
    ],
)
def test_absolute_ms_are_doubted_where_the_reference_was_another(
    check: dict[str, Any], beside: tuple[float, ...], said: str
) -> None:
    found = ms_doubt(replace(CHECK, **check), trials(*beside))
    assert said in found
    assert bool(found) is bool(said)


def test_steady_latencies_are_the_better_witness() -> None:
    noisy = [(ask(n), timed(n, 30.0, noisy=True)) for n in range(5)]
    busy = [(ask(n), timed(n, 30.0, busy=True)) for n in range(5, 9)]
    assert "30 ms beside the trials (median of 9)" in ms_doubt(FROZEN, noisy + busy)
    assert ms_doubt(FROZEN, [*noisy, *busy, (ask(9), timed(9, 5.1))]) == ""


def test_a_sound_check_leaves_no_doubt() -> None:
    assert list(latency_doubts(FROZEN, trials(5.0))) == []


@pytest.mark.parametrize("status", [INFEASIBLE, "completed"])
def test_the_end_of_a_run_says_what_is_wrong_with_ms(
    make_study: Callable[..., Study], status: str
) -> None:
    check = replace(CHECK, noisy=True, reference_ms=19.16)
    refused = replace(timed(0, 4.7), status=status)
    text = summary(make_study((network(9), refused), aa_check=check))
    unknown = text.split("not known:\n")[1].split("\n\n")[0]
    assert "19.2 ms (noisy) when its latency was frozen, 4.7 ms beside the trials" in unknown
    untimed = make_study((network(10), result(1, latency=None)))
    assert "frozen" in summary(untimed)  # the first trial is still there


def test_a_study_without_latencies_has_no_doubt_of_them(make_study: Callable[..., Study]) -> None:
    assert "A/A check" not in summary(make_study((network(9), result(0, latency=None))))


def test_a_network_of_a_front_is_in_doubt_by_any_of_its_trainings(
    make_study: Callable[..., Study],
) -> None:
    make_study((network(8), timed(0, 5.0)))
    study = make_study((network(8), timed(0, 5.0, noisy=True)), seed=1)
    assert front_doubt(study, (0,)).startswith("1 of 1 latencies on the front are noisy")
    assert front_doubt(study, ()) == ""
