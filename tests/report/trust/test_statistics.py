"""Intervals cover as they say, and the stamp follows from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hrnet_search.report.trust.statistics import (
    LIKENESS,
    NOT_CHECKED,
    NOT_TRUSTWORTHY,
    PAIRS_AT_ONCE,
    STRONG,
    USABLE,
    Floats,
    Interval,
    Ranking,
    SeedNoise,
    bca,
    chance_on_front,
    combined,
    partial_tau,
    rank_agreement,
    seed_noise,
    stamp,
    tau_b,
    tau_gain,
)


def ranking(low: float, gain: float = 0.01) -> Ranking:
    partial, free = Interval(low + 0.1, low, low + 0.2), Interval(0.3, 0.1, 0.5)
    beyond = Interval(gain + 0.1, gain, gain + 0.2)
    return Ranking(14, partial, (free, free), beyond, partial, ((1, 0.0), (3, 0.0)))


def columns(count: int, n: int = 60, seed: int = 0) -> list[Floats]:
    """Return columns that agree in part: each is another mixture of the same three."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(3, n))
    return [rng.uniform(0.2, 1, 3) @ base + 0.5 * rng.normal(size=n) for _ in range(count)]


def kendall(x: Floats, y: Floats) -> float:
    return float(stats.kendalltau(x, y).statistic)


def partial_of_scipy(x: Floats, y: Floats, z: Floats, *others: Floats) -> float:
    """Return the partial tau by Kendall's formula, again and again, from scipy's taus."""
    xy, xz, yz = (
        partial_of_scipy(a, b, *others) if others else kendall(a, b)
        for a, b in ((x, y), (x, z), (y, z))
    )
    return (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))


@pytest.mark.parametrize("given", [1, 2, 3])
def test_partial_tau_is_that_of_the_recursion(given: int) -> None:
    found = columns(2 + given)
    assert float(partial_tau(*found)) == pytest.approx(partial_of_scipy(*found), abs=1e-9)


def test_resamples_are_judged_one_by_one() -> None:
    rows = np.random.default_rng(2).integers(0, 60, (7, 60))
    drawn = [column[rows] for column in columns(4)]
    for statistic in (partial_tau, tau_gain):
        one_by_one = [float(statistic(*each)) for each in zip(*drawn, strict=True)]
        assert statistic(*drawn) == pytest.approx(one_by_one, abs=1e-12)


def test_a_column_has_a_partial_tau_of_one_with_itself() -> None:
    for seed in range(40):
        x, y, z = columns(3, n=15, seed=seed)
        assert float(partial_tau(x, x, y, z)) == pytest.approx(1, abs=1e-12)
        assert float(partial_tau(x, -x, y, z)) == pytest.approx(-1, abs=1e-12)


def test_what_the_rest_determines_has_no_partial_tau() -> None:
    x, y, z = columns(3, seed=3)
    assert float(partial_tau(x, y, x, z)) == 0


def test_two_costs_of_one_order_count_once() -> None:
    x, y, z = columns(3, seed=4)
    twice = float(partial_tau(x, y, z, 2 * z))
    assert twice == pytest.approx(partial_of_scipy(x, y, z), abs=1e-9)


def test_the_gain_is_over_the_better_of_what_is_free() -> None:
    x, y, poor, good = columns(4, seed=5)
    assert kendall(poor, y) != pytest.approx(kendall(good, y))
    expected = kendall(x, y) - max(kendall(poor, y), kendall(good, y))
    assert float(tau_gain(x, y, poor, good)) == pytest.approx(expected)
    assert float(tau_gain(good, y, good, good)) == 0


def test_tau_is_that_of_scipy_with_ties_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.integers(0, 5, (2, 9)).astype(float)
        expected = stats.kendalltau(x, y).statistic
        assert float(tau_b(x, y)) == pytest.approx(0.0 if math.isnan(expected) else expected)


def test_size_alone_gives_a_tau_but_no_partial_tau() -> None:
    rng = np.random.default_rng(1)
    size = rng.normal(size=400)
    x, y = size + 0.5 * rng.normal(size=(2, 400))
    assert float(tau_b(x, y)) > 0.5
    # Kendall's partial tau of what is independent given a third is small, but not 0 (docs/LOG.md).
    assert 0.1 < float(partial_tau(x, y, size)) < 0.25
    assert float(partial_tau(x, x, size)) == pytest.approx(1)


