"""Fractions of factorial designs: few runs that keep main effects apart from what matters.

Regular fractions after Box, Hunter & Hunter, Statistics for Experimenters, chapter 6: the levels of
a group of factors with p levels each (p prime) are linear forms over the integers modulo p in a
few basic factors. The resolution is the number of factors in the shortest defining word; it is R
where any R - 1 of the forms are linearly independent. Factors of other level counts keep all
their levels, and groups are crossed, so that factors of different groups are never aliased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from math import comb

import numpy as np
from numpy.typing import NDArray

Run = tuple[int, ...]
Form = tuple[int, ...]
Words = tuple[set[Form], ...]

PRIMES = (2, 3, 5, 7, 11)
FULL = 0
"""Resolution of a design that is not a fraction: nothing is aliased."""


@dataclass(frozen=True, slots=True)
class Fraction:
    """Runs as level indices, the one of first levels in front, and the resolution (0: full)."""

    runs: tuple[Run, ...]
    resolution: int


def fraction(shape: Sequence[int], resolution: int) -> Fraction:
    """Return the smallest design of at least this resolution (3 to 5) for factors of `shape`."""
    groups: dict[int, list[int]] = {}
    for factor, levels in enumerate(shape):
        groups.setdefault(levels, []).append(factor)
    parts = [_group(levels, len(members), resolution) for levels, members in groups.items()]
    order = [factor for members in groups.values() for factor in members]
    runs = []
    for chosen in product(*(part.runs for part in parts)):
        flat = [level for run in chosen for level in run]
        runs.append(tuple(flat[order.index(factor)] for factor in range(len(shape))))
    shortest = [part.resolution for part in parts if part.resolution != FULL]
    return Fraction(tuple(sorted(runs)), min(shortest, default=FULL))


def aliases(runs: Sequence[Run], shape: Sequence[int]) -> tuple[tuple[Run, Run], ...]:
    """Return the pairs of effects that a design cannot separate, wholly or in part.

    An effect is a tuple of factor indices: one for a main effect, two for an interaction.
    """
    effects = [e for size in (1, 2) for e in combinations(range(len(shape)), size)]
    columns = {effect: _columns(runs, shape, effect) for effect in effects}
    return tuple(
        (a, b)
        for a, b in combinations(effects, 2)
        if np.abs(columns[a].T @ columns[b]).max() > 1e-9 * len(runs)
    )


def _group(levels: int, factors: int, resolution: int) -> Fraction:
    if levels in PRIMES:
        for basic in range(1, factors):
            # The highest resolution that this number of runs gives.
            for reached in range(factors, resolution - 1, -1):
                if forms := _forms(levels, factors, basic, reached):
                    return Fraction(_runs(levels, forms), reached)
    return Fraction(tuple(product(range(levels), repeat=factors)), FULL)


def _forms(p: int, factors: int, basic: int, resolution: int) -> tuple[Form, ...]:
    """Return a form for each factor, the basic ones first; empty if there are none."""
    if not _has_room(p, factors, basic, resolution):
        return ()
    units = tuple(tuple(int(i == j) for j in range(basic)) for i in range(basic))
    offered = [
        form
        for form in product(range(p), repeat=basic)
        # Of a form and its multiples one stands for all; words as long as can be come first.
        if sum(map(bool, form)) > 1 and next(c for c in form if c) == 1
    ]
    offered.sort(key=lambda form: (-sum(map(bool, form)), [-c for c in form]))

    def extend(chosen: tuple[Form, ...], words: Words, start: int) -> tuple[Form, ...]:
        if len(chosen) == factors:
            return chosen
        for i in range(start, len(offered)):
            # It may be no combination of any `resolution` - 2 of those chosen.
            if offered[i] not in words[-1]:
                found = extend((*chosen, offered[i]), _with(p, words, offered[i]), i + 1)
                if found:
                    return found
        return ()

    words: Words = ({(0,) * basic},) * (resolution - 1)
    for unit in units:
        words = _with(p, words, unit)
    return extend(units, words, 0)


def _with(p: int, words: Words, form: Form) -> Words:
    """Return the combinations of up to 0, 1, 2, ... of some forms, with one form more."""
    multiples = [tuple(f * c % p for c in form) for f in range(1, p)]
    return words[0], *(
        more | {tuple((a + b) % p for a, b in zip(m, word, strict=True)) for m in multiples
                for word in fewer}
        for fewer, more in pairwise(words)
    )  # fmt: skip


def _has_room(p: int, factors: int, basic: int, resolution: int) -> bool:
    """Return whether so many runs can hold so many factors apart, by Hamming's bound.

    Words of up to half the resolution have to be different.
    """
    most = (resolution - 1) // 2
    words = sum(comb(factors, i) * (p - 1) ** i for i in range(most + 1))
    return bool(words <= p**basic)


def _runs(p: int, forms: Sequence[Form]) -> tuple[Run, ...]:
    basic = len(forms[0])
    return tuple(
        tuple(sum(c * x for c, x in zip(form, point, strict=True)) % p for form in forms)
        for point in product(range(p), repeat=basic)
    )


def _columns(runs: Sequence[Run], shape: Sequence[int], effect: Run) -> NDArray[np.float64]:
    """Return an effect's orthonormal contrasts at each run, [runs, degrees of freedom]."""
    found = np.ones((len(runs), 1))
    for factor in effect:
        coded = _contrasts(shape[factor])[[run[factor] for run in runs]]
        found = (found[:, :, None] * coded[:, None, :]).reshape(len(runs), -1)
    return found


def _contrasts(levels: int) -> NDArray[np.float64]:
    """Return contrasts of one factor that are orthogonal to its mean, [levels, levels - 1]."""
    centred = np.eye(levels)[:, 1:] - 1 / levels
    return np.asarray(np.linalg.qr(centred)[0] * np.sqrt(levels), dtype=np.float64)
