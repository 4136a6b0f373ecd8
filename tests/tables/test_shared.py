"""Slices are judged on networks that the shared weights were never taught, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.shared import COLUMNS, GROUNDS, SHAPES, WAY, Ground, by_slices, pool
from benchmarks.tables.fill import read_table
from benchmarks.tables.judge import table_of
from benchmarks.tables.variants import WITHIN

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


@every_ground
def test_the_committed_rows_are_of_the_table(ground: Ground) -> None:
    if ground is not SHAPES and not ground.rows.exists():
        pytest.skip("nothing was judged there yet")
    rows = read_table(ground.rows)
    assert set(rows[0]) == set(COLUMNS)
    assert {row["variant"] for row in rows} <= {variant.id for variant in ground.variants()}
    names = ("variant", "shared_seed", *WAY)
    assert len({tuple(row[name] for name in names) for row in rows}) == len(rows)
