"""The networks that may be the best within a budget, and how surely one of them is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hrnet_search.pareto import non_dominated
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.report.trust.believed import Believed, Expected, foretold
from hrnet_search.report.trust.near_front import (
    MOST_JUDGED,
    REACH,
    Draws,
    Judged,
    Reader,
    deviation,
    images_of,
    shortfall,
)
from hrnet_search.report.trust.statistics import Floats, SeedNoise, seed_noise
from hrnet_search.report.trust.trials import keys_of, seeds_of
from hrnet_search.store.schedules import as_they_count, search_ids
from hrnet_search.store.study import Study, within_limits

COSTS = tuple(name for name, objective in OBJECTIVES.items() if objective.is_cost)
"""What a budget may be of."""

MOST = 128
"""Networks whose chances are weighed, or as many as may be the best within some budget."""

UNKNOWN = 1e300
"""A cost that is not known: over every budget, and a number."""

MEASURED, EXPECTED, BELIEVED = "measured", "expected", "believed"
"""By what candidates are chosen: as the search saw them, or as a long schedule would, before and
after some networks were trained by it. The last two are columns of their tables."""

Ranks = NDArray[np.uint16]
Budget = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Step:
    """The cheapest network that is better for more of one cost, and the chance that it is."""

    index: int
    chance: float | None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Networks that may be the best within some budget, with their rivals, as columns [n].

    The one of the highest score is the first, of equal ones the cheapest: so the pick is the first
    within a budget. Where `by` is MEASURED, scores are accuracies as the search saw them; where it
    is BELIEVED, accuracies by the long schedule as they are believed to be; where it is EXPECTED,
    scores are in deviations of what that would give, and accuracies as the search saw them. `costs`
    are by the names in COSTS, UNKNOWN where they are not known. `ranks` [draws, n] say how networks
    would rank with other images and seeds, or by a long schedule: the highest is the best, and what
    is equal has one rank; there are no draws where nothing says how far accuracies vary.
    `one_seed`: no seed was repeated, so that draws are of images alone. `signal` names what scores
    are expected from.
    """

    numbers: tuple[int, ...]
    accuracies: tuple[float, ...]
    scores: tuple[float, ...]
    costs: Mapping[str, tuple[float, ...]]
    ranks: Ranks
    by: str = MEASURED
    one_seed: bool = False
    signal: str = ""

    def within(self, budget: Budget) -> list[int]:
        """Return which of them cost at most what a budget allows by name, as indices."""
        return [
            i
            for i in range(len(self.numbers))
            if all(self.costs[name][i] <= most for name, most in budget.items())
        ]

    def pick(self, budget: Budget) -> int | None:
        """Return the index of the best within a budget, None if there is none."""
        return next(iter(self.within(budget)), None)

    def chances(self, budget: Budget) -> dict[int, float]:
        """Return the chance of each within a budget to be the best of them; empty: not known.

        Those that are equally good share the chance of a draw.
        """
        inside = self.within(budget)
        if not len(self.ranks) or not inside:
            return {}
        ranks = self.ranks[:, inside]
        best = ranks == ranks.max(axis=1, keepdims=True)
        chances = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
        return dict(zip(inside, chances.tolist(), strict=True))

    def step(self, pick: int, budget: Budget, cost: str) -> Step | None:
        """Return what more of one cost would buy, the others as they are; None: nothing better."""
        others = {name: most for name, most in budget.items() if name != cost}
        better = [
            i
            for i in self.within(others)
            if self.scores[i] > self.scores[pick] and self.costs[cost][i] < UNKNOWN
        ]
        if not better:
            return None
        found = min(better, key=lambda i: self.costs[cost][i])
        own, dearer = self.ranks[:, pick], self.ranks[:, found]
        ahead = (dearer > own) + (dearer == own) / 2
        return Step(found, float(ahead.mean()) if len(ahead) else None)


def candidates_of(study: Study, ranked: bool = True) -> Candidates:
    """Return the candidates of a study, finished or not, with ranks or without.

    By what its networks are believed, or else expected, to reach by the long schedule, where it
    says so; else ranks take a second, for which images are read.
    """
    goals, notes = study.notes.goals, study.notes
    variants = within_limits(study.variants(), goals)
    found = foretold(study)
    if found is not None:
        return foretold_candidates(variants, found, goals.accuracy.name)
    if not ranked:
        front, _ = _parted(variants, goals.accuracy.name)
        return _candidates(front, goals.accuracy.name, no_ranks(len(front)))
    trials = study.trials()
    counting = as_they_count(trials, notes)
    seeds = seeds_of(counting, search_ids(notes), goals.accuracy.key)
    noise = seed_noise(list(seeds.values()))
    reader = Reader(study.folder, keys_of(trials, notes), goals.accuracy)
    return ranked_candidates(variants, goals.accuracy, noise, lambda row: reader.judged(row, COSTS))


