"""What a search picks by: what its long schedule is expected to give the networks that it found."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from hrnet_search.learned_rule import learned_something
from hrnet_search.order_rule import Floats, applies, columns_of, expected
from hrnet_search.records.trial import COMPLETED, TrialResult
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.plan import Plan
from hrnet_search.search.trials import Trials


def scores_of(plan: Plan, book: AskBook, trials: Trials) -> dict[str, float]:
    """Return of each network that was found what the long schedule is expected to give it.

    As a report expects it (`expected_of`): nothing where trainings inherit a base's weights or a
    file's, or are of several schedules.
    """
    found = trials.candidates()
    names = [one.architecture for one in found]
    if not found or not applies(plan.schedule.init, len(plan.schedules.search)):
        return {}
    seen = _of_all(names, book, plan, plan.signal)
    if seen is None:
        seen = _of_all(names, book, plan, trials.goals.accuracy.key)
    if seen is None:
        return {}
    counted = [book.results[one.number].cost for one in found]
    macs, params = (
        np.array([getattr(one, name) for one in counted], dtype=np.float64)
        for name in ("macs", "params")
    )
    learned = _learned(book, plan)
    some = np.array([name in learned for name in names])
    scores = expected(columns_of(seen, (macs, params), some))
    return dict(zip(names, scores.tolist(), strict=True))


def _counting(book: AskBook, plan: Plan) -> list[TrialResult]:
    """Return the completed trials by the search's schedule."""
    results, searched = book.results.values(), plan.schedules.search
    return [one for one in results if one.status == COMPLETED and one.key.schedule in searched]


def _learned(book: AskBook, plan: Plan) -> set[str]:
    """Return the networks that learned anything."""
    counting = _counting(book, plan)
    return {one.key.architecture for one in counting if learned_something(one)}


def _of_all(names: Sequence[str], book: AskBook, plan: Plan, signal: str) -> Floats | None:
    """Return the means of networks by a signal and the search's schedule, if all have one."""
    seen: dict[str, list[float]] = {}
    for result in _counting(book, plan):
        score = result.score(signal)
        if score is not None:
            seen.setdefault(result.key.architecture, []).append(score)
    if not all(name in seen for name in names):
        return None
    return np.array([fmean(seen[name]) for name in names])
