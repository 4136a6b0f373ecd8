"""The duels of a study, as it notes them: chosen by `search/`, told by `report/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hrnet_search.records.accuracy import MIOU
from hrnet_search.records.objective import OBJECTIVES, Objective
from hrnet_search.records.trial import COMPLETED, TrialKey, TrialResult


@dataclass(frozen=True, slots=True)
class Duel:
    """Two networks trained alike: what the search picks within a budget, and the best known one.

    `cost` names the objective that the `budget` is of, in its own unit. `pick` and `rival` are
    ids of architectures, `name` is what people call the rival. Each of `seeds` is for one pair,
    by the schedule with the id `schedule`; of them it has `most` at most, 0 before it begins.
    `why` says why it does not begin or go on, if so.
    """

    cost: str
    budget: float
    pick: str
    rival: str
    name: str
    schedule: str
    seeds: tuple[int, ...]
    most: int = 0
    why: str = ""

    def keys(self, seed: int) -> tuple[TrialKey, TrialKey]:
        """Return the trials of one pair: the pick's first."""
        return (
            TrialKey(self.pick, self.schedule, seed),
            TrialKey(self.rival, self.schedule, seed),
        )


@dataclass(frozen=True, slots=True)
class Duels:
    """All duels of a study in their order, and why there is none, if so.

    The first `family` of them share the chance of a false verdict; there is no device time for
    the others. `budget` is of trials, or of hours, by which they were chosen.
    """

    duels: tuple[Duel, ...] = field(default=())
    family: int = 0
    why: str = ""
    budget: float = 0.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a duel in which both trainings have ended.

    `differences` (of accuracy, the pick's less the rival's) are of those in which both completed;
    `void` counts the others, each of which has another seed in its place while there are any.
    `seeds` are those that the duel may use so far.
    """

    differences: tuple[float, ...]
    void: int
    seeds: tuple[int, ...]


def pairs_of(
    duel: Duel, results: Mapping[TrialKey, TrialResult], accuracy: Objective = OBJECTIVES[MIOU]
) -> Pairs:
    """Return the pairs of a duel, in the order of its seeds, among results by their keys."""
    differences: list[float] = []
    void = 0
    for place, seed in enumerate(duel.seeds):
        if place >= duel.most + void:
            break
        found = [results[key] for key in duel.keys(seed) if key in results]
        if len(found) < 2:
            continue
        pick, rival = (accuracy.of(r) if r.status == COMPLETED else None for r in found)
        if pick is None or rival is None:
            void += 1
        else:
            differences.append(pick - rival)
    return Pairs(tuple(differences), void, duel.seeds[: duel.most + void])
