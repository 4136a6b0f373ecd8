"""Which networks of a search learned nothing, as far as its trials show."""

from __future__ import annotations

from collections.abc import Container, Sequence

from hrnet_search.learned_rule import learned_something, unlearned_line
from hrnet_search.records.trial import COMPLETED
from hrnet_search.report.trust.trials import Trial
from hrnet_search.store.trial_rows import BASE, SLICES


def unlearned_warning(trials: Sequence[Trial], front: Container[str]) -> str:
    """Return that most networks, or some of the `front`, predict one class; empty if not.

    A network that predicts more in any of its trainings has learned something; those that ended
    early, those that slices of shared weights judged, and what others start from are not asked.
    """
    found: dict[str, bool] = {}
    for ask, result in trials:
        trained = ask.purpose not in (BASE, SLICES)
        if trained and result and result.status == COMPLETED and result.rungs:
            name = ask.key.architecture
            found[name] = found.get(name, True) and not learned_something(result)
    nothing = [name for name, unlearned in found.items() if unlearned]
    on_front = sum(name in front for name in nothing)
    return unlearned_line(len(nothing), len(found), on_front)
