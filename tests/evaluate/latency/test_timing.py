"""Every rule of the estimate, on machines that do not exist: a made-up clock, made-up networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from hrnet_search.evaluate.latency.timing import (
    ENOUGH_ROWS,
    FEWEST_ROWS,
    WARM_UP_SHARE,
    compare,
    is_closed,
    is_steady,
    median_interval,
    quad_ratios,
    time_alone,
    warm_up,
)


def steadily(_: float) -> float:
    return 1.0


@dataclass
class Machine:
    """A clock that only made-up networks move on, and how slow the machine is at each moment.

    `cold` is what a call takes more, in ms, whose caches another network has filled.
    """

    slowness: Callable[[float], float] = steadily
    noise: float = 0.0
    cold: float = 0.0
    seed: int = 0
    now: float = 0.0
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def clock(self) -> float:
        return self.now

    def network(self, name: str, ms: float) -> Callable[..., float]:
        def time_ms(calls: int = 1) -> float:
            cold = self.cold * (self.calls[-1:] != [name])
            self.calls.append(name)
            noise = float(np.exp(self._rng.normal(0, self.noise))) if self.noise else 1.0
            taken = (ms + cold) * self.slowness(self.now) * noise
            self.now += calls * taken / 1000
            return taken

        return time_ms


def loaded_now_and_then(seed: int) -> Callable[[float], float]:
    """Return a machine that another process slows down by half, for seconds, off and on."""
    rng = np.random.default_rng(seed)
    switches = np.cumsum(rng.uniform(0.5, 4.0, 4000))

    def slowness(now: float) -> float:
        return 1.0 + 0.5 * (np.searchsorted(switches, now) % 2)

    return slowness


@pytest.mark.parametrize(("settle", "quad", "first"), [(True, "abbbaa", "a"), (False, "abba", "")])
def test_the_networks_take_turns_in_the_order_a_b_b_a(settle: bool, quad: str, first: str) -> None:
    machine = Machine()
    a, b = machine.network("a", 2), machine.network("b", 3)
    compare(a, b, machine.clock, 10, settle=settle)
    order = "".join(machine.calls)
    count = len(quad) * ENOUGH_ROWS + len(first)
    warm, quads = order[:-count], order[-count:]
    assert {warm[i : i + 2] for i in range(0, len(warm), 2)} == {"ab"}
    assert quads == first + quad * ENOUGH_ROWS


def test_what_a_network_leaves_in_the_caches_is_not_the_others_latency() -> None:
    machine = Machine(cold=1.0)
    found = compare(machine.network("a", 20), machine.network("b", 2), machine.clock, 100)
    assert found.ratio == pytest.approx(0.1)
    assert found.measured.tolist() == pytest.approx([2.0] * len(found.measured))
    assert found.reference.tolist() == pytest.approx([20.0] * len(found.reference))


def test_a_still_machine_is_measured_with_the_fewest_rows_that_count() -> None:
    machine = Machine()
    found = compare(machine.network("a", 2), machine.network("b", 3), machine.clock, 100)
    assert (found.ratio, found.low, found.high, found.noisy) == (1.5, 1.5, 1.5, False)
    assert len(found.measured) == len(found.reference) == 2 * ENOUGH_ROWS
    assert found.measured.tolist() == [3.0] * 2 * ENOUGH_ROWS
    assert found.reference.tolist() == [2.0] * 2 * ENOUGH_ROWS


def test_a_machine_that_slows_down_steadily_keeps_its_ratio() -> None:
    machine = Machine(lambda now: 1 + 0.15 * now)
    found = compare(machine.network("a", 20), machine.network("b", 30), machine.clock, 4)
    assert found.ratio == pytest.approx(1.5, rel=1e-3)
    assert np.ptp(found.measured) > 0.1 * found.measured.mean()


def test_a_load_that_comes_and_goes_spreads_the_ratio_far_less_than_the_median() -> None:
    ratios: list[float] = []
    medians: list[float] = []
    for seed in range(20):
        slowness = loaded_now_and_then(seed)
        machine = Machine(slowness, noise=0.02, seed=seed)
        a, b = machine.network("a", 20), machine.network("b", 30)
        ratios.append(compare(a, b, machine.clock, 3).ratio)
        medians.append(float(np.median(time_alone(b, machine.clock, 3).times)))

    def variation(values: Sequence[float]) -> float:
        return float(np.std(values) / np.mean(values))

    assert variation(ratios) < variation(medians) / 5
    assert np.mean(ratios) == pytest.approx(1.5, rel=0.01)


def test_more_noise_takes_more_samples_until_the_interval_closes() -> None:
    counts = []
    for noise in (0.005, 0.03, 0.06):
        machine = Machine(noise=noise)
        found = compare(machine.network("a", 2), machine.network("b", 3), machine.clock, 1e6)
        assert not found.noisy
        assert max(found.high - found.ratio, found.ratio - found.low) <= 0.01 * found.ratio
        counts.append(len(found.measured))
    assert counts[0] == 2 * ENOUGH_ROWS
    assert counts[0] < counts[1] < counts[2]


def test_an_interval_that_does_not_close_in_time_is_noisy() -> None:
    machine = Machine(noise=0.5)
    found = compare(machine.network("a", 10), machine.network("b", 10), machine.clock, 3)
    assert found.noisy
    assert 3 <= machine.now < 3.4  # the quad that ran when time was up
    assert found.high - found.low > 0.02 * found.ratio


def test_a_cap_shorter_than_a_quad_still_gives_a_spread() -> None:
    machine = Machine()
    found = compare(machine.network("a", 2000), machine.network("b", 2000), machine.clock, 1)
    assert len(found.measured) == 2 * FEWEST_ROWS
    assert found.noisy  # so few rows never count as closed
    more = compare(machine.network("a", 9), machine.network("b", 9), machine.clock, 0.01, fewest=7)
    assert len(more.measured) == 2 * 7


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        machine = Machine(noise=0.04, seed=seed)
        found = compare(machine.network("a", 5), machine.network("b", 5), machine.clock, 20)
        held += found.low <= 1 <= found.high
    # Sampling stops where the interval looks narrow, which costs some of the 95%.
    assert 0.86 <= held / 200 <= 0.99


def test_warming_up_ends_when_the_running_median_no_longer_drifts() -> None:
    machine = Machine(lambda now: 1 + 4 * np.exp(-now / 0.2))
    times = [machine.network("a", 10)]
    warm_up(times, machine.clock, 100)
    assert 0.4 < machine.now < 5
    assert machine.slowness(machine.now) < 1.2
    cold = len(machine.calls)
    warm_up(times, machine.clock, 100)
    assert len(machine.calls) - cold < cold


def test_warming_up_that_never_settles_takes_its_share_of_the_cap() -> None:
    machine = Machine(lambda now: 1.5**now)
    compare(machine.network("a", 10), machine.network("b", 10), machine.clock, 9)
    warm = "".join(machine.calls).index("abbb")
    assert machine.now < 12  # the cap, and the quad that ran when time was up
    assert 0 < warm * 10 / 1000 < WARM_UP_SHARE * 9


@pytest.mark.parametrize(
    ("times", "steady"),
    [
        ([1.0] * 9, False),  # too few to say
        ([1.0] * 10, True),
        ([1.0] * 5 + [1.01] * 5, True),
        ([1.0] * 5 + [1.03] * 5, False),
        ([9.0] * 20 + [1.0] * 10, True),  # what was long ago does not count
        ([1.0, 1.0, 1.0, 50.0, 1.0] * 2, True),  # one slow call is not drift
    ],
)
def test_steady_is_a_median_that_stays(times: list[float], steady: bool) -> None:
    assert is_steady(times) is steady


def test_one_network_alone_is_timed_many_calls_a_sample() -> None:
    machine = Machine()
    series = time_alone(machine.network("a", 10), machine.clock, 100, calls=8)
    assert series.times.tolist() == [10.0] * ENOUGH_ROWS
    assert not series.noisy
    assert machine.now == pytest.approx((10 + 8 * ENOUGH_ROWS) / 100)


def test_the_ratio_of_a_quad_is_of_its_sums() -> None:
    assert quad_ratios(np.array([[1.0, 2.0, 4.0, 2.0]])).tolist() == [2.0]


def test_the_interval_is_the_same_every_time_and_around_the_median() -> None:
    values = np.random.default_rng(3).lognormal(size=31)
    low, high = median_interval(values)
    assert (low, high) == median_interval(values)
    assert low < np.median(values) < high
    assert median_interval(np.array([2.5])) == (2.5, 2.5)


def test_an_interval_that_reaches_too_far_to_one_side_is_not_closed() -> None:
    lopsided = np.array([1.0] * 8 + [1.017] * 7)
    low, high = median_interval(lopsided)
    assert high - low < 0.02
    assert not is_closed(lopsided)
    assert is_closed(np.array([1.0] * 12 + [1.009] * 8))
    assert not is_closed(np.array([1.0] * (ENOUGH_ROWS - 1)))
