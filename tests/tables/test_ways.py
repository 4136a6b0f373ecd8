"""Other ways to train shortly, on a made-up table of which is known what is true."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from table_rows import NETWORKS, TRUE, row

from benchmarks.tables import ways
from benchmarks.tables.fill import (
    COLUMNS,
    SHORT_SEEDS,
    TRUTH,
    Row,
    read_table,
    schedule_of,
    trainings,
)
from benchmarks.tables.judge import table_of
from benchmarks.tables.variants import CLASSES, read_variants
from hrnet_search.records.data_spec import DataSpec

TINY = DataSpec("shapes", CLASSES, size=(32, 32), train_images=8, val_images=4)


def rows(usual: int) -> list[Row]:
    """Return truths, and usual short trainings that say `usual` times them."""
    found = [row(network, TRUTH, 0, TRUTH, true) for network, true in enumerate(TRUE)]
    for network, true in enumerate(TRUE):
        found += [row(network, 150, seed, 150, usual * true) for seed in SHORT_SEEDS]
    return found


def write(path: Path, own: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(own)


def test_a_way_is_held_against_the_usual_one_over_its_own_networks(tmp_path: Path) -> None:
    own = [row(network, 200, 2, 200, TRUE[network]) for network in range(NETWORKS - 4)]
    write(tmp_path / "half_batch.csv", own)
    lines = [line.split(" | ") for line in ways.judged(rows(-1), tmp_path)][2:]
    assert [line[1] for line in lines] == list(ways.JUDGED)
    soft = lines[1]
    assert soft[0] == "| half_batch"
    assert soft[2:5] == [str(NETWORKS - 4), "1", "1.00, -1.00"]
    assert soft[5].startswith("+2.00")
    assert soft[6:8] == ["1.00, -1.00", "100%, 0%"]
    assert soft[8].startswith("0.0, ")


def test_a_network_without_each_seed_of_a_way_is_not_judged(tmp_path: Path) -> None:
    own = [row(network, 200, 2, 200, TRUE[network]) for network in range(NETWORKS)]
    own += [row(network, 200, 3, 200, TRUE[network]) for network in range(10)]
    write(tmp_path / "half_batch.csv", own)
    assert [line.split(" | ")[2:4] for line in ways.judged(rows(1), tmp_path)][2] == ["10", "2"]
    write(tmp_path / "half_batch.csv", own[:3])
    assert len(list(ways.judged(rows(1), tmp_path))) == 2, "too few to say anything"


def test_networks_of_two_truths_are_trained_first_and_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, *others = sorted(read_variants(), key=lambda v: v.macs)[:3]
    truths = {v.id: seeds for v, seeds in zip((small, *others), (2, 1, 0), strict=True)}
    table = [
        row(0, TRUTH, seed, TRUTH, 0.5) | {"variant": name}
        for name, seeds in truths.items()
        for seed in range(seeds)
    ]
    table.append(row(0, 150, 2, 150, 0.5) | {"variant": others[1].id})
    networks = ways.by_truths(table_of(table), [one["variant"] for one in table])
    assert [v.id for v in networks] == [small.id, others[0].id]
    tiny = replace(schedule_of(2, TINY), batch=2, crop=(32, 32))
    monkeypatch.setitem(ways.WAYS, "half_batch", tiny)
    for _ in range(2):
        ways.fill("half_batch", networks[:1], [2], tmp_path)
    path = tmp_path / "half_batch.csv"
    assert [key[1:] for key in trainings(path)] == [(small.id, 2, 2)]
    assert len(read_table(path)) == 1
