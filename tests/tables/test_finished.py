"""What networks reach from slices is held against their own whole trainings, each with its own."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import finished
from benchmarks.shared import SHAPES
from benchmarks.tables.fill import Row, read_table
from hrnet_search.net.shared import SharedNetwork

OWN = finished.truths(SHAPES)
NETWORKS = [variant for variant in SHAPES.variants() if variant.id in OWN][:12]


def rows(more: float = 0.05, shared_steps: str = "3000") -> list[Row]:
    """Return what each would have if it had so much more than its own training gave it."""
    return [
        {
            "data": "shapes", "version": SHAPES.version, "shared_steps": shared_steps,
            "shared_seed": "4", "steps": "2400", "lr": "0.005", "network": one.id,
            "params": str(one.params), "macs": str(one.macs), "miou": str(OWN[one.id] + more),
        }
        for one in NETWORKS
    ]  # fmt: skip


def test_each_is_held_against_its_own_training() -> None:
    lines = list(finished.about([*rows(), *rows(-0.01, "0")]))
    own = sum(OWN[one.id] for one in NETWORKS) / len(NETWORKS)
    of_slices, of_none = lines[2:4]
    assert "3000 shared steps, seed 4, at 0.005 | 2400 | 12 |" in of_slices
    assert f"| {own:.3f} | {own + 0.05:.3f} | 0.050 [" in of_slices
    assert "random weights" in of_none
    assert "-0.010 [" in of_none
    assert re.search(r"- own whole trainings: 1.000 \[.*at equal MACs 1.00", "\n".join(lines))
    (line,) = (one for one in lines if one.startswith("- 12 networks by"))
    assert "the first 0.060 [" in line
    assert "tau 1.000" in line
    assert "at equal MACs 1.00, deviation of one 0.0000" in line
    assert f"| {0.05:.3f} | " in of_slices.rpartition("] ")[2], "of the third that are best too"
    few = list(finished.about(rows()[:4]))
    assert few[3:] == [""], "of few nothing is said about their order"
    assert "| 0.050, each 0.050 to 0.050 |" in few[2], "nor an interval"


def test_spread_and_order_at_equal_macs_know_nothing_of_size() -> None:
    miou, of_size = np.array([0.1, 0.3, 0.7, 0.9]), np.array([0, 0, 1, 1])
    assert finished.spread(miou, of_size) == pytest.approx(np.sqrt(0.02))
    assert finished.within(np.array([2.0, 1.0, 4.0, 3.0]), miou, of_size) == -1
    assert finished.within(np.array([1.0, 2.0, 4.0, 3.0]), miou, of_size) == 0


def test_a_network_is_trained_once_by_each_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "finished.csv"
    monkeypatch.setattr(finished, "ROWS", path)
    small = replace(SHAPES, spec=replace(SHAPES.spec, train_images=16, val_images=4))
    options = argparse.Namespace(
        ground=small, data="shapes", shared_steps=10, shared_seed=4, steps=2, lr=0.005
    )
    one = min(NETWORKS, key=lambda network: network.macs)
    shared = SharedNetwork.of([one.architecture], small.spec.classes)
    for _ in range(2):
        finished.finish(one.id, shared, options)
    options.shared_steps = 0
    finished.finish(one.id, None, options)
    found = read_table(path)
    assert [(row["shared_steps"], row["shared_seed"]) for row in found] == [("10", "4"), ("0", "0")]
    assert found[0]["miou"] != found[1]["miou"] or found[0]["soft_iou"] != found[1]["soft_iou"]
