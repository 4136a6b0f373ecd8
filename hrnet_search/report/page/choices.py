"""Which choices matter: a linear model of all completed variants, a model and no experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_search.errors import shown
from hrnet_search.store.notes import Notes

Floats = NDArray[np.float64]

FEWEST = 12
"""Variants, at least, and more than the model has levels: fewer fit anything."""

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True, slots=True)
class Effect:
    """One choice: the levels seen, what each adds to accuracy, with an error, and how often seen.

    `share` is how much of the variance between variants, predicted for left-out ones, is lost
    without this choice.
    """

    path: str
    levels: tuple[str, ...]
    adds: tuple[float, ...]
    errors: tuple[float, ...]
    seen: tuple[int, ...]
    share: float


@dataclass(frozen=True, slots=True)
class ChoiceModel:
    """A ridge regression of accuracy on the level of every choice; `r2` is leave-one-out."""

    variants: int
    r2: float
    effects: tuple[Effect, ...]


def choice_names(notes: Notes) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the paths of a study's choices, and their levels as text."""
    names = tuple(tuple(shown(str(v), 40) for v in values) for values in notes.levels or ())
    return tuple(shown(path, 60) for path in notes.choices or ()), names


def choice_model(
    points: Sequence[Sequence[int]],
    accuracies: Sequence[float],
    paths: Sequence[str],
    levels: Sequence[Sequence[str]],
) -> ChoiceModel | None:
    """Return the effects of all choices on accuracy; None for too few variants to say anything.

    `points` [n, d] are level indices.
    """
    if not paths or len(points) < FEWEST or any(len(p) != len(paths) for p in points):
        return None
    table, y = np.array(points, dtype=np.int64), np.array(accuracies, dtype=np.float64)
    columns = [_one_hot(table[:, i]) for i in range(len(paths))]
    if sum(seen.size - 1 for _, seen in columns) >= len(y) or y.std() == 0:
        return None
    design = np.hstack([c for c, _ in columns])
    penalty = min(PENALTIES, key=lambda p: -_r2(design, y, p))
    r2, (weights, errors) = _r2(design, y, penalty), _fit(design, y, penalty)
    effects, start = [], 0
    for i, (part, seen) in enumerate(columns):
        rest = np.hstack([c for j, (c, _) in enumerate(columns) if j != i] or [part * 0])
        span, counts = slice(start, start + seen.size), np.bincount(table[:, i])[seen]
        start += seen.size
        adds = weights[span] - np.average(weights[span], weights=counts)
        effects.append(
            Effect(
                path=paths[i],
                levels=tuple(levels[i][k] for k in seen),
                adds=tuple(adds.tolist()),
                errors=tuple(errors[span].tolist()),
                seen=tuple(counts.tolist()),
                share=r2 - max(_r2(rest, y, penalty), 0.0),
            )
        )
    return ChoiceModel(len(y), r2, tuple(effects))


def _one_hot(column: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return centred indicators [n, levels seen], and those levels."""
    seen = np.unique(column)
    hot = (column[:, None] == seen).astype(np.float64)
    return hot - hot.mean(axis=0), seen


def _fit(design: Floats, y: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Return weights, and their standard errors under independent noise."""
    gram = design.T @ design
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
    weights = inverse @ (design.T @ (y - y.mean()))
    # The trace of the hat matrix without that matrix, which has a row and a column a variant.
    free = max(len(y) - np.trace(inverse @ gram) - 1, 1.0)
    variance = float(((y - y.mean() - design @ weights) ** 2).sum() / free)
    covariance = variance * inverse @ gram @ inverse
    return weights, np.sqrt(np.diagonal(covariance))


def _r2(design: Floats, y: Floats, penalty: float) -> float:
    """Return the share of variance that the model predicts of variants left out one by one."""
    inverse = np.linalg.inv(design.T @ design + penalty * np.eye(design.shape[1]))
    leverage = np.einsum("ij,ij->i", design @ inverse, design) + 1 / len(y)
    fitted = y.mean() + design @ (inverse @ (design.T @ (y - y.mean())))
    left_out = (y - fitted) / np.maximum(1 - leverage, 1e-9)
    alone = (y - y.mean()) / (1 - 1 / len(y))  # the mean of the others as the prediction
    return float(1 - (left_out**2).sum() / (alone**2).sum())