def test_a_constant_ranks_nothing() -> None:
    flat, x = np.ones(8), np.arange(8.0)
    assert float(tau_b(flat, x)) == 0
    assert float(partial_tau(x, x, x)) == 0


def test_seed_noise_needs_repeats() -> None:
    assert seed_noise([[0.5], [0.6]]) is None
    found = seed_noise([[0.5, 0.6], [0.1, 0.1, 0.4], [0.3]])
    assert found is not None
    assert (found.degrees, found.variants) == (3, 2)
    assert found.sd.value == pytest.approx(math.sqrt((0.005 + 0.06) / 3))
    assert found.sd.low < found.sd.value < found.sd.high


def covered_noise(runs: int) -> float:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(runs):
        found = seed_noise(rng.normal(0.5, 0.01, (6, 3)).tolist())
        assert found is not None
        hits += found.sd.low <= 0.01 <= found.sd.high
    return hits / runs


def covered_difference(runs: int) -> float:
    """Return how often the interval of a difference holds it: few seeds, and images."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(runs):
        noise = seed_noise(rng.normal(0.5, 0.01, (4, 3)).tolist())
        images = rng.normal(0.02, 0.06, 40)
        seen = images.mean() + rng.normal(0, 0.01) - rng.normal(0, 0.01, 3).mean()
        sd = float(images.std() / math.sqrt(len(images)))
        found = combined(float(seen), sd, len(images), noise, 1 + 1 / 3)
        hits += found.low <= 0.02 <= found.high
    return hits / runs


def covered_tau(runs: int) -> tuple[float, float]:
    """Return how often the intervals of tau and of partial tau hold the true ones."""
    rng = np.random.default_rng(4)

    def draw(n: int) -> tuple[Floats, Floats, Floats]:
        size = rng.normal(size=n)
        long = 0.7 * size + 0.7 * rng.normal(size=n)
        return long + 0.5 * rng.normal(size=n), long, np.exp(size)

    short, long, cost = draw(2500)
    true = float(tau_b(short, long)), float(partial_tau(short, long, np.log(cost)))
    hits = np.zeros(2)
    for run in range(runs):
        short, long, cost = draw(14)
        found = rank_agreement(short, long, (cost, cost), seed=run)
        assert found is not None
        for i, interval in enumerate((found.tau, found.partial)):
            hits[i] += interval.low <= true[i] <= interval.high
    return float(hits[0] / runs), float(hits[1] / runs)


def test_intervals_cover() -> None:
    assert 0.92 < covered_noise(400) < 0.98
    assert 0.92 < covered_difference(400) < 0.98
    assert min(covered_tau(40)) >= 0.85


@pytest.mark.bench
def test_intervals_cover_at_size() -> None:
    found = {
        "seed noise": covered_noise(2000),
        "difference": covered_difference(2000),
        "tau": covered_tau(600)[0],
        "partial tau": covered_tau(600)[1],
    }
    print(f"\ncoverage of 95% intervals: {found}")
    assert 0.935 < found["seed noise"] < 0.965
    assert 0.935 < found["difference"] < 0.97
    assert min(found["tau"], found["partial tau"]) > 0.93


def test_variances_of_images_and_seeds_are_combined_as_welch_does() -> None:
    """scipy's interval of a difference of means of unequal variances: Welch, Satterthwaite."""
    rng = np.random.default_rng(7)
    images, seeds = rng.normal(0.5, 0.06, 9), rng.normal(0.1, 0.01, 4)
    expected = stats.ttest_ind(images, seeds, equal_var=False).confidence_interval()
    sd = float(seeds.std(ddof=1))
    found = combined(
        float(images.mean() - seeds.mean()),
        float(images.std(ddof=1) / math.sqrt(len(images))),
        len(images),
        SeedNoise(Interval(sd, sd, sd), len(seeds) - 1, 1),
        1 / len(seeds),
    )
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_few_architectures_rank_nothing() -> None:
    five = np.arange(1.0, 6.0)
    assert rank_agreement(five, five, (five, five)) is None
    six = np.arange(1.0, 7.0)
    assert rank_agreement(six, six, (six, six)) is not None


