"""Which model of accuracy ranks points best that it has not seen.

    python -m benchmarks.models --nasbench DIR

The default sampler's Gaussian process, an ensemble of five small perceptrons (random weights of
the rows, as its bootstrap), extremely randomised trees, and averages of them, all with the
sampler's own columns. They learn from trainings as a search has them, half of them of random
points, half of those that a noisy look calls good for their cost. Said is Kendall's tau with the
true accuracies of points drawn at random, and of the best twentieth for their cost, where searches
end; means over SEEDS sets of trainings, and how often each is ahead of the Gaussian process there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor

from benchmarks.problems import PROBLEMS, Places
from benchmarks.problems.benchmark import Benchmark
from benchmarks.search import CACHE
from hrnet_search.report.trust.statistics import tau_b
from hrnet_search.search.problem import Bools, Floats, Points
from hrnet_search.search.samplers.features import Features
from hrnet_search.search.samplers.fits import COLD
from hrnet_search.search.samplers.surrogate import Belief, Data, fitted

NAMES = ("hrnet-shaped", "nasbench201", "interactions", "dtlz2")
SEEDS, SIZES = 8, (25, 50, 100)
ASKED, DRAWN, POOL = 1000, 6000, 4000
BEST, CLASSES = 0.05, 12
"""What share of the points of each class of cost counts as near the front."""

LOOK = 0.3
"""Noise of the look at a point by which half of the trainings are chosen, of the spread."""

PERCEPTRONS, HIDDEN, STEPS, RATE, DECAY = 5, 64, 300, 0.01, 1e-3
TREES = 300

Model = Callable[[Floats], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--problems", nargs="+", default=list(NAMES), choices=list(PROBLEMS))
    parser.add_argument("--nasbench", type=Path, help="folder with cifar100.npz of NAS-Bench-201")
    options = parser.parse_args()
    torch.set_num_threads(1)
    places = Places(options.nasbench, CACHE)
    for name in options.problems:
        about(PROBLEMS[name](places))


def about(benchmark: Benchmark) -> None:
    """Print how well each model ranks, for each number of trainings."""
    rng = np.random.default_rng(1)
    drawn = benchmark.problem.distinct(benchmark.problem.uniform(rng, DRAWN))
    sets = drawn[:ASKED], drawn[near_front(benchmark, drawn)]
    features = Features(benchmark.problem, drawn)
    columns = [features(points) for points in sets]
    truths = [benchmark.truth(points) for points in sets]
    for size in SIZES:
        taus: dict[str, list[list[float]]] = {}
        for seed in range(SEEDS):
            points, accuracy = trainings(benchmark, size, np.random.default_rng([seed, size]))
            said = models(features, features(points), accuracy, columns)
            for name, scores in said.items():
                found = [float(tau_b(s, t)) for s, t in zip(scores, truths, strict=True)]
                taus.setdefault(name, []).append(found)
        ours = np.array(taus["gp"])[:, 1]
        for name, found_all in taus.items():
            values = np.array(found_all)
            ahead = f", ahead in {(values[:, 1] > ours).sum()} of {SEEDS}" if name != "gp" else ""
            print(
                f"{benchmark.name}, {size} trainings, {name}: {values[:, 0].mean():.3f},"
                f" near the front {values[:, 1].mean():.3f}{ahead}",
                flush=True,
            )


def near_front(benchmark: Benchmark, points: Points) -> Bools:
    """Return which points are among the best for their cost, [n]."""
    truth, cost = benchmark.truth(points), benchmark.log_costs(points)
    best = np.zeros(len(points), dtype=np.bool_)
    for some in np.array_split(np.argsort(cost), CLASSES):
        count = max(5, round(BEST * len(some)))
        best[some[np.argsort(-truth[some])[:count]]] = True
    return best


def trainings(benchmark: Benchmark, size: int, rng: np.random.Generator) -> tuple[Points, Floats]:
    """Return points as a search has trained them, and one noisy accuracy of each."""
    pool = benchmark.problem.distinct(benchmark.problem.uniform(rng, POOL))
    truth, cost = benchmark.truth(pool), benchmark.log_costs(pool)
    look = truth + rng.normal(0, LOOK * truth.std(), len(pool))
    for_cost = look - np.polyval(np.polyfit(cost, look, 2), cost)
    some = rng.choice(len(pool), size // 2, replace=False)
    good = [i for i in np.argsort(-for_cost) if i not in set(some)][: size - size // 2]
    points = pool[[*some, *good]]
    accuracy = np.array([benchmark.observe(points[i, None], rng) for i in range(size)])
    return points, accuracy


def models(
    features: Features, rows: Floats, accuracy: Floats, asked: list[Floats]
) -> dict[str, list[Floats]]:
    """Return what each model says of each set of points, in deviations of what it learned from."""
    scaled = (accuracy - accuracy.mean()) / accuracy.std()
    fits = {
        "gp": gaussian_process(features, rows, scaled),
        "perceptrons": perceptrons(rows, scaled),
        "trees": trees(rows, scaled),
    }
    said = {name: [model(columns) for columns in asked] for name, model in fits.items()}
    mixed = {"gp and perceptrons": ("gp", "perceptrons"), "all three": tuple(fits)}
    for name, parts in mixed.items():
        said[name] = [np.mean(one, axis=0) for one in zip(*(said[p] for p in parts), strict=True)]
    return said


def gaussian_process(features: Features, rows: Floats, accuracy: Floats) -> Model:
    """Fit the default sampler's model."""
    data = Data(rows, accuracy, np.ones(len(rows)), features.groups, features.families)
    return Belief(data, fitted(data, None, COLD)).mean


def perceptrons(rows: Floats, accuracy: Floats) -> Model:
    """Fit an ensemble of perceptrons with two hidden layers."""
    varies = rows.std(axis=0) > 0
    scale = 1 / np.maximum(rows.std(axis=0), 0.1)
    x, y = _tensor((rows * scale)[:, varies]), _tensor(accuracy)
    networks = [_perceptron(x, y, seed) for seed in range(PERCEPTRONS)]

    def mean(columns: Floats) -> Floats:
        with torch.no_grad():
            z = _tensor((columns * scale)[:, varies])
            return np.asarray(torch.stack([net(z)[:, 0] for net in networks]).mean(0).numpy())

    return mean


def _perceptron(x: torch.Tensor, y: torch.Tensor, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.SiLU(),
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.SiLU(), torch.nn.Linear(HIDDEN, 1),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    weights = _tensor(np.random.default_rng(seed).exponential(size=len(y)))
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = (weights * (network(x)[:, 0] - y) ** 2).mean()
        loss.backward()
        optimiser.step()
        falling.step()
    return network


def _tensor(values: Floats) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def trees(rows: Floats, accuracy: Floats) -> Model:
    """Fit extremely randomised trees."""
    forest = ExtraTreesRegressor(TREES, random_state=0).fit(rows, accuracy)
    return lambda columns: np.asarray(forest.predict(columns))


if __name__ == "__main__":
    main()
