"""What a search picks by: what its long schedule is expected to give the networks that it found."""

from __future__ import annotations

from hrnet_search.order_rule import applies, columns_of, expected, seen_of
from hrnet_search.search.ask_book import AskBook
from hrnet_search.search.plan import Plan


def scores_of(plan: Plan, book: AskBook) -> dict[str, float]:
    """Return of each network that was found what the long schedule is expected to give it.

    As a report expects it (`expected_of`): nothing where trainings inherit a base's weights or a
    file's, or are of several schedules.
    """
    searched, accuracy = plan.schedules.search, plan.goals.accuracy.key
    if not applies(plan.schedule.init, len(searched)):
        return {}
    seen = seen_of(book.results.values(), searched, plan.signal, accuracy)
    if not seen.networks:
        return {}
    scores = expected(columns_of(seen.short, seen.costs, seen.learned))
    return dict(zip(seen.networks, scores.tolist(), strict=True))
