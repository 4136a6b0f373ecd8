"""The statistics against the textbook, by hand, and on results whose effects are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchmarks.ablation_simulation import NOISES, Held, simulate
from hrnet_search.ablation.design import ARM, MAIN, design
from hrnet_search.ablation.statistics import (
    BETTER,
    EQUIVALENT,
    UNDECIDED,
    WORSE,
    apply,
    compare,
    equivalence,
    flips,
    holm,
    least_p,
    max_t,
    moments,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def slow_p(differences: np.ndarray, alpha: float = 0.05) -> list[float]:
    """Westfall & Young's free step-down, flip by flip as their book tells it."""
    m, n = differences.shape
    means = [abs(np.nanmean(row)) for row in differences]
    order = sorted(range(m), key=lambda i: -means[i])
    found = [0.0] * m
    before = 0.0
    for rank, i in enumerate(order):
        count = 0
        for signs in product((1, -1), repeat=n):
            largest = max(abs(np.nanmean(differences[j] * signs)) for j in order[rank:])
            count += largest >= means[i] - 1e-12
        before = max(before, count / 2**n)
        found[i] = before
    return found


def test_flips_are_all_of_them_or_a_draw() -> None:
    six = flips(6)
    assert len({tuple(row) for row in six.tolist()}) == 32
    assert (six[0] == 1).all()
    assert (six[:, 0] == 1).all()
    many = flips(20)
    assert many.shape == (10_000, 20)
    assert (many[0] == 1).all()
    assert np.array_equal(many, flips(20))
    assert np.array_equal(many, flips(20, seed=0))
    assert set(np.unique(many)) == {-1.0, 1.0}
    assert np.abs(many.mean(axis=0)).max() < 0.05
    assert flips(1).tolist() == [[1.0]]
    assert flips(0).shape == (1, 0)


def test_the_smallest_p_is_that_of_the_number_of_seeds() -> None:
    assert [least_p(n) for n in (3, 4, 5, 6)] == [0.25, 0.125, 0.0625, 0.03125]
    assert least_p(14) == 2**-13, "as many as are tried one by one"
    assert (least_p(15), least_p(30)) == (1e-4, 1e-4)


@pytest.mark.parametrize("m", [1, 2, 5])
def test_p_values_are_those_counted_flip_by_flip(m: int, rng: np.random.Generator) -> None:
    for _ in range(5):
        differences = rng.normal(size=(m, 6)) + rng.normal(size=(m, 1))
        own, family = max_t(differences, flips(6))
        assert family.tolist() == pytest.approx(slow_p(differences))
        alone = [slow_p(row[None])[0] for row in differences]
        assert own.tolist() == pytest.approx(alone)
        assert (family >= own - 1e-12).all()


def test_families_with_missing_seeds_are_counted_flip_by_flip(rng: np.random.Generator) -> None:
    for _ in range(10):
        differences = rng.normal(size=(4, 6)) + rng.normal(size=(4, 1))
        differences[0, 1:] = np.nan
        differences[1, :2] = np.nan
        differences[2, 5] = np.nan
        own, family = max_t(differences, flips(6))
        assert family.tolist() == pytest.approx(slow_p(differences))
        assert own[0] == 1.0


@pytest.mark.parametrize("scale", [1e-7, 1e7])
def test_p_values_do_not_depend_on_the_unit(scale: float, rng: np.random.Generator) -> None:
    differences = rng.normal(size=(4, 6)) + rng.normal(size=(4, 1))
    for one, other in zip(
        max_t(differences, flips(6)), max_t(scale * differences, flips(6)), strict=True
    ):
        assert one.tolist() == other.tolist()


def test_what_is_less_than_the_rounding_of_the_largest_differs_by_nothing() -> None:
    differences = np.ones((2, 6)) * [[1.0], [1e-12]]
    own, family = max_t(differences, flips(6))
    assert own.tolist() == family.tolist() == [0.03125, 1.0]