def test_all_figures_of_a_ranking_are_bootstraps_of_one_seed() -> None:
    short, long, macs, params = columns(4, n=20, seed=6)
    macs, params = np.exp(macs), np.exp(params)
    for seed in (0, 3):
        found = rank_agreement(short, long, (macs, params), seed=seed)
        assert found is not None
        assert found.n == 20
        assert found.tau == bca(tau_b, (short, long), seed)
        assert found.free == tuple(bca(tau_b, (np.log(c), long), seed) for c in (macs, params))
        assert found.gain == bca(tau_gain, (short, long, np.log(macs), np.log(params)), seed)
        assert found.partial == bca(partial_tau, (short, long, np.log(macs), np.log(params)), seed)
    assert rank_agreement(short, long, (macs, params)) == rank_agreement(
        short, long, (macs, params), seed=0
    )


def test_of_equal_accuracies_the_first_would_be_trained() -> None:
    """More than sixteen, and not all equal: else any sort leaves them in their order."""
    short, long = np.tile([0.5, 0.4], 50), np.linspace(0.3, 0.7, 100)
    found = rank_agreement(short, long, (np.arange(1.0, 101.0),) * 2)
    assert found is not None
    assert [lost for _, lost in found.regret] == pytest.approx([0.7 - long[0], 0.7 - long[4]])


def test_regret_is_what_the_first_choices_lose() -> None:
    long = np.array([0.5, 0.6, 0.7, 0.8, 0.55, 0.65, 0.52])
    short = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.4])
    found = rank_agreement(short, long, (np.arange(1.0, 8.0),) * 2)
    assert found is not None
    assert [k for k, _ in found.regret] == [1, 3]
    assert [lost for _, lost in found.regret] == pytest.approx([0.3, 0.1])


def test_a_bootstrap_keeps_what_was_measured_inside_its_interval() -> None:
    x = np.arange(12.0)
    found = bca(tau_b, (x, x))
    assert (found.low, found.value, found.high) == (1, 1, 1)


def test_a_bootstrap_is_the_same_again_and_another_by_another_seed() -> None:
    x, y = columns(2, n=12, seed=8)
    first = bca(tau_b, (x, y))
    assert first == bca(tau_b, (x, y)) == bca(tau_b, (x, y), seed=0)
    assert first != bca(tau_b, (x, y), seed=1)


@pytest.mark.parametrize(("n", "resamples", "largest"), [(300, 200, 44), (2001, 3, 1)])
def test_a_bootstrap_takes_its_resamples_within_its_memory(
    n: int, resamples: int, largest: int
) -> None:
    rows: list[int] = []

    def mean(drawn: Floats) -> Floats:
        rows.append(len(drawn) if drawn.ndim > 1 else 0)
        return np.asarray(drawn.mean(axis=-1))

    bca(mean, (np.arange(float(n)),), resamples=resamples)
    assert max(rows) == largest == max(1, PAIRS_AT_ONCE // n**2)
    # Besides, each of the n is left out once, for the acceleration.
    assert sum(rows) == resamples + n


def test_the_chance_of_being_on_the_front_counts_draws() -> None:
    costs = np.array([[1.0], [2.0], [3.0], [3.0]])
    accuracy = np.array([[0.5, 0.6, 0.7, 0.7], [0.5, 0.4, 0.7, 0.6], [0.5, 0.6, 0.55, 0.55]])
    found = chance_on_front(accuracy, costs)
    assert found.tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1 / 3])


def test_more_seeds_and_no_noise_narrow_an_interval() -> None:
    noise = SeedNoise(Interval(0.01, 0.008, 0.013), 20, 10)
    one, four = (combined(0.02, 0.0, 0, noise, share) for share in (2, 0.5))
    assert one.low < four.low < 0.02 < four.high < one.high
    assert combined(0.02, 0.0, 0, None, 2) == Interval(0.02, 0.02, 0.02)
    of_two_images = combined(0.02, 0.1, 2, None, 2)
    assert of_two_images.value == 0.02
    assert of_two_images.high - 0.02 == pytest.approx(0.1 * stats.t.ppf(0.975, 1))


@pytest.mark.parametrize(
    ("low", "verdict"),
    [(0.6, STRONG), (0.59, USABLE), (0.4, USABLE), (0.39, NOT_TRUSTWORTHY), (-1, NOT_TRUSTWORTHY)],
)
def test_the_stamp_follows_the_lower_end_of_the_interval(low: float, verdict: str) -> None:
    found = stamp(ranking(low))
    assert found.verdict == verdict
    assert f"{low:.2f}" in found.why
    assert found.change


