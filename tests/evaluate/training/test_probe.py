"""What a schedule leaves open is settled by what takes least time, if that is worth it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from made_up import TINY

from hrnet_search.evaluate.training import probe
from hrnet_search.evaluate.training.probe import candidates, has_bf16, is_open, settle
from hrnet_search.evaluate.training.train import Trainer
from hrnet_search.records.data_spec import DataSpec
from hrnet_search.records.schedule import Schedule

CPU = torch.device("cpu")
FIXED = Schedule(DataSpec("shapes", classes=3), batch=2, crop=(32, 32))
OPEN = replace(FIXED, precision="auto", memory_format="auto")
TIMES = {
    ("fp32", "contiguous"): 1.0,
    ("fp32", "channels_last"): 0.8,
    ("bf16", "contiguous"): 0.7,
    ("bf16", "channels_last"): 0.5,
}


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[tuple[str, str], float]], None]:
    """Return what sets how long a step takes; nothing is trained."""

    def set_times(times: dict[tuple[str, str], float]) -> None:
        def advance(self: Trainer) -> float:
            now[0] += times[self.schedule.precision, self.schedule.memory_format]
            return 0.0

        monkeypatch.setattr(Trainer, "advance", advance)

    now = [0.0]
    monkeypatch.setattr(probe, "has_bf16", lambda _: True)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return set_times


Clocked = Callable[[dict[tuple[str, str], float]], None]


def settled(schedule: Schedule) -> tuple[str, str]:
    found = settle(schedule, TINY, CPU, clock=lambda: time.perf_counter())
    return found.precision, found.memory_format


def test_the_fastest_is_chosen(clocked: Clocked) -> None:
    clocked(TIMES)
    assert settled(OPEN) == ("bf16", "channels_last")
    clocked(TIMES | {("bf16", "channels_last"): 0.9})
    assert settled(OPEN) == ("bf16", "contiguous")


def test_a_small_gain_does_not_pay(clocked: Clocked) -> None:
    clocked(dict.fromkeys(TIMES, 0.91) | {("fp32", "contiguous"): 1.0})
    assert settled(OPEN) == ("fp32", "contiguous")


def test_what_is_fixed_stays(clocked: Clocked) -> None:
    clocked(TIMES)
    assert settled(replace(OPEN, precision="fp32")) == ("fp32", "channels_last")
    assert settled(replace(OPEN, memory_format="contiguous")) == ("bf16", "contiguous")
    assert is_open(OPEN)
    assert not is_open(FIXED)


def test_without_bf16_in_hardware_it_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "has_bf16", lambda _: False)
    assert {c.precision for c in candidates(OPEN, CPU)} == {"fp32"}
    assert len(candidates(replace(OPEN, memory_format="channels_last"), CPU)) == 1


def test_what_finds_no_memory_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch, clocked: Clocked
) -> None:
    clocked(TIMES)
    advance = Trainer.advance

    def scarce(self: Trainer) -> float:
        if self.schedule.precision == "bf16":
            raise torch.OutOfMemoryError("no room")
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", scarce)
    assert settled(OPEN) == ("fp32", "channels_last")


def test_a_real_probe_times_every_candidate() -> None:
    found = settle(OPEN, TINY, CPU)
    names = {f"{c.precision} {c.memory_format}" for c in candidates(OPEN, CPU)}
    assert found.seconds.keys() == names
    assert found.precision in ("fp32", "bf16")
    assert has_bf16(CPU) == any(name.startswith("bf16") for name in names)
