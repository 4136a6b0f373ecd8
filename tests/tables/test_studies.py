"""Studies drawn from a made-up table of which is known what is true."""

from __future__ import annotations

import numpy as np
import pytest
from table_rows import NETWORKS, TRUE
from table_rows import row as table_row

from benchmarks.tables.fill import SHORT_SEEDS, TRUTH, Row
from benchmarks.tables.judge import table_of
from benchmarks.tables.studies import WAYS, known, row, study

HALF = NETWORKS // 2


def rows(short: int = 1) -> list[Row]:
    """Return short trainings that say the truth (or its contrary), and two truths for one half."""
    found = []
    for network, true in enumerate(TRUE):
        for steps in (150, 300):
            for seed in SHORT_SEEDS:
                found.append(table_row(network, steps, seed, steps, short * true))
        for seed in (0, 1) if network < HALF else (0,):
            found.append(table_row(network, TRUTH, seed, TRUTH, true))
    return found


@pytest.mark.parametrize("way", WAYS[:2])
def test_scores_that_are_the_truth_rank_and_pick_as_it_does(way: tuple[int, str, int]) -> None:
    cells = list(row([study(table_of(rows()), *way, 12, number) for number in range(4)]))
    assert cells[0] == "12"
    assert cells[1].endswith(", 1.00")
    assert cells[2] == "100%"
    assert cells[3].startswith("1.00")
    assert cells[-1].endswith(", 0.00")


def test_scores_that_say_the_contrary_pick_the_worst() -> None:
    one = study(table_of(rows(-1)), 150, "miou", 0, NETWORKS, 0)
    assert one.partial() == pytest.approx(-1)
    assert one.truth[one.scores.argmax()] == TRUE.min()


def test_no_network_is_judged_by_a_training_that_the_study_had() -> None:
    """Those trained for long have the other truth, or none."""
    table = table_of(rows())
    table.values[TRUTH, 1, TRUTH, "miou"][:HALF] = 2.0
    alone = study(table, 150, "soft_iou", 0, NETWORKS, 0)
    assert np.allclose(alone.truth, np.r_[(TRUE[:HALF] + 2) / 2, TRUE[HALF:]])
    told = study(table, 150, "soft_iou", 12, NETWORKS, 0)
    assert HALF <= len(told.truth) < NETWORKS
    trained = (told.truth == 2.0).sum()
    assert trained == 12 - (NETWORKS - len(told.truth)) > 0


def test_what_has_no_truth_is_in_no_study() -> None:
    some = [r for r in rows() if (r["variant"], r["steps"]) != (f"hr-{5:012x}", str(TRUTH))]
    assert 5 not in known(table_of(some))
    assert len(known(table_of(some))) == NETWORKS - 1