def test_nothing_strong_rests_on_latencies_that_are_in_doubt() -> None:
    assert stamp(ranking(0.7), "the clock is wrong").verdict == USABLE
    assert "the clock is wrong" in stamp(ranking(0.5), "the clock is wrong").why


def test_what_was_not_checked_is_called_so() -> None:
    assert stamp(None).verdict == NOT_CHECKED


def test_no_ranking_is_trusted_that_counting_may_give_for_nothing() -> None:
    found = stamp(ranking(0.9, gain=0.0))
    assert found.verdict == NOT_TRUSTWORTHY
    assert "log parameters 0.30 cost no training" in found.why
    assert "above 0" in found.change


@pytest.mark.parametrize(
    ("low", "gain", "change"),
    [
        (0.6, 0.01, "a partial tau whose interval begins under 0.6"),
        (0.59, 0.01, "a partial tau whose interval begins at 0.6 would make it strong: MORE"),
        (0.4, 0.01, "a partial tau whose interval begins at 0.6 would make it strong: MORE"),
        (0.39, 0.01, "a partial tau whose interval begins at 0.4 would make it usable: MORE"),
        (0.9, 0, "a gain over the better of MACs and parameters whose interval is above 0: MORE"),
    ],
)
def test_the_stamp_says_what_would_change_it(low: float, gain: float, change: str) -> None:
    more = (
        "more trainings by the long schedule narrow its interval, more steps or seeds in the"
        " search raise it"
    )
    assert stamp(ranking(low, gain)).change == change.replace("MORE", more)


def test_the_stamp_says_why_in_full() -> None:
    why = (
        "over 14 networks the search ranks as the long schedule does with a tau of 0.60, where log"
        " MACs 0.30, log parameters 0.30 cost no training (gain +0.11, +0.01 to +0.21); given both,"
        " a partial tau of 0.60 (0.50 to 0.70)"
    )
    assert stamp(ranking(0.5)).why == why
    assert stamp(ranking(0.5), "a doubt").why == f"{why}; and a doubt"
    assert stamp(ranking(0.7), "a doubt").change == "latencies measured on a quiet machine"
    assert stamp(ranking(0.5), "a doubt").change == stamp(ranking(0.5)).change
    inherited = stamp(ranking(0.7), "a doubt", inherited=True)
    assert inherited.verdict == NOT_TRUSTWORTHY
    assert inherited.change == "long trainings from random weights"
    assert inherited.why.endswith(f"; and {LIKENESS}; and a doubt")
    assert stamp(ranking(0.7), inherited=True).why.endswith(f"; and {LIKENESS}")
    unknown = stamp(None)
    assert unknown.why == "fewer than six networks were trained by a longer schedule as well"
    assert unknown.change == (
        "with more trials or a larger search.confirm, of which duels have the first part, networks"
        " of all sizes are trained by a longer schedule too, which says how far this ranking is to"
        " be trusted"
    )


def test_the_stamp_of_slices_speaks_of_shared_weights() -> None:
    found, trained = stamp(ranking(0.5), slices=True), stamp(ranking(0.5))
    assert found.verdict == trained.verdict
    assert found.why == trained.why.replace(
        "the search ranks", "scores by slices of shared weights rank"
    )
    assert found.change == trained.change.replace("steps or seeds in the search", "shared.steps")


def test_equal_cheaper_networks_push_one_off_the_front() -> None:
    costs, accuracy = np.array([[1.0], [2.0]]), np.array([[0.5, 0.5]])
    assert chance_on_front(accuracy, costs).tolist() == [1, 0]


def test_an_interval_is_that_of_bca_and_not_of_percentiles() -> None:
    """Efron and Tibshirani (1993), table 14.2: the variance of 26 spatial test scores.

    Their interval of 90% is 115.8 to 259.6 by BCa, 100.8 to 233.9 by percentiles.
    """
    scores = np.array([
        48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24,
        26, 30, 41,
    ], dtype=np.float64)  # fmt: skip
    found = bca(lambda drawn: drawn.var(axis=-1), (scores,), level=0.9, resamples=20_000)
    assert found.value == pytest.approx(171.5, abs=0.1)
    assert (found.low, found.high) == pytest.approx((115.8, 259.6), rel=0.02)
