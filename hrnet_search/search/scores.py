"""By what a search picks: what its long schedule is expected to give the networks that it found."""

from __future__ import annotations

from collections.abc import Container, Sequence
from statistics import fmean

import numpy as np

from hrnet_search.order_rule import STARTS, Floats, columns_of, expected
from hrnet_search.records.trial import COMPLETED
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.plan import Plan
from hrnet_search.search.trials import Trials


def scores_of(plan: Plan, book: AskBook, trials: Trials) -> dict[str, float]:
    """Return of each network that was found what the long schedule is expected to give it.

    As a report expects it (`expected_of`), and like there the mean accuracy where trainings inherit
    a base's weights or a file's, or are of several schedules.
    """
    found = trials.candidates()
    names = [one.architecture for one in found]
    place = trials.goals.objectives.index(trials.goals.accuracy)
    accuracies = [one.values[place] for one in found]
    if not found or plan.schedule.init not in STARTS or len(plan.schedules.search) > 1:
        return dict(zip(names, accuracies, strict=True))
    seen = _of_all(names, book, plan.schedules.search, plan.signal)
    counted = [book.results[one.number].cost for one in found]
    macs, params = (
        np.array([getattr(one, name) for one in counted], dtype=np.float64)
        for name in ("macs", "params")
    )
    short = np.array(accuracies) if seen is None else seen
    scores = expected(columns_of(short, (macs, params)))
    return dict(zip(names, scores.tolist(), strict=True))


def _of_all(
    names: Sequence[str], book: AskBook, schedules: Container[str], signal: str
) -> Floats | None:
    """Return the means of networks by a signal and some schedules, if all of them have one."""
    seen: dict[str, list[float]] = {}
    for result in book.results.values():
        score = result.score(signal) if result.key.schedule in schedules else None
        if score is not None and result.status == COMPLETED:
            seen.setdefault(result.key.architecture, []).append(score)
    if not all(name in seen for name in names):
        return None
    return np.array([fmean(seen[name]) for name in names])
