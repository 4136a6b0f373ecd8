"""What a study freezes is the least disturbed of several looks at the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import result

from hrnet_search.evaluate.latency import reference as module
from hrnet_search.evaluate.latency.kept import keep, kept_references, key_of
from hrnet_search.evaluate.latency.reference import MOST_CHECKS, settled_check
from hrnet_search.latency_rule import AACheck
from hrnet_search.records.latency import Latency, LatencyCondition, LatencySpec

SPEC = LatencySpec(size=(64, 64), device="cpu", threads=1)
CONDITION = LatencyCondition("a machine", "eager", "fp32", 1, (64, 64), 1)
LOUD = AACheck(
    ratio=0.945, low=0.709, high=1.306, samples=12, noisy=True, busy=False, agrees=False,
    condition=CONDITION, reference_ms=19.16, undecided=True,
)  # fmt: skip
QUIET = replace(LOUD, ratio=1.0, low=0.995, high=1.005, noisy=False, agrees=True, undecided=False)

Checks = Callable[..., list[AACheck]]


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """Return a function that lets the instrument say one check after the other."""

    def give(*said: AACheck) -> list[AACheck]:
        left = list(said)
        monkeypatch.setattr(module, "aa_check", lambda *_, **__: left.pop(0))
        return left

    return give


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "latencies.db"
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", str(path))
    return path


def measured(reference_ms: float) -> Latency:
    latency = result(0).latency
    assert latency is not None
    return replace(latency, reference_median_ms=reference_ms)


def test_a_steady_check_is_enough(checks: Checks) -> None:
    left = checks(QUIET, LOUD)
    assert settled_check(SPEC) == QUIET
    assert left == [LOUD]
    assert QUIET.reference_line() == ""


def test_a_noisy_check_is_made_again_until_one_is_steady(checks: Checks) -> None:
    left = checks(LOUD, replace(QUIET, reference_ms=4.7), LOUD)
    found = settled_check(SPEC)
    assert left == [LOUD]
    assert found == replace(QUIET, reference_ms=4.7, checks=2)
    assert "the steadiest of 2 checks" in found.line()
    assert found.reference_line() == ""


def test_of_noisy_checks_the_lowest_is_frozen_and_the_steadiest_counts(checks: Checks) -> None:
    steadier = replace(LOUD, low=0.93, high=0.96, reference_ms=12.0)
    left = checks(LOUD, replace(LOUD, reference_ms=8.4), steadier, *[LOUD] * 9)
    found = settled_check(SPEC)
    assert len(left) == 12 - MOST_CHECKS
    assert (found.reference_ms, found.low, found.checks) == (8.4, 0.93, MOST_CHECKS)
    assert found.reference_line() == (
        "the reference takes 8.4 ms, noisy: absolute ms of this study are uncertain, ratios are not"
    )


@pytest.mark.parametrize(
    ("said", "frozen", "count"),
    [
        (LOUD, 4.6, 3),
        (replace(QUIET, busy=True), 4.6, 3),
        (QUIET, 19.16, 0),  # a steady check knows better than what was
        (replace(LOUD, condition=replace(CONDITION, threads=2)), 19.16, 0),
    ],
)
def test_what_steady_latencies_say_takes_the_place_of_a_disturbed_one(
    checks: Checks, cache: Path, said: AACheck, frozen: float, count: int
) -> None:
    for name, ms in (("hr-1", 4.4), ("hr-2", 4.6), ("hr-3", 5.1), ("hr-old", 0.0)):
        keep(cache, key_of(name, CONDITION, 5), measured(ms))
    keep(cache, key_of("hr-1", CONDITION, 19), measured(1.0))
    checks(*[said] * MOST_CHECKS)
    found = settled_check(SPEC, classes=5)
    assert (found.reference_ms, found.kept) == (frozen, count)
    assert ("median of 3 steady latencies kept" in found.reference_line()) is (count > 0)


def test_nothing_kept_says_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_references(CONDITION, 5) == ()
    assert not cache.exists()
    cache.write_bytes(b"no database at all" * 100)
    assert kept_references(CONDITION, 5) == ()
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", "off")
    assert kept_references(CONDITION, 5) == ()
