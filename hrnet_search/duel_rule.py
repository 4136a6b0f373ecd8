"""What may be concluded from a duel: whether one network is better than another.

Both are trained with the same seeds, which gives a difference of accuracy for each: a pair. After
each pair from the second on the duel may stop. Its intervals are repeated confidence intervals
(Jennison and Turnbull, Journal of the Royal Statistical Society B 51, 1989) of Student's t: they
hold at all looks together, so that stopping at any of them, for whatever reason, is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from scipy.special import stdtrit

FEWEST_PAIRS, MOST_PAIRS = 2, 12
"""Of a duel. How many it will have at most is settled before its first: fewer looks decide more."""

MOST_DUELS = 3
BELOW, ABOVE = 0.04, 0.01
"""Chance that an interval leaves the truth out below it, and above it.

Nearly all of the 5% is for the lower end, which says "better". It is for all duels of a study
together (Holm, 1979): each has an equal share, and what was decided hands its own on.
"""

FUTILE_FROM = 4
"""Pairs after which a duel ends whose pick is not ahead on average, or whose pairs do not differ at
all: it would hardly be shown to be better any more, and ending early never makes a verdict less
sure."""

ROUNDING = 1e-12

BETTER, WORSE, NOT_SHOWN, OPEN = "better", "worse", "not shown", "open"

# By tail, and at most 2 to 12 pairs: the nominal one-sided level of the last look. Look k of n has
# k/n of it, as late looks decide most. `python -m benchmarks.duels --levels` draws 4,000,000 duels
# without a difference and takes the levels that so large a share of them crosses at any look.
LEVELS = {
    BELOW: (0.04000, 0.02685, 0.02217, 0.01975, 0.01816, 0.01704,
            0.01623, 0.01564, 0.01515, 0.01476, 0.01444),
    BELOW / 2: (0.02000, 0.01298, 0.01050, 0.00920, 0.00841, 0.00785,
                0.00743, 0.00713, 0.00686, 0.00664, 0.00647),
    BELOW / 3: (0.01333, 0.00852, 0.00682, 0.00595, 0.00540, 0.00501,
                0.00472, 0.00452, 0.00434, 0.00420, 0.00409),
    ABOVE: (0.01000, 0.00632, 0.00505, 0.00435, 0.00394, 0.00364,
            0.00343, 0.00329, 0.00316, 0.00305, 0.00296),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a duel says after its pairs: mean difference (mIoU), its interval, and the verdict.

    `low` and `high` are infinite before the second pair, `mean` is nan before the first. `open`
    says that another pair is wanted.
    """

    called: str
    pairs: int
    mean: float
    low: float
    high: float


def verdicts(duels: Sequence[tuple[int, Sequence[float]]]) -> list[Verdict]:
    """Return what the duels of a study say: of each the most pairs, and its differences so far.

    The chance that any of them is called better where it is not is at most BELOW.
    """
    decided = 0
    while True:
        tail = BELOW / max(len(duels) - decided, 1)
        found = [_verdict(differences, most, tail) for most, differences in duels]
        better = sum(one.called == BETTER for one in found)
        if better <= decided:
            return found
        decided = better


def interval(differences: Sequence[float], most: int, below: float) -> tuple[float, float]:
    """Return the interval of the mean of differences, of which there will be `most` at most.

    `below` is the chance, over all looks, that it lies above the truth; ABOVE that it lies below.
    """
    count = len(differences)
    if count < FEWEST_PAIRS:
        return -math.inf, math.inf
    mean = math.fsum(differences) / count
    squares = math.fsum((one - mean) ** 2 for one in differences)
    if squares <= count * ROUNDING**2:
        return -math.inf, math.inf  # there is no noise to judge by: both learned nothing, perhaps
    error = math.sqrt(squares / (count - 1) / count)
    low, high = (critical(count, most, tail) for tail in (below, ABOVE))
    return mean - low * error, mean + high * error


@cache
def critical(count: int, most: int, tail: float) -> float:
    """Return the t beyond which a look of `count` pairs decides."""
    nominal = LEVELS[tail][most - FEWEST_PAIRS] * count / most
    return float(-stdtrit(count - 1, nominal))


def _verdict(differences: Sequence[float], most: int, tail: float) -> Verdict:
    count = len(differences)
    mean = math.fsum(differences) / count if count else math.nan
    low, high = interval(differences, most, tail)
    if low > 0:
        called = BETTER
    elif high < 0:
        called = WORSE
    elif count >= most or (count >= FUTILE_FROM and (mean <= 0 or low == -math.inf)):
        called = NOT_SHOWN
    else:
        called = OPEN
    return Verdict(called, count, mean, low, high)
