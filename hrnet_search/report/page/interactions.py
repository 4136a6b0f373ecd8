"""Which choices act together: functional ANOVA of a random forest, a model and no experiment.

The forest is fitted to all trained variants. What it predicts is then averaged over the whole grid
of levels: the variance that one choice explains is its own part, what two explain beyond both their
own parts is their interaction (Hutter, Hoos and Leyton-Brown, 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hrnet_search.arch.architecture import Architecture
from hrnet_search.space.choice import PATH, Choice
from hrnet_search.space.space import SearchSpace

Floats = NDArray[np.float64]
Points = NDArray[np.int64]
Model = Callable[[Points], Floats]

FEWEST = 20
"""Variants, at least: a forest of fewer says nothing of pairs."""

TREES, DEPTH = 64, 64
"""Of the forest: as Optuna's importances have them."""

BACKGROUND = 256
"""Points of the grid that an average is taken over."""

MOST_CELLS = 2500
"""Of a pair of choices: beyond it a forest takes seconds, and memory by the hundred MB."""

MOST_CHOICES = 6
"""Choices whose pairs are looked at: those with the largest parts of their own."""

MOST_PAIRS = 4
SMALLEST = 0.01
"""Pairs that are drawn, and the share of the variance that each has at least."""


@dataclass(frozen=True, slots=True)
class Part:
    """The share of the model's variance over the space that one choice has by itself."""

    path: str
    share: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two choices: the share that they have beyond both their own parts.

    `table` is the accuracy that the model expects of each pair of levels, a row a level of the
    first; `levels` are those of either.
    """

    paths: tuple[str, str]
    share: float
    levels: tuple[tuple[str, ...], tuple[str, ...]]
    table: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Anova:
    """A functional ANOVA of `variants`; `r2` is out of bag: of variants that a tree did not see."""

    variants: int
    r2: float
    parts: tuple[Part, ...]
    pairs: tuple[Interaction, ...]


def anova(
    points: Sequence[Sequence[int]],
    accuracies: Sequence[float],
    paths: Sequence[str],
    levels: Sequence[Sequence[str]],
    canonical: Callable[[Points], Points] | None = None,
) -> Anova | None:
    """Return what choices explain by themselves and in pairs; None for too few variants.

    `points` [n, d] are level indices. `canonical` maps points to those that stand for them: a
    choice that a network does not read then changes nothing there, and gets no credit for it.
    """
    if len(points) < FEWEST or any(len(p) != len(paths) for p in points) or not paths:
        return None
    table, y = np.array(points, dtype=np.int64), np.array(accuracies, dtype=np.float64)
    if y.std() == 0:
        return None
    forest, r2 = _forest(table, y)

    def model(grid: Points) -> Floats:
        return forest(grid if canonical is None else canonical(grid))

    counts = [len(own) for own in levels]
    rng = np.random.default_rng(0)
    background = np.stack([rng.integers(0, n, size=BACKGROUND) for n in counts], axis=1)
    whole = model(background)
    if not (variance := float(whole.var())):
        return None
    columns = [i for i, n in enumerate(counts) if n > 1]
    own = {i: _means(model, background, (i,), counts) for i in columns}
    parts = [Part(paths[i], float(own[i].var()) / variance) for i in columns]
    largest = sorted(columns, key=lambda i: -float(own[i].var()))[:MOST_CHOICES]
    pairs = []
    for i, j in combinations(sorted(largest), 2):
        if counts[i] * counts[j] > MOST_CELLS:
            continue
        both = _means(model, background, (i, j), counts)
        beyond = both - own[i][:, None] - own[j][None, :] + both.mean()
        pairs.append(
            Interaction(
                (paths[i], paths[j]),
                float(beyond.var()) / variance,
                (tuple(levels[i]), tuple(levels[j])),
                tuple(tuple(row) for row in both.tolist()),
            )
        )
    pairs.sort(key=lambda pair: -pair.share)
    drawn = tuple(pair for pair in pairs[:MOST_PAIRS] if pair.share >= SMALLEST)
    return Anova(len(y), r2, tuple(sorted(parts, key=lambda part: -part.share)), drawn)


def canonical_of(
    base: Architecture | None, paths: Sequence[str], levels: Sequence[Sequence[object]]
) -> Callable[[Points], Points] | None:
    """Return what maps points of a study's space to those that stand for them, by its notes."""
    choices = tuple(Choice(p, _fixed(own)) for p, own in zip(paths, levels, strict=False))
    known = all(choice.training or PATH.fullmatch(choice.path) for choice in choices)
    if base is None or not known or len(choices) < len(paths):
        return None
    return SearchSpace(base, choices).canonical


def _fixed(levels: Sequence[object]) -> tuple[object, ...]:
    """Return levels as a space has them: notes have lists."""
    return tuple(tuple(level) if isinstance(level, list) else level for level in levels)


def _forest(points: Points, y: Floats) -> tuple[Model, float]:
    """Return what a forest predicts, and the share of variance that it predicts out of bag."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, max_depth=DEPTH, oob_score=True, random_state=0)
    forest.fit(points, y)
    return lambda grid: np.asarray(forest.predict(grid), dtype=np.float64), float(forest.oob_score_)


def _means(
    model: Model, background: Points, columns: tuple[int, ...], counts: Sequence[int]
) -> Floats:
    """Return the mean prediction with each combination of levels of some columns, [levels, ...]."""
    shape = tuple(counts[column] for column in columns)
    cells = np.indices(shape).reshape(len(columns), -1).T
    grid = np.repeat(background[None], len(cells), axis=0)
    grid[:, :, list(columns)] = cells[:, None, :]
    found = model(grid.reshape(-1, background.shape[1]))
    return np.asarray(found.reshape(len(cells), -1).mean(axis=1).reshape(shape))
