"""What a study measures first is measured once in its life, however often it is killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import CHECK, NOTES, ask
from search.made_up_trials import made_up_latency
from search.tabulated import SPACE

from hrnet_search.arch.architecture import Architecture
from hrnet_search.errors import StudyError
from hrnet_search.records.latency import Latency
from hrnet_search.search.first_measurements import (
    frozen_reference,
    measure_start,
    measured_at_start,
    screening_line,
)
from hrnet_search.search.screening import start_set
from hrnet_search.store.findings import Screening
from hrnet_search.store.writer import StudyStore


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    StudyStore.create(tmp_path, NOTES)
    return StudyStore(tmp_path)


def test_the_reference_is_frozen_with_its_check(store: StudyStore) -> None:
    said: list[str] = []
    checks = iter([replace(CHECK, reference_ms=4.5, agrees=False, noisy=True)])
    with store:
        assert frozen_reference(store, "a CPU", lambda: next(checks), said.append) == 4.5
        assert frozen_reference(store, "a CPU", lambda: next(checks), said.append) == 4.5
        notes = store.notes()
    assert (notes.device, notes.reference_ms) == ("a CPU", 4.5)
    assert notes.aa_check == replace(CHECK, reference_ms=4.5, agrees=False, noisy=True)
    assert said[0] == "measuring the reference network on a CPU"
    assert "the reference network DISAGREES with itself, ratio 1.000" in said[1]
    assert said[2].startswith("the reference takes 4.5 ms, noisy")


def test_another_device_does_not_go_on(store: StudyStore) -> None:
    with store:
        frozen_reference(store, "a CPU", lambda: replace(CHECK, reference_ms=4.5), print)
        with pytest.raises(StudyError, match="measured on a CPU, this device is a GPU"):
            frozen_reference(store, "a GPU", lambda: replace(CHECK, reference_ms=4.5), print)


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
        found = list(measured_at_start(store.notes()))
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
        assert len(list(measured_at_start(store.notes()))) == 4
        measure_start(store, SPACE, 40, 3, second, print)
        found = [a.id for a, _ in measured_at_start(store.notes())]
    assert first.measured + second.measured == found == [a.id for a in start_set(SPACE, 10, 3)]


def test_a_study_that_has_begun_is_left_as_it_is(store: StudyStore) -> None:
    instrument = Instrument()
    with store:
        store.ask(ask(0))
        measure_start(store, SPACE, 40, 3, instrument, print)
        assert store.notes().screening_start is None
    assert instrument.measured == []


def test_a_variant_that_cannot_be_measured_is_noted_and_passed_over(store: StudyStore) -> None:
    def measure(architecture: Architecture) -> Latency:
        if architecture.width > 8:
            raise MemoryError("out of memory: no room")
        return made_up_latency(architecture)

    with store:
        measure_start(store, SPACE, 40, 3, measure, print)
        noted = store.notes().screening_start or ()
        found = list(measured_at_start(store.notes()))
    failed = [row for row in noted if row.ms is None]
    assert len(noted) == 10
    assert 0 < len(failed) < 10
    assert failed[0].error == "out of memory: no room"
    assert len(found) == 10 - len(failed)


def test_how_well_latency_is_foretold_is_said() -> None:
    noted = Screening(n=20, loo_error=0.042, tau=0.913, used=True)
    line = screening_line(noted)
    assert "from 20 networks, leave-one-out error 4.2%, Kendall's tau 0.91" in line
    assert "MACs stood in" in screening_line(replace(noted, used=False))


def test_with_another_program_a_study_does_not_go_on(store: StudyStore) -> None:
    """Its latencies are ratios to what the reference took by the one before."""
    condition = replace(CHECK.condition, version="files 0a")
    check = replace(CHECK, reference_ms=4.5, condition=condition)
    with store:
        for _ in range(2):
            assert frozen_reference(store, "./board.sh", lambda: check, print, "files 0a") == 4.5
        with pytest.raises(StudyError, match=r"latency\.command: its files were edited"):
            frozen_reference(store, "./board.sh", lambda: check, print, "files 0b")