def test_many_ablations_at_once_are_judged_as_each_alone(rng: np.random.Generator) -> None:
    stacked = rng.normal(size=(4, 3, 6))
    stacked[1] *= 1e12
    stacked[2] += 5
    stacked[2, 1] *= 1e-12
    own, family = max_t(stacked, flips(6))
    for i, one in enumerate(stacked):
        single = max_t(one, flips(6))
        assert np.array_equal(own[i], single[0])
        assert np.array_equal(family[i], single[1])


def test_three_seeds_never_reach_five_percent_and_six_do(rng: np.random.Generator) -> None:
    huge = np.ones((1, 6)) + 0.01 * rng.normal(size=(1, 6))
    assert max_t(huge[:, :3], flips(3))[1][0] == 0.25
    assert max_t(huge, flips(6))[1][0] == 0.03125
    # In a family of ten only because the flips are joint: Holm would give .31.
    family = np.concatenate([10 * huge, rng.normal(size=(9, 6))])
    assert max_t(family, flips(6))[1][0] == 0.03125


def test_rounding_does_not_break_ties() -> None:
    differences = np.array([[0.1, 0.2, 0.3, 0.1, 0.2, 0.3], [0.3, 0.2, 0.1, 0.3, 0.2, 0.1]])
    assert max_t(differences, flips(6))[1].tolist() == [0.03125, 0.03125]
    assert max_t(np.zeros((2, 6)), flips(6))[1].tolist() == [1.0, 1.0]


def test_a_missing_seed_coarsens_the_p_value_of_its_row() -> None:
    differences = np.ones((2, 6)) * [[1.0], [1.1]]
    differences[0, 5] = np.nan
    own, family = max_t(differences, flips(6))
    assert own.tolist() == [0.0625, 0.03125]
    assert family.tolist() == pytest.approx(slow_p(differences))


def test_a_row_that_no_result_could_decide_hides_no_other(rng: np.random.Generator) -> None:
    """One seed is as large under every flip: it would make every smaller difference 1."""
    differences = 0.02 + 0.002 * rng.normal(size=(3, 6))
    alone = compare(differences[:2], margin=0.001)
    differences[2, 1:] = np.nan
    differences[2, 0] = 0.9
    together = compare(differences, margin=0.001)
    assert together[:2] == alone
    assert [found.verdict for found in together] == [BETTER, BETTER, UNDECIDED]
    assert (together[2].p_family, together[2].p_equivalent) == (1.0, 1.0)
    # Of five seeds p is .0625 at least: of the family at alpha .1, not at .05.
    differences[2] = 0.9
    differences[2, 5] = np.nan
    assert compare(differences)[2].p_family == 1.0
    assert compare(differences)[0].verdict == BETTER
    assert compare(differences, alpha=0.1)[2].p_family == 0.0625


def test_the_error_of_a_family_holds_where_an_arm_failed_at_most_seeds(
    rng: np.random.Generator,
) -> None:
    """Under no difference at all: any verdict in at most 5% of 1,000 ablations, within noise."""
    noise = rng.normal(size=(1000, 5, 6)) + rng.normal(size=(1000, 1, 6))
    noise[:, 4, 2:] = np.nan
    wrong = [any(f.verdict != UNDECIDED for f in compare(one)) for one in noise]
    assert 0.01 < np.mean(wrong) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5


def test_moments_are_those_of_the_seeds_that_are_there() -> None:
    n, mean, sd = moments(np.array([[1.0, 2.0, np.nan], [5.0, np.nan, np.nan], [np.nan] * 3]))
    assert n.tolist() == [2, 1, 0]
    assert mean[:2].tolist() == [1.5, 5.0]
    assert np.isnan(mean[2])
    assert sd[0] == pytest.approx(np.std([1, 2], ddof=1))
    assert np.isinf(sd[1:]).all()


def test_moments_of_many_families_are_those_of_each(rng: np.random.Generator) -> None:
    stacked = rng.normal(size=(4, 3, 6))
    stacked[0, 0, 2] = np.nan
    for found, each in zip(moments(stacked), zip(*map(moments, stacked), strict=True), strict=True):
        assert np.array_equal(found, np.stack(each))


