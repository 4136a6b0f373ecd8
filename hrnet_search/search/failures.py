"""What ends a study before its time: networks that fail, and networks that cannot be trained.

Of failures those count that came since it was started this time, for what was before is known.
"""

from __future__ import annotations

import re

from hrnet_search.errors import shown
from hrnet_search.records.trial import FAILED, INFEASIBLE, TrialResult

LEAST_FAILURES = 5
"""Failures that end a study when they are half of what was planned, or more."""

ALIKE = 3
"""Failures in a row that end a study if they say the same: the next would be one more."""

FEWEST_TOO_LARGE = 10
"""Networks that do not fit into memory, beyond the trials asked for or these, end a study."""

INFEASIBLE_A_TRIAL = 10
"""Networks over the latency limit that may be tried for each trial before the search gives up."""

SMALLER = "a smaller schedule.batch or crop helps, or limits.activations below what fits"

GOES_ON = (
    "stopping; fix the cause and run the same command again (--retry-failed runs what failed again)"
)


class Failures:
    """Counts networks that fail in one run of a study's driver, of `planned` in all.

    However many of its seeds fail: one that cannot be trained says nothing of the others.
    """

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._enough = max(2, min(ALIKE, planned))  # of two arms, both
        self._count = self._alike = 0
        self._last = ""
        self._failed = set[tuple[str, str]]()

    def take(self, result: TrialResult) -> None:
        """Take a trial that has ended; one that was not trained says nothing."""
        if result.status == INFEASIBLE:
            return
        if result.status != FAILED:
            self._alike = 0
            return
        network = result.key.architecture, result.key.schedule
        if network in self._failed:
            return
        self._failed.add(network)
        same = self._alike and _kind(result.error) == _kind(self._last)
        self._alike = self._alike + 1 if same else 1
        self._count += 1
        self._last = result.error

    @property
    def why_stop(self) -> str:
        """Why the study has to stop, empty if it has not."""
        if self._alike >= self._enough:
            said = f"{self._alike} networks in a row failed the same way"
            alike = f"{said} ({shown(self._last, 200)})"
            return f"{alike}: {GOES_ON}"
        if self._count >= max(LEAST_FAILURES, self._planned / 2):
            return f"{self._count} networks failed: {GOES_ON}"
        return ""


def why_infeasible(too_large: int, too_slow: int, trials: int) -> str:
    """Return why a search of that many trials gives up, empty if it does not.

    Networks that were `too_large` did not fit into memory, those `too_slow` broke the limit.
    """
    if too_large >= max(FEWEST_TOO_LARGE, trials):
        return f"{too_large} networks did not fit into memory: {SMALLER}"
    if too_slow >= INFEASIBLE_A_TRIAL * trials:
        return f"{too_slow} networks were measured over the latency limit"
    return ""


def _kind(error: str) -> str:
    """Return what an error has in common with others of its kind: no numbers, keys and files."""
    return re.sub(r"\S*[/\\]\S*|[0-9a-f]*[0-9][0-9a-f]*", "#", error.lower())
