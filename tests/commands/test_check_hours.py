"""`check` says hours and disk: at once what is known, and hours where they may be measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hrnet_search.arch.cost import Cost
from hrnet_search.cli import main
from hrnet_search.search import forecast
from hrnet_search.search.durations import Durations, Took
from hrnet_search.search.plan import Plan

ROOT = Path(__file__).parents[2]
SPACE, NO_ROOT = (str(ROOT / "search_spaces" / f"{name}.yaml") for name in ("quickstart", "camvid"))
HOURS = "12 trials: about 61 min of device time"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """Take every trial for one of 300 s; return how long each probe may take."""
    probes: list[float] = []

    def probe(plan: Plan, within: float) -> Durations:
        probes.append(within)
        same = [Took(Cost(1, 10**6, 10**6), plan.schedule.steps, 300.0)] * 3
        durations = Durations(same)
        monkeypatch.setattr(durations, "expected", lambda *_: 300.0)
        return durations

    monkeypatch.setattr(forecast, "of_probe", probe)
    monkeypatch.chdir(tmp_path)  # which has no study of this name
    return probes


def test_check_says_hours_at_its_end_where_it_is_asked_to(
    measured: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", SPACE, "--measure"]) == 0
    *_, weights, doing, hours, disk, room = capsys.readouterr().out.splitlines()
    assert weights.startswith("weights: about ")
    assert doing == "measuring a few steps of a few variants"
    assert hours.startswith(HOURS)
    assert disk.startswith("disk: about ")
    assert room.startswith("free on the disk of the study: ")
    assert measured == [30.0]
    assert main(["check", SPACE, "--measure", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["forecast"]
    least, expected, most = found["seconds"]
    assert least < expected < most
    assert found["trials"] == 12


@pytest.mark.parametrize("terminal", [False, True])
def test_check_measures_on_a_terminal_and_says_elsewhere_what_would(
    terminal: bool,
    measured: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert main(["check", SPACE]) == 0
    assert (HOURS in capsys.readouterr().out) == terminal
    assert main(["check", SPACE, "--no-measure"]) == 0
    assert main(["check", NO_ROOT]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out.count("how long it takes: check --measure says it, by a few training steps") == 2
    assert len(measured) == terminal


def test_what_cannot_be_measured_is_said_and_is_no_fault_of_the_file(
    measured: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", NO_ROOT, "--measure"]) == 0
    why = "how long it takes was not measured: the data have no root (--data-root DIR)"
    assert why in capsys.readouterr().err
    assert not measured

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(forecast, "of_probe", interrupted)
    assert main(["check", SPACE, "--measure"]) == 0
    assert "space: 128 valid points" in capsys.readouterr().out