def test_a_comparison_holds_what_was_computed_of_its_row(rng: np.random.Generator) -> None:
    rows = 0.1 * rng.normal(size=(3, 7))
    own, family = max_t(rows, flips(7))
    equal = holm(equivalence(*moments(rows), 0.3))
    for i, found in enumerate(compare(rows, margin=0.3)):
        assert found.n == 7
        assert found.mean == pytest.approx(rows[i].mean())
        assert found.sd == pytest.approx(rows[i].std(ddof=1))
        assert (found.p, found.p_family, found.p_equivalent) == (own[i], family[i], equal[i])
    assert compare(rows, margin=0.3) == compare(rows, 0.05, 0.3)
    assert compare(rows)[0].p_equivalent is None


def test_intervals_are_the_paired_t_of_scipy(rng: np.random.Generator) -> None:
    for n in (2, 6, 9):
        row = rng.normal(size=n)
        found = compare(row[None], alpha=0.05)[0]
        known = stats.ttest_1samp(row, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((known.low, known.high))


def test_equivalence_is_two_one_sided_t_tests(rng: np.random.Generator) -> None:
    row = rng.normal(size=(1, 8)) * 0.1 + 0.02
    margin = 0.25
    low = stats.ttest_1samp(row[0], -margin, alternative="greater").pvalue
    high = stats.ttest_1samp(row[0], margin, alternative="less").pvalue
    assert equivalence(*moments(row), margin)[0] == pytest.approx(max(low, high))
    two = np.array([[np.nan, np.nan, 0.3], [0.02, 0.01, np.nan]])
    alone = equivalence(*moments(two[1:]), margin)[0]
    assert equivalence(*moments(two), margin).tolist() == [1.0, alone]
    assert alone < 0.05
    exact = np.zeros((1, 6))
    assert equivalence(*moments(exact), margin)[0] == 0.0
    assert equivalence(*moments(exact + margin), margin)[0] == 1.0


def test_holm_is_the_one_of_the_book() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.6, 0.7])).tolist() == [1.0, 1.0]
    judged = np.array([True, False, True])
    assert holm(np.array([0.01, 0.001, 0.03]), judged).tolist() == pytest.approx([0.02, 1.0, 0.03])


def test_verdicts_say_what_is_known() -> None:
    noise = 0.01 * np.array([1, -1, 2, -2, 1, -1])
    differences = np.stack([noise - 1, noise + 1, noise, 50 * noise])
    found = compare(differences, alpha=0.05, margin=0.1)
    assert [c.verdict for c in found] == [WORSE, BETTER, EQUIVALENT, UNDECIDED]
    assert [c.verdict for c in compare(differences, 0.05)][2] == UNDECIDED
    assert compare(differences[:1], alpha=0.03125)[0].verdict == WORSE, "p is just alpha"
    (equal,) = compare(differences[2:3], margin=0.02)
    assert equal.p_equivalent is not None
    at_its_p = compare(differences[2:3], alpha=equal.p_equivalent, margin=0.02)
    assert at_its_p[0].verdict == EQUIVALENT
    assert compare(np.array([[0.010, 0.012]]), margin=1.0)[0].verdict == EQUIVALENT, "two seeds"
    assert compare(np.full((1, 6), np.nan))[0].verdict == UNDECIDED
    assert compare(np.array([[1.0, *[np.nan] * 5]]))[0].verdict == UNDECIDED


def test_a_family_in_which_nothing_differs_is_undecided_one_such_row_is_not() -> None:
    rows = np.zeros((2, 6))
    rows[0] += 1e-17  # a sum of equal figures, rounded
    rows[1, 2] = np.nan
    for found in compare(rows, 0.05, margin=0.1):
        assert (found.verdict, found.p_family, found.p_equivalent) == (UNDECIDED, 1.0, None)
        assert (found.low, found.high) == (-np.inf, np.inf)
    rows[1] = 0.01 * np.array([1, -1, 2, -2, 1, -1])
    assert [c.verdict for c in compare(rows, 0.05, margin=0.1)] == [EQUIVALENT, EQUIVALENT]


