"""The front and its nearest rivals, and their accuracies as they might have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hrnet_search.records.accuracy import MIOU_INT8
from hrnet_search.records.objective import Objective
from hrnet_search.records.trial import TrialKey
from hrnet_search.report.trust.statistics import (
    Floats,
    Interval,
    SeedNoise,
    chance_on_front,
    combined,
    seed_noise,
)
from hrnet_search.report.trust.trials import Trial, keys_of, seeds_of
from hrnet_search.store.evaluations import (
    AS_TRAINED,
    IN_INT8,
    ImageCounts,
    evaluation_path,
    read_counts,
    resample,
)
from hrnet_search.store.schedules import as_they_count, search_ids
from hrnet_search.store.study import Study, within_limits

MOST_JUDGED = 64
"""Variants whose images are looked at: the front first, then those nearest to it."""

REACH = 4.0
"""Deviations below the front beyond which no variant counts as a rival."""

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two neighbours on the front by trial number, and by how much the second is better."""

    first: int
    second: int
    better: Interval

    @property
    def apart(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.better.low > 0 or self.better.high < 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A variant near the front: trial number, mean accuracy, trainings, images of each seed."""

    number: int
    accuracy: float
    seeds: int
    costs: tuple[float, ...]
    counts: tuple[ImageCounts, ...]


@dataclass(frozen=True, slots=True)
class FrontAccuracy:
    """A front over one cost: columns [n], and accuracies as they might have been [draws, n].

    `images` is how many images the draws are over, 0 if none were kept; draws of two studies
    with as many images use the same ones. `by_seeds` says that seeds are in them.
    """

    numbers: tuple[int, ...]
    accuracies: Floats
    costs: Floats
    drawn: Floats
    images: int
    by_seeds: bool


def front_accuracy(
    study: Study, cost: str, seed: int = 0, accuracy: Objective | None = None
) -> FrontAccuracy:
    """Return a study's front of accuracy against one cost, with its accuracies drawn again.

    `seed` is that of the noise of seeds: two studies that are compared need their own. `accuracy`
    is the study's own if not given.
    """
    trials, notes = study.trials(), study.notes
    own = notes.goals.accuracy
    accuracy = own if accuracy is None or accuracy.key == own.key else accuracy
    seeds = seeds_of(as_they_count(trials, notes), search_ids(notes), accuracy.key)
    noise = seed_noise(list(seeds.values()))
    reader = Reader(study.folder, keys_of(trials, notes), accuracy)
    front = study.front([accuracy.name, cost]).to_dict("records")
    near = [reader.judged(row, [cost]) for row in front]
    draws = Draws(near, images_of(near), noise, accuracy.classes)
    return FrontAccuracy(
        numbers=tuple(one.number for one in near),
        accuracies=np.array([one.accuracy for one in near]),
        costs=np.array([one.costs[0] for one in near]),
        drawn=draws.accuracies(seed),
        images=draws.images,
        by_seeds=noise is not None,
    )


class Draws:
    """Accuracies of variants as they might have been with other images and other seeds.

    `classes` are those that accuracy is the mean over, none for all.
    """

    def __init__(
        self,
        near: Sequence[Judged],
        images: int,
        noise: SeedNoise | None,
        classes: Sequence[int] = (),
    ) -> None:
        self.near, self.images, self.noise = near, images, noise
        self.known = bool(near) and (bool(images) or noise is not None)
        times = resample(images, resamples=DRAWS) if images else None
        self._by_images = _over_images(near, times, classes)

    def intervals(self) -> dict[int, Interval]:
        """Return the interval of each variant's mean accuracy."""
        return {
            one.number: combined(
                one.accuracy, float(row.std()), self.images, self.noise, 1 / one.seeds
            )
            for one, row in zip(self.near, self._by_images, strict=True)
        }

    def pair(self, first: int, second: int) -> Pair:
        """Return the difference of two variants, over the same images where both have them."""
        a, b = self.near[first], self.near[second]
        sd = float((self._by_images[second] - self._by_images[first]).std())
        share = 1 / a.seeds + 1 / b.seeds
        better = combined(b.accuracy - a.accuracy, sd, self.images, self.noise, share)
        return Pair(a.number, b.number, better)

    def accuracies(self, seed: int = 0) -> Floats:
        """Return mean accuracies [draws, n] with other images and other seeds."""
        generator = np.random.default_rng(seed)
        sd = self.noise.sd.value if self.noise else 0.0
        scale = np.array([sd / np.sqrt(one.seeds) for one in self.near])
        drawn = generator.normal(size=(DRAWS, len(self.near))) * scale
        found: Floats = drawn + self._by_images.reshape(-1, DRAWS).T
        return found

    def chances(self) -> dict[int, float]:
        """Return the chance of each variant of being on the front."""
        costs = np.array([one.costs for one in self.near]).reshape(len(self.near), -1)
        found = chance_on_front(self.accuracies(), costs)
        return {one.number: float(c) for one, c in zip(self.near, found, strict=True)}


def _over_images(near: Sequence[Judged], times: Floats | None, classes: Sequence[int]) -> Floats:
    """Return mean accuracies [n, draws] over resampled images, around what was measured.

    Images that are hard are so for all networks: one whose images were not kept moves with the
    others.
    """
    spreads = np.zeros((len(near), DRAWS))
    if times is not None:
        known = [i for i, one in enumerate(near) if one.counts]
        for i in known:
            means = np.mean([counts.mious(times, classes) for counts in near[i].counts], axis=0)
            # Their mean is a little off what was measured: only the spread is of use.
            spreads[i] = means - means.mean()
        common = spreads[known].mean(axis=0)
        for i in set(range(len(near))) - set(known):
            spreads[i] = common
    found: Floats = spreads + np.array([one.accuracy for one in near]).reshape(-1, 1)
    return found


def near_front(
    study: Study, trials: Sequence[Trial], front: pd.DataFrame, noise: SeedNoise | None
) -> list[Judged]:
    """Return the front, cheapest first, and then its nearest rivals."""
    goals = study.notes.goals
    reader = Reader(study.folder, keys_of(trials, study.notes), goals.accuracy)
    names = [cost.name for cost in goals.costs]
    found = [reader.judged(row, names) for row in front.to_dict("records")[:MOST_JUDGED]]
    reach = REACH * deviation(found, noise, goals.accuracy.classes)
    table = within_limits(study.variants(), goals)
    table = table[~table["number"].isin(front["number"]) & table[names].notna().all(axis=1)]
    gap = shortfall(table, front, names, goals.accuracy.name)
    order = np.argsort(gap, kind="stable")[: MOST_JUDGED - len(found)]
    rivals = table.iloc[[i for i in order if gap[i] <= reach]].to_dict("records") if reach else []
    return found + [reader.judged(row, names) for row in rivals]


class Reader:
    """Reads evaluations that were made on the same images and classes."""

    def __init__(
        self, folder: Path, keys: Mapping[str, Sequence[TrialKey]], accuracy: Objective
    ) -> None:
        self._folder, self._keys, self._accuracy = folder, keys, accuracy.name
        self._matrices = IN_INT8 if accuracy.key == MIOU_INT8 else AS_TRAINED
        self._shape: tuple[int, ...] | None = None

    def judged(self, row: Mapping[Any, Any], names: Sequence[str]) -> Judged:
        read = [self._counts(key) for key in self._keys.get(row["architecture"], ())]
        known = [counts for counts in read if counts is not None]
        # The mean is over all seeds: images of some of them alone are those of another mean.
        counts = tuple(known) if len(known) == len(read) else ()
        costs = tuple(float(row[name]) for name in names)
        accuracy = float(row[self._accuracy])
        return Judged(int(row["number"]), accuracy, int(row["seeds"]), costs, counts)

    def _counts(self, key: TrialKey) -> ImageCounts | None:
        counts = read_counts(evaluation_path(self._folder, key), self._matrices)
        if counts is None:
            return None
        self._shape = self._shape or counts.hits.shape
        return counts if counts.hits.shape == self._shape else None


def images_of(near: Sequence[Judged]) -> int:
    return next((one.counts[0].images for one in near if one.counts), 0)


def deviation(front: Sequence[Judged], noise: SeedNoise | None, classes: Sequence[int]) -> float:
    """Return the deviation of a difference between two single trainings, 0 if not known."""
    variance = 2 * noise.sd.value**2 if noise else 0.0
    known = [one for one in front if one.counts]
    if known:
        times = resample(known[0].counts[0].images, resamples=200)
        variance += 2 * float(np.mean([_spread(one, times, classes) ** 2 for one in known]))
    return float(np.sqrt(variance))


def _spread(one: Judged, times: Floats, classes: Sequence[int]) -> float:
    return float(one.counts[0].mious(times, classes).std())


def shortfall(
    table: pd.DataFrame, front: pd.DataFrame, names: Sequence[str], accuracy: str
) -> Floats:
    """Return by how much each variant [n] falls short of the best that costs no more."""
    costs, bars = table[list(names)].to_numpy(float), front[list(names)].to_numpy(float)
    best = np.full(len(costs), -np.inf)  # scores may lie below 0: they need not be accuracies
    for bar, reached in zip(bars, front[accuracy].to_numpy(float), strict=True):
        affordable = (bar <= costs).all(axis=1)
        best[affordable] = np.maximum(best[affordable], reached)
    gap: Floats = best - table[accuracy].to_numpy(float)
    return gap
