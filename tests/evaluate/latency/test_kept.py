"""Latencies are kept for the device, used again where everything matches, and marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import network, result

from hrnet_search.evaluate.latency import kept as kept_latencies
from hrnet_search.evaluate.latency.condition import resolve
from hrnet_search.evaluate.latency.kept import is_reused, key_of, latency_of, place
from hrnet_search.net.hrnet import HighResolutionNet, build
from hrnet_search.records.latency import Latency, LatencySpec

SPEC = LatencySpec(size=(32, 32), device="cpu", threads=1)


def made(**changed: object) -> Latency:
    latency = result(0).latency
    assert latency is not None
    return replace(latency, **{"ratio": 2.0, "ratio_low": 1.9, "ratio_high": 2.1, **changed})  # type: ignore[arg-type]


class Instrument:
    """Counts its measurements; `gives` is what the next one says."""

    def __init__(self) -> None:
        self.measured: list[str] = []
        self.gives = made()

    def __call__(
        self, network: HighResolutionNet, spec: LatencySpec, reference_ms: float | None, **_: int
    ) -> Latency:
        self.measured.append(network.architecture.id)
        ms = self.gives.median_ms if reference_ms is None else self.gives.ratio * reference_ms
        return replace(self.gives, ms=ms)


@pytest.fixture
def instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instrument:
    found = Instrument()
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", str(tmp_path / "deep" / "latencies.db"))
    monkeypatch.setattr(kept_latencies, "measure_latency", found)
    return found


def ask(width: int = 4, reference_ms: float | None = 5.0, **more: object) -> Latency:
    spec = replace(SPEC, **more.pop("spec", {}))  # type: ignore[arg-type]
    classes = more.pop("classes", 3)
    net = build(network(width), 3)
    return latency_of(net, spec, reference_ms, classes=classes, **more)  # type: ignore[arg-type]


def test_what_was_measured_is_used_again_with_its_interval(instrument: Instrument) -> None:
    first, second = ask(), ask(reference_ms=7.0)
    assert len(instrument.measured) == 1
    assert (first.ms, second.ms) == (10.0, 14.0)  # by the reference of each study
    assert (second.ratio_low, second.ratio_high) == (1.9, 2.1)
    assert (is_reused(first), is_reused(second)) == (False, True)
    assert dict(second.machine)["reused"].startswith("measured 20")
    assert ask(reference_ms=None).ms == made().median_ms


def test_another_network_condition_or_class_count_is_measured(instrument: Instrument) -> None:
    ask()
    ask(width=5)
    ask(spec={"size": (32, 64)})
    ask(spec={"precision": "bf16"})
    ask(spec={"threads": 2})
    ask(classes=4)
    assert len(instrument.measured) == 6
    ask(spec={"seconds": 9.0})  # how long is measured at most is not a condition
    assert len(instrument.measured) == 6


def test_another_library_is_measured(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    monkeypatch.setattr(kept_latencies, "versions", lambda: (("torch", "99"),))
    ask()
    assert len(instrument.measured) == 2


@pytest.mark.parametrize("wrong", ["noisy", "busy"])
def test_what_is_unsteady_is_not_kept(instrument: Instrument, wrong: str) -> None:
    instrument.gives = made(**{wrong: True})
    ask()
    ask()
    assert len(instrument.measured) == 2


def test_measuring_again_replaces_what_was_kept(instrument: Instrument) -> None:
    ask()
    instrument.gives = made(ratio=3.0)
    assert ask(again=True).ms == 15.0
    assert ask().ms == 15.0
    assert len(instrument.measured) == 2


def test_it_can_be_switched_off(instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", "off")
    ask()
    ask()
    assert len(instrument.measured) == 2
    assert place() is None


def test_it_lies_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HRNET_SEARCH_LATENCIES")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert place() == tmp_path / "hrnet-search" / "latencies.db"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert place() == tmp_path / "home" / ".cache" / "hrnet-search" / "latencies.db"


def test_a_damaged_or_unwritable_file_only_costs_the_measurement(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database at all" * 100)
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", str(damaged))
    assert ask().ms == ask().ms
    monkeypatch.setenv("HRNET_SEARCH_LATENCIES", str(damaged / "below" / "a" / "file.db"))
    ask()
    assert len(instrument.measured) == 3


def test_a_key_names_the_architecture() -> None:
    condition = made().condition
    assert key_of("hr-1", condition, 3).startswith("hr-1-")
    assert key_of("hr-1", condition, 3) != key_of("hr-1", replace(condition, batch=2), 3)


def test_a_program_that_was_edited_is_another_device(tmp_path: Path) -> None:
    script = tmp_path / "board.sh"
    spec = replace(SPEC, runtime="command", command=(str(script), "{onnx}"))
    script.write_text("trtexec")
    before = resolve(spec).condition
    assert resolve(spec).condition == before
    script.write_text("trtexec --fp16")
    assert resolve(spec).condition != before
    assert resolve(replace(spec, command=("ssh", "board", "run", "{onnx}"))).condition.version == ""
