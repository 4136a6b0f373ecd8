"""What is printed of a table, from made-up rows of which is known what they say."""

from __future__ import annotations

import numpy as np
import pytest
from table_rows import TRUE, row

from benchmarks.tables.fill import RUNGS, TRUTH, Row
from benchmarks.tables.judge import about_truth, candidates, judged, table_of


def made_up(seeds: tuple[int, ...] = (0, 1)) -> list[Row]:
    """Return long trainings that say the truth, rungs that say its contrary, and 150 steps."""
    rows = []
    for network, true in enumerate(TRUE):
        for seed in seeds:
            rows += [row(network, TRUTH, seed, step, -true) for step in RUNGS]
            rows.append(row(network, TRUTH, seed, TRUTH, true + (0.01 if seed else -0.01)))
        rows += [row(network, 150, seed, 150, true) for seed in (2, 3)]
    return rows


def line(rows: list[Row], schedule: str, signal: str) -> list[str]:
    """Return the cells of one candidate, none if there are too few networks."""
    table = table_of(rows)
    (found,) = (c for c in candidates(table) if (c.name, c.signal) == (schedule, signal))
    return judged(found, table)


@pytest.mark.parametrize("signal", ["miou", "cross_entropy", "training_loss"])
def test_a_signal_that_says_the_truth_ranks_as_the_truth(signal: str) -> None:
    cells = line(made_up(), "150", signal)
    assert cells[2:4] == ["24", "15"]
    assert cells[6].startswith("1.00 [1.00")
    assert cells[-2:] == ["1.00", "0.00"]


def test_two_seeds_cost_twice() -> None:
    assert line(made_up(), "2 x 150", "miou")[3] == "30"


def test_rungs_are_judged_and_a_loss_that_is_less_is_better() -> None:
    assert line(made_up(), f"75 of {TRUTH}", "soft_iou")[6].startswith("-1.00")


def test_a_long_training_is_held_against_the_other_only() -> None:
    rows = [r for r in made_up() if r["steps"] == str(TRUTH)]
    for changed in rows:
        if changed["seed"] == "1" and changed["step"] == changed["steps"]:
            changed["miou"] = str(1 - float(changed["miou"]))
    found = {(c.name, c.signal): c for c in candidates(table_of(rows))}
    another = found["another 2,400", "miou"]
    assert np.allclose(another.scores[0], TRUE - 0.01)
    assert np.allclose(another.truths[0], 1 - TRUE - 0.01)
    assert np.allclose(another.scores[1], another.truths[0])


def test_what_is_said_of_the_truth() -> None:
    lines = list(about_truth(table_of(made_up())))
    assert lines[0] == "2400 steps: 24 networks, 24 of them by two seeds"
    assert lines[1].startswith("deviation of a seed 0.0141; spread of mIoU 0.0")
    pairs = [(a, b) for a in range(24) for b in range(a) if a // 8 == b // 8]
    right = np.mean([TRUE[a] > TRUE[b] for a, b in pairs])  # parameters rise with the number
    assert f"put {right:.0%} of pairs" in lines[2]
    assert lines[2].endswith(f"a tau of {2 * right - 1:.2f}")
    assert [text.split(":")[0] for text in lines[3:]] == [
        f"bin {b} ({b + 1} M MACs)" for b in range(3)
    ]


def test_a_part_of_a_table_is_judged_by_what_it_has() -> None:
    one_seed = made_up(seeds=(0,))
    lines = list(about_truth(table_of(one_seed)))
    assert lines[0] == "2400 steps: 24 networks, 0 of them by two seeds"
    assert [text.split(" ")[0] for text in lines[1:]] == ["bin"] * 3
    assert line(one_seed, "150", "miou")[2] == "24"
    assert not line(one_seed, "another 2,400", "miou")
    some = [r for r in made_up() if r["steps"] != "150" or int(r["params"]) < 1010]
    assert line(some, "150", "miou")[2] == "10"
    # Long trainings alone: what is free is all there is to judge, beside them.
    assert line([r for r in made_up() if r["steps"] == str(TRUTH)], "free", "log MACs")[2] == "24"
