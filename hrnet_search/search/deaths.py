"""What becomes of a trial whose process ended, hung or lost its device."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hrnet_search.arch.cost import Cost
from hrnet_search.records.trial import FAILED, INFEASIBLE, TrialKey, TrialResult

MOST_RETURNS = 2
"""Times that a trial whose worker died is asked for again."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why a trial could not go on, how often it is asked for again, and what it is after that.

    `charged` is False where the trial has no part in it: it goes elsewhere as often as need be.
    """

    reason: str
    returns: int = MOST_RETURNS
    status: str = FAILED
    charged: bool = True


def hung(silent_s: float, limit_s: float, where: str) -> Death:
    """Return the death of a trial whose process gave no sign of life."""
    reason = f"timeout: no sign of life for {silent_s:.0f} s (limit {limit_s:.0f} s) {where}"
    return Death(reason, returns=1)


def out_of_memory() -> Death:
    """Return the death of a trial whose process the kernel ended for want of memory."""
    reason = "out of memory: the kernel ended its process"
    return Death(reason, returns=1, status=INFEASIBLE)


class Deaths:
    """Counts them by trial. What they were is not kept: with another driver it begins anew."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def result(
        self, number: int, key: TrialKey, death: Death, cost: Cost | None = None
    ) -> TrialResult | None:
        """Count one; return the result if the trial is not to be asked for again."""
        if not death.charged:
            return None
        self._counts[number] += 1
        times = self._counts[number]
        if times <= death.returns:
            return None
        error = f"{death.reason} ({times} times)" if times > 1 else death.reason
        return TrialResult(key, death.status, cost, error=error)
