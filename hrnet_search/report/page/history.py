"""How a study went: hypervolume as trials ended, learning curves, stops and failures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hrnet_search.errors import shown
from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.records.trial import COMPLETED, FAILED, STOPPED
from hrnet_search.report.page.thin import spread
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.findings import RungAudit

MOST_CURVES = 300
MOST_REASONS = 12


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One trial: its rungs' steps and accuracies."""

    number: int
    status: str
    steps: tuple[int, ...]
    accuracies: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """Failures that differ in numbers only: how many, an example, and the trial it is of."""

    count: int
    text: str
    trial: int


def learning_curves(
    trials: Sequence[Trial], accuracy: Objective = OBJECTIVES[MIOU]
) -> tuple[tuple[LearningCurve, ...], int]:
    """Return curves of trials with two rungs or more, spread evenly, and how many there are."""
    found = [
        (ask.number, result)
        for ask, result in trials
        if result is not None and len(result.rungs) > 1 and result.status in (COMPLETED, STOPPED)
    ]
    curves = (
        LearningCurve(
            number,
            result.status,
            tuple(rung.step for rung in result.rungs),
            tuple(rung.score(accuracy.key) for rung in result.rungs),
        )
        for number, result in (found[i] for i in spread(len(found), MOST_CURVES))
    )
    return tuple(curves), len(found)


def stops(trials: Sequence[Trial]) -> tuple[tuple[int, int], ...]:
    """Return (step, trials stopped there), in the order of steps."""
    ended = [r for _, r in trials if r is not None and r.status == STOPPED]
    return tuple(sorted(Counter(r.rungs[-1].step if r.rungs else 0 for r in ended).items()))


def audit_line(found: RungAudit | None) -> str:
    """Return what the audit of the stopping rule found, empty if there was none."""
    if found is None:
        return ""
    return (
        f"The rule stopped {found.stopped} trials. Of trials that ran to their end all the same,"
        f" it would have stopped {found.audited}; {found.lost} of those are on the front."
    )


def reasons(trials: Sequence[Trial]) -> tuple[Reason, ...]:
    """Return failures by reason, the most frequent first."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for ask, result in trials:
        if result is not None and result.status == FAILED:
            key = re.sub(r"\d+(\.\d+)?", "#", result.error)
            groups.setdefault(key, []).append((ask.number, result.error))
    found = [Reason(len(g), shown(g[0][1], 300), g[0][0]) for g in groups.values()]
    return tuple(sorted(found, key=lambda r: (-r.count, r.trial)))[:MOST_REASONS]
