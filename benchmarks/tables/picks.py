"""What a pick loses: the truth of the best network, less that of the one that is chosen.

    python -m benchmarks.tables.picks

So many networks at a time are drawn from tables of real trainings, as if they were all that a
study trained within a budget, and the one of the highest score is picked: by what each scored in a
short training, by its size, and by both as a study orders its networks. Losses are in points of the
true mIoU, means over draws and over the seeds of short trainings; intervals are percentiles of a
bootstrap over the networks of a table, the same draws for all that is compared. `stated` is the
chance that is stated of such a pick to be the best of those drawn, `right` how often it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import shared
from benchmarks.tables import free
from benchmarks.tables.fill import SHORT_SEEDS, read_table
from benchmarks.tables.ranking import Floats
from hrnet_search.order_rule import columns_of, expected
from hrnet_search.report.trust.believed import expect

DRAWN = (5, 10, 20)
DRAWS, BOOTSTRAPS, STATED = 2000, 400, 200
FEWEST = 2
"""Times as many networks as are drawn that a table has at least."""

MEASURED, SOFT = "mIoU", "soft IoU"
ORDERED, SLICED = "{} and size", "soft IoU, slices and size"
COLUMNS = ("table", "steps", "drawn", "by", "loses", "less than by mIoU", "stated", "right")


@dataclass(frozen=True, slots=True)
class Setting:
    """Networks [n] of a table: their size, and by the seeds of a short training scores and truths.

    `slices` are scores by slices of shared weights, one set a seed, where there are any; `tuned`
    those of trainings that began with slices.
    """

    table: str
    steps: int
    costs: tuple[Floats, Floats]
    scores: dict[str, list[Floats]]
    truths: list[Floats]
    slices: list[Floats]
    tuned: dict[str, list[Floats]]


def main() -> None:
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for setting in (*of(shared.SHAPES), *of(shared.CAMVID), *all_sizes()):
        for drawn in DRAWN:
            if len(setting.truths[0]) >= FEWEST * drawn:
                for cells in rows(setting, drawn):
                    print(f"| {' | '.join(cells)} |", flush=True)


def of(ground: shared.Ground) -> Iterator[Setting]:
    """Yield settings of a table of nearly equal MACs, by its two shortest trainings."""
    table, names = shared.newest(read_table(ground.table))
    truth = table.truth(steps=ground.truth)
    judged = read_table(ground.rows)
    slices = shared.taught(judged, names, shared.SOFT)
    for steps in ground.alone[:2]:
        scores = {
            name: [table.of(steps, seed, steps, signal) for seed in SHORT_SEEDS]
            for name, signal in ((MEASURED, "miou"), (SOFT, "soft_iou"))
        }
        costs = table.macs, table.params
        truths = [truth] * len(SHORT_SEEDS)
        tuned = {
            f"{name} from slices": found
            for name, signal in ((MEASURED, "miou"), (SOFT, shared.SOFT))
            if (found := shared.taught(judged, names, signal, steps))
        }
        yield Setting(ground.table.stem, steps, costs, scores, truths, slices, tuned)


def all_sizes() -> Iterator[Setting]:
    """Yield settings of the older table of all sizes, whose short trainings kept mIoU alone."""
    costs, trained = free.read(free.TABLE)
    first, second = trained[free.LONG]
    size = np.exp(costs["log MACs"]), np.exp(costs["log parameters"])
    for steps in free.SHORT:
        yield Setting(
            "shapes", steps, size, {MEASURED: list(trained[steps])}, [second, first], [], {}
        )


def rows(setting: Setting, drawn: int) -> Iterator[tuple[str, ...]]:
    """Yield the cells of COLUMNS for each way to pick one of so many networks."""
    ways = dict(by_way(setting))
    n = len(setting.truths[0])
    every = {name: loss(way, setting, np.arange(n), drawn, 0) for name, way in ways.items()}
    boots: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(1, BOOTSTRAPS + 1):
        some = np.unique(np.random.default_rng(seed).integers(0, n, n))
        if len(some) > drawn:
            for name, way in ways.items():
                boots[name].append(loss(way, setting, some, drawn, seed, DRAWS // 10))
    for name in ways:
        less = every[MEASURED] - every[name]
        low, high = np.percentile(np.subtract(boots[MEASURED], boots[name]), [2.5, 97.5])
        ahead = "" if name == MEASURED else f"{less:+.2f} [{low:+.2f}, {high:+.2f}]"
        chances = stated(setting, name, drawn)
        cells = (setting.table, str(setting.steps), f"{drawn} of {n}", name)
        yield (*cells, f"{every[name]:.2f}", ahead, *chances)


def by_way(setting: Setting) -> Iterator[tuple[str, list[Floats]]]:
    """Yield the scores [n] of each way to pick, one for each seed of the short trainings."""
    seeds = len(setting.truths)
    yield "log MACs", [np.log(setting.costs[0])] * seeds
    yield "log parameters", [np.log(setting.costs[1])] * seeds
    for name, scores in setting.scores.items():
        yield name, scores
        yield ORDERED.format(name), [_ordered(one, setting) for one in scores]
    if setting.slices:
        pairs = zip(setting.scores[SOFT], setting.slices, strict=False)
        together = [shared.standard(np.array(pair)).sum(axis=0) for pair in pairs]
        yield SLICED, [_ordered(one, setting) for one in together]
    for name, scores in setting.tuned.items():
        yield name, scores
        yield ORDERED.format(name), [_ordered(one, setting) for one in scores]


def _ordered(short: Floats, setting: Setting) -> Floats:
    return expected(columns_of(short, setting.costs))


def loss(
    scores: list[Floats],
    setting: Setting,
    among: NDArray[np.int64],
    drawn: int,
    seed: int,
    draws: int = DRAWS,
) -> float:
    """Return what picks lose on average where so many of some networks are drawn, in points."""
    rng = np.random.default_rng(seed)
    chosen = among[rng.random((draws, len(among))).argsort(axis=1)[:, :drawn]]
    lost = []
    for score, truth in zip(scores, setting.truths, strict=False):  # of fewer sets of slices
        picked = np.take_along_axis(chosen, score[chosen].argmax(axis=1)[:, None], axis=1)[:, 0]
        lost.append((truth[chosen].max(axis=1) - truth[picked]).mean())
    return 100 * float(np.mean(lost))


def stated(setting: Setting, name: str, drawn: int) -> tuple[str, str]:
    """Return the mean chance that is stated of a pick by order, and how often it was right."""
    short = [s for s in setting.scores if ORDERED.format(s) == name]
    if not short:
        return "", ""
    rng = np.random.default_rng(0)
    chances, right = [], []
    for draw in range(STATED):
        seed = draw % len(setting.truths)
        some = rng.choice(len(setting.truths[0]), drawn, replace=False)
        costs = setting.costs[0][some], setting.costs[1][some]
        found = expect([str(i) for i in some], setting.scores[short[0]][seed][some], costs, draw)
        pick = int(found.mean.argmax())
        chances.append((found.drawn.argmax(axis=1) == pick).mean())
        right.append(int(setting.truths[seed][some].argmax()) == pick)
    return f"{np.mean(chances):.0%}", f"{np.mean(right):.0%}"


if __name__ == "__main__":
    main()
