"""Of many networks those are drawn that matter and those that can be seen apart."""

from __future__ import annotations

import numpy as np

from hrnet_search.report.page.thin import CELLS, drawn, spread


def test_few_are_all_drawn() -> None:
    assert drawn([0.1, 0.2, 0.3], [[1.0, 2.0, None]], [False, True, False], most=2) == [0, 1, 2]


def test_all_that_matter_are_drawn_and_so_many_others() -> None:
    rng = np.random.default_rng(0)
    mious, costs = rng.random(5000), rng.lognormal(size=5000)
    kept = rng.random(5000) < 0.1
    chosen = drawn(mious.tolist(), [costs.tolist()], kept.tolist(), most=300)
    assert chosen == sorted(set(chosen))
    assert set(np.flatnonzero(kept)) <= set(chosen)
    assert len(chosen) == kept.sum() + 300


def test_what_stands_alone_is_drawn_before_what_is_covered() -> None:
    """The 40 that are spread out come first, on whichever axis they are, wherever they stand."""
    rng = np.random.default_rng(1)
    crowd = 4000
    mious = np.concatenate([rng.uniform(0.5, 0.5 + 1e-6, crowd), np.linspace(0, 1, 40)])
    flat = np.ones(crowd + 40)
    apart = np.concatenate([rng.uniform(7, 7 + 1e-6, crowd), np.geomspace(1, 1000, 40)])
    order = rng.permutation(crowd + 40)
    alone = {int(i) for i in np.flatnonzero(order >= crowd)}
    chosen = drawn(
        mious[order].tolist(), [flat.tolist(), apart[order].tolist()], [False] * len(order), 60
    )
    assert alone <= set(chosen)
    assert len(chosen) == 60


def test_every_occupied_cell_keeps_a_network_where_there_is_room() -> None:
    rng = np.random.default_rng(2)
    mious, costs = rng.random(20_000), np.exp(rng.random(20_000))
    chosen = drawn(mious.tolist(), [costs.tolist()], [False] * 20_000, most=CELLS * CELLS)

    def cells(rows: list[int]) -> set[tuple[int, int]]:
        x, y = np.log(costs), mious
        share = [(v - v.min()) / (v.max() - v.min()) for v in (x, y)]
        i, j = (np.minimum((s[rows] * CELLS).astype(int), CELLS - 1) for s in share)
        return set(zip(i.tolist(), j.tolist(), strict=True))

    assert cells(chosen) == cells(list(range(20_000)))


def test_spread_takes_both_ends() -> None:
    assert spread(0, 5) == []
    assert spread(3, 5) == [0, 1, 2]
    assert spread(1000, 3) == [0, 500, 999]
