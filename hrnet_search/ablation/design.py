"""Designs: which combinations of levels are trained, and which differences between them are asked.

A run is a tuple of level indices, one for each factor. Every difference is a contrast: weights on
runs that sum to zero. So one machinery serves arms against a reference and the effects of
factorials (Montgomery, Design and Analysis of Experiments, chapters 5 to 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from hrnet_search.ablation.fraction import FULL, Run, aliases, fraction

ARM, MAIN, INTERACTION = "arm", "main effect", "interaction"
LEAVE_ONE_OUT = "leave-one-out"


@dataclass(frozen=True, slots=True)
class Contrast:
    """One difference: `changed` are (factor, level) against first levels, `weights` (run, weight).

    For an arm they are its difference to the reference; for a main effect the mean over runs
    with the level minus that over runs with the first one; for an interaction how much more
    two levels do together than the sum of what each does.
    """

    kind: str
    changed: tuple[tuple[int, int], ...]
    weights: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Design:
    """Runs with the reference in front, the contrasts, and what cannot be separated.

    `resolution` is 0 where nothing is aliased; `aliases` are pairs of effects, each a tuple of
    factor indices.
    """

    name: str
    shape: tuple[int, ...]
    runs: tuple[Run, ...]
    contrasts: tuple[Contrast, ...]
    resolution: int = FULL
    aliases: tuple[tuple[Run, Run], ...] = ()


def design(name: str, shape: Sequence[int], resolution: int = 4) -> Design:
    """Return the design of a name for factors of `shape` = levels of each.

    one-factor: first levels, and one factor at a time at each other level. leave-one-out: all
    factors at their last levels, and one at a time back at its first. factorial: every
    combination. fractional: the smallest fraction of at least this resolution.
    """
    return _DESIGNS[name](tuple(shape), resolution)


def _one_factor(shape: tuple[int, ...], _: int) -> Design:
    first = (0,) * len(shape)
    changed = [(f, level) for f, levels in enumerate(shape) for level in range(1, levels)]
    runs = (first, *(_with(first, [one]) for one in changed))
    return Design("one-factor", shape, runs, _arms(changed))


def _leave_one_out(shape: tuple[int, ...], _: int) -> Design:
    last = tuple(levels - 1 for levels in shape)
    changed = [(f, 0) for f in range(len(shape))]
    runs = (last, *(_with(last, [one]) for one in changed))
    return Design(LEAVE_ONE_OUT, shape, runs, _arms(changed))


def _factorial(shape: tuple[int, ...], _: int) -> Design:
    runs = tuple(product(*map(range, shape)))
    return Design("factorial", shape, runs, _effects(runs, shape))


def _fractional(shape: tuple[int, ...], resolution: int) -> Design:
    part = fraction(shape, resolution)
    found = _effects(part.runs, shape)
    return Design("fractional", shape, part.runs, found, part.resolution, aliases(part.runs, shape))


_DESIGNS: dict[str, Callable[[tuple[int, ...], int], Design]] = {
    "one-factor": _one_factor,
    LEAVE_ONE_OUT: _leave_one_out,
    "factorial": _factorial,
    "fractional": _fractional,
}
NAMES = tuple(_DESIGNS)


def _with(run: Run, changed: Sequence[tuple[int, int]]) -> Run:
    levels = dict(changed)
    return tuple(levels.get(factor, level) for factor, level in enumerate(run))


def _arms(changed: Sequence[tuple[int, int]]) -> tuple[Contrast, ...]:
    return tuple(
        Contrast(ARM, (one,), ((0, -1.0), (run, 1.0))) for run, one in enumerate(changed, start=1)
    )


def _effects(runs: Sequence[Run], shape: Sequence[int]) -> tuple[Contrast, ...]:
    levels = [(f, level) for f, count in enumerate(shape) for level in range(1, count)]
    mains = [Contrast(MAIN, (one,), _difference(runs, (one,))) for one in levels]
    pairs = [(a, b) for a, b in combinations(levels, 2) if a[0] != b[0]]
    return (*mains, *(Contrast(INTERACTION, pair, _difference(runs, pair)) for pair in pairs))


def _difference(
    runs: Sequence[Run], changed: Sequence[tuple[int, int]]
) -> tuple[tuple[int, float], ...]:
    """Return the weights of a difference of means, or of a difference of such differences."""
    found: dict[int, float] = {}
    for at_level in product((0, 1), repeat=len(changed)):
        sign = (-1) ** (len(changed) - sum(at_level))
        wanted = [(f, level * on) for (f, level), on in zip(changed, at_level, strict=True)]
        cell = [i for i, run in enumerate(runs) if all(run[f] == level for f, level in wanted)]
        for i in cell:
            found[i] = found.get(i, 0.0) + sign / len(cell)
    return tuple(sorted(found.items()))
