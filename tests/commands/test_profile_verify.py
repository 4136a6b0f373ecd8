"""`profile --verify` lays the exact cost beside what fvcore counts of the built network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import hrnet_search
from hrnet_search.arch.cost import Cost
from hrnet_search.cli import main
from hrnet_search.evaluate.counting import cost_by_fvcore
from hrnet_search.evaluate.latency import one_network as evaluated
from hrnet_search.evaluate.machine import control_groups

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*small*.yaml"))
WORDS = ["profile", *map(str, CONFIGS), "--size", "64", "96", "--verify"]


@pytest.mark.slow
def test_both_counts_stand_beside_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CONFIGS) > 1
    assert main(WORDS) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.endswith(" same")]
    assert [row[0] for row in rows] == [path.stem for path in CONFIGS]
    for _, *counts, _ in rows:
        assert counts[::2] == counts[1::2]
        assert len(counts) == 6


@pytest.mark.slow
def test_a_count_that_differs_is_named_and_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the network that is built had a convolution more than its architecture says."""

    def more(*words: object) -> hrnet_search.Cost:
        found = cost_by_fvcore(*words)  # type: ignore[arg-type]
        return replace(found, macs=found.macs + (found.params < 2_000_000))

    monkeypatch.setattr(evaluated, "cost_by_fvcore", more)
    assert main(WORDS) == 1
    out = capsys.readouterr().out
    assert (out.count(" DIFFERS"), out.count(" same")) == (1, len(CONFIGS) - 1)
    assert main([*WORDS, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (wrong,) = (row for row in found if row["differs_from_fvcore"])
    assert wrong["fvcore"]["macs"] == wrong["macs"] + 1


def test_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = hrnet_search.profile(CONFIGS[0], (64, 64), verify=True)
    assert (one.recounted, one.differs) == (one.cost, False)
    (one,) = hrnet_search.profile(CONFIGS[0], (64, 64))
    assert (one.recounted, one.differs) == (None, False)
    monkeypatch.setattr(control_groups, "free_bytes", lambda: 1000)
    with pytest.raises(hrnet_search.InputError, match="verify: out of memory: about"):
        hrnet_search.profile(CONFIGS[0], verify=True)


def test_it_says_how_far_it_is_beside_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hrnet_search.commands.working.LINE_S", 0.0)
    monkeypatch.setattr(evaluated, "cost_by_fvcore", lambda *_: Cost(1, 1, 1))
    assert main(WORDS) == 1
    said = capsys.readouterr()
    count = len(CONFIGS)
    starts = [f"[{n}/{count}] {path.stem}" for n, path in enumerate(CONFIGS)]
    assert [line.partition(",")[0] for line in said.err.splitlines()] == starts
    assert "[" not in said.out
