"""The list of variants is what its columns say, and a table goes on where it was left."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables import fill
from benchmarks.tables.variants import BINS, CLASSES, PER_BIN, SIZE, WITHIN, read_variants
from hrnet_search.arch.cost import cost
from hrnet_search.records.data_spec import DataSpec

VARIANTS = read_variants()
TINY = DataSpec("shapes", CLASSES, size=(32, 32), train_images=8, val_images=4)


def test_bins_hold_as_many_variants_of_nearly_equal_macs() -> None:
    assert Counter(v.bin for v in VARIANTS) == dict.fromkeys(range(len(BINS)), PER_BIN)
    assert len({v.id for v in VARIANTS}) == len(VARIANTS) >= 100
    for variant in VARIANTS:
        found = cost(variant.architecture, SIZE, CLASSES)
        assert (found.params, found.macs) == (variant.params, variant.macs)
        assert abs(found.macs / BINS[variant.bin] - 1) <= WITHIN


def test_within_a_bin_parameters_tell_little_of_macs() -> None:
    for number in range(len(BINS)):
        costs = np.array([(v.params, v.macs) for v in VARIANTS if v.bin == number])
        assert costs[:, 0].max() > 3.5 * costs[:, 0].min()
        assert abs(np.corrcoef(np.log(costs.T))[0, 1]) < 0.5


def test_every_training_is_listed_once_and_the_pilot_first() -> None:
    jobs = list(fill.jobs(VARIANTS))
    keys = [job.key("1") for job in jobs]
    assert len(set(keys)) == len(keys) == len(VARIANTS) * (2 + 4 * 2)
    pilot = len(fill.PILOT_BINS) * fill.PILOT_PLACES
    first = jobs[: 2 * pilot]
    assert {(job.steps, job.seed) for job in first} == {(150, 2), (150, 3)}
    assert {(job.steps, job.seed) for job in jobs[2 * pilot : 3 * pilot]} == {(fill.TRUTH, 0)}
    assert len({job.variant.id for job in jobs[: 4 * pilot]}) == pilot
    whole = jobs[4 * pilot : 4 * pilot + 5]
    assert len({job.variant.id for job in whole}) == 1
    assert whole[0].variant.bin not in fill.PILOT_BINS
    assert (whole[-1].steps, whole[-1].seed) == (fill.TRUTH, fill.TRUTH_SEEDS[0])


def test_a_training_gives_a_row_for_each_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "TRUTH", 2)
    monkeypatch.setattr(fill, "RUNGS", (1,))
    small = min(VARIANTS, key=lambda v: v.macs)
    rows = fill.trained(fill.Job(small, 2, 0), TINY)
    assert [row["step"] for row in rows] == ["1", "2"]
    assert all(list(row) == list(fill.COLUMNS) and all(row.values()) for row in rows)
    losses = [float(row["training_loss"]) for row in rows]
    assert losses[0] == pytest.approx(np.log(CLASSES), abs=0.3)


def test_what_a_stop_left_half_written_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("a+b") as file:
        fill.repair(file.fileno(), path)
        whole = dict.fromkeys(fill.COLUMNS, "1") | {"steps": "9", "step": "9"}
        rung = whole | {"step": "3"}
        fill.append(file.fileno(), [rung, whole])
        good = path.read_bytes()
        fill.repair(file.fileno(), path)
        assert path.read_bytes() == good
        lines = good.splitlines(keepends=True)
        for rest in (b"", b"1,2", lines[1], lines[2][:-1], lines[1] + lines[2][:-1]):
            os.write(file.fileno(), rest)
            fill.repair(file.fileno(), path)
            assert path.read_bytes() == good
    assert fill.read_table(path) == [rung, whole]
