"""Functional ANOVA: what is known of made-up functions, and what Optuna says of the same."""

from __future__ import annotations

import itertools

import numpy as np
import optuna
import pytest
from made_up import network

from hrnet_search.report.page.interactions import FEWEST, Anova, anova, canonical_of

LEVELS = (("a", "b", "c", "d"), ("x", "y", "z"), ("0", "1"))
PATHS = ("first", "second", "third")
GRID = np.array(list(itertools.product(range(4), range(3), range(2))) * 4)


def found(y: np.ndarray) -> Anova:
    result = anova(GRID.tolist(), y.tolist(), PATHS, LEVELS)
    assert result is not None
    return result


def test_what_adds_up_has_parts_and_no_interaction() -> None:
    y = GRID[:, 0] + 2.0 * GRID[:, 1]
    result = found(y)
    shares = {part.path: part.share for part in result.parts}
    variances = {"first": 1.25, "second": 4 * 2 / 3, "third": 0.0}
    for path, variance in variances.items():
        assert shares[path] == pytest.approx(variance / (1.25 + 8 / 3), abs=0.05)
    assert result.pairs == ()
    assert result.r2 > 0.95


def test_what_acts_only_together_is_a_pair_and_no_part() -> None:
    y = ((GRID[:, 1] == 1) == (GRID[:, 2] == 1)).astype(float) + 0.01 * GRID[:, 0]
    result = found(y)
    first = result.pairs[0]
    assert first.paths == ("second", "third")
    assert first.share > 0.7
    assert np.array(first.table) == pytest.approx(
        np.array([[1.015, 0.015], [0.015, 1.015], [1.015, 0.015]]), abs=0.1
    )


def test_parts_are_those_that_optuna_finds() -> None:
    """Of the same forest over the same space: by another implementation."""
    rng = np.random.default_rng(3)
    y = np.sin(GRID[:, 0]) + 0.6 * (GRID[:, 1] == 2) + 0.5 * GRID[:, 0] * GRID[:, 2]
    y = y + rng.normal(0, 0.05, len(y))
    study = optuna.create_study(direction="maximize")
    kinds: dict[str, optuna.distributions.BaseDistribution] = {
        p: optuna.distributions.IntDistribution(0, len(v) - 1)
        for p, v in zip(PATHS, LEVELS, strict=True)
    }
    for point, value in zip(GRID.tolist(), y.tolist(), strict=True):
        params = dict(zip(PATHS, point, strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=kinds, value=value))
    theirs = optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)
    for part in found(y).parts:
        assert part.share == pytest.approx(theirs[part.path], abs=0.08)


def test_a_choice_gets_no_credit_where_no_network_reads_it() -> None:
    """Modules of a fourth branch's blocks: read by networks with four branches alone."""
    paths = ("STAGE4.NUM_BRANCHES", "STAGE4.NUM_BLOCKS[3]")
    levels = ((3, 4), (1, 2, 3, 4))
    canonical = canonical_of(network(8), paths, levels)
    assert canonical is not None
    grid = np.array(list(itertools.product(range(2), range(4))))
    assert canonical(grid)[:4].tolist() == [[0, 0]] * 4
    points = np.concatenate([canonical(grid)] * 8)
    y = np.where(points[:, 0] == 1, points[:, 1] / 10, 0.0)
    names = tuple(tuple(map(str, own)) for own in levels)
    result = anova(points.tolist(), y.tolist(), paths, names, canonical)
    assert result is not None
    first = result.pairs[0]
    assert np.ptp(np.array(first.table)[0]) == 0  # without a fourth branch nothing changes
    assert np.ptp(np.array(first.table)[1]) > 0.2


def test_few_variants_or_all_alike_say_nothing() -> None:
    few = GRID[: FEWEST - 1]
    assert anova(few.tolist(), few[:, 0].tolist(), PATHS, LEVELS) is None
    assert anova(GRID.tolist(), [0.5] * len(GRID), PATHS, LEVELS) is None
    assert anova([(0,)] * 30, [float(n) for n in range(30)], PATHS, LEVELS) is None


def test_pairs_of_more_levels_than_can_be_looked_at_are_left_out() -> None:
    levels = [[str(n) for n in range(60)], [str(n) for n in range(60)], ["0", "1"]]
    points = np.random.default_rng(0).integers(0, (60, 60, 2), (80, 3))
    y = points[:, 0] * points[:, 1] * (1.0 + points[:, 2])
    result = anova(points.tolist(), y.tolist(), PATHS, levels)
    assert result is not None
    assert {part.path for part in result.parts} == set(PATHS)
    assert result.pairs
    assert ("first", "second") not in {pair.paths for pair in result.pairs}
