"""How well a score ranks networks: pairs of equal MACs, regret.

All of arrays [..., n] over networks; leading axes are resamples. Missing numbers are not allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems.benchmark import area
from hrnet_search.pareto import non_dominated

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Noise:
    """What two trainings of each network say: the deviation of a seed, and the spread of means.

    `spread` is the deviation between networks that is left when that of the mean of two seeds
    is taken off its variance: 0 where noise explains all. `spread_in_bins` is the same about
    the mean of each bin.
    """

    seed: float
    spread: float
    spread_in_bins: float


def noise(values: Floats, bins: Ints) -> Noise:
    """Return the noise of values [n, 2 seeds] of networks in bins [n]."""
    own = float(((values[:, 0] - values[:, 1]) ** 2).mean() / 2)
    means = values.mean(axis=1)
    labels = np.unique(bins)
    centred = (
        means - np.array([means[bins == b].mean() for b in labels])[np.searchsorted(labels, bins)]
    )

    def spread(squares: float, free: int) -> float:
        return float(np.sqrt(max(0.0, squares / max(1, free) - own / 2)))

    overall = spread(float(((means - means.mean()) ** 2).sum()), len(means) - 1)
    within = spread(float((centred**2).sum()), len(means) - len(labels))
    return Noise(float(np.sqrt(own)), overall, within)


def pairs_in_order(score: Floats, truth: Floats, bins: Ints) -> float:
    """Return the share of pairs of a bin that `score` [n] orders as `truth` does; a tie is half."""
    first, second = np.triu_indices(len(bins), 1)
    same = bins[first] == bins[second]
    first, second = first[same], second[same]
    agree = np.sign(score[first] - score[second]) * np.sign(truth[first] - truth[second])
    return float((1 + agree).mean() / 2) if len(agree) else float("nan")


def regret(score: Floats, truth: Floats, macs: Floats, budgets: Floats) -> float:
    """Return what the best by `score` within each budget loses against the best, on average."""
    lost = []
    for budget in budgets:
        within = macs <= budget
        pick = np.flatnonzero(within)[score[within].argmax()]
        lost.append(truth[within].max() - truth[pick])
    return float(np.mean(lost))


def three_budgets(macs: Floats, bins: Ints) -> Floats:
    """Return three budgets of MACs: up to and with a third, two thirds and all of the bins."""
    labels = np.unique(bins)
    last = [labels[-(-len(labels) * part // 3) - 1] for part in (1, 2, 3)]
    return np.array([macs[bins <= b].max() for b in last])


def spread_over(params: Floats, count: int, rng: np.random.Generator) -> list[int]:
    """Return which networks are drawn, one of each of so many classes of size."""
    classes = np.array_split(np.argsort(params), count)
    return [int(rng.choice(members)) for members in classes]


def for_long(params: Floats, seen: Floats, count: int, rng: np.random.Generator) -> list[int]:
    """Return which networks a study trains for long: one of each class of size, then the best."""
    chosen = spread_over(params, count // 2, rng)
    best = [int(i) for i in np.argsort(-seen) if i not in chosen]
    return chosen + best[: count - len(chosen)]


def front_and_fewest(truth: Floats, macs: Floats, share: float) -> tuple[int, int]:
    """Return how many networks are on the front, and how few of all hold a share of its area.

    The area is that in (truth, log MACs) above the lower quartile of truth and the most MACs; the
    few are taken one by one, each time the one that adds most. A table whose front hangs on two
    networks cannot judge how well a search finds it.
    """
    logs, reference = np.log(macs), (float(np.quantile(truth, 0.25)), float(macs.max()))
    front = np.flatnonzero(non_dominated(np.column_stack([truth, logs]), ("max", "min")))
    best, chosen = area(truth, logs, reference), list[int]()

    def with_one_more(network: int) -> float:
        some = [*chosen, network]
        return area(truth[some], logs[some], reference)

    while not chosen or area(truth[chosen], logs[chosen], reference) < share * best:
        chosen.append(max((int(i) for i in front if i not in chosen), key=with_one_more))
    return len(front), len(chosen)