def ranked_candidates(
    variants: pd.DataFrame,
    objective: Objective,
    noise: SeedNoise | None,
    judge: Callable[[Mapping[Any, Any]], Judged],
) -> Candidates:
    """Return the candidates of a table of variants, with ranks.

    `judge` reads the images of a row; of at most MOST_JUDGED it is asked.
    """
    name, classes = objective.name, objective.classes
    front, rest = _parted(variants, name)
    near = [judge(row) for row in front.to_dict("records")[:MOST_JUDGED]]
    reach = REACH * deviation(near, noise, classes)
    gap = shortfall(rest, front, COSTS, name)
    order = [int(i) for i in np.argsort(gap, kind="stable") if gap[i] <= reach] if reach else []
    rivals = rest.iloc[order[: max(0, MOST - len(front))]]
    near += [judge(row) for row in rivals.to_dict("records")[: MOST_JUDGED - len(near)]]
    known = {one.number: one for one in near}
    both = pd.concat([front, rivals]).sort_index()  # in the order of candidates again
    rows = both.to_dict("records")
    judged = [known.get(int(row["number"])) or unseen(row, name) for row in rows]
    draws = Draws(judged, images_of(judged), noise, classes)
    return _candidates(both, name, ranks_of(draws), one_seed=noise is None)


def foretold_candidates(variants: pd.DataFrame, found: Expected, accuracy: str) -> Candidates:
    """Return the candidates of a table of variants by what each is foretold to reach."""
    by = BELIEVED if isinstance(found, Believed) else EXPECTED
    places, scores = {name: i for i, name in enumerate(found.networks)}, found.scores()
    table = variants[variants["architecture"].isin(list(places)) & variants[accuracy].notna()]
    table = table.assign(**{by: table["architecture"].map(scores)})
    front, rest = _parted(table, by)
    gap = shortfall(rest, front, COSTS, by)
    rivals = rest.iloc[np.argsort(gap, kind="stable")[: max(0, MOST - len(front))]]
    both = pd.concat([front, rivals]).sort_index()
    drawn = found.drawn[:, [places[a] for a in both["architecture"]]]
    shown = accuracy if by == EXPECTED else by
    return replace(_candidates(both, shown, _ranks(drawn), by), signal=found.signal)


def no_ranks(networks: int) -> Ranks:
    """Return no draws of that many networks."""
    return np.zeros((0, networks), dtype=np.uint16)


def unseen(row: Mapping[Any, Any], accuracy: str) -> Judged:
    """Return a network whose images are not looked at: it is given the spread of the others."""
    return Judged(int(row["number"]), float(row[accuracy]), int(row["seeds"]), (), ())


def ranks_of(draws: Draws) -> Ranks:
    """Return how networks would rank with other images and seeds [draws, n]; none if not known.

    Scores are taken as they are. To believe those far above what their costs say less was tried,
    and stated chances held worse for it: docs/LOG.md, "the stated chance of a pick".
    """
    if not draws.known:
        return no_ranks(len(draws.near))
    return _ranks(draws.accuracies())


def _ranks(drawn: Floats | NDArray[np.float32]) -> Ranks:
    order = np.argsort(drawn, axis=1)
    rises = np.diff(np.take_along_axis(drawn, order, axis=1), axis=1, prepend=np.nan) > 0
    ranks = np.empty(drawn.shape, dtype=np.uint16)
    np.put_along_axis(ranks, order, rises.cumsum(axis=1).astype(np.uint16), axis=1)
    return ranks


def _parted(variants: pd.DataFrame, accuracy: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the variants that may be the best within some budget, and the others.

    Both are in the order of candidates, and every cost of them is a number.
    """
    table = variants[variants[accuracy].notna()].copy()
    for name in COSTS:
        values = table[name].astype("float64")
        table[name] = values.where(values.gt(0) & values.lt(math.inf), UNKNOWN)
    order = [accuracy, *COSTS, "number"]
    down = [False, *[True] * (len(COSTS) + 1)]
    table = table.sort_values(order, ascending=down).reset_index(drop=True)
    columns = table[[accuracy, *COSTS]].to_numpy(dtype=float)
    best = non_dominated(columns, ["max", *["min"] * len(COSTS)])
    return table[best], table[~best]


def _candidates(
    rows: pd.DataFrame, accuracy: str, ranks: Ranks, by: str = MEASURED, one_seed: bool = False
) -> Candidates:
    def column(name: str) -> tuple[float, ...]:
        return tuple(float(value) for value in rows[name])

    return Candidates(
        numbers=tuple(int(number) for number in rows["number"]),
        accuracies=column(accuracy),
        scores=column(accuracy if by == MEASURED else by),
        costs={name: column(name) for name in COSTS},
        ranks=ranks,
        by=by,
        one_seed=one_seed,
    )
