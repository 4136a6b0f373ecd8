"""Slices are judged on networks that the shared weights were never taught, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.shared import (
    COLUMNS,
    GROUNDS,
    SHAPES,
    SOFT,
    WAY,
    Ground,
    by_slices,
    compared,
    pool,
    together,
)
from benchmarks.tables.fill import read_table
from benchmarks.tables.judge import Candidate, Table, table_of
from benchmarks.tables.variants import WITHIN
from hrnet_search.report.trust.statistics import tau_b

every_ground = pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)


@every_ground
def test_what_is_taught_is_as_large_as_the_table_and_none_of_it(ground: Ground) -> None:
    networks, macs = pool(ground)
    known = {variant.id for variant in ground.variants()}
    assert len({network.id for network in networks} - known) == len(networks) == 512
    assert ground.bins[0] * (1 - WITHIN) <= min(macs) < 0.5 * max(macs)
    assert max(macs) <= ground.bins[-1] * (1 + WITHIN)


def test_rows_stand_at_their_networks_and_missing_ones_are_not_known() -> None:
    rows = read_table(SHAPES.table)
    variants = list({row["variant"]: None for row in rows})
    one = {"shared_steps": "9", "shared_seed": "4", "shared_cpu_s": "7", "tuned_steps": "0"}
    one |= {"variant": variants[1], "miou": "0.5", "soft_iou": "0.4", "cpu_s": "2"}
    one |= {"cross_entropy": "1", "balanced_cross_entropy": "3", "teacher_weight": "0"}
    found = {way.signal: way for way in by_slices(table_of(rows).truth(), variants, [one])}
    for signal, value in (("miou", 0.5), ("soft_iou", 0.4), ("cross_entropy", -1.0)):
        scores = found[signal].scores[0]
        assert scores[1] == value
        assert np.isnan(np.delete(scores, 1)).all()
    assert found["miou"].seconds == 2


def test_ways_are_compared_over_the_same_networks_alone_with_size_and_with_each_other() -> None:
    rng = np.random.default_rng(0)
    truth, costs = rng.random(14), np.exp(rng.random((2, 14)))
    table = Table(np.zeros(14, dtype=np.int64), costs[0], costs[1], {})
    there = np.arange(14) < 12
    noisy, own = truth + rng.normal(0, 0.3, (2, 14)), truth + rng.normal(0, 0.3, (2, 14))
    ways = [
        Candidate("free", "log MACs", np.log(costs[:1]), truth[None]),
        Candidate("150 alone", SOFT, own, np.tile(truth, (2, 1))),
        Candidate("slices", SOFT, np.vstack([noisy, truth]), np.tile(truth, (3, 1))),
    ]
    lines = list(compared([*ways, *together(ways)], there, table))
    cells = {line.split(" | ")[0]: line.split(" | ") for line in lines if line.startswith("| ")}
    both = "150 alone and slices"
    assert {f"| {name}" for name in (both, f"{both}, with size", "slices, with size")} <= set(cells)
    assert cells["| slices"][2] == "12"
    taus = [np.mean([tau_b(one[there], truth[there]) for one in some]) for some in (noisy, own)]
    (less,) = (line for line in lines if line.startswith("slices less 150 alone: "))
    assert float(less.split(": ")[1].split()[0]) == pytest.approx(taus[0] - taus[1], abs=0.006)
    assert any(line.startswith(f"{both} less 150 alone: ") for line in lines)
    assert any(line.startswith(f"{both}, with size less 150 alone, with size: ") for line in lines)
    assert not any(line.startswith(f"{both} less 150 alone, with size") for line in lines)


@every_ground
def test_the_committed_rows_are_of_the_table(ground: Ground) -> None:
    if ground is not SHAPES and not ground.rows.exists():
        pytest.skip("nothing was judged there yet")
    rows = read_table(ground.rows)
    assert set(rows[0]) == set(COLUMNS)
    assert {row["variant"] for row in rows} <= {variant.id for variant in ground.variants()}
    names = ("variant", "shared_seed", *WAY)
    assert len({tuple(row[name] for name in names) for row in rows}) == len(rows)
