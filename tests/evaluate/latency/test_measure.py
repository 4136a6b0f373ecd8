"""A latency is a median with its spread, its conditions and a ratio to the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import network as architecture_of
from made_up import result
from torch import nn

from hrnet_search.arch.hrnet_yaml import read_config
from hrnet_search.evaluate.latency import measure as latency
from hrnet_search.evaluate.latency.measure import aa_check, measure_latency, throughput
from hrnet_search.evaluate.latency.reference_network import REFERENCE, reference_network
from hrnet_search.evaluate.latency.runtimes import in_torch
from hrnet_search.evaluate.machine import load as machine
from hrnet_search.net.hrnet import build
from hrnet_search.records.latency import LatencySpec

SPEC = LatencySpec(size=(32, 32), device="cpu", seconds=0.3, threads=1)


def made_up_timers(
    monkeypatch: pytest.MonkeyPatch, reference_ms: float, measured_ms: float, noise: float = 0.001
) -> None:
    """Let every first timer be the reference's and every second the measured network's."""
    rng = np.random.default_rng(0)
    made: list[float] = []

    def timer(*_: object) -> Callable[..., float]:
        ms = measured_ms if len(made) % 2 else reference_ms
        made.append(ms)
        return lambda calls=1: ms * float(np.exp(rng.normal(0, noise)))

    monkeypatch.setattr(in_torch, "timer", timer)


def small() -> nn.Module:
    return build(architecture_of(4), 5)


def test_a_measurement_is_whole() -> None:
    found = measure_latency(small(), SPEC, classes=5)
    assert 0 < found.low_ms <= found.median_ms <= found.high_ms
    assert found.median_ms <= found.p95_ms
    assert found.ms == found.median_ms  # nothing was frozen
    assert found.ratio_low <= found.ratio <= found.ratio_high
    # Medians of each alone are anything on a busy machine; made-up timers say it exactly below.
    assert 0.1 < found.ratio / (found.median_ms / found.reference_median_ms) < 10
    assert found.samples >= 4
    assert found.condition.mode == "eager"
    assert found.condition.threads == 1
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 4 * sum(p.numel() for p in small().parameters())
    assert {"cpu", "cores", "system"} <= dict(found.machine).keys()


def test_the_objective_is_the_ratio_times_the_frozen_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_up_timers(monkeypatch, 4.0, 10.0)
    found = measure_latency(small(), SPEC, 6.0, classes=5)
    assert found.ratio == pytest.approx(2.5, rel=0.01)
    assert found.ms == found.ratio * 6.0
    assert found.median_ms == pytest.approx(10, rel=0.01)
    assert found.reference_median_ms == pytest.approx(4, rel=0.01)
    assert not found.noisy


def test_a_first_call_after_the_other_network_is_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []
    made: list[int] = []

    def timer(*_: object) -> Callable[..., float]:
        made.append(len(made))
        number = made[-1]

        def time_ms(calls: int = 1) -> float:
            cold = called[-1:] != [number]
            called.append(number)
            return 100.0 if cold else 5.0 * (1 + number)

        return time_ms

    monkeypatch.setattr(in_torch, "timer", timer)
    found = measure_latency(small(), SPEC, classes=5)
    assert (found.reference_median_ms, found.median_ms, found.ratio) == (5.0, 10.0, 2.0)


def test_noise_that_does_not_settle_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_timers(monkeypatch, 4.0, 10.0, noise=3.0)
    assert measure_latency(small(), replace(SPEC, seconds=0.05), classes=5).noisy


def test_a_busy_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_timers(monkeypatch, 4.0, 4.0)
    for busy in (True, False):
        monkeypatch.setattr(machine, "is_busy", lambda *_, busy=busy: busy)
        assert measure_latency(small(), SPEC, classes=5).busy is busy
        found = aa_check(SPEC, classes=5)
        assert found.busy is busy
        assert ("busy with other work" in found.line()) is busy


def test_a_sound_instrument_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_timers(monkeypatch, 4.0, 4.0)
    found = aa_check(SPEC, classes=5)
    assert found.agrees
    assert found.ratio == pytest.approx(1, abs=0.01)
    assert found.reference_ms == pytest.approx(4, rel=0.01)
    assert "agrees with itself, ratio 1.0" in found.line()


def test_the_check_takes_enough_quads_however_short_the_cap() -> None:
    assert aa_check(replace(SPEC, seconds=0.001), classes=5).samples >= 10


def test_an_instrument_that_favours_one_side_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_timers(monkeypatch, 4.0, 4.2)
    found = aa_check(SPEC, classes=5)
    assert not found.agrees
    assert found.low > 1
    assert "DISAGREES" in found.line()


@pytest.mark.parametrize(
    ("ratio", "low", "high", "verdict"),
    [
        (0.945, 0.709, 1.306, "is UNDECIDED against itself"),
        (1.0, 0.99, 1.051, "is UNDECIDED against itself"),
        (1.0, 0.96, 1.049, "agrees with itself"),
        (1.009, 1.001, 1.07, "is UNDECIDED against itself"),  # 1 within 1%, but for the interval
        (1.3, 1.1, 1.6, "DISAGREES with itself"),  # a difference is seen however wide
    ],
)
def test_an_interval_that_holds_nearly_anything_decides_nothing(
    monkeypatch: pytest.MonkeyPatch, ratio: float, low: float, high: float, verdict: str
) -> None:
    measured = result(0).latency
    assert measured is not None
    said = replace(measured, ratio=ratio, ratio_low=low, ratio_high=high, noisy=True)
    monkeypatch.setattr(latency, "measure_latency", lambda *_, **__: said)
    found = aa_check(SPEC, classes=5)
    assert f"the reference network {verdict}, ratio {ratio:.3f}" in found.line()
    assert (found.agrees, found.undecided) == ("agrees" in verdict, "UNDECIDED" in verdict)


def test_one_percent_is_within_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_timers(monkeypatch, 4.0, 4.02, noise=0.0001)
    found = aa_check(SPEC, classes=5)
    assert found.low > 1
    assert found.agrees


def test_throughput_is_images_a_second_at_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def timer(network: nn.Module, images: torch.Tensor, setting: object) -> Callable[..., float]:
        seen.append(tuple(images.shape))
        return lambda calls=1: 20.0

    monkeypatch.setattr(in_torch, "timer", timer)
    assert throughput(small(), SPEC, batch=8) == 400
    assert seen == [(8, 3, 32, 32)]


def test_the_reference_is_the_shipped_small_network_and_always_the_same() -> None:
    from pathlib import Path

    shipped = next(Path(__file__).parents[3].glob("configs/*w18_small_v1*"))
    assert read_config(shipped).architecture == REFERENCE
    state = torch.random.get_rng_state()
    first, second = reference_network(5).state_dict(), reference_network(5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_measured_network_stays_as_it_was() -> None:
    network = small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_latency(network, replace(SPEC, seconds=0.05, precision="bf16"), classes=5)
    assert network.training
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert all(p.requires_grad for p in network.parameters())


def test_no_room_is_one_line() -> None:
    with pytest.raises(MemoryError, match=r"^out of memory") as caught:
        measure_latency(small(), replace(SPEC, size=(1 << 20, 1 << 22)), classes=5)
    assert "\n" not in str(caught.value)
