"""Designs are those of the textbooks, mixed levels included."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from math import prod

import pytest

from hrnet_search.ablation.design import ARM, INTERACTION, MAIN, NAMES, Design, design
from hrnet_search.ablation.fraction import FULL, aliases, fraction
from hrnet_search.space.ablate_keys import DESIGNS

MIXED = [(2, 2), (2, 3), (2, 2, 2), (2, 3, 2), (3, 3, 4), (2, 2, 3, 3), (2,) * 5, (2, 3, 4, 2, 3)]


def test_the_space_file_knows_every_design() -> None:
    assert set(DESIGNS) == set(NAMES)


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_one_factor_changes_one_factor_to_each_other_level(shape: tuple[int, ...]) -> None:
    found = design("one-factor", shape)
    assert len(found.runs) == 1 + sum(levels - 1 for levels in shape)
    assert found.runs[0] == (0,) * len(shape)
    assert all(sum(map(bool, run)) == 1 for run in found.runs[1:])
    assert len(set(found.runs)) == len(found.runs)
    assert [c.weights for c in found.contrasts] == [
        ((0, -1.0), (i, 1.0)) for i in range(1, len(found.runs))
    ]


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_leave_one_out_takes_one_factor_back_at_a_time(shape: tuple[int, ...]) -> None:
    found = design("leave-one-out", shape)
    last = tuple(levels - 1 for levels in shape)
    assert len(found.runs) == len(shape) + 1
    assert found.runs[0] == last
    for factor, run in enumerate(found.runs[1:]):
        assert run == tuple(0 if f == factor else level for f, level in enumerate(last))
    assert {c.kind for c in found.contrasts} == {ARM}


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_a_factorial_has_every_combination_and_effect(shape: tuple[int, ...]) -> None:
    found = design("factorial", shape)
    assert sorted(found.runs) == sorted(product(*map(range, shape)))
    assert found.resolution == FULL
    kinds = Counter(c.kind for c in found.contrasts)
    assert kinds[MAIN] == sum(levels - 1 for levels in shape)
    assert kinds[INTERACTION] == sum((a - 1) * (b - 1) for a, b in combinations(shape, 2))
    assert not aliases(found.runs, shape)


def test_the_effects_of_two_by_two_are_those_of_the_textbook() -> None:
    """Montgomery, chapter 6: A = [ab + a - b - (1)] / 2, AB = ab + (1) - a - b (not halved)."""
    found = design("factorial", (2, 2))
    assert found.runs == ((0, 0), (0, 1), (1, 0), (1, 1))
    weights = {c.changed: [dict(c.weights)[i] for i in range(4)] for c in found.contrasts}
    assert weights[((0, 1),)] == [-0.5, -0.5, 0.5, 0.5]
    assert weights[((1, 1),)] == [-0.5, 0.5, -0.5, 0.5]
    assert weights[((0, 1), (1, 1))] == [1, -1, -1, 1]


def check_effects(found: Design, hidden: bool) -> None:
    """What every contrast says of results that follow known effects."""
    mains = {(f, level): 10.0**-f * level for f, n in enumerate(found.shape) for level in range(n)}
    values = [sum(mains[f, level] for f, level in enumerate(run)) for run in found.runs]
    for contrast in found.contrasts:
        seen = sum(weight * values[run] for run, weight in contrast.weights)
        expected = mains[contrast.changed[0]] if contrast.kind == MAIN else 0.0
        if contrast.kind == MAIN or not hidden:
            assert seen == pytest.approx(expected, abs=1e-12)
        assert sum(weight for _, weight in contrast.weights) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", MIXED, ids=str)
def test_effects_of_a_factorial_are_found_exactly(shape: tuple[int, ...]) -> None:
    check_effects(design("factorial", shape), hidden=False)


# Box, Hunter & Hunter, table 6.22; Montgomery, table 8.14 and chapter 9 for three levels.
TEXTBOOK = [
    ((2, 2, 2), 3, 4, 3),
    ((2,) * 4, 4, 8, 4),
    ((2,) * 5, 5, 16, 5),
    ((2,) * 5, 4, 16, 5),
    ((2,) * 5, 3, 8, 3),
    ((2,) * 6, 4, 16, 4),
    ((2,) * 6, 3, 8, 3),
    ((2,) * 7, 4, 16, 4),
    ((2,) * 7, 3, 8, 3),
    ((2,) * 8, 4, 16, 4),
    ((2,) * 8, 5, 64, 5),
    ((2,) * 10, 5, 128, 5),  # in a minute by trying all of it
    ((3,) * 3, 3, 9, 3),
    ((3,) * 4, 3, 9, 3),
    ((3,) * 4, 4, 27, 4),
    ((3,) * 5, 3, 27, 3),
]


@pytest.mark.parametrize(("shape", "asked", "runs", "resolution"), TEXTBOOK, ids=str)
def test_fractions_are_as_small_as_the_textbook_has_them(
    shape: tuple[int, ...], asked: int, runs: int, resolution: int
) -> None:
    found = fraction(shape, asked)
    assert (len(found.runs), found.resolution) == (runs, resolution)


@pytest.mark.parametrize(
    ("shape", "asked", "runs"),
    [
        ((2, 2, 2, 3), 3, 4 * 3),
        ((2, 2, 2, 3, 3), 3, 4 * 9),
        ((2, 2, 3, 3, 3), 3, 4 * 9),
        ((2, 2, 2, 2, 4), 4, 8 * 4),
        ((3, 2, 3, 2, 3, 2), 3, 4 * 9),
        ((4, 4, 4), 3, 64),
        ((2, 3), 4, 6),
    ],
    ids=str,
)
def test_fractions_of_mixed_levels_cross_their_groups(
    shape: tuple[int, ...], asked: int, runs: int
) -> None:
    found = design("fractional", shape, asked)
    assert len(found.runs) == runs <= prod(shape)
    assert found.resolution in (FULL, *range(asked, 9))
    assert (found.resolution == FULL) == (runs == prod(shape))
    check_effects(found, hidden=True)
    # Effects of factors with different level counts are never aliased.
    for pair in found.aliases:
        assert len({shape[f] for effect in pair for f in effect}) == 1


@pytest.mark.parametrize(("shape", "asked"), [(t[0], t[1]) for t in TEXTBOOK], ids=str)
def test_the_resolution_is_what_it_says(shape: tuple[int, ...], asked: int) -> None:
    """Strength: any R - 1 factors see all their combinations equally often, some R do not."""
    found = fraction(shape, asked)
    assert found.runs[0] == (0,) * len(shape)

    def balanced(size: int) -> bool:
        for factors in combinations(range(len(shape)), size):
            seen = Counter(tuple(run[f] for f in factors) for run in found.runs)
            if len(seen) != prod(shape[f] for f in factors) or len(set(seen.values())) != 1:
                return False
        return True

    assert balanced(found.resolution - 1)
    assert not balanced(found.resolution)


def names(found: Design) -> set[str]:
    letters = "ABCDEFG"
    return {"=".join("".join(letters[f] for f in e) for e in pair) for pair in found.aliases}


def test_aliases_of_the_half_fraction_are_those_of_the_textbook() -> None:
    assert names(design("fractional", (2, 2, 2), 3)) == {"A=BC", "B=AC", "C=AB"}
    assert names(design("fractional", (2,) * 4, 4)) == {"AB=CD", "AC=BD", "AD=BC"}
    assert names(design("fractional", (2,) * 5, 5)) == set()


def test_aliases_of_a_quarter_fraction_are_those_of_its_words() -> None:
    """2^(5-2) with D = ABC... of resolution III: each word hides main effects in interactions."""
    found = design("fractional", (2,) * 5, 3)
    words = [
        w
        for size in range(2, 6)
        for w in combinations(range(5), size)
        if len({sum(run[f] for f in w) % 2 for run in found.runs}) == 1
    ]
    assert sorted(map(len, words)) == [3, 3, 4]
    expected = set()
    effects = [e for size in (1, 2) for e in combinations(range(5), size)]
    for a, b in combinations(effects, 2):
        if tuple(sorted(set(a) ^ set(b))) in words:
            expected.add((a, b))
    assert set(found.aliases) == expected
