"""What a study measures first is measured once in its life, however often it is killed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_up import ask
from search.made_up_trials import made_up_latency
from search.tabulated import SPACE

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import StudyError
from hrnet_search.records import Latency
from hrnet_search.search.screening import start_set
from hrnet_search.search.start import (
    frozen_reference,
    measure_start,
    measured_at_start,
    screening_line,
)
from hrnet_search.store.writer import StudyStore


@dataclass(frozen=True)
class Check:
    """As much of an A/A check as is needed."""

    reference_ms: float
    agrees: bool = True

    def line(self) -> str:
        return f"A/A check: {'agrees' if self.agrees else 'DISAGREES'}"

    def reference_line(self) -> str:
        return "" if self.agrees else "noisy"


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    StudyStore.create(tmp_path, {"name": "made-up"})
    return StudyStore(tmp_path)


def test_the_reference_is_frozen_with_its_check(store: StudyStore) -> None:
    said: list[str] = []
    checks = iter([Check(4.5, agrees=False)])
    with store:
        assert frozen_reference(store, "a CPU", lambda: next(checks), said.append) == 4.5
        assert frozen_reference(store, "a CPU", lambda: next(checks), said.append) == 4.5
        stamped = json.loads(store.meta()["aa_check"])
    assert stamped == {"reference_ms": 4.5, "agrees": False}
    assert said == ["measuring the reference network on a CPU", "A/A check: DISAGREES", "noisy"]


def test_another_device_does_not_go_on(store: StudyStore) -> None:
    with store:
        frozen_reference(store, "a CPU", lambda: Check(4.5), print)
        with pytest.raises(StudyError, match="measured on a CPU, this device is a GPU"):
            frozen_reference(store, "a GPU", lambda: Check(4.5), print)


class Killed(BaseException):
    pass


class Instrument:
    def __init__(self, dies_after: int = 10**6) -> None:
        self.left = dies_after
        self.measured: list[str] = []

    def __call__(self, architecture: Architecture) -> Latency:
        self.left -= 1
        if self.left < 0:
            raise Killed
        self.measured.append(architecture.id)
        return made_up_latency(architecture)


@pytest.mark.parametrize(("trials", "count"), [(29, 0), (30, 10), (60, 15), (1000, 20)])
def test_the_start_set_goes_by_the_number_of_trials(
    trials: int, count: int, store: StudyStore
) -> None:
    instrument, said = Instrument(), []  # type: ignore[var-annotated]
    with store:
        measure_start(store, SPACE, trials, 3, instrument, said.append)
        found = list(measured_at_start(store.meta()))
    assert len(instrument.measured) == len(found) == count
    assert len(said) == (count > 0)
    assert [(a.id, ms) for a, ms in found] == [
        (a.id, made_up_latency(a).ms) for a in start_set(SPACE, count, 3)[:count]
    ]


def test_a_study_killed_on_the_way_measures_the_rest(store: StudyStore) -> None:
    first, second = Instrument(dies_after=4), Instrument()
    with store:
        with pytest.raises(Killed):
            measure_start(store, SPACE, 40, 3, first, print)
        assert len(list(measured_at_start(store.meta()))) == 4
        measure_start(store, SPACE, 40, 3, second, print)
        found = [a.id for a, _ in measured_at_start(store.meta())]
    assert first.measured + second.measured == found == [a.id for a in start_set(SPACE, 10, 3)]


def test_a_study_that_has_begun_is_left_as_it_is(store: StudyStore) -> None:
    instrument = Instrument()
    with store:
        store.ask(ask(0))
        measure_start(store, SPACE, 40, 3, instrument, print)
        assert "screening_start" not in store.meta()
    assert instrument.measured == []


def test_a_variant_that_cannot_be_measured_is_noted_and_passed_over(store: StudyStore) -> None:
    def measure(architecture: Architecture) -> Latency:
        if architecture.width > 8:
            raise MemoryError("out of memory: no room")
        return made_up_latency(architecture)

    with store:
        measure_start(store, SPACE, 40, 3, measure, print)
        noted = json.loads(store.meta()["screening_start"])
        found = list(measured_at_start(store.meta()))
    failed = [row for row in noted if row["ms"] is None]
    assert len(noted) == 10
    assert 0 < len(failed) < 10
    assert failed[0]["error"] == "out of memory: no room"
    assert len(found) == 10 - len(failed)


def test_how_well_latency_is_foretold_is_said() -> None:
    assert screening_line({}) == ""
    noted = {"n": 20, "loo_error": 0.042, "tau": 0.913, "used": True}
    line = screening_line({"screening": json.dumps(noted)})
    assert "from 20 networks, leave-one-out error 4.2%, Kendall's tau 0.91" in line
    assert "MACs stood in" in screening_line({"screening": json.dumps({**noted, "used": False})})
