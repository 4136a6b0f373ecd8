"""Which duels a study is to fight: its pick within each of a few budgets, and the best known rival.

A budget is what the space file limits the cost to, or what a published network or the base costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hrnet_search.duel_rule import MOST_DUELS
from hrnet_search.search.space_problem import cost_objectives
from hrnet_search.space.space import Limit

NOTHING_FOUND = "no variant has completed"
NONE_WITHIN = "no variant that has completed is within the limits"
NO_RIVAL = "no published network and no base costs what the search's own networks cost"
NOTHING_NEW = "what the search picks is a published network or the base itself"


@dataclass(frozen=True, slots=True)
class Found:
    """A network that the search trained: its first trial, its cost, and its score.

    That is its mean accuracy, or for all networks what a long schedule is expected to give them.
    `fits` says that it has every accuracy that the limits ask for: no other is a pick. `long` is
    the id of the long schedule that has its choices of training.
    """

    number: int
    architecture: str
    cost: float
    score: float
    fits: bool = True
    long: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """The base or a published network; `score` is None where the search did not train it."""

    name: str
    architecture: str
    cost: float
    macs: int
    score: float | None
    base: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A duel that could be fought; `ahead` is by how much the pick's score is ahead."""

    budget: float
    pick: Found
    rival: Known
    ahead: float


def budgeted(objectives: Sequence[str], limits: Sequence[Limit]) -> str:
    """Return the cost that budgets are of: the first objective of that kind, else a limit's."""
    names = [*cost_objectives(objectives), *(limit.objective for limit in limits)]
    return next(iter(names), "macs")


def matches(
    found: Sequence[Found], known: Sequence[Known], limit: float | None
) -> tuple[list[Match], str]:
    """Return the duels that are worth it, the surest one first; why, if there is none.

    `known` are those whose cost is known, `limit` what the space file limits the cost to.
    """
    if not any(one.fits for one in found):
        return [], NONE_WITHIN if found else NOTHING_FOUND
    distinct: dict[tuple[str, str], Match] = {}
    same = False
    for budget in _budgets(found, known, limit):
        match = _match(found, known, budget)
        if match is None:
            continue
        same |= (own := match.pick.architecture == match.rival.architecture)
        both = match.pick.architecture, match.rival.architecture
        if not own and (both not in distinct or budget < distinct[both].budget):
            distinct[both] = match
    chosen = list(distinct.values())[:MOST_DUELS]
    why = "" if chosen else NOTHING_NEW if same else NO_RIVAL
    return sorted(chosen, key=lambda match: -match.ahead), why


def _budgets(
    found: Sequence[Found], known: Sequence[Known], limit: float | None
) -> Iterator[float]:
    """Yield budgets, those that matter most first."""
    if limit is not None:
        yield limit
    yield from (one.cost for one in known if one.base)
    least, most = (pick(one.cost for one in found) for pick in (min, max))
    yield from sorted(one.cost for one in known if not one.base and least <= one.cost <= most)


def _match(found: Sequence[Found], known: Sequence[Known], budget: float) -> Match | None:
    """Return what a budget's duel would be, None if there is nothing within it."""
    picks = [one for one in found if one.fits and one.cost <= budget]
    rivals = [one for one in known if one.cost <= budget]
    if not picks or not rivals:
        return None
    pick = max(picks, key=lambda one: (one.score, -one.cost, -one.number))
    # What was never trained here is judged by its size, as its authors ranked their networks.
    if all(one.score is not None for one in rivals):
        rival = max(rivals, key=lambda one: (one.score or 0.0, -one.cost))
    else:
        rival = max(rivals, key=lambda one: one.macs)
    ahead = 0.0 if rival.score is None else pick.score - rival.score
    return Match(budget, pick, rival, ahead)
