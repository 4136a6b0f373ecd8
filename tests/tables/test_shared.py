"""Slices are judged on networks that the shared weights were never taught, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from benchmarks.shared import COLUMNS, ROWS, InPlace, Sandwich, by_slices, pool
from benchmarks.tables.fill import read_table, schedule_of
from benchmarks.tables.judge import table_of
from benchmarks.tables.variants import BINS, CLASSES, WITHIN, read_variants
from hrnet_search.evaluate.training.shared import SharedTrainer, Strata
from hrnet_search.evaluate.training.steps import TrainingData
from hrnet_search.net.shared import SharedNetwork


def test_what_is_taught_is_as_large_as_the_table_and_none_of_it() -> None:
    networks, macs = pool()
    known = {variant.id for variant in read_variants()}
    assert len({network.id for network in networks} - known) == len(networks) == 512
    assert BINS[0] * (1 - WITHIN) <= min(macs) < 0.5 * max(macs)
    assert max(macs) <= BINS[-1] * (1 + WITHIN)


def test_rows_stand_at_their_networks_and_missing_ones_are_not_known() -> None:
    rows = read_table()
    variants = list({row["variant"]: None for row in rows})
    one = {"shared_steps": "9", "shared_seed": "4", "shared_cpu_s": "7", "tuned_steps": "0"}
    one |= {"variant": variants[1], "miou": "0.5", "soft_iou": "0.4", "cpu_s": "2"}
    one |= {"cross_entropy": "1", "balanced_cross_entropy": "3", "refined": ""}
    found = {way.signal: way for way in by_slices(table_of(rows), variants, [one])}
    for signal, value in (("miou", 0.5), ("soft_iou", 0.4), ("cross_entropy", -1.0)):
        scores = found[signal].scores[0]
        assert scores[1] == value
        assert np.isnan(np.delete(scores, 1)).all()
    assert found["miou"].seconds == 2


def test_the_committed_rows_are_of_the_table() -> None:
    rows = read_table(ROWS)
    assert set(rows[0]) == set(COLUMNS)
    assert {row["variant"] for row in rows} <= {variant.id for variant in read_variants()}
    names = ("variant", "shared_steps", "shared_seed", "refined", "tuned_steps")
    assert len({tuple(row[name] for name in names) for row in rows}) == len(rows)


def test_a_sandwich_has_the_cheapest_and_the_most_expensive_of_all() -> None:
    networks, macs = pool()
    plain, sandwich = (draws(networks, macs, 4, 4) for draws in (Strata, Sandwich))
    for step in range(5):
        smallest, *between, largest = sandwich.draw(step)
        assert macs[networks.index(smallest)] == min(macs)
        assert macs[networks.index(largest)] == max(macs)
        assert between == plain.draw(step)[1:-1]


def test_in_place_the_others_learn_of_the_largest_and_it_of_the_labels_alone() -> None:
    networks, macs = pool()
    small = sorted(zip(macs, networks, strict=True), key=lambda pair: pair[0])[:8]
    known = [network for _, network in small]
    torch.manual_seed(0)
    images, labels = torch.randn(2, 3, 64, 64), torch.randint(0, CLASSES, (2, 64, 64))
    made_up = TrainingData(lambda *_: (images, labels), lambda: iter(()), 1)
    schedule = replace(schedule_of(2), batch=2)
    trainers = []
    for teaches in (SharedTrainer, InPlace):
        torch.manual_seed(0)
        shared = SharedNetwork.of(known, CLASSES)
        strata = Sandwich(known, [m for m, _ in small], 4, 4)
        trainers.append(teaches(shared, strata, known[0], made_up, schedule))
        trainers[-1].advance()
    plain, taught = (trainer.strata_losses for trainer in trainers)
    assert taught[-1] == plain[-1]
    assert all(one != other for one, other in zip(taught[:-1], plain[:-1], strict=True))
    assert trainers[1].data.distillation is None