@pytest.mark.parametrize("by", [0.0, 0.05, -0.05, 0.2])
def test_a_difference_without_variance_has_no_noise_to_be_judged_with(by: float) -> None:
    found = compare(np.array([[0.5 + by] * 6]) - 0.5, 0.05, margin=0.1)[0]
    assert (found.verdict, found.p_equivalent) == (UNDECIDED, None)
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_a_row_without_noise_counts_in_its_family_and_has_shown_nothing() -> None:
    noise = 0.01 * np.array([1, -1, 2, -2, 1, -1])
    rows = np.stack([np.full(6, 0.01), noise])
    alone, found = compare(rows[1:], margin=0.02)[0], compare(rows, margin=0.02)[1]
    assert alone.p_equivalent is not None
    assert found.p_equivalent == pytest.approx(2 * alone.p_equivalent)


def test_a_difference_smaller_than_the_margin_is_equivalent_even_if_it_is_sure() -> None:
    row = np.array([[0.0100, 0.0101, 0.0099, 0.0100, 0.0101, 0.0099]])
    found = compare(row, 0.05, margin=0.05)[0]
    assert (found.p_family, found.verdict) == (0.03125, EQUIVALENT)


def test_a_contrast_needs_all_its_arms() -> None:
    values = np.array([[1.0, 2.0, np.nan], [4.0, np.nan, 1.0], [5.0, 5.0, 5.0]])
    assert apply(((0, -1.0), (2, 1.0)), values)[:2].tolist() == [4.0, 3.0]
    assert np.isnan(apply(((0, -1.0), (2, 1.0)), values)[2])
    assert np.isnan(apply(((0, -1.0), (1, 1.0)), values)).tolist() == [False, True, True]


def held(kind: str, shape: tuple[int, ...], seeds: int, noise: str, count: int) -> Held:
    planned = design(kind, shape)
    family = [c.weights for c in planned.contrasts if c.kind in (ARM, MAIN)]
    return simulate(family, len(planned.runs), seeds, noise, count=count)


@pytest.mark.parametrize("seeds", [6, 8])
@pytest.mark.parametrize("noise", NOISES)
def test_what_is_promised_holds_on_known_effects(noise: str, seeds: int) -> None:
    """A sample; `benchmarks/ablation.py` has 2,000 a setting, and more settings."""
    count = 250
    found = held("one-factor", (2, 2, 3), seeds, noise, count)
    assert 0.92 <= found.covered <= 0.98
    assert found.wrong <= 0.05 + 3 * (0.05 * 0.95 / (5 * count)) ** 0.5
    assert found.not_equal <= 0.05 + 4 * (0.05 * 0.95 / count) ** 0.5
    if noise == "normal":
        assert abs(found.found - found.predicted) <= 0.05 + 2 * (0.16 / count) ** 0.5


def test_without_the_joint_correction_a_family_would_call_too_much(
    rng: np.random.Generator,
) -> None:
    """The check above can fail: each arm's own p-value breaks the promise."""
    signs = flips(8)
    values = rng.normal(size=(400, 7, 8))
    own, family = max_t(values[:, 1:] - values[:, :1], signs)
    assert (own <= 0.05).any(axis=1).mean() > 0.12
    assert (family <= 0.05).any(axis=1).mean() < 0.09


@pytest.mark.bench
@pytest.mark.parametrize("seeds", [6, 9])
@pytest.mark.parametrize(
    ("kind", "shape"), [("one-factor", (2, 3, 2, 3)), ("factorial", (2, 2, 2))]
)
def test_two_thousand_ablations_keep_the_promises(
    kind: str, shape: tuple[int, ...], seeds: int
) -> None:
    found = held(kind, shape, seeds, "normal", 2000)
    assert 0.93 <= found.covered <= 0.97
    assert found.wrong <= 0.055
    assert abs(found.found - found.predicted) <= 0.05
